//! Items that time to live deletes: what becomes of their documents.

use serde::Deserialize;
use toml::Spanned;

use super::compile::Compiler;
use super::config::Text;
use crate::attribute::{AttributeValue, Item};
use crate::change::Content;
use crate::time::Timestamp;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// The year 9999 in milliseconds: a larger TTL attribute is none.
const LATEST_MS: f64 = 253_402_300_799_999.0;

/// Key `expiry`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpirySection {
    /// The table's TTL attribute.
    attribute: Text,
    /// Fate of the document.
    #[serde(default)]
    then: AfterExpiry,
    /// Field that marks the document.
    #[serde(default)]
    field: Option<Text>,
    /// Number of days after which `purge` removes the document.
    #[serde(default)]
    retain_days: Option<Spanned<u32>>,
}

/// Fate of a document whose item expired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AfterExpiry {
    /// It becomes a tombstone, as after any deletion.
    #[default]
    Delete,
    /// It stays as it was.
    Keep,
    /// It stays, and a field says so.
    Mark,
}

/// Rules for documents that stay after their items expired.
#[derive(Debug)]
pub(super) struct Expiry {
    /// The table's TTL attribute.
    attribute: String,
    /// Field that is set to `true`.
    mark: Option<String>,
    /// Time until `purge` removes the document.
    pub(super) retention_ms: Option<u64>,
}

impl Expiry {
    /// Returns the content that stays of an expired item, from the content of its last state.
    pub(super) fn kept(&self, content: Content, item: &Item<'_>, event_time: Option<Timestamp>) -> Option<Content> {
        let Content::Document(document) = content else { return Some(content) };
        let document = match &self.mark {
            Some(field) => document.with_true(field),
            None => document,
        };
        let expired_at = self.expired_at(item).or(event_time)?;
        Some(Content::Expired { document, expired_at })
    }

    fn expired_at(&self, item: &Item<'_>) -> Option<Timestamp> {
        let AttributeValue::Number(seconds) = item.0.get(self.attribute.as_str())? else { return None };
        let millis = seconds.to_string().parse::<f64>().ok()? * 1_000.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        (0.0..=LATEST_MS).contains(&millis).then(|| Timestamp::from_millis(millis as u64))
    }
}

impl Compiler<'_> {
    /// Returns the rules for documents that stay; `None` if expired items leave tombstones.
    pub(super) fn expiry(&mut self, section: &ExpirySection) -> Option<Expiry> {
        let ExpirySection { attribute, then, field, retain_days } = section;
        if attribute.get_ref().is_empty() {
            self.problems.at(attribute, "is no name: name the attribute that time to live of the table uses");
        }
        if *then == AfterExpiry::Delete
            && let Some(days) = retain_days
        {
            self.problems.at(
                days,
                "has no effect, because an expired item's document is deleted: set `then` to \"keep\" or \"mark\"",
            );
        }
        match (then, field) {
            (AfterExpiry::Mark, None) => {
                self.problems.at(attribute, "\"mark\" needs `field`, the name of a boolean field of the document");
            }
            (AfterExpiry::Mark, Some(name)) => self.check_mark(name),
            (AfterExpiry::Delete | AfterExpiry::Keep, Some(name)) => {
                self.problems.at(name, "has no effect without `then = \"mark\"`");
            }
            (AfterExpiry::Delete | AfterExpiry::Keep, None) => {}
        }
        (*then != AfterExpiry::Delete).then(|| Expiry {
            attribute: attribute.get_ref().clone(),
            mark: field.as_ref().map(|name| name.get_ref().clone()),
            retention_ms: retain_days.as_ref().map(|days| u64::from(*days.get_ref()) * DAY_MS),
        })
    }

    fn check_mark(&mut self, name: &Text) {
        let field = name.get_ref();
        if field.trim().is_empty() || field.starts_with('_') || field.contains(['.', '%']) {
            self.problems.at(
                name,
                format_args!("`{field}` is no name for the mark: give one without dots, `%` and a leading underscore"),
            );
        }
    }
}
