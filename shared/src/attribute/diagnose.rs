//! The slow path, taken only after a parse failed: finds the wrong attribute and describes its shape. Messages hold
//! names and shapes, never an attribute's value.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::number::Number;

/// Nesting depth at which the parser stops, so that no text can exhaust the stack.
const PARSER_DEPTH: usize = 128;

/// Problem of an item's JSON: the attribute, and the shape that was found. Holds no attribute's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct MalformedItem {
    /// Attribute path, such as `address.lines[2]`; empty for the item itself.
    pub path: String,
    /// The expected shape, and the one that was found.
    pub problem: String,
}

/// Explains why `json` is no item. `error` is the parser's, for text that is not even JSON.
pub(super) fn item(json: &str, error: &serde_json::Error) -> MalformedItem {
    let malformed = |path: String, problem: String| MalformedItem { path, problem };
    match serde_json::from_str::<Value>(json) {
        Ok(value) => match map(&value, "") {
            Err((path, problem)) => malformed(path, problem),
            // `Value` keeps the last of two equal names. So only a doubled name can have failed the parse.
            Ok(()) => malformed(String::new(), "an attribute name stands twice in one map".to_owned()),
        },
        Err(_) => malformed(String::new(), unreadable(json, error)),
    }
}

/// Describes a text that no JSON value can hold. The parser's own message is for programmers.
fn unreadable(json: &str, error: &serde_json::Error) -> String {
    let place = format!("at line {}, column {}", error.line(), error.column());
    if depth(json) >= PARSER_DEPTH {
        return format!(
            "nested deeper than {PARSER_DEPTH} levels of JSON {place}; an item of DynamoDB's has at most 32 levels of attributes"
        );
    }
    if has_lone_surrogate(json) {
        return format!("a string holds half of a surrogate pair, such as \\ud800, which is no Unicode text, {place}");
    }
    format!("not valid JSON, or with a number that is out of range, {place}")
}

/// Returns the nesting depth of objects and arrays.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in outside_strings(json) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn outside_strings(json: &str) -> impl Iterator<Item = u8> {
    let (mut inside, mut escaped) = (false, false);
    json.bytes().filter(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => inside = !inside,
            _ => return !inside,
        }
        false
    })
}

fn has_lone_surrogate(json: &str) -> bool {
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at..];
        rest = match code_unit(escape) {
            None => escape.get(2..).unwrap_or_default(),
            Some(0xD800..=0xDBFF) => match code_unit(&escape[6..]) {
                Some(0xDC00..=0xDFFF) => &escape[12..],
                _ => return true,
            },
            Some(0xDC00..=0xDFFF) => return true,
            Some(_) => &escape[6..],
        };
    }
    false
}

/// Parses the number of a `\uXXXX` at the start of the text.
fn code_unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

type Finding = Result<(), (String, String)>;

fn map(value: &Value, path: &str) -> Finding {
    let Value::Object(attributes) = value else {
        return found(path, "a map of attribute values", value);
    };
    attributes.iter().try_for_each(|(name, inner)| {
        attribute(inner, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") })
    })
}

fn attribute(value: &Value, path: &str) -> Finding {
    let tagged = value.as_object().filter(|tags| tags.len() == 1).and_then(|tags| tags.iter().next());
    let Some((tag, content)) = tagged else {
        return found(path, "an object with exactly one type tag", value);
    };
    match tag.as_str() {
        "S" => string(content, path),
        "N" => number(content, path),
        "B" => binary(content, path),
        "BOOL" | "NULL" => {
            if content.is_boolean() {
                Ok(())
            } else {
                found(path, "true or false", content)
            }
        }
        "M" => map(content, path),
        "L" => list(content, path, attribute),
        "SS" => list(content, path, string),
        "NS" => list(content, path, number),
        "BS" => list(content, path, binary),
        _ => Err((path.to_owned(), "unknown type tag; DynamoDB has S, N, B, BOOL, NULL, M, L, SS, NS, BS".to_owned())),
    }
}

fn list(value: &Value, path: &str, element: fn(&Value, &str) -> Finding) -> Finding {
    let Value::Array(elements) = value else {
        return found(path, "a list", value);
    };
    elements.iter().enumerate().try_for_each(|(at, inner)| element(inner, &format!("{path}[{at}]")))
}

fn string(value: &Value, path: &str) -> Finding {
    if value.is_string() { Ok(()) } else { found(path, "a string", value) }
}

fn number(value: &Value, path: &str) -> Finding {
    match value.as_str().map(Number::parse) {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err((path.to_owned(), error.to_string())),
        None => found(path, "a number as a string", value),
    }
}

fn binary(value: &Value, path: &str) -> Finding {
    match value.as_str().map(|text| BASE64_STANDARD.decode(text)) {
        Some(Ok(_)) => Ok(()),
        Some(Err(_)) => Err((path.to_owned(), "not padded standard base64".to_owned())),
        None => found(path, "base64 as a string", value),
    }
}

fn found(path: &str, expected: &str, value: &Value) -> Finding {
    Err((path.to_owned(), format!("expected {expected}, found {}", shape(value))))
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(members) if members.is_empty() => "an empty object",
        Value::Object(members) if members.len() > 1 => "an object with several members",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Item;

    #[track_caller]
    fn check(json: &str, path: &str, problem: &str) {
        let malformed = Item::from_json(json).expect_err("malformed");
        assert_eq!((malformed.path.as_str(), malformed.problem.as_str()), (path, problem));
    }

    #[test]
    fn the_wrong_attribute_is_named_with_its_shape_and_without_its_content() {
        check(r#""secret""#, "", "expected a map of attribute values, found a string");
        check(r#"{"a":{"S":"x"},"b":{"S":7}}"#, "b", "expected a string, found a number");
        check(
            r#"{"a":{"M":{"b":{"L":[{"N":"1"},{"N":"one"}]}}}}"#,
            "a.b[1]",
            "not a decimal number such as \"12\", \"-0.5\" or \"1E+10\"",
        );
        check(r#"{"a":{"B":"%%"}}"#, "a", "not padded standard base64");
        check(r#"{"a":{"X":"secret"}}"#, "a", "unknown type tag; DynamoDB has S, N, B, BOOL, NULL, M, L, SS, NS, BS");
        check(r#"{"a":{}}"#, "a", "expected an object with exactly one type tag, found an empty object");
        check(
            r#"{"a":{"S":"x","N":"1"}}"#,
            "a",
            "expected an object with exactly one type tag, found an object with several members",
        );
        check(r#"{"a":{"S":"x"},"a":{"S":"y"}}"#, "", "an attribute name stands twice in one map");
        check(r#"{"a":{"NULL":1}}"#, "a", "expected true or false, found a number");
    }

    #[test]
    fn text_that_no_parser_takes_is_explained() {
        let surrogate =
            "a string holds half of a surrogate pair, such as \\ud800, which is no Unicode text, at line 1, column ";
        check(r#"{"a":{"S":"\ud800"}}"#, "", &format!("{surrogate}18"));
        check(r#"{"a":{"S":"\\\ud83d\ude00\udc00"}}"#, "", &format!("{surrogate}31"));
        let deep = format!(r#"{{"a":{}{{"NULL":true}}{}}}"#, r#"{"L":["#.repeat(70), "]}".repeat(70));
        check(
            &deep,
            "",
            "nested deeper than 128 levels of JSON at line 1, column 384; an item of DynamoDB's has at most 32 levels of attributes",
        );
        let deepest = format!(r#"{{"a":{}{{"SS":["x"]}}{}}}"#, r#"{"M":{"[{\"":"#.repeat(31), "}}".repeat(31));
        assert!(Item::from_json(&deepest).is_ok());
        assert_eq!(super::depth(&deepest), 65);
        let number = "not valid JSON, or with a number that is out of range, at line 1, column ";
        check(r#"{"a":{"N":1e999}}"#, "", &format!("{number}15"));
    }
}
