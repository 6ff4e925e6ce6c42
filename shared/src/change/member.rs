//! Members of a record: their texts, their shapes, and the error that names one of them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::name::ChangeName;
use crate::outcome::ConfigurationError;
use crate::replication::ShapeError;

/// Paths and messages in errors are cut to this many bytes.
const MAX_WORDS_BYTES: usize = 512;

/// Reason why a record gives no change. Holds names and shapes, never content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A malformed record: it can never be applied.
    #[error("{field}: {problem}")]
    Malformed {
        /// Path of the field in the record.
        field: String,
        /// The expected shape, and the one that was found.
        problem: String,
    },
    /// A well-formed record whose item has no document under the rules of `REPLICATION`.
    #[error("{0}")]
    Shape(#[from] ShapeError),
    /// The same, of a record that says which change it is.
    #[error("{error}")]
    Unshaped {
        /// Identification of the change.
        change: Box<ChangeName>,
        /// Reason for the lack of a document.
        error: ShapeError,
    },
    /// A well-formed record that shows a wrong stream or wrong settings.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
}

/// Returns the text of a JSON string.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    // Without an escape, the text is what stands between the quotes.
    if let Some(text) = quoted(raw).filter(|json| !json.contains('\\')) {
        return Some(Cow::Borrowed(text));
    }
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

/// Returns what stands between the quotes of a JSON string, escapes as they are.
pub(super) fn quoted(raw: &RawValue) -> Option<&str> {
    raw.get().strip_prefix('"')?.strip_suffix('"')
}

/// Returns the error that names a member and its problem.
pub(super) fn malformed(field: &str, problem: String) -> RecordError {
    RecordError::Malformed { field: shortened(field), problem: shortened(&problem) }
}

/// Cuts a text for an error: DynamoDB's names have up to 64 KB, and its paths 32 levels.
fn shortened(text: &str) -> String {
    if text.len() <= MAX_WORDS_BYTES {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(MAX_WORDS_BYTES)])
}

/// Returns the JSON shape of a text, from its first character.
pub(super) fn shape(json: &str) -> &'static str {
    match json.trim_start().bytes().next() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') | None => "null",
        Some(_) => "a number",
    }
}
