//! Definitions of new indexes, from the environment: as JSON, compressed, or in a file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::variable_text::{self, VariableText};
use crate::environment::Environment;
use crate::opensearch::{IndexDefinition, RefreshInterval, json_object};

const DEFINITION: &str = "INDEX_DEFINITION";
const REFRESH: &str = "REFRESH_INTERVAL";
/// Member of `INDEX_DEFINITION` with the definitions of the indexes that entities have of their own.
const ENTITY_INDEXES: &str = "entity_indexes";

/// Definitions of the indexes that a function writes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct IndexDefinitions {
    /// Definition of `INDEX`, and of each index of an entity that has none of its own here.
    pub(super) shared: IndexDefinition,
    /// Definitions of indexes that entities have of their own, by name.
    pub(super) entities: BTreeMap<Arc<str>, IndexDefinition>,
    /// Interval of refreshes, which all definitions have, too.
    pub(super) refresh_interval: Option<RefreshInterval>,
}

impl IndexDefinitions {
    /// Reads `INDEX_DEFINITION` and `REFRESH_INTERVAL`.
    pub(super) fn from_env(env: &mut Environment<'_>) -> Self {
        let definitions = env.optional(DEFINITION).map_or_else(|| Ok(Self::default()), read);
        let mut definitions = definitions.unwrap_or_else(|problem| {
            env.problem(DEFINITION, problem);
            Self::default()
        });
        definitions.refresh_interval = refresh_interval(env);
        if let Some(interval) = &definitions.refresh_interval {
            let all = std::iter::once(&mut definitions.shared).chain(definitions.entities.values_mut());
            for definition in all {
                match definition.clone().with_refresh_interval(interval) {
                    Ok(joined) => *definition = joined,
                    Err(problem) => env.problem(REFRESH, problem),
                }
            }
        }
        definitions
    }

    /// Refuses definitions of indexes that no entity has.
    pub(super) fn check(&self, env: &mut Environment<'_>, entity_indexes: &BTreeSet<Arc<str>>) {
        for index in self.entities.keys().filter(|index| !entity_indexes.contains(*index)) {
            env.problem(
                DEFINITION,
                format_args!(
                    "has a definition for `{index}` in `{ENTITY_INDEXES}`, and no [[entity]] of REPLICATION has this \
                     `index`: correct the name, or remove the definition"
                ),
            );
        }
    }

    /// Parses the body of a create-index request, with those of entities' indexes in a member beside its own.
    fn from_json(text: &str) -> Result<Self, String> {
        let mut body = json_object(text)?;
        let Some(entities) = body.remove(ENTITY_INDEXES) else {
            return Ok(Self { shared: IndexDefinition::from_body(body)?, ..Self::default() });
        };
        let entities = entity_definitions(entities)?;
        // Definitions of entities alone change nothing about the other indexes.
        let shared = if body.is_empty() { IndexDefinition::default() } else { IndexDefinition::from_body(body)? };
        Ok(Self { shared, entities, refresh_interval: None })
    }
}

fn entity_definitions(entities: Value) -> Result<BTreeMap<Arc<str>, IndexDefinition>, String> {
    let entities: Map<String, Value> = serde_json::from_value(entities)
        .map_err(|_| format!("has a member `{ENTITY_INDEXES}` that is not an object of definitions by index"))?;
    let definition = |(index, body): (String, Value)| {
        let body = serde_json::from_value(body)
            .map_err(|_| format!("has a member `{ENTITY_INDEXES}.{index}` that is not an object"))?;
        let definition = IndexDefinition::from_body(body)
            .map_err(|problem| format!("has for `{index}` in `{ENTITY_INDEXES}` a definition that {problem}"))?;
        Ok((index.into(), definition))
    };
    entities.into_iter().map(definition).collect()
}

fn refresh_interval(env: &mut Environment<'_>) -> Option<RefreshInterval> {
    let text = env.optional(REFRESH)?;
    RefreshInterval::parse(&text).map_err(|problem| env.problem_of(REFRESH, &text, problem)).ok()
}

/// Reads the definitions that a variable's value holds or names.
fn read(value: String) -> Result<IndexDefinitions, String> {
    let is_text = value.starts_with('{');
    let VariableText { text, file } = variable_text::read(value, is_text, "index.json")?;
    let source =
        file.map_or_else(|| "holds a definition that".to_owned(), |file| format!("names the file {file}, which"));
    IndexDefinitions::from_json(&text).map_err(|problem| format!("{source} {problem}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const JSON: &str = r#"{"mappings": {"properties": {"at": {"type": "date"}}}}"#;

    fn compressed(text: &[u8]) -> String {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(text).expect("compressed");
        BASE64_STANDARD.encode(gzip.finish().expect("compressed"))
    }

    fn all(vars: &[(&str, &str)]) -> Result<IndexDefinitions, String> {
        let lookup = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let mut env = Environment::new(&lookup);
        let definitions = IndexDefinitions::from_env(&mut env);
        definitions.check(&mut env, &BTreeSet::from(["customers".into()]));
        env.finish().map(|()| definitions).map_err(|error| error.to_string())
    }

    fn of(vars: &[(&str, &str)]) -> Result<IndexDefinition, String> {
        all(vars).map(|definitions| definitions.shared)
    }

    #[test]
    fn a_definition_is_json_or_compressed_json_or_a_file() {
        let file = std::env::temp_dir().join(format!("driftless-definition-{}.json", std::process::id()));
        std::fs::write(&file, JSON).expect("written");
        let expected = IndexDefinition::from_json(JSON);
        for value in [JSON, &compressed(JSON.as_bytes()), &file.to_string_lossy()] {
            assert_eq!(of(&[(DEFINITION, value)]), expected, "{value}");
        }
        std::fs::remove_file(file).expect("removed");
        assert_eq!(of(&[]), Ok(IndexDefinition::default()));
    }

    #[test]
    fn what_is_wrong_names_the_variable_and_the_remedy() {
        let bomb = compressed(&vec![b' '; 2 << 20]);
        for (name, value, expected) in [
            (DEFINITION, "{", "INDEX_DEFINITION holds a definition that is not a JSON object"),
            (DEFINITION, r#"{"mapping": {}}"#, "`mapping`"),
            (DEFINITION, "H4sIAAAA", "gzip -9c"),
            (DEFINITION, bomb.as_str(), "1 MiB"),
            (DEFINITION, compressed(b"[]").as_str(), "not a JSON object"),
            (DEFINITION, "/nowhere.json", "gzip -9c"),
            (REFRESH, "soon", "REFRESH_INTERVAL must be a time such as 1s"),
            (REFRESH, "-1", "(it is `-1`)"),
        ] {
            let error = of(&[(name, value)]).expect_err(value);
            assert!(error.contains(expected), "{error}");
        }
        let both = [(DEFINITION, r#"{"settings": {"index.refresh_interval": "1s"}}"#), (REFRESH, "5s")];
        let error = of(&both).expect_err("two intervals");
        assert!(error.contains("REFRESH_INTERVAL is 5s") && error.contains("keep one"), "{error}");
    }

    #[test]
    fn an_interval_joins_the_definition() {
        for vars in [&[(REFRESH, "200ms")][..], &[(REFRESH, "200ms"), (DEFINITION, JSON)]] {
            let definition = of(vars).expect("valid").to_json();
            assert_eq!(definition["settings"]["index.refresh_interval"], "200ms", "{definition}");
        }
    }

    #[test]
    fn an_index_of_an_entity_has_a_definition_of_its_own() {
        let own = |more: &str| format!(r#"{{"entity_indexes": {{"customers": {JSON}}}{more}}}"#);
        let definition = |text: &str| IndexDefinition::from_json(text).expect("valid");
        let of_customers = |definitions: &IndexDefinitions| definitions.entities["customers"].clone();

        let definitions = all(&[(DEFINITION, &own(""))]).expect("valid");
        assert_eq!((&definitions.shared, of_customers(&definitions)), (&IndexDefinition::default(), definition(JSON)));
        let settings = r#", "settings": {"number_of_shards": 3}"#;
        let definitions = all(&[(DEFINITION, &own(settings))]).expect("valid");
        let shared = definition(r#"{"settings": {"number_of_shards": 3}}"#);
        assert_eq!((&definitions.shared, of_customers(&definitions)), (&shared, definition(JSON)));

        let definitions = all(&[(DEFINITION, &own("")), (REFRESH, "200ms")]).expect("valid");
        for joined in [&definitions.shared, &of_customers(&definitions)] {
            assert_eq!(joined.to_json()["settings"]["index.refresh_interval"], "200ms");
        }
    }

    #[test]
    fn a_wrong_definition_of_an_entitys_index_is_refused_by_its_name() {
        for (entities, expected) in [
            ("[]", "`entity_indexes` that is not an object"),
            (r#"{"customers": []}"#, "`entity_indexes.customers` that is not an object"),
            (
                r#"{"customers": {"mapping": {}}}"#,
                "for `customers` in `entity_indexes` a definition that has a member `mapping`",
            ),
            (r#"{"customers": {"entity_indexes": {}}}"#, "a definition that has a member `entity_indexes`"),
            (r#"{"customers": {"settings": {"final_pipeline": "p"}}}"#, "sets index.final_pipeline"),
            (r#"{"clients": {}}"#, "for `clients` in `entity_indexes`, and no [[entity]] of REPLICATION"),
        ] {
            let error = of(&[(DEFINITION, &format!(r#"{{"entity_indexes": {entities}}}"#))]).expect_err(entities);
            assert!(error.contains(expected), "{error}");
        }
        let definition = r#"{"entity_indexes": {"customers": {"settings": {"refresh_interval": "1s"}}}}"#;
        let error = of(&[(DEFINITION, definition), (REFRESH, "5s")]).expect_err("two intervals");
        assert!(error.contains("REFRESH_INTERVAL is 5s") && error.contains("keep one"), "{error}");
    }
}
