//! Identity of an index, in its mapping's `_meta.driftless`: the table, the key that ids begin with, the generation.
//!
//! A function with another identity is refused before anything is written. A second table would overwrite documents
//! with equal keys. Another `PARTITION_KEY` would give each item a second document. A lowered `GENERATION` would make
//! every change stale. A raised generation takes the index over, and may name another table, because a restore makes
//! one.

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::definition::FORMAT;
use crate::replication::Fingerprints;
use crate::version::Generation;

/// Source of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// ARN of the table, without its stream. Absent if a function does not know it: then any table is right.
    pub table: Option<String>,
    /// Value of `PARTITION_KEY`, if it is set.
    pub partition_key: Option<String>,
    /// Value of the variable `GENERATION`.
    pub generation: Generation,
    /// Fingerprints of the rules in `REPLICATION`.
    pub rules: Fingerprints,
}

/// Result of comparing an index's identity with a function's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum IdentityComparison {
    /// The identities are the same.
    Same,
    /// The function's generation is higher, so it takes the index over.
    Raised,
    /// A contradiction and its remedy, worded to follow the index's name.
    Contradiction(String),
}

impl Identity {
    /// Returns the `_meta.driftless` of an index with this identity.
    pub(super) fn to_meta(&self) -> Value {
        let mut meta = json!({"format": FORMAT, "table": self.table, "generation": self.generation.0});
        if let Some(key) = &self.partition_key {
            meta["partition_key"] = key.as_str().into();
        }
        if self.rules != Fingerprints::default() {
            meta["rules"] = json!(self.rules);
        }
        meta
    }

    /// Parses `_meta.driftless`; `None` if it lacks a table or a generation.
    pub(super) fn from_meta(meta: &Value) -> Option<Self> {
        let generation = meta["generation"].as_u64().and_then(|number| u32::try_from(number).ok())?;
        Some(Self {
            table: Some(meta["table"].as_str()?.to_owned()),
            partition_key: meta["partition_key"].as_str().map(str::to_owned),
            generation: Generation(generation),
            rules: Fingerprints::deserialize(&meta["rules"]).unwrap_or_default(),
        })
    }

    /// Compares a function's identity with that of its index.
    pub(super) fn compare(&self, index: &Self) -> IdentityComparison {
        let (own, stored) = (self.generation.0, index.generation.0);
        if self.partition_key != index.partition_key {
            let name = |key: &Option<String>| key.as_ref().map_or("not set".to_owned(), |key| format!("`{key}`"));
            let (own, stored) = (name(&self.partition_key), name(&index.partition_key));
            return IdentityComparison::Contradiction(format!(
                "was made with PARTITION_KEY {stored}, and here it is {own}: each item would get a second document; set \
                 PARTITION_KEY back, or choose another INDEX and backfill"
            ));
        }
        if self.rules.ids != index.rules.ids {
            return IdentityComparison::Contradiction(
                "was made with other rules for document ids in REPLICATION, or with another HASH_KEY: each item would get \
                 a second document; set them back, or choose another INDEX and backfill"
                    .to_owned(),
            );
        }
        if own < stored {
            return IdentityComparison::Contradiction(format!(
                "is at generation {stored}, and GENERATION is {own}: every change would be older than what stands \
                 there; set GENERATION to {stored} or more"
            ));
        }
        match (&self.table, &index.table) {
            (Some(own_table), Some(table)) if own_table != table && own == stored => {
                IdentityComparison::Contradiction(format!(
                    "holds the documents of {table}, and these records are of {own_table}: choose another INDEX; if that \
                     table takes the place of the first one, set GENERATION to {} or more",
                    stored.saturating_add(1)
                ))
            }
            _ if own > stored => IdentityComparison::Raised,
            _ => IdentityComparison::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(table: &str, partition_key: Option<&str>, generation: u32) -> Identity {
        let (table, partition_key) = (Some(table.to_owned()), partition_key.map(str::to_owned));
        Identity { table, partition_key, generation: Generation(generation), rules: Fingerprints::default() }
    }

    #[track_caller]
    fn refused(own: &Identity, expect: &str) {
        let index = identity("arn:t", Some("pk"), 2);
        let IdentityComparison::Contradiction(said) = own.compare(&index) else { panic!("{own:?} is taken") };
        assert!(said.contains(expect), "{said}");
    }

    #[test]
    fn a_contradiction_names_its_variable() {
        refused(&identity("arn:other", Some("pk"), 2), "choose another INDEX");
        refused(&identity("arn:t", Some("sk"), 2), "PARTITION_KEY `pk`");
        refused(&identity("arn:t", None, 3), "here it is not set");
        refused(&identity("arn:t", Some("pk"), 1), "set GENERATION to 2");
        refused(&identity("arn:other", Some("pk"), 1), "set GENERATION to 2");
    }

    #[test]
    fn a_raised_generation_takes_over_and_may_name_another_table() {
        let index = identity("arn:t", Some("pk"), 2);
        assert_eq!(index.compare(&index), IdentityComparison::Same);
        assert_eq!(Identity { table: None, ..index.clone() }.compare(&index), IdentityComparison::Same);
        assert_eq!(identity("arn:t", Some("pk"), 3).compare(&index), IdentityComparison::Raised);
        assert_eq!(identity("arn:restored", Some("pk"), 3).compare(&index), IdentityComparison::Raised);
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        for key in [None, Some("pk")] {
            let identity = identity("arn:t", key, 7);
            assert_eq!(Identity::from_meta(&identity.to_meta()), Some(identity));
        }
        assert_eq!(Identity::from_meta(&json!({"format": FORMAT})), None);
    }
}
