//! Rules of `REPLICATION` for tests, and what they make of single values.

use crate::replication::HashKey;

/// Text of the key of keyed hashes.
pub const HASH_KEY: &str = "0123456789abcdef0123456789abcdef";
/// Rule that derives fields from partition keys such as `acme#2026-01-15#7`; its group `shard` is no field.
pub const DERIVES_FROM_PK: &str = r#"
[[derive]]
from = "pk"
pattern = '^(?<tenant>[^#]+)#(?<day>\d{4}-\d\d-\d\d)#(?<shard>\d+)$'
fields = ["tenant", "day"]
"#;
/// `{"a":1}`, compressed: `printf '{"a":1}' | gzip -n | base64`.
pub const COMPRESSED: &str = "H4sIAAAAAAAAA6tWSlSyMqwFAK+sG1YHAAAA";

/// Returns the key of keyed hashes.
///
/// # Panics
/// Never: its text is long enough.
#[must_use]
pub fn hash_key() -> HashKey {
    HashKey::new(HASH_KEY).expect("a key")
}

/// Returns the keyed hash of a text.
#[must_use]
pub fn keyed_hash(text: &str) -> String {
    hash_key().hash(text.as_bytes())
}
