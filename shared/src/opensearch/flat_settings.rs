//! Settings of an index under their full names, however they are nested.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Settings by full name, `index.` included.
pub(super) type FlatSettings = BTreeMap<String, Value>;

/// Flattens settings as the engine does: `{"index": {"a": {"b": 1}}}`, `{"index.a.b": 1}` and `{"a.b": 1}` are one.
pub(super) fn flat_settings(settings: &Value) -> FlatSettings {
    let mut flat = FlatSettings::new();
    if let Value::Object(members) = settings {
        flatten("", members, &mut flat);
    }
    flat
}

fn flatten(prefix: &str, members: &Map<String, Value>, flat: &mut FlatSettings) {
    for (name, value) in members {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Object(members) => flatten(&name, members, flat),
            value if name.starts_with("index.") => drop(flat.insert(name, value.clone())),
            value => drop(flat.insert(format!("index.{name}"), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_spelling_of_a_setting_has_one_name() {
        for settings in [
            json!({"index": {"a": {"b": 1}}}),
            json!({"index.a.b": 1}),
            json!({"a.b": 1}),
            json!({"a": {"b": 1}}),
            json!({"index": {"a.b": 1}}),
        ] {
            let flat = flat_settings(&settings);
            assert_eq!(flat.into_iter().collect::<Vec<_>>(), [("index.a.b".to_owned(), json!(1))], "{settings}");
        }
        assert!(flat_settings(&json!([])).is_empty());
    }
}
