//! Attribute name → field name: an injective rule that rewrites names which OpenSearch refuses or misreads.
//!
//! 1. `%` becomes `%25` and `.` becomes `%2E`, everywhere (OpenSearch reads `a.b` as a path into `a`).
//! 2. The empty name becomes a lone `%`.
//! 3. In a name of nothing but white space and control characters, the first character is percent-encoded.
//! 4. At the top level, the underscore of OpenSearch's metadata fields, and of `_driftless`, becomes `%5F`.
//!
//! All other names, Unicode included, stay as they are. To decode, read a lone `%` as the empty name, and
//! percent-decode all else. The refused names were seen on OpenSearch 3.8; those of older engines and of plugins were
//! added.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Top-level names that engines reserve, and our own.
const METADATA: [&str; 20] = [
    "_data_stream_timestamp",
    "_doc_count",
    "_driftless",
    "_feature",
    "_field_names",
    "_id",
    "_ignored",
    "_index",
    "_nested_path",
    "_primary_term",
    "_recovery_source",
    "_routing",
    "_seq_no",
    "_size",
    "_soft_deletes",
    "_source",
    "_tier",
    "_tsid",
    "_type",
    "_version",
];

/// Level of a name in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A field of the document itself, where metadata names are reserved.
    Top,
    /// A field of an object inside the document.
    Nested,
}

/// Returns the field name for an attribute.
#[must_use]
pub fn field_name(attribute: &str, level: Level) -> Cow<'_, str> {
    if attribute.is_empty() {
        return Cow::Borrowed("%");
    }
    let encode_first = attribute.chars().all(|c| c.is_whitespace() || c.is_control())
        || (level == Level::Top && METADATA.contains(&attribute));
    if !encode_first && !attribute.contains(['%', '.']) {
        return Cow::Borrowed(attribute);
    }
    let mut field = String::with_capacity(attribute.len() + 8);
    for (at, c) in attribute.char_indices() {
        if matches!(c, '%' | '.') || (encode_first && at == 0) {
            percent_encode(c, &mut field);
        } else {
            field.push(c);
        }
    }
    Cow::Owned(field)
}

fn percent_encode(c: char, out: &mut String) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        // Writing to a string cannot fail.
        let _ = write!(out, "%{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes a field name, which shows that the rule is injective.
    fn decode(field: &str) -> String {
        if field == "%" {
            return String::new();
        }
        let mut bytes = Vec::new();
        let mut rest = field.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            if first == b'%' {
                let hex = std::str::from_utf8(&tail[..2]).expect("two hex digits");
                bytes.push(u8::from_str_radix(hex, 16).expect("two hex digits"));
                rest = &tail[2..];
            } else {
                bytes.push(first);
                rest = tail;
            }
        }
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[track_caller]
    fn check(attribute: &str, top: &str, nested: &str) {
        assert_eq!(field_name(attribute, Level::Top), top);
        assert_eq!(field_name(attribute, Level::Nested), nested);
        assert_eq!((decode(top).as_str(), decode(nested).as_str()), (attribute, attribute));
    }

    #[test]
    fn refused_names_are_rewritten_and_others_are_not() {
        check("company", "company", "company");
        check("__typename", "__typename", "__typename");
        check("naïve name", "naïve name", "naïve name");
        check("", "%", "%");
        check("%", "%25", "%25");
        check(".", "%2E", "%2E");
        check(".a", "%2Ea", "%2Ea");
        check("a..b", "a%2E%2Eb", "a%2E%2Eb");
        check("a%2Eb", "a%252Eb", "a%252Eb");
        check("_id", "%5Fid", "_id");
        check("_driftless", "%5Fdriftless", "_driftless");
        check(" ", "%20", "%20");
        check("\u{2003}\t", "%E2%80%83\t", "%E2%80%83\t");
        check("\0", "%00", "%00");
    }

    proptest! {
        #[test]
        fn rewriting_is_injective(name in "([a-c_%. \\x00]|%2E|_id|é){0,6}") {
            prop_assert_eq!(decode(&field_name(&name, Level::Top)), name.clone());
            prop_assert_eq!(decode(&field_name(&name, Level::Nested)), name);
        }
    }
}
