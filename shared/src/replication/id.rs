//! Rules for document ids: parts of keys that are left out, and keyed hashes.

use std::borrow::Cow;

use regex::Regex;

use super::keyed_hash::HashKey;
use crate::attribute::Item;
use crate::document_id::{DocumentId, KeyError};

/// Rules that make an id of an item's key.
#[derive(Debug, Default)]
pub(super) struct IdRules {
    /// Parts of keys that ids do not hold.
    pub(super) omissions: Vec<Omission>,
    /// Key of the ids' hashes, if they are hashed.
    pub(super) hash: Option<HashKey>,
}

/// Named groups that are cut out of one key attribute.
#[derive(Debug)]
pub(super) struct Omission {
    pub(super) attribute: String,
    pub(super) pattern: Regex,
    pub(super) groups: Vec<String>,
}

impl IdRules {
    /// Returns `true` if an id shows the key that it was made of.
    pub(super) fn shows_keys(&self) -> bool {
        self.hash.is_none() && self.omissions.is_empty()
    }

    /// Returns the id of a key's document.
    pub(super) fn document_id(&self, keys: &Item<'_>, partition_key: Option<&str>) -> Result<DocumentId, KeyError> {
        let id = DocumentId::from_parts(keys, partition_key, |name, text| self.part(name, text))?;
        Ok(match &self.hash {
            Some(key) => DocumentId::from_stored(key.hash(id.as_str().as_bytes())),
            None => id,
        })
    }

    fn part<'t>(&self, name: &str, text: Cow<'t, str>) -> Result<Cow<'t, str>, KeyError> {
        let mut text = text;
        for omission in self.omissions.iter().filter(|omission| omission.attribute == name) {
            text = Cow::Owned(omission.cut(&text).ok_or_else(|| KeyError::Pattern(name.to_owned()))?);
        }
        Ok(text)
    }
}

impl Omission {
    /// Cuts the groups out of a text; `None` if the pattern does not match.
    fn cut(&self, text: &str) -> Option<String> {
        let groups = self.pattern.captures(text)?;
        let mut spans: Vec<_> = self.groups.iter().filter_map(|name| Some(groups.name(name)?.range())).collect();
        spans.sort_by_key(|span| span.start);
        let mut left = String::with_capacity(text.len());
        let mut from = 0;
        for span in spans {
            // A group within another one is gone already.
            if span.start >= from {
                left.push_str(&text[from..span.start]);
            }
            from = from.max(span.end);
        }
        left.push_str(&text[from..]);
        Some(left)
    }
}
