//! Gzip-compressed attributes → their text or JSON, up to a limit. What grows beyond it is refused, not held.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::attribute::{AttributeValue, Item};
use crate::number::Number;

/// Levels that a document may have: the default definition's `mapping.depth.limit` is 40.
const MOST_LEVELS: usize = 32;

/// Form of the content of a compressed attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InflatedForm {
    /// JSON, which becomes fields.
    Json,
    /// UTF-8 text, which becomes one string.
    Text,
}

/// Inflates a binary attribute to at most `limit` bytes. NULL stays.
///
/// # Errors
/// Says the expected shape.
pub(super) fn inflate(
    value: &AttributeValue<'_>,
    form: InflatedForm,
    limit: u64,
) -> Result<AttributeValue<'static>, String> {
    let bytes = match value {
        AttributeValue::Null => return Ok(AttributeValue::Null),
        AttributeValue::Binary(bytes) => bytes,
        _ => return Err("expected a binary that gzip compressed".to_owned()),
    };
    let mut content = Vec::new();
    let read = MultiGzDecoder::new(bytes.as_slice()).take(limit + 1).read_to_end(&mut content);
    // The decoder's error quotes nothing, but says little as well.
    read.map_err(|_| "expected a binary that gzip compressed, whole and with its header".to_owned())?;
    if content.len() as u64 > limit {
        return Err(format!("inflates to more than inflate_limit, which is {limit} bytes"));
    }
    let text = String::from_utf8(content).map_err(|_| "does not inflate to UTF-8 text".to_owned())?;
    match form {
        InflatedForm::Text => Ok(AttributeValue::String(text.into())),
        InflatedForm::Json => json(&text, MOST_LEVELS),
    }
}

/// Reads JSON as attribute values. Numbers keep their digits.
fn json(text: &str, levels: usize) -> Result<AttributeValue<'static>, String> {
    let malformed = || "does not inflate to JSON".to_owned();
    if levels == 0 {
        return Err(format!("inflates to JSON of more than {MOST_LEVELS} levels"));
    }
    let text = text.trim();
    match text.bytes().next().ok_or_else(malformed)? {
        b'{' => {
            let members: Vec<(String, &RawValue)> = members(text).map_err(|_| malformed())?;
            let mut item = Item::default();
            for (name, raw) in members {
                if item.0.insert(name.into(), json(raw.get(), levels - 1)?).is_some() {
                    return Err("inflates to JSON in which a name stands twice".to_owned());
                }
            }
            Ok(AttributeValue::Map(item))
        }
        b'[' => {
            let values: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| malformed())?;
            let values = values.into_iter().map(|raw| json(raw.get(), levels - 1));
            Ok(AttributeValue::List(values.collect::<Result<_, _>>()?))
        }
        b'"' => {
            let text: String = serde_json::from_str(text).map_err(|_| malformed())?;
            Ok(AttributeValue::String(text.into()))
        }
        _ => match text {
            "null" => Ok(AttributeValue::Null),
            "true" => Ok(AttributeValue::Bool(true)),
            "false" => Ok(AttributeValue::Bool(false)),
            number => {
                serde_json::from_str::<&RawValue>(number).map_err(|_| malformed())?;
                Number::parse(number).map(AttributeValue::Number).map_err(|_| malformed())
            }
        },
    }
}

/// Reads the members of an object in their order, doubled names included.
fn members(text: &str) -> serde_json::Result<Vec<(String, &RawValue)>> {
    struct Members;
    impl<'de> serde::de::Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = serde::Deserializer::deserialize_map(&mut deserializer, Members)?;
    deserializer.end()?;
    Ok(members)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::document::write_plain;

    fn compressed(content: &[u8]) -> AttributeValue<'static> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).expect("memory takes it");
        AttributeValue::Binary(encoder.finish().expect("memory takes it"))
    }

    #[track_caller]
    fn check(content: &str, form: InflatedForm, expect: Result<&str, &str>) {
        let inflated = inflate(&compressed(content.as_bytes()), form, 100_000);
        match (inflated, expect) {
            (Ok(value), Ok(expect)) => assert_eq!(String::from_utf8(write_plain(&value)).as_deref(), Ok(expect)),
            (Err(problem), Err(expect)) => assert!(problem.contains(expect), "{problem}"),
            other => panic!("{content}: {other:?}"),
        }
    }

    #[test]
    fn json_becomes_fields_with_every_digit() {
        let exact = r#"{"a":[1,"x",null,true,{"b":12345678901234567890.123456789}],"z":{}}"#;
        check(exact, InflatedForm::Json, Ok(exact));
        check(" 1 ", InflatedForm::Json, Ok("1"));
        check("héllo", InflatedForm::Text, Ok("\"héllo\""));
        for wrong in ["", "{", "[1,]", "nul", "01", "{} {}", "1 2"] {
            check(wrong, InflatedForm::Json, Err("does not inflate to JSON"));
        }
        check(r#"{"a":1,"a":2}"#, InflatedForm::Json, Err("stands twice"));
        check(&"[".repeat(40), InflatedForm::Json, Err("JSON"));
        check(&format!("{}{}", "[".repeat(40), "]".repeat(40)), InflatedForm::Json, Err("32 levels"));
    }

    #[test]
    fn a_bomb_is_refused_at_its_limit() {
        let bomb = compressed(&vec![b' '; 10_000_000]);
        let problem = inflate(&bomb, InflatedForm::Text, 1_000).expect_err("too large");
        assert!(problem.contains("1000 bytes"), "{problem}");
        assert!(inflate(&compressed(&[b'x'; 1_000]), InflatedForm::Text, 1_000).is_ok());
    }

    #[test]
    fn what_gzip_did_not_make_is_refused_and_null_stays() {
        let AttributeValue::Binary(whole) = compressed(b"hello") else { unreachable!("a binary") };
        let cut = AttributeValue::Binary(whole[..whole.len() - 4].to_vec());
        for wrong in [cut, AttributeValue::Binary(vec![1, 2]), AttributeValue::String("x".into())] {
            assert!(inflate(&wrong, InflatedForm::Text, 1_000).is_err(), "{wrong:?}");
        }
        assert!(inflate(&compressed(&[0xff]), InflatedForm::Text, 1_000).is_err());
        assert_eq!(inflate(&AttributeValue::Null, InflatedForm::Json, 1_000), Ok(AttributeValue::Null));
    }
}
