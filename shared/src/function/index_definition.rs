//! Definition of a new index, from the environment: as JSON, compressed, or in a file.

use super::variable_text::{self, VariableText};
use crate::environment::Environment;
use crate::opensearch::{IndexDefinition, RefreshInterval};

const DEFINITION: &str = "INDEX_DEFINITION";
const REFRESH: &str = "REFRESH_INTERVAL";

/// Reads `INDEX_DEFINITION` and `REFRESH_INTERVAL`. The definition has the interval, too.
pub(super) fn from_env(env: &mut Environment<'_>) -> (IndexDefinition, Option<RefreshInterval>) {
    let definition = env.optional(DEFINITION).map_or_else(|| Ok(IndexDefinition::default()), read);
    let definition = definition.unwrap_or_else(|problem| {
        env.problem(DEFINITION, problem);
        IndexDefinition::default()
    });
    let Some(interval) = refresh_interval(env) else { return (definition, None) };
    let definition = definition.with_refresh_interval(&interval).unwrap_or_else(|problem| {
        env.problem(REFRESH, problem);
        IndexDefinition::default()
    });
    (definition, Some(interval))
}

fn refresh_interval(env: &mut Environment<'_>) -> Option<RefreshInterval> {
    let text = env.optional(REFRESH)?;
    RefreshInterval::parse(&text).map_err(|problem| env.problem_of(REFRESH, &text, problem)).ok()
}

/// Reads the definition that a variable's value holds or names.
fn read(value: String) -> Result<IndexDefinition, String> {
    let is_text = value.starts_with('{');
    let VariableText { text, file } = variable_text::read(value, is_text, "index.json")?;
    let source =
        file.map_or_else(|| "holds a definition that".to_owned(), |file| format!("names the file {file}, which"));
    IndexDefinition::from_json(&text).map_err(|problem| format!("{source} {problem}"))
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

    fn of(vars: &[(&str, &str)]) -> Result<IndexDefinition, String> {
        let lookup = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let mut env = Environment::new(&lookup);
        let (definition, _) = from_env(&mut env);
        env.finish().map(|()| definition).map_err(|error| error.to_string())
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
}
