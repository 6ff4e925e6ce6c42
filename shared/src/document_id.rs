//! Document ids: injective over every key of a table, and readable for ordinary keys. A public format.
//!
//! | key | id |
//! |---|---|
//! | one string | the string itself |
//! | one number | its canonical decimal (`1`, `1.0` and `1E0` are one key) |
//! | one binary | base64url without padding |
//! | partition and sort key | both parts joined by `\|`, with `%` → `%25` and `\|` → `%7C` inside the parts |
//! | any of these from 512 bytes on | 512 bytes: its first bytes, `~` as filler, and the SHA-256 of the whole in hex |
//!
//! Shorter ids are never hashed, and hashed ids have exactly 512 bytes, so the two kinds cannot collide. OpenSearch
//! rejects a whole bulk request for one id of more than 512 bytes.
//!
//! Rules of `REPLICATION` may put a prefix before all of these, cut parts out of keys, or hash ids. With the id go what
//! the rules make of the key besides: the digest that tells two items of one id apart, and the document's routing.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use sha2::{Digest as _, Sha256};

use crate::attribute::{AttributeValue, Item};

/// OpenSearch's limit for `_id`, in bytes.
const MAX_BYTES: usize = 512;
const HASH_HEX_DIGITS: usize = 64;

/// Id of a document in the index, with what its key gives besides. The same text with another digest is another id: its
/// change is that of another item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentId {
    text: String,
    key: Option<KeyDigest>,
    routing: Option<Box<str>>,
    index: Option<Arc<str>>,
}

/// Digest of an item's key, where two keys may give one document id. It tells whose document it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyDigest(u64);

impl KeyDigest {
    /// Hexadecimal digits of a digest.
    const DIGITS: usize = 16;

    /// Takes the first digits of a hash in hexadecimal.
    #[must_use]
    pub fn from_hash(hash: &str) -> Option<Self> {
        u64::from_str_radix(hash.get(..Self::DIGITS)?, 16).ok().map(Self)
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl<'de> Deserialize<'de> for KeyDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_hash(&text).ok_or_else(|| D::Error::custom("no digest of a key"))
    }
}

/// Reason why a record's `Keys` give no document id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A number of key attributes other than one or two.
    #[error("expected one or two key attributes, found {0}")]
    Count(usize),
    /// A key of a type other than S, N and B.
    #[error("key attribute `{0}` is no string, number or binary")]
    Type(String),
    /// An empty key, which gives an empty id.
    #[error("key attribute `{0}` is empty")]
    Empty(String),
    /// A configured partition key that is not among the keys.
    #[error("there is no key attribute `{0}`, which PARTITION_KEY names")]
    NoPartitionKey(String),
    /// A key without the attribute that tells an entity with an index of its own.
    #[error("the entity `{entity}` has an index of its own, and its attribute `{attribute}` is no key of the table")]
    NoEntityKey {
        /// Name of the entity.
        entity: String,
        /// Attribute that tells it.
        attribute: String,
    },
    /// A key without a sort key, where documents are routed by the partition key.
    #[error("the table has no sort key, and `routing` of REPLICATION spreads documents by the partition key alone")]
    NoSortKey,
    /// A key that the pattern does not match which ids are made by.
    #[error("key attribute `{0}` does not match the pattern that REPLICATION makes ids by")]
    Pattern(String),
}

impl DocumentId {
    /// Makes the id from a record's `Keys`. A record does not say which of two keys is the partition key. So parts are
    /// in the order of their attribute names, unless `partition_key` names one to come first.
    ///
    /// # Errors
    /// Fails for keys that no table can have, or that contradict `partition_key`.
    pub fn from_keys(keys: &Item<'_>, partition_key: Option<&str>) -> Result<Self, KeyError> {
        let parts = key_parts(keys, partition_key, |_, text| Ok(text))?;
        Ok(Self::from_parts("", &parts))
    }

    /// Makes the id of a key's parts, as [`key_parts`] returns them, behind a prefix.
    pub(crate) fn from_parts(prefix: &str, parts: &[String]) -> Self {
        let text = match parts {
            [partition, sort] => limit(format!("{prefix}{}|{}", escape(partition), escape(sort))),
            _ => limit(format!("{prefix}{}", parts.concat())),
        };
        Self::from_stored(text)
    }

    /// Returns the id with the digest of its item's key.
    #[must_use]
    pub fn with_key(self, key: Option<KeyDigest>) -> Self {
        Self { key, ..self }
    }

    /// Returns the id with the routing of its document.
    #[must_use]
    pub fn with_routing(self, routing: Option<String>) -> Self {
        Self { routing: routing.map(String::into_boxed_str), ..self }
    }

    /// Returns the id of a document in the index of an entity.
    #[must_use]
    pub fn with_index(self, index: Option<Arc<str>>) -> Self {
        Self { index, ..self }
    }

    /// Returns the index of the item's entity; `None` for the index of all other items.
    #[must_use]
    pub fn index(&self) -> Option<&str> {
        self.index.as_deref()
    }

    /// Returns the digest of the item's key, where two keys may give one id.
    #[must_use]
    pub fn key(&self) -> Option<KeyDigest> {
        self.key
    }

    /// Returns the routing of the document; absent where the id itself decides the shard.
    #[must_use]
    pub fn routing(&self) -> Option<&str> {
        self.routing.as_deref()
    }

    /// Takes an id as OpenSearch returned it.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self { text, key: None, routing: None, index: None }
    }

    /// Returns the id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Returns the texts of key attributes, in the order of [`DocumentId::from_keys`], as `part` makes them of each name
/// and text.
///
/// # Errors
/// As [`DocumentId::from_keys`], and as `part`.
pub(crate) fn key_parts(
    keys: &Item<'_>,
    partition_key: Option<&str>,
    part: impl for<'t> Fn(&str, Cow<'t, str>) -> Result<Cow<'t, str>, KeyError>,
) -> Result<Vec<String>, KeyError> {
    if !(1..=2).contains(&keys.0.len()) {
        return Err(KeyError::Count(keys.0.len()));
    }
    let text = |(name, value): (&Cow<'_, str>, &AttributeValue<'_>)| {
        let text = part(name, Cow::Owned(key_text(name, value)?))?.into_owned();
        if text.is_empty() { Err(KeyError::Empty(name.clone().into_owned())) } else { Ok(text) }
    };
    let mut parts = keys.0.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    if let Some(first) = partition_key {
        let at = keys.0.keys().position(|name| name == first);
        let at = at.ok_or_else(|| KeyError::NoPartitionKey(first.to_owned()))?;
        parts[..=at].rotate_right(1);
    }
    Ok(parts)
}

impl fmt::Display for DocumentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

fn key_text(name: &str, value: &AttributeValue<'_>) -> Result<String, KeyError> {
    match value {
        AttributeValue::String(text) => Ok(text.clone().into_owned()),
        AttributeValue::Number(number) => Ok(number.to_string()),
        AttributeValue::Binary(bytes) => Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes)),
        _ => Err(KeyError::Type(name.to_owned())),
    }
}

fn escape(part: &str) -> String {
    part.replace('%', "%25").replace('|', "%7C")
}

fn limit(id: String) -> String {
    if id.len() < MAX_BYTES {
        return id;
    }
    let prefix = MAX_BYTES - HASH_HEX_DIGITS;
    let hash = Sha256::digest(id.as_bytes());
    let mut limited = id[..id.floor_char_boundary(prefix)].to_owned();
    limited.extend(std::iter::repeat_n('~', prefix - limited.len()));
    limited.push_str(&format!("{hash:x}"));
    limited
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn id(keys: &str, partition_key: Option<&str>) -> Result<String, KeyError> {
        DocumentId::from_keys(&Item::from_json(keys).expect("keys"), partition_key).map(|id| id.text)
    }

    #[track_caller]
    fn check(keys: &str, expect: &str) {
        assert_eq!(id(keys, None).as_deref(), Ok(expect));
    }

    #[test]
    fn the_format_is_golden() {
        check(r#"{"pk":{"S":"acme#m-1042"}}"#, "acme#m-1042");
        check(r#"{"pk":{"S":"100%|ü"}}"#, "100%|ü");
        check(r#"{"pk":{"N":"1.50"}}"#, "1.5");
        check(r#"{"pk":{"B":"+/8="}}"#, "-_8");
        check(r#"{"pk":{"S":"acme#m-1"},"sk":{"S":"2026-01-15"}}"#, "acme#m-1|2026-01-15");
        check(r#"{"sk":{"N":"1E0"},"pk":{"S":"a"}}"#, "a|1");
        check(r#"{"pk":{"S":"a|b"},"sk":{"S":"c%"}}"#, "a%7Cb|c%25");
    }

    #[test]
    fn separators_inside_keys_do_not_collide() {
        let of = |pk, sk| id(&format!(r#"{{"pk":{{"S":"{pk}"}},"sk":{{"S":"{sk}"}}}}"#), None);
        assert_ne!(of("a|b", "c"), of("a", "b|c"));
        assert_ne!(of("ab", "c"), of("a", "bc"));
        assert_ne!(of("a%7Cb", "c"), of("a|b", "c"));
    }

    #[test]
    fn the_partition_key_comes_first_where_it_is_named() {
        let keys = r#"{"day":{"S":"d"},"member":{"S":"m"}}"#;
        assert_eq!(id(keys, None).as_deref(), Ok("d|m"));
        assert_eq!(id(keys, Some("member")).as_deref(), Ok("m|d"));
        assert_eq!(id(keys, Some("day")).as_deref(), Ok("d|m"));
        assert_eq!(id(keys, Some("pk")), Err(KeyError::NoPartitionKey("pk".into())));
    }

    #[test]
    fn long_keys_keep_a_readable_prefix_and_differ() {
        let of = |last: char| id(&format!(r#"{{"pk":{{"S":"{}{last}"}}}}"#, "é".repeat(1_023)), None).expect("an id");
        let (a, b) = (of('a'), of('b'));
        assert_ne!(a, b);
        assert_eq!((a.len(), b.len()), (512, 512));
        assert!(a.starts_with("ééé") && a[..448] == b[..448]);
        assert_eq!(a, format!("{}{}", "é".repeat(224), &a[448..]));
        assert_eq!(of('a'), a);
        let longest_plain = "x".repeat(511);
        assert_eq!(id(&format!(r#"{{"pk":{{"S":"{longest_plain}"}}}}"#), None), Ok(longest_plain));
        // No plain id has the length of a hashed one.
        let hashed = id(&format!(r#"{{"pk":{{"S":"{}"}}}}"#, "x".repeat(512)), None).expect("an id");
        assert_eq!((hashed.len(), &hashed[..448]), (512, &*"x".repeat(448)));
        assert!(hashed[448..].bytes().all(|byte| byte.is_ascii_hexdigit()), "{hashed}");
    }

    #[test]
    fn keys_that_no_table_has_are_refused() {
        assert_eq!(id("{}", None), Err(KeyError::Count(0)));
        assert_eq!(id(r#"{"a":{"S":"1"},"b":{"S":"2"},"c":{"S":"3"}}"#, None), Err(KeyError::Count(3)));
        assert_eq!(id(r#"{"a":{"BOOL":true}}"#, None), Err(KeyError::Type("a".into())));
        assert_eq!(id(r#"{"a":{"S":""}}"#, None), Err(KeyError::Empty("a".into())));
    }

    /// Generates keys of one schema, from an alphabet that provokes collisions.
    fn string_key() -> impl Strategy<Value = String> {
        prop_oneof!["[ab|%~27C5]{1,6}", "[a|%]{500,520}"]
    }

    fn with_key(tag: &str, value: &str) -> AttributeValue<'static> {
        let item = format!(r#"{{"k":{{"{tag}":{}}}}}"#, serde_json::to_string(value).expect("JSON"));
        let mut item: Item<'_> = Item::from_json(&item).expect("an item");
        match item.0.remove("k").expect("k") {
            AttributeValue::String(text) => AttributeValue::String(text.into_owned().into()),
            AttributeValue::Number(number) => AttributeValue::Number(number),
            AttributeValue::Binary(bytes) => AttributeValue::Binary(bytes),
            other => unreachable!("{other:?} is no key"),
        }
    }

    fn key_of(tag: &'static str) -> BoxedStrategy<AttributeValue<'static>> {
        match tag {
            "S" => string_key().prop_map(|text| with_key("S", &text)).boxed(),
            "N" => "-?[0-9]{1,3}(\\.[0-9]{1,2})?(E-?[0-9])?".prop_map(|text| with_key("N", &text)).boxed(),
            _ => proptest::collection::vec(0u8..4, 1..4).prop_map(AttributeValue::Binary).boxed(),
        }
    }

    fn schema_pair() -> impl Strategy<Value = (Item<'static>, Item<'static>)> {
        let tag = || prop_oneof![Just("S"), Just("N"), Just("B")];
        (tag(), proptest::option::of(tag())).prop_flat_map(|(pk, sk)| {
            let keys = move || {
                let sort = match sk {
                    Some(tag) => key_of(tag).prop_map(Some).boxed(),
                    None => Just(None).boxed(),
                };
                (key_of(pk), sort).prop_map(|(pk, sk)| {
                    let sort = sk.map(|value| ("sk".into(), value));
                    Item([("pk".into(), pk)].into_iter().chain(sort).collect())
                })
            };
            (keys(), keys())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn ids_are_injective_for_every_key_schema((a, b) in schema_pair()) {
            let of = |keys| DocumentId::from_keys(keys, None).unwrap();
            prop_assert_eq!(of(&a) == of(&b), a == b);
            prop_assert!(of(&a).as_str().len() <= 512);
        }
    }
}
