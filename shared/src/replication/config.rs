//! The TOML text of `REPLICATION`, as it is written. `plan` checks what the keys mean together.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::date::DateForm;
use super::expiry::ExpirySection;
use super::inflate::InflatedForm;

/// Problem of a configuration, with its place and its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Line in the text, from 1.
    pub line: usize,
    /// Column in the line, in characters from 1.
    pub column: usize,
    /// The problem and its remedy.
    pub problem: String,
}

/// Every problem of a configuration, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<ConfigProblem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, ConfigProblem { line, column, problem }) in self.0.iter().enumerate() {
            write!(out, "{}line {line}, column {column}: {problem}", if at > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

/// Text with its place.
pub(super) type Text = Spanned<String>;
/// Conversions by the paths of attributes.
pub(super) type ByPath<V> = BTreeMap<Text, V>;

/// Rules of the whole text, or of one entity.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    /// Attributes that go into the document; all if there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) include: Vec<Text>,
    /// Attributes that are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) exclude: Vec<Text>,
    /// Attributes whose values are replaced by their keyed hashes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hash: Vec<Text>,
    /// Attributes that become one JSON text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) json_text: Vec<Text>,
    /// Attributes that get another name, at their level.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) rename: ByPath<Text>,
    /// Attributes that become dates.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) dates: ByPath<DateForm>,
    /// Fields taken out of a text by a pattern.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) derive: Vec<DeriveSection>,
    /// Filter that an item must satisfy to have a document.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub(super) condition: Option<Text>,
    /// Filter that makes the document of what the other rules made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) document: Option<Text>,

    /// Compressed attributes, inflated before any other rule. Of the whole text only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) inflate: ByPath<InflatedForm>,
    /// Limit for an inflated attribute, in bytes. Of the whole text only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inflate_limit: Option<Spanned<u64>>,
    /// Table among those that share the index. Of the whole text only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Spanned<SourceSection>>,
    /// Form of document ids. Of the whole text only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Spanned<IdSection>>,
    /// Field that gets the entity's name. Of the whole text only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entity_field: Option<Text>,
    /// Policy for items of no entity. Of the whole text only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) others: Option<Spanned<Others>>,
    /// Rules for the kinds of items in one table; the first that matches counts. Of the whole text only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) entity: Vec<Spanned<Section>>,
    /// Policy for an index whose documents were made by other rules. Of the whole text only.
    #[serde(skip_serializing)]
    pub(super) changed: Option<Spanned<WhenChanged>>,
    /// Rules for items that time to live deletes. Of the whole text only. No part of the fingerprint: they make no
    /// document of an item, and a repair would change nothing.
    #[serde(skip_serializing)]
    pub(super) expiry: Option<Spanned<ExpirySection>>,

    /// Name of the entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Text>,
    /// Attribute that tells the entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attribute: Option<Text>,
    /// Value of that attribute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) equals: Option<Text>,
    /// First characters of that attribute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prefix: Option<Text>,
    /// Index of the entity's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<Text>,
}

/// Fields taken out of a text by the named groups of a regular expression.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeriveSection {
    /// Attribute with the text.
    pub(super) from: Text,
    /// Regular expression with named groups.
    pub(super) pattern: Text,
    /// Groups that become fields; all if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fields: Option<Vec<Text>>,
    /// Policy for a text that does not match.
    #[serde(default)]
    pub(super) otherwise: Otherwise,
}

/// Name of a table among those that share one index.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceSection {
    /// Name, which every id of the table begins with.
    pub(super) name: Text,
    /// Field of every document that gets the name.
    pub(super) field: Text,
}

/// Form of document ids.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IdSection {
    /// `true` if ids are keyed hashes.
    pub(super) hash: bool,
    /// Named groups of derivations from key attributes that ids do not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) leave_out: Vec<Text>,
    /// `true` if the partition key decides the shard of a document.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) routing: bool,
}

/// Policy for a text that a pattern does not match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Otherwise {
    /// The record becomes a dead letter.
    #[default]
    Reject,
    /// The document lacks the fields.
    LeaveOut,
}

/// Policy for items of no entity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Others {
    /// The rules of the whole text make the document.
    #[default]
    Keep,
    /// There is no document.
    LeaveOut,
    /// The record becomes a dead letter.
    Reject,
}

/// Policy for an index whose documents were made by other rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenChanged {
    /// Go on, and log that a repair or a re-index is due.
    #[default]
    Continue,
    /// Refuse to write until the index agrees.
    Refuse,
}

/// Problems found so far, by their places in the text.
pub(super) struct Problems<'t> {
    text: &'t str,
    found: Vec<(usize, String)>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// Notes a problem of a value.
    pub(super) fn at<V>(&mut self, value: &Spanned<V>, problem: impl fmt::Display) {
        self.found.push((value.span().start, problem.to_string()));
    }

    /// Returns the value, or every problem.
    pub(super) fn finish<V>(mut self, value: V) -> Result<V, ConfigError> {
        if self.found.is_empty() {
            return Ok(value);
        }
        // A path may be read for several keys.
        self.found.sort();
        self.found.dedup();
        Err(ConfigError(self.found.into_iter().map(|(at, problem)| located(self.text, at, problem)).collect()))
    }
}

/// Parses the text. TOML's own errors, unknown keys and values of a wrong type end it at the first one.
///
/// # Errors
/// Fails with that one problem.
pub(super) fn parse(text: &str) -> Result<Section, ConfigError> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        ConfigError(vec![located(text, at, error.message().replace('\n', ", "))])
    })
}

fn located(text: &str, at: usize, problem: String) -> ConfigProblem {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ConfigProblem { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1, problem }
}
