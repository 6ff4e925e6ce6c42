//! The key `index` of entities, checked.

use toml::Spanned;

use super::super::config::Section;
use super::super::entity_index::EntityIndex;
use super::super::path::AttributePath;
use super::super::shape::EntityTest;
use super::Compiler;
use crate::opensearch::IndexName;

impl EntityTest {
    /// Returns the test of an entity; `None` if it has not exactly one.
    pub(super) fn of(entity: &Section) -> Option<Self> {
        match (&entity.equals, &entity.prefix) {
            (Some(text), None) => Some(Self::Equals(text.get_ref().clone())),
            (None, Some(text)) => Some(Self::Prefix(text.get_ref().clone())),
            _ => None,
        }
    }
}

impl Compiler<'_> {
    /// Returns the entities with an index of their own.
    pub(super) fn entity_indexes(&mut self, entities: &[Spanned<Section>]) -> Vec<EntityIndex> {
        let mut indexes = Vec::new();
        let mut others = false;
        for entity in entities.iter().map(Spanned::get_ref) {
            let Some(index) = &entity.index else {
                others = true;
                continue;
            };
            if others {
                self.problems.at(
                    index,
                    "stands behind an entity without an index of its own, which could take its items: move it before those",
                );
            }
            if let Err(problem) = IndexName::new(index.get_ref()) {
                self.problems.at(index, format_args!("`{}` is no name of an index: it {problem}", index.get_ref()));
            }
            // What else it lacks is told where entities are read.
            let (Some(name), Some(attribute), Some(test)) = (&entity.name, &entity.attribute, EntityTest::of(entity))
            else {
                continue;
            };
            let Ok(path) = AttributePath::parse(attribute.get_ref()) else { continue };
            if path.names().len() > 1 {
                self.problems.at(
                    attribute,
                    format_args!(
                        "`{path}` is no key, and an entity with an index of its own is told by a key: by another attribute, \
                         an item could move, and its document would stay behind"
                    ),
                );
            }
            indexes.push(EntityIndex {
                entity: name.get_ref().clone(),
                attribute: path.last().to_owned(),
                test,
                index: index.get_ref().as_str().into(),
            });
        }
        indexes
    }
}

#[cfg(test)]
mod tests {
    use crate::attribute::Item;
    use crate::change::{ReadOptions, RecordError};
    use crate::outcome::ConfigurationError;
    use crate::replication::Replication;

    const CUSTOMERS: &str =
        "[[entity]]\nname = \"customer\"\nattribute = \"sk\"\nprefix = \"CUSTOMER#\"\nindex = \"customers\"\n";

    #[track_caller]
    fn refused(text: &str, expect: &str) {
        let error = Replication::from_toml(text, None).expect_err(text).to_string();
        assert!(error.contains(expect), "{error}");
    }

    fn read_options() -> ReadOptions {
        let replication = Replication::from_toml(CUSTOMERS, None).expect("rules");
        ReadOptions { replication: replication.into(), ..ReadOptions::default() }
    }

    #[test]
    fn a_wrong_index_is_refused_with_its_place() {
        refused("index = \"customers\"", "`index` belongs under [[entity]]");
        refused(
            &CUSTOMERS.replace("\"customers\"", "\"Customers\""),
            "line 5, column 9: `Customers` is no name of an index",
        );
        refused(&CUSTOMERS.replace("\"sk\"", "\"a.b\""), "line 3, column 13: `a.b` is no key");
        let other = "[[entity]]\nname = \"note\"\nattribute = \"sk\"\nprefix = \"NOTE#\"\n";
        refused(&format!("{other}{CUSTOMERS}"), "stands behind an entity without an index");
    }

    #[test]
    fn the_key_decides_and_nothing_else_may() {
        let options = read_options();
        let id = |keys: &str| options.document_id(&Item::from_json(keys).expect("keys"));
        let customer = id(r#"{"pk":{"S":"a"},"sk":{"S":"CUSTOMER#1"}}"#).expect("an id");
        let order = id(r#"{"pk":{"S":"a"},"sk":{"S":"ORDER#1"}}"#).expect("an id");
        assert_eq!((customer.index(), order.index()), (Some("customers"), None));
        let indexes = options.replication.entity_indexes();
        let [index] = &indexes.into_iter().collect::<Vec<_>>()[..] else { panic!("one index") };
        let theirs = options.replication.of_index(index);
        assert_eq!((theirs.owns(&customer), theirs.owns(&order)), (true, false));
        assert_eq!((options.replication.owns(&customer), options.replication.owns(&order)), (false, true));
        let error = id(r#"{"pk":{"S":"a"}}"#).expect_err("no key");
        assert!(matches!(error, RecordError::Configuration(ConfigurationError::EntityIndex { .. })), "{error}");
        assert!(error.to_string().contains("`customer`") && error.to_string().contains("`sk`"), "{error}");
    }
}
