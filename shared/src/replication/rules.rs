//! Rules by path, as a tree: one walk over an item applies them all.

use std::collections::BTreeMap;

use super::date::DateForm;
use super::keyed_hash::HashKey;
use super::path::AttributePath;

/// Rules for one attribute, and for the parts of its value.
#[derive(Debug, Default)]
pub(super) struct AttributeRules {
    pub(super) selection: Selection,
    pub(super) conversion: Option<Conversion>,
    /// Another name, at the same level.
    pub(super) name: Option<String>,
    /// Rules for attributes of the value, if it is a map or a list of maps.
    pub(super) parts: BTreeMap<String, AttributeRules>,
    /// `true` if a part is included.
    pub(super) includes_parts: bool,
}

/// Selection of an attribute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Selection {
    /// As what it is a part of.
    #[default]
    Inherited,
    /// Part of the document, by `include`.
    Included,
    /// Left out, by `exclude`.
    Excluded,
}

/// Conversion of a value as a whole.
#[derive(Debug, Clone)]
pub(super) enum Conversion {
    /// Conversion to its keyed hash.
    Hash(HashKey),
    /// Conversion to a date.
    Date(DateForm),
    /// Conversion to one JSON text.
    JsonText,
}

impl AttributeRules {
    /// Returns the rules at a path, and makes them if there are none.
    pub(super) fn at(&mut self, path: &AttributePath) -> &mut Self {
        path.names().iter().fold(self, |rules, name| rules.parts.entry(name.clone()).or_default())
    }

    /// Includes a path, and tells what it is a part of.
    pub(super) fn include(&mut self, path: &AttributePath) {
        let mut rules = self;
        for name in path.names() {
            rules.includes_parts = true;
            rules = rules.parts.entry(name.clone()).or_default();
        }
        rules.selection = Selection::Included;
    }
}
