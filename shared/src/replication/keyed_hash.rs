//! Keyed hashes of private values: HMAC-SHA-256 in hexadecimal, as `openssl dgst -sha256 -hmac` prints it.
//!
//! Without the key nobody can find a value by trying all of them. With it, a team can search for one.

use std::fmt;
use std::sync::{Arc, OnceLock};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::attribute::AttributeValue;
use crate::document::write_plain;

/// Bytes that a key must have at least: RFC 2104 (part 3) discourages keys shorter than the hash.
const LEAST_BYTES: usize = 32;

/// Key of all keyed hashes. Never shown. One that stands in a secret is read within an invocation, before any record.
#[derive(Clone)]
pub struct HashKey {
    mac: Arc<OnceLock<Hmac<Sha256>>>,
    secret_arn: Option<Arc<str>>,
}

/// Error for a key that is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has {0} bytes: make a random key of at least {LEAST_BYTES}, for example with `openssl rand -hex 32`")]
pub struct ShortKey(usize);

impl HashKey {
    /// Takes the key's text, byte for byte.
    ///
    /// # Errors
    /// Fails for fewer than 32 bytes.
    pub fn new(text: &str) -> Result<Self, ShortKey> {
        let key = Self { mac: Arc::default(), secret_arn: None };
        key.set(text)?;
        Ok(key)
    }

    /// Returns a key that stands in a secret of Secrets Manager, and is not read yet.
    #[must_use]
    pub fn of_secret(arn: &str) -> Self {
        Self { mac: Arc::default(), secret_arn: Some(arn.into()) }
    }

    /// Returns the ARN of the secret, until the key is set.
    #[must_use]
    pub fn unread_secret(&self) -> Option<&str> {
        self.secret_arn.as_deref().filter(|_| self.mac.get().is_none())
    }

    /// Sets the key that was read, for all its clones. A key that is set stays as it is.
    ///
    /// # Errors
    /// Fails for fewer than 32 bytes.
    pub fn set(&self, text: &str) -> Result<(), ShortKey> {
        if text.len() < LEAST_BYTES {
            return Err(ShortKey(text.len()));
        }
        self.mac.get_or_init(|| Hmac::new_from_slice(text.as_bytes()).expect("HMAC takes keys of any length"));
        Ok(())
    }

    /// Returns the hash of a text, as 64 hexadecimal digits.
    ///
    /// # Panics
    /// Panics if the key is not set.
    #[must_use]
    pub fn hash(&self, text: &[u8]) -> String {
        let mut mac = self.mac.get().expect("the key is read before any record").clone();
        mac.update(text);
        format!("{:x}", mac.finalize().into_bytes())
    }

    /// Replaces a value by its hash. Members of lists and sets are hashed one by one, so that one of them can be found;
    /// a map is hashed as its JSON. NULL stays, because it has no content.
    pub(super) fn hash_value(&self, value: &AttributeValue<'_>) -> AttributeValue<'static> {
        let text = |hash: String| AttributeValue::String(hash.into());
        match value {
            AttributeValue::Null => AttributeValue::Null,
            AttributeValue::String(value) => text(self.hash(value.as_bytes())),
            AttributeValue::List(values) => {
                AttributeValue::List(values.iter().map(|value| self.hash_value(value)).collect())
            }
            AttributeValue::StringSet(set) => {
                AttributeValue::StringSet(set.iter().map(|member| self.hash(member.as_bytes()).into()).collect())
            }
            AttributeValue::NumberSet(set) => {
                let hash = |member: &crate::number::Number| self.hash(member.to_string().as_bytes()).into();
                AttributeValue::StringSet(set.iter().map(hash).collect())
            }
            AttributeValue::BinarySet(set) => {
                let hash = |member: &Vec<u8>| self.hash(member).into();
                AttributeValue::StringSet(set.iter().map(hash).collect())
            }
            AttributeValue::Binary(bytes) => text(self.hash(bytes)),
            AttributeValue::Number(_) | AttributeValue::Bool(_) | AttributeValue::Map(_) => {
                text(self.hash(&write_plain(value)))
            }
        }
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("HashKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::Item;
    use crate::testing::rules::hash_key;

    #[track_caller]
    fn check(value: &str, expect: &str) {
        let json = format!(r#"{{"a":{value}}}"#);
        let item = Item::from_json(&json).expect("an item");
        let hashed = hash_key().hash_value(&item.0["a"]);
        assert_eq!(String::from_utf8(write_plain(&hashed)).as_deref(), Ok(expect));
    }

    #[test]
    fn hashes_are_those_of_openssl() {
        // printf 'a@b.example' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        check(r#"{"S":"a@b.example"}"#, "\"b7e092bbf70c314cbe656ca35df9ac0a0dbf0ecdf7c186f068033fce43b3bde3\"");
        check(r#"{"NULL":true}"#, "null");
    }

    #[test]
    fn equal_values_have_equal_hashes_and_a_short_key_is_refused() {
        let key = hash_key();
        let of = |json: &str| key.hash_value(&Item::from_json(json).expect("an item").0["a"]);
        assert_eq!(of(r#"{"a":{"N":"1.0"}}"#), of(r#"{"a":{"N":"1"}}"#));
        assert_eq!(HashKey::new("short").map(|_| ()), Err(ShortKey(5)));
        assert_eq!(format!("{key:?}"), "HashKey(…)");
    }
}
