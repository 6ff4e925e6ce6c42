//! Items that time to live deletes: what becomes of their documents.

use serde::Deserialize;
use toml::Spanned;

use crate::attribute::{AttributeValue, Item};
use crate::document::Content;
use crate::time::Timestamp;

/// The year 9999 in milliseconds: a larger TTL attribute is none.
const LATEST_MS: f64 = 253_402_300_799_999.0;

/// Key `expiry`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpirySection {
    /// The table's TTL attribute.
    pub(super) attribute: Spanned<String>,
    /// Fate of the document.
    #[serde(default)]
    pub(super) then: AfterExpiry,
    /// Field that marks the document.
    #[serde(default)]
    pub(super) field: Option<Spanned<String>>,
    /// Number of days after which `purge` removes the document.
    #[serde(default)]
    pub(super) retain_days: Option<Spanned<u32>>,
}

/// Fate of a document whose item expired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AfterExpiry {
    /// It becomes a tombstone, as after any deletion.
    #[default]
    Delete,
    /// It stays as it was.
    Keep,
    /// It stays, and a field says so.
    Mark,
}

/// Rules for documents that stay after their items expired.
#[derive(Debug)]
pub(super) struct Expiry {
    /// The table's TTL attribute.
    pub(super) attribute: String,
    /// Field that is set to `true`.
    pub(super) mark: Option<String>,
    /// Time until `purge` removes the document.
    pub(super) retention_ms: Option<u64>,
}

impl Expiry {
    /// Returns the content that stays of an expired item, from the content of its last state.
    pub(super) fn kept(&self, content: Content, item: &Item<'_>, event_time: Option<Timestamp>) -> Option<Content> {
        let Content::Document(document) = content else { return Some(content) };
        let document = match &self.mark {
            Some(field) => document.with_true(field),
            None => document,
        };
        let expired_at = self.expired_at(item).or(event_time)?;
        Some(Content::Expired { document, expired_at })
    }

    fn expired_at(&self, item: &Item<'_>) -> Option<Timestamp> {
        let AttributeValue::Number(seconds) = item.0.get(self.attribute.as_str())? else { return None };
        let millis = seconds.to_string().parse::<f64>().ok()? * 1_000.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        (0.0..=LATEST_MS).contains(&millis).then(|| Timestamp::from_millis(millis as u64))
    }
}
