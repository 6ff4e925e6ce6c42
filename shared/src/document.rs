//! Item → document: the only conversion, for every path that writes documents.
//!
//! The document is the whole item as JSON. Fields are in the order of their attribute names. Numbers keep every digit,
//! sets are sorted arrays, binary is padded standard base64. Equal items give equal bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::RawValue;

use crate::attribute::{AttributeValue, Item};
use crate::field::{Level, field_name};
use crate::time::Timestamp;

/// A document's JSON object, without `_driftless`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document(Vec<u8>);

/// Content of a document: what an item gives, or a tombstone in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The whole document of the item.
    Document(Document),
    /// The last document of an item that time to live deleted: it stays.
    Expired {
        /// The document that stays.
        document: Document,
        /// Time of the expiry, by the item's TTL attribute, or else by the change's event time.
        expired_at: Timestamp,
    },
    /// A tombstone, as after a REMOVE.
    Tombstone,
}

impl Content {
    /// Returns the document, if there is one.
    #[must_use]
    pub fn document(&self) -> Option<&Document> {
        match self {
            Self::Document(document) | Self::Expired { document, .. } => Some(document),
            Self::Tombstone => None,
        }
    }

    /// Returns the time of the expiry, for the document of an expired item.
    #[must_use]
    pub fn expired_at(&self) -> Option<Timestamp> {
        match self {
            Self::Expired { expired_at, .. } => Some(*expired_at),
            Self::Document(_) | Self::Tombstone => None,
        }
    }
}

impl Document {
    /// Converts an item to its document.
    #[must_use]
    pub fn from_item(item: &Item<'_>) -> Self {
        let mut out = Vec::with_capacity(512);
        write_item(item, Level::Top, &mut out);
        Self(out)
    }

    /// Takes a JSON object that was written by the rules of this module.
    pub(crate) fn from_json(json: Vec<u8>) -> Self {
        Self(json)
    }

    /// Takes the JSON object of a stored document, byte for byte.
    #[must_use]
    pub fn from_stored(json: Vec<u8>) -> Self {
        Self(json)
    }

    /// Returns the document with a field that is `true`, in place of any other field of this name.
    ///
    /// # Panics
    /// Panics if the document is no JSON object, which no constructor makes.
    #[must_use]
    pub fn with_true(&self, field: &str) -> Self {
        let mut fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(&self.0).expect("a JSON object");
        let truth = RawValue::from_string("true".to_owned()).expect("JSON");
        fields.insert(Cow::Borrowed(field), &truth);
        Self(serde_json::to_vec(&fields).expect("writing to memory does not fail"))
    }

    /// Returns the document's JSON text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Returns a value's JSON text, in the form that documents have inside.
pub(crate) fn write_plain(value: &AttributeValue<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(value, &mut out);
    out
}

fn write_item(item: &Item<'_>, level: Level, out: &mut Vec<u8>) {
    write_joined(out, b'{', b'}', &item.0, |(name, value), out| {
        write_string(&field_name(name, level), out);
        out.push(b':');
        write_value(value, out);
    });
}

fn write_value(value: &AttributeValue<'_>, out: &mut Vec<u8>) {
    match value {
        AttributeValue::String(text) => write_string(text, out),
        AttributeValue::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        AttributeValue::Binary(bytes) => write_binary(bytes, out),
        AttributeValue::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        AttributeValue::Null => out.extend_from_slice(b"null"),
        AttributeValue::Map(item) => write_item(item, Level::Nested, out),
        AttributeValue::List(values) => write_joined(out, b'[', b']', values, write_value),
        AttributeValue::StringSet(set) => {
            write_joined(out, b'[', b']', sorted(set), |text, out| write_string(text, out))
        }
        AttributeValue::NumberSet(set) => {
            write_joined(out, b'[', b']', sorted(set), |number, out| {
                out.extend_from_slice(number.to_string().as_bytes())
            });
        }
        AttributeValue::BinarySet(set) => {
            write_joined(out, b'[', b']', sorted(set), |bytes, out| write_binary(bytes, out))
        }
    }
}

/// Returns the members of a set in the order of a document.
pub(crate) fn sorted<T: Ord>(set: &[T]) -> Vec<&T> {
    let mut members: Vec<&T> = set.iter().collect();
    members.sort_unstable();
    members
}

fn write_joined<T>(
    out: &mut Vec<u8>,
    open: u8,
    close: u8,
    parts: impl IntoIterator<Item = T>,
    write: impl Fn(T, &mut Vec<u8>),
) {
    out.push(open);
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(part, out);
    }
    out.push(close);
}

fn write_binary(bytes: &[u8], out: &mut Vec<u8>) {
    // Base64 needs no JSON escapes.
    out.push(b'"');
    out.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Writes a text as a JSON string.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing a string to memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(item: &str, expect: &str) {
        let item = Item::from_json(item).expect("an item");
        assert_eq!(std::str::from_utf8(Document::from_item(&item).as_bytes()), Ok(expect));
    }

    #[test]
    fn all_ten_types_have_their_golden_form() {
        check(
            r#"{"s":{"S":"a\"b\u0001é"},"n":{"N":"12345678901234567890.123456789"},"b":{"B":"3q2+7w=="},"t":{"BOOL":true},
                "z":{"NULL":true},"m":{"M":{"y":{"N":"1.0"},"x":{"S":""}}},"l":{"L":[{"N":"2"},{"S":"x"},{"L":[]},{"M":{}}]},
                "ss":{"SS":["b","a"]},"ns":{"NS":["10","9","-1"]},"bs":{"BS":["AQ==","AA=="]}}"#,
            r#"{"b":"3q2+7w==","bs":["AA==","AQ=="],"l":[2,"x",[],{}],"m":{"x":"","y":1},"n":12345678901234567890.123456789,"ns":[-1,9,10],"s":"a\"b\u0001é","ss":["a","b"],"t":true,"z":null}"#,
        );
        check("{}", "{}");
    }

    #[test]
    fn a_mark_keeps_every_other_byte_and_replaces_its_own_field() {
        let item = r#"{"a\"":{"N":"12345678901234567890.123456789"},"z":{"M":{"expired":{"BOOL":false}}}}"#;
        let marked = |item: &str| {
            let document = Document::from_item(&Item::from_json(item).expect("an item")).with_true("expired");
            String::from_utf8(document.0).expect("UTF-8")
        };
        let rest = r#""z":{"expired":false}}"#;
        let expect = format!(r#"{{"a\"":12345678901234567890.123456789,"expired":true,{rest}"#);
        assert_eq!(marked(item), expect);
        assert_eq!(marked(r#"{"expired":{"BOOL":false}}"#), r#"{"expired":true}"#);
        assert_eq!(marked("{}"), r#"{"expired":true}"#);
    }

    #[test]
    fn the_order_of_attributes_and_members_does_not_matter() {
        let of = |json| Document::from_item(&Item::from_json(json).expect("an item"));
        assert_eq!(of(r#"{"a":{"SS":["x","y"]},"b":{"N":"1"}}"#), of(r#"{"b":{"N":"1.0"},"a":{"SS":["y","x"]}}"#));
    }

    #[test]
    fn names_are_rewritten_at_their_level() {
        check(
            r#"{"_id":{"S":"x"},"a":{"S":"1"},"a.b":{"S":"2"},"m":{"M":{"_id":{"S":"y"},"":{"S":"z"}}}}"#,
            r#"{"%5Fid":"x","a":"1","a%2Eb":"2","m":{"%":"z","_id":"y"}}"#,
        );
    }

    #[test]
    fn dynamodbs_deepest_nesting_is_read() {
        let deep = format!("{}{{\"S\":\"x\"}}{}", "{\"M\":{\"a\":".repeat(31), "}}".repeat(31));
        let item = format!("{{\"a\":{deep}}}");
        assert!(Item::from_json(&item).is_ok());
    }
}
