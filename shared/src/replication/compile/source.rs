//! The key `source`, checked.

use super::super::config::{Section, SourceSection};
use super::super::plan::SharedSource;
use super::Compiler;

/// Limit for a name, which takes its place in every id.
const MAX_BYTES: usize = 64;

impl Compiler<'_> {
    /// Returns the table's name among those that share an index.
    pub(super) fn source(&mut self, section: &SourceSection, whole: &Section) -> SharedSource {
        let (name, field) = (section.name.get_ref(), section.field.get_ref());
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > MAX_BYTES || !name.chars().all(is_plain) {
            self.problems.at(
                &section.name,
                format_args!("is no name of a source: give 1 to {MAX_BYTES} of the characters a-z, 0-9, `-` and `_`"),
            );
        }
        self.check_added_field(&section.field, "the name of the source");
        if whole.entity_field.as_ref().is_some_and(|other| other.get_ref() == field) {
            self.problems
                .at(&section.field, format_args!("`{field}` is `entity_field`, too: give one of them another name"));
        }
        SharedSource { name: name.clone(), field: field.clone() }
    }
}

#[cfg(test)]
mod tests {
    use crate::attribute::Item;
    use crate::replication::Replication;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let error = Replication::from_toml(text, None).expect_err(text).to_string();
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn a_wrong_section_is_refused_with_its_place() {
        check("[source]\nname = \"a\"", "missing field `field`");
        for name in ["", "A", "a:b", "a b", &"a".repeat(65)] {
            check(
                &format!("[source]\nname = \"{name}\"\nfield = \"kind\""),
                "line 2, column 8: is no name of a source",
            );
        }
        for field in ["", "a.b", "_driftless"] {
            check(&format!("[source]\nname = \"a\"\nfield = \"{field}\""), "line 3, column 9");
        }
        let both = "entity_field = \"kind\"\n[source]\nname = \"a\"\nfield = \"kind\"\n\
                    [[entity]]\nname = \"e\"\nattribute = \"a\"\nequals = \"x\"";
        check(both, "`kind` is `entity_field`, too");
        let entity =
            "[[entity]]\nname = \"e\"\nattribute = \"a\"\nequals = \"x\"\nsource = {name = \"a\", field = \"b\"}";
        check(entity, "`source` belongs at the top");
    }

    #[test]
    fn no_id_of_one_source_is_that_of_another() {
        let rules = |name: &str| {
            let text = format!("[source]\nname = \"{name}\"\nfield = \"kind\"");
            Replication::from_toml(&text, None).expect("rules")
        };
        let id = |name: &str, key: &str| {
            let keys = format!(r#"{{"pk":{{"S":"{key}"}}}}"#);
            let id = rules(name).document_id(&Item::from_json(&keys).expect("keys"), None).expect("an id");
            id.to_string()
        };
        assert_eq!(id("orders", "o-1"), "orders:o-1");
        assert_ne!(id("a", "b:c"), id("a-b", "c"));
        let long = "x".repeat(510);
        for name in ["a", "orders"] {
            assert_eq!(id(name, &long).len(), 512, "hashed behind its prefix");
            assert!(id(name, &long).starts_with(&format!("{name}:xxx")));
        }
        assert_ne!(rules("a").fingerprints().ids, rules("b").fingerprints().ids);
        assert!(rules("a").fingerprints().ids.is_some() && rules("a").shows_keys());
    }
}
