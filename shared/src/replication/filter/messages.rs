//! Messages of failed filters, without values.
//!
//! Most messages of jaq are made of parts, and a part that is a value prints as its type. But built-in filters also
//! fail with ready texts, just as the filter itself does with `error`. Of those, only texts that stand here or in the
//! filter's code are shown.

use super::kind::Kind;
use super::value::Error;

/// An update beyond the end of an array.
pub(super) const OUT_OF_BOUNDS: &str = "index out of bounds";
/// A text that `fromjson` cannot read.
pub(super) const NOT_JSON: &str = "text is not JSON";

/// Beginnings of texts that hold no values. What follows may hold some.
const KNOWN: [&str; 12] = [
    OUT_OF_BOUNDS,
    NOT_JSON,
    "@base64d: not the base64 of a text",
    "cannot parse as boolean",
    "cannot parse as number",
    "date: not a number of seconds, or out of range",
    "date: not an array of numbers as gmtime gives it",
    "date: not RFC 3339, such as 2026-01-15T09:30:00Z",
    "date: not in the given format",
    "implode: not an array of code points",
    "invalid regex",
    "split input and separator must be strings",
];

/// Describes an error that ended the filter with this code.
pub(super) fn describe(code: &str, error: Error) -> String {
    let printed = error.to_string();
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == printed) else {
        // Parts of jaq and types of values.
        return printed;
    };
    let raised = error.into_val();
    let text = jaq_std::ValT::as_bytes(&raised).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    if let Some(known) = KNOWN.into_iter().find(|known| text.starts_with(known)) {
        return known.to_owned();
    }
    if !text.is_empty() && code.contains(&format!("\"{text}\"")) {
        return text.to_owned();
    }
    format!("an error of its own or of a built-in filter: {}, not shown because it may hold values", kind.name())
}
