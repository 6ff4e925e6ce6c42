//! Identity of an index, in its mapping's `_meta.driftless`: the table, the key that ids begin with, the generation.
//!
//! A function with another identity is refused before anything is written. A second table would overwrite documents
//! with equal keys. Another `PARTITION_KEY` would give each item a second document. A lowered `GENERATION` would make
//! every change stale. A raised generation takes the index over, and may name another table, because a restore makes
//! one.
//!
//! An index may have several tables if each declares its name (`source` in `REPLICATION`), which its ids begin with.
//! Such an index lists them all, and each is compared with its own entry alone.

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::definition::FORMAT;
use crate::replication::Fingerprints;
use crate::version::Generation;

/// Source of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name of the table among those that share the index; `None` if the index has one table.
    pub source: Option<String>,
    /// ARN of the table, without its stream. Absent if a function does not know it: then any table is right.
    pub table: Option<String>,
    /// Value of `PARTITION_KEY`, if it is set.
    pub partition_key: Option<String>,
    /// Value of the variable `GENERATION`.
    pub generation: Generation,
    /// Fingerprints of the rules in `REPLICATION`.
    pub rules: Fingerprints,
}

/// All sources of an index: one without a name, or some with names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identities(Vec<Identity>);

/// Result of comparing an index's identity with a function's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum IdentityComparison {
    /// The identities are the same.
    Same,
    /// The function's generation is higher, so it takes the index over.
    Raised,
    /// The index has other tables, and may get this one, too.
    Joins,
    /// A contradiction and its remedy, worded to follow the index's name.
    Contradiction(String),
}

impl Identities {
    /// Parses `_meta.driftless`; `None` if it lacks a table or a generation.
    pub(super) fn from_meta(meta: &Value) -> Option<Self> {
        let Some(sources) = meta["sources"].as_object() else {
            return Some(Self(vec![Identity::from_members(None, meta)?]));
        };
        let named = sources.iter().map(|(name, members)| Identity::from_members(Some(name), members));
        Some(Self(named.collect::<Option<_>>()?))
    }

    /// Returns the only source of a new index.
    pub(super) fn alone(identity: &Identity) -> Self {
        Self(vec![identity.clone()])
    }

    /// Returns the `_meta.driftless` of an index with these sources.
    pub(super) fn to_meta(&self) -> Value {
        let mut meta = json!({"format": FORMAT});
        for (pointer, value) in self.0.iter().flat_map(Identity::members) {
            set(&mut meta, &pointer, value);
        }
        meta
    }

    /// Returns the identity of a source.
    pub(super) fn of(&self, source: Option<&str>) -> Option<&Identity> {
        self.0.iter().find(|identity| identity.source.as_deref() == source)
    }

    /// Returns the same sources with one that is replaced.
    pub(super) fn with(&self, own: &Identity) -> Self {
        let same = |identity: &Identity| if identity.source == own.source { own.clone() } else { identity.clone() };
        Self(self.0.iter().map(same).collect())
    }

    /// Returns the names of the sources; none if the index has one table.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().filter_map(|identity| identity.source.clone()).collect()
    }

    /// Describes the lack of a source, worded to follow the index's name.
    pub(super) fn lack(&self, source: Option<&str>) -> String {
        let tables: Vec<&str> = self.0.iter().filter_map(|identity| identity.table.as_deref()).collect();
        let names: Vec<String> = self.names().iter().map(|name| format!("`{name}`")).collect();
        match source {
            None => format!(
                "holds the documents of several tables ({}), each under its name: declare `source` in REPLICATION, or \
                 choose another INDEX",
                names.join(", ")
            ),
            Some(name) if names.is_empty() => format!(
                "holds the documents of {} alone, whose ids have no name of a table: remove `source` (`{name}`) from \
                 REPLICATION if that is the table, else choose another INDEX",
                tables.join(", ")
            ),
            Some(name) => format!(
                "has the tables {}, and not `{name}`: replication or a backfill of that table adds it (with CREATE_INDEX \
                 if-missing)",
                names.join(", ")
            ),
        }
    }
}

impl Identity {
    /// Returns the members of `_meta.driftless` that are this source's, by JSON pointer.
    pub(super) fn members(&self) -> Vec<(String, Value)> {
        let mut members = json!({"table": self.table, "generation": self.generation.0});
        if let Some(key) = &self.partition_key {
            members["partition_key"] = key.as_str().into();
        }
        if self.rules != Fingerprints::default() {
            members["rules"] = json!(self.rules);
        }
        match (&self.source, members) {
            (Some(name), members) => vec![(format!("/sources/{name}"), members)],
            (None, Value::Object(members)) => {
                members.into_iter().map(|(name, value)| (format!("/{name}"), value)).collect()
            }
            (None, _) => Vec::new(),
        }
    }

    /// Returns the place of the rules' fingerprints in `_meta.driftless`, as a JSON pointer.
    pub(super) fn rules_pointer(&self) -> String {
        self.source.as_ref().map_or_else(|| "/rules".to_owned(), |name| format!("/sources/{name}/rules"))
    }

    fn from_members(source: Option<&String>, members: &Value) -> Option<Self> {
        let generation = members["generation"].as_u64().and_then(|number| u32::try_from(number).ok())?;
        Some(Self {
            source: source.cloned(),
            table: Some(members["table"].as_str()?.to_owned()),
            partition_key: members["partition_key"].as_str().map(str::to_owned),
            generation: Generation(generation),
            rules: Fingerprints::deserialize(&members["rules"]).unwrap_or_default(),
        })
    }

    /// Compares a function's identity with the sources of its index.
    pub(super) fn compare(&self, index: &Identities) -> IdentityComparison {
        let Some(stored) = index.of(self.source.as_deref()) else { return self.compare_new(index) };
        self.compare_known(stored)
    }

    /// Compares a source that the index does not have with those that it has.
    fn compare_new(&self, index: &Identities) -> IdentityComparison {
        let lacks = || IdentityComparison::Contradiction(index.lack(self.source.as_deref()));
        if self.source.is_none() || index.names().is_empty() || self.table.is_none() {
            return lacks();
        }
        match index.0.iter().find(|other| other.table == self.table) {
            None => IdentityComparison::Joins,
            Some(other) => IdentityComparison::Contradiction(format!(
                "has this table under the name `{}`, and `source` in REPLICATION names it `{}`: each item would get a \
                 second document; set the name back, or choose another INDEX and backfill",
                other.source.as_deref().unwrap_or_default(),
                self.source.as_deref().unwrap_or_default()
            )),
        }
    }

    fn compare_known(&self, index: &Self) -> IdentityComparison {
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
                let remedy = match &self.source {
                    None => "choose another INDEX",
                    Some(_) => "give this table another name in `source` of REPLICATION",
                };
                IdentityComparison::Contradiction(format!(
                    "holds the documents of {table}, and these records are of {own_table}: {remedy}; if that \
                     table takes the place of the first one, set GENERATION to {} or more",
                    stored.saturating_add(1)
                ))
            }
            _ if own > stored => IdentityComparison::Raised,
            _ => IdentityComparison::Same,
        }
    }
}

/// Sets the member at a JSON pointer, whose names need no escapes.
pub(super) fn set(meta: &mut Value, pointer: &str, value: Value) {
    *pointer.split('/').skip(1).fold(meta, |at, name| &mut at[name]) = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(table: &str, partition_key: Option<&str>, generation: u32) -> Identity {
        let (table, partition_key) = (Some(table.to_owned()), partition_key.map(str::to_owned));
        let (source, rules) = (None, Fingerprints::default());
        Identity { source, table, partition_key, generation: Generation(generation), rules }
    }

    fn named(source: &str, table: &str) -> Identity {
        Identity { source: Some(source.to_owned()), ..identity(table, None, 2) }
    }

    #[track_caller]
    fn refused(own: &Identity, index: &Identities, expect: &str) {
        let IdentityComparison::Contradiction(said) = own.compare(index) else { panic!("{own:?} is taken") };
        assert!(said.contains(expect), "{said}");
    }

    #[test]
    fn a_contradiction_names_its_variable() {
        let index = Identities::alone(&identity("arn:t", Some("pk"), 2));
        refused(&identity("arn:other", Some("pk"), 2), &index, "choose another INDEX");
        refused(&identity("arn:t", Some("sk"), 2), &index, "PARTITION_KEY `pk`");
        refused(&identity("arn:t", None, 3), &index, "here it is not set");
        refused(&identity("arn:t", Some("pk"), 1), &index, "set GENERATION to 2");
        refused(&identity("arn:other", Some("pk"), 1), &index, "set GENERATION to 2");
    }

    #[test]
    fn a_raised_generation_takes_over_and_may_name_another_table() {
        let own = identity("arn:t", Some("pk"), 2);
        let index = Identities::alone(&own);
        assert_eq!(own.compare(&index), IdentityComparison::Same);
        assert_eq!(Identity { table: None, ..own }.compare(&index), IdentityComparison::Same);
        assert_eq!(identity("arn:t", Some("pk"), 3).compare(&index), IdentityComparison::Raised);
        assert_eq!(identity("arn:restored", Some("pk"), 3).compare(&index), IdentityComparison::Raised);
    }

    #[test]
    fn a_table_joins_an_index_only_under_a_name_of_its_own() {
        let index = Identities(vec![named("orders", "arn:o"), named("notes", "arn:n")]);
        assert_eq!(named("orders", "arn:o").compare(&index), IdentityComparison::Same);
        assert_eq!(named("people", "arn:p").compare(&index), IdentityComparison::Joins);
        let raised = Identity { generation: Generation(3), ..named("orders", "arn:restored") };
        assert_eq!(raised.compare(&index), IdentityComparison::Raised);
        refused(&named("orders", "arn:p"), &index, "give this table another name");
        refused(&named("people", "arn:n"), &index, "has this table under the name `notes`");
        refused(&identity("arn:p", None, 2), &index, "several tables (`orders`, `notes`)");
        refused(&Identity { table: None, ..named("people", "") }, &index, "and not `people`");
        refused(&named("orders", "arn:o"), &Identities::alone(&identity("arn:t", None, 2)), "arn:t alone");
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        for key in [None, Some("pk")] {
            let one = Identities::alone(&identity("arn:t", key, 7));
            assert_eq!(Identities::from_meta(&one.to_meta()), Some(one));
        }
        let rules = Fingerprints { ids: Some("i".to_owned()), documents: Some("d".to_owned()) };
        let several = Identities(vec![named("a", "arn:a"), Identity { rules, ..named("b", "arn:b") }]);
        assert_eq!(Identities::from_meta(&several.to_meta()), Some(several));
        assert_eq!(Identities::from_meta(&json!({"format": FORMAT})), None);
    }

    #[test]
    fn of_several_sources_one_is_replaced() {
        let index = Identities(vec![named("a", "arn:a"), named("b", "arn:b")]);
        let raised = Identity { generation: Generation(9), ..named("b", "arn:b") };
        let replaced = index.with(&raised);
        assert_eq!((replaced.of(Some("a")), replaced.of(Some("b"))), (index.of(Some("a")), Some(&raised)));
        assert_eq!((replaced.names(), replaced.of(None)), (vec!["a".to_owned(), "b".to_owned()], None));
    }
}
