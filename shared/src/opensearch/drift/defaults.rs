//! Defaults of engines: members of a mapping that an engine leaves out of its answers, and spellings of one value.

use serde_json::{Map, Value, json};

/// Members of a field whose presence in the live index alone makes a difference.
const TELLING: [&str; 13] = [
    "analyzer",
    "coerce",
    "copy_to",
    "doc_values",
    "enabled",
    "format",
    "ignore_above",
    "ignore_malformed",
    "index",
    "normalizer",
    "null_value",
    "scaling_factor",
    "search_analyzer",
];

/// Returns `true` if a field's member matters although the definition does not name it.
pub(super) fn is_telling(member: &str) -> bool {
    TELLING.contains(&member)
}

/// Type of a field; an engine leaves `object` out.
pub(super) fn type_of(field: &Map<String, Value>) -> &str {
    field.get("type").and_then(Value::as_str).unwrap_or("object")
}

/// Returns `true` if a field without this member has this value.
pub(super) fn is_default(kind: &str, member: &str, value: &Value) -> bool {
    let default = match member {
        "type" => json!("object"),
        "doc_values" => json!(kind != "binary"),
        "index" | "enabled" | "dynamic" | "coerce" => json!(true),
        "norms" => json!(kind == "text"),
        "store"
        | "ignore_malformed"
        | "eager_global_ordinals"
        | "split_queries_on_whitespace"
        | "fielddata"
        | "include_in_parent"
        | "include_in_root"
        | "index_phrases" => json!(false),
        "null_value" => Value::Null,
        "boost" => json!(1),
        "ignore_above" => json!(2_147_483_647),
        "index_options" => json!(if kind == "text" { "positions" } else { "docs" }),
        "similarity" => json!("BM25"),
        "term_vector" => json!("no"),
        "format" => json!("strict_date_optional_time||epoch_millis"),
        "analyzer" | "search_analyzer" => json!("default"),
        "locale" => json!(""),
        "copy_to" => json!([]),
        "meta" | "fields" | "properties" => json!({}),
        _ => return false,
    };
    is_same(value, &default)
}

/// Value of a root member of a mapping that has none.
pub(super) fn root_default(member: &str) -> Option<Value> {
    Some(match member {
        "dynamic" | "date_detection" => json!(true),
        "numeric_detection" => json!(false),
        "dynamic_templates" => json!([]),
        "dynamic_date_formats" => json!(["strict_date_optional_time", "yyyy/MM/dd HH:mm:ss Z||yyyy/MM/dd Z"]),
        _ => return None,
    })
}

/// Compares two values as engines spell them: `3` and `"3"` are one, and so are `"a"` and `["a"]`.
pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| is_same(value, other)))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Array(list), single) | (single, Value::Array(list)) => {
            matches!(&list[..], [only] if is_same(only, single))
        }
        (Value::Object(_), _) | (_, Value::Object(_)) => false,
        _ => {
            let (one, other) = (text(one), text(other));
            one == other || number(&one).is_some_and(|one| number(&other) == Some(one))
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_in_two_spellings_is_the_same() {
        for (one, other) in [
            (json!(3), json!("3")),
            (json!(100), json!(100.0)),
            (json!(false), json!("false")),
            (json!("lowercase"), json!(["lowercase"])),
            (json!({"a": [1, "2"]}), json!({"a": ["1", 2]})),
        ] {
            assert!(is_same(&one, &other) && is_same(&other, &one), "{one} {other}");
        }
        for (one, other) in [
            (json!(3), json!(4)),
            (json!("a"), json!("A")),
            (json!(["a", "b"]), json!(["b", "a"])),
            (json!({"a": 1}), json!({"a": 1, "b": 1})),
            (json!({}), json!("")),
            (json!([]), json!("")),
        ] {
            assert!(!is_same(&one, &other) && !is_same(&other, &one), "{one} {other}");
        }
    }
}
