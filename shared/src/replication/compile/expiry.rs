//! The key `expiry`, checked.

use super::super::config::Text;
use super::super::expiry::{AfterExpiry, Expiry, ExpirySection};
use super::Compiler;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

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
            (AfterExpiry::Mark, Some(name)) => self.check_added_field(name, "the mark"),
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

    /// Refuses the name of an added field that no document can have.
    pub(super) fn check_added_field(&mut self, name: &Text, what: &str) {
        let field = name.get_ref();
        if field.trim().is_empty() || field.starts_with('_') || field.contains(['.', '%']) {
            self.problems.at(
                name,
                format_args!(
                    "`{field}` is no name of a field for {what}: give one without dots, `%` and a leading underscore"
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::replication::Replication;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let error = Replication::from_toml(text, None).expect_err(text).to_string();
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn a_wrong_section_is_refused_with_its_place() {
        check("[expiry]\nthen = \"keep\"", "missing field `attribute`");
        check("[expiry]\nattribute = \"t\"\nthen = \"drop\"", "line 3, column 8: unknown variant");
        check("[expiry]\nattribute = \"t\"\nafter = 1", "line 3, column 1: unknown field `after`");
        check("[expiry]\nattribute = \"\"", "line 2, column 13: is no name");
        check("[expiry]\nattribute = \"t\"\nthen = \"mark\"", "\"mark\" needs `field`");
        check("[expiry]\nattribute = \"t\"\nfield = \"x\"", "line 3, column 9: has no effect");
        check("[expiry]\nattribute = \"t\"\nretain_days = 3", "line 3, column 15: has no effect");
        for field in ["", "a.b", "_driftless", "%"] {
            check(&format!("[expiry]\nattribute = \"t\"\nthen = \"mark\"\nfield = \"{field}\""), "is no name");
        }
        let entity = "[[entity]]\nname = \"e\"\nattribute = \"a\"\nequals = \"x\"\nexpiry = {attribute = \"t\"}";
        check(entity, "`expiry` belongs at the top");
    }

    #[test]
    fn a_change_of_the_expiry_makes_no_repair_due() {
        let rules = |text: &str| Replication::from_toml(text, None).expect("rules");
        let before = rules("include = [\"a\"]");
        let after = rules("include = [\"a\"]\n[expiry]\nattribute = \"t\"\nthen = \"keep\"\nretain_days = 2");
        assert_eq!(before.fingerprints(), after.fingerprints());
        assert_eq!((before.expired_retention_ms(), after.expired_retention_ms()), (None, Some(172_800_000)));
        assert!(!before.keeps_expired() && after.keeps_expired());
    }
}
