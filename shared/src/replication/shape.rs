//! Rules of one section, applied to an item: the item whose plain conversion is the document.

use std::borrow::Cow;

use super::config::Others;
use super::derive::Derivation;
use super::filter::Filter;
use super::path::AttributePath;
use super::rules::{AttributeRules, Conversion, Selection};
use crate::attribute::{AttributeValue, Item};
use crate::document::{Content, Document, write_plain};

/// Attributes that version 2017.11.29 of Global Tables adds to every item.
const GLOBAL_TABLES: [&str; 3] = ["aws:rep:deleting", "aws:rep:updateregion", "aws:rep:updatetime"];

/// Reason why an item has no document under the rules. Holds names and shapes, never content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ShapeError {
    /// Path of the attribute in the item, or the filter's key.
    pub place: String,
    /// The expected shape, or the filter's message without values.
    pub problem: String,
}

/// Rules of one section.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) condition: Option<Filter>,
    pub(super) derivations: Vec<Derivation>,
    /// Rules of all attributes; the root has no selection of its own.
    pub(super) rules: AttributeRules,
    pub(super) document: Option<Filter>,
}

/// Rules for one kind of items.
#[derive(Debug)]
pub(super) struct Entity {
    pub(super) name: String,
    pub(super) attribute: AttributePath,
    pub(super) test: EntityTest,
    pub(super) shape: Shape,
}

/// Test of the attribute that tells an entity.
#[derive(Debug, Clone)]
pub(super) enum EntityTest {
    /// Comparison with the whole text.
    Equals(String),
    /// Comparison with the first characters.
    Prefix(String),
}

/// Rules for the kinds of items in one table.
#[derive(Debug, Default)]
pub(super) struct Entities {
    pub(super) list: Vec<Entity>,
    /// Field that gets the entity's name.
    pub(super) field: Option<String>,
    pub(super) others: Others,
}

impl Entity {
    pub(super) fn matches(&self, item: &Item<'_>) -> bool {
        let Some(AttributeValue::String(text)) = self.attribute.find(item) else { return false };
        self.test.matches(text)
    }
}

impl EntityTest {
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Equals(whole) => text == whole,
            Self::Prefix(first) => text.starts_with(first.as_str()),
        }
    }
}

impl Shape {
    /// Returns `true` if an item satisfies `where`.
    pub(super) fn wants(&self, item: &Item<'_>) -> Result<bool, ShapeError> {
        match &self.condition {
            None => Ok(true),
            Some(condition) => condition.matches(item).map_err(|failure| failed("where", &failure)),
        }
    }

    /// Returns the content of an item's document with further fields.
    pub(super) fn content(&self, item: &Item<'_>, added: &[(&str, &str)]) -> Result<Content, ShapeError> {
        if !self.wants(item)? {
            return Ok(Content::Tombstone);
        }
        let mut shaped = Walk::default().item(item, &self.rules, !self.rules.includes_parts)?;
        for name in GLOBAL_TABLES {
            shaped.0.remove(name);
        }
        for derivation in &self.derivations {
            let fields = derivation
                .fields_of(item)
                .map_err(|problem| ShapeError { place: derivation.from.to_string(), problem: problem.to_owned() })?;
            for (name, value) in fields {
                add(&mut shaped, Cow::Borrowed(name), value, "a derived field")?;
            }
        }
        for (name, value) in added {
            let value = AttributeValue::String(Cow::Borrowed(value));
            add(&mut shaped, Cow::Borrowed(name), value, "`entity_field` or `source.field`")?;
        }
        Ok(Content::Document(match &self.document {
            Some(filter) => filter.document(&shaped).map_err(|failure| failed("document", &failure))?,
            None => Document::from_item(&shaped),
        }))
    }
}

fn failed(key: &str, failure: &dyn std::fmt::Display) -> ShapeError {
    ShapeError { place: format!("REPLICATION.{key}"), problem: failure.to_string() }
}

/// Adds a field that no attribute may have taken.
fn add<'i>(item: &mut Item<'i>, name: Cow<'i, str>, value: AttributeValue<'i>, what: &str) -> Result<(), ShapeError> {
    match item.0.entry(name) {
        std::collections::btree_map::Entry::Vacant(entry) => {
            entry.insert(value);
            Ok(())
        }
        std::collections::btree_map::Entry::Occupied(entry) => Err(ShapeError {
            place: entry.key().clone().into_owned(),
            problem: format!("is the name of an attribute and of {what}: exclude or rename the attribute"),
        }),
    }
}

/// Walk over an item, with the names that lead to where it is.
#[derive(Default)]
struct Walk<'n> {
    names: Vec<&'n str>,
}

impl<'n> Walk<'n> {
    /// Applies rules to the attributes of a map. `included` is the selection that they inherit.
    fn item<'i: 'n>(
        &mut self,
        item: &'n Item<'i>,
        rules: &AttributeRules,
        included: bool,
    ) -> Result<Item<'i>, ShapeError> {
        let mut shaped = Item::default();
        for (name, value) in &item.0 {
            let Some(rules) = rules.parts.get(name.as_ref()) else {
                if included {
                    self.insert(&mut shaped, name.clone(), value.clone(), false)?;
                }
                continue;
            };
            let included = match rules.selection {
                Selection::Excluded => continue,
                Selection::Included => true,
                Selection::Inherited => included,
            };
            if !included && !rules.includes_parts {
                continue;
            }
            self.names.push(name);
            let value = self.value(value, rules, included)?;
            self.names.pop();
            let Some(value) = value else { continue };
            match &rules.name {
                Some(other) => self.insert(&mut shaped, Cow::Owned(other.clone()), value, true)?,
                None => self.insert(&mut shaped, name.clone(), value, false)?,
            }
        }
        Ok(shaped)
    }

    /// Applies rules to a value; `None` if nothing of it is included.
    fn value<'i: 'n>(
        &mut self,
        value: &'n AttributeValue<'i>,
        rules: &AttributeRules,
        included: bool,
    ) -> Result<Option<AttributeValue<'i>>, ShapeError> {
        if let Some(conversion) = &rules.conversion {
            return self.convert(value, conversion).map(Some);
        }
        if rules.parts.is_empty() {
            return Ok(included.then(|| value.clone()));
        }
        Ok(match value {
            AttributeValue::Map(map) => {
                let shaped = self.item(map, rules, included)?;
                (included || !shaped.0.is_empty()).then_some(AttributeValue::Map(shaped))
            }
            AttributeValue::List(values) => {
                let mut shaped = Vec::with_capacity(values.len());
                for value in values {
                    shaped.extend(self.value(value, rules, included)?);
                }
                (included || !shaped.is_empty()).then_some(AttributeValue::List(shaped))
            }
            other => included.then(|| other.clone()),
        })
    }

    fn convert<'i>(
        &self,
        value: &AttributeValue<'i>,
        conversion: &Conversion,
    ) -> Result<AttributeValue<'i>, ShapeError> {
        match conversion {
            Conversion::Hash(key) => Ok(key.hash_value(value)),
            Conversion::Date(form) => form.convert(value).map_err(|problem| self.error(problem)),
            Conversion::JsonText => {
                let json = String::from_utf8(write_plain(value)).expect("JSON is UTF-8");
                Ok(AttributeValue::String(json.into()))
            }
        }
    }

    fn insert<'i>(
        &self,
        item: &mut Item<'i>,
        name: Cow<'i, str>,
        value: AttributeValue<'i>,
        renamed: bool,
    ) -> Result<(), ShapeError> {
        if item.0.insert(name, value).is_none() {
            return Ok(());
        }
        let what = if renamed { "has the new name of another one" } else { "has the name that `rename` gives another" };
        Err(self.error(&format!("two attributes would be one field, because one {what}")))
    }

    fn error(&self, problem: &str) -> ShapeError {
        let place = if self.names.is_empty() { "item".to_owned() } else { self.names.join(".") };
        ShapeError { place, problem: problem.to_owned() }
    }
}
