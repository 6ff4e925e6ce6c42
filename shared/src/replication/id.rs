//! Rules for document ids: the prefix of a table, parts of keys that are left out, keyed hashes, and the routing.

use std::borrow::Cow;

use regex::Regex;
use sha2::{Digest as _, Sha256};

use super::keyed_hash::HashKey;
use crate::attribute::Item;
use crate::document_id::{DocumentId, KeyDigest, KeyError, key_parts};

/// Rules that make an id of an item's key.
#[derive(Debug, Default)]
pub(super) struct IdRules {
    /// First characters of every id: what tells the tables of one index apart. Empty if there is one table.
    pub(super) prefix: String,
    /// Parts of keys that ids do not hold.
    pub(super) omissions: Vec<Omission>,
    /// Key of the ids' hashes, if they are hashed.
    pub(super) hash: Option<HashKey>,
    /// `true` if the partition key decides the shard.
    pub(super) routed: bool,
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
        let parts = key_parts(keys, partition_key, |name, text| self.part(name, text))?;
        if self.routed && parts.len() < 2 {
            return Err(KeyError::NoSortKey);
        }
        let id = match &self.hash {
            Some(key) => {
                let hash = key.hash(DocumentId::from_parts("", &parts).as_str().as_bytes());
                DocumentId::from_stored(format!("{}{hash}", self.prefix))
            }
            None => DocumentId::from_parts(&self.prefix, &parts),
        };
        let digest = match self.omissions.is_empty() {
            true => None,
            false => self.digest(&DocumentId::from_keys(keys, partition_key)?),
        };
        let routing = self.routed.then(|| match &self.hash {
            Some(key) => key.hash(parts[0].as_bytes()),
            None => parts[0].clone(),
        });
        Ok(id.with_key(digest).with_routing(routing))
    }

    /// Returns the digest of a whole key: keyed where ids are, as it must not show the key either.
    fn digest(&self, whole: &DocumentId) -> Option<KeyDigest> {
        KeyDigest::from_hash(&match &self.hash {
            Some(key) => key.hash(format!("whole key/{whole}").as_bytes()),
            None => format!("{:x}", Sha256::digest(whole.as_str())),
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
