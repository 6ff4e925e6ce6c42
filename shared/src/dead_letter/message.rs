//! A dead letter as an SQS message: escapes characters that SQS refuses, and compresses large letters.
//!
//! SQS takes 1 MiB per message, attributes included, and 256 KiB in queues made before August 2025 ("Amazon SQS message
//! quotas"). So a dead letter over 256 KiB is compressed. One that is over 1 MiB even then makes no message: its record
//! fails, and Lambda retries it until it sends an on-failure message.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{DeadLetter, Envelope, FORMAT};

/// SQS's limit for a message, attributes included.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// Dead letters larger than this are compressed.
const PLAIN_BYTES: usize = 256 * 1024;
/// Limit for attribute values. Longer ones are of no use for filters.
const MAX_ATTRIBUTE_BYTES: usize = 256;

/// A message, before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The dead letter as JSON.
    pub body: String,
    /// String attributes, for filters.
    pub attributes: Vec<(&'static str, String)>,
}

/// Error for a dead letter that is larger than a queue takes, even compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the dead letter has {bytes} bytes compressed, a queue takes {MAX_MESSAGE_BYTES}")]
pub struct TooLarge {
    /// Size of the message.
    pub bytes: usize,
}

impl DeadLetter {
    /// Makes the message of the dead letter.
    ///
    /// # Errors
    /// Fails if the message is too large.
    pub fn message(&self) -> Result<Message, TooLarge> {
        let attributes = self.attributes();
        let weight: usize = attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len()).sum();
        let envelope = Envelope { format: FORMAT, dead_letter: self, record: Some(&self.record), record_gzip: None };
        let mut body = json(&envelope);
        if body.len() + weight > PLAIN_BYTES {
            body = json(&Envelope { record: None, record_gzip: Some(pack(self.record.get())), ..envelope });
        }
        let bytes = body.len() + weight;
        if bytes > MAX_MESSAGE_BYTES {
            return Err(TooLarge { bytes });
        }
        Ok(Message { body, attributes })
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        let status = self.rejected.status.map(|status| status.to_string());
        let all = [
            ("class", Some(self.rejected.class.as_str())),
            ("status", status.as_deref()),
            ("event_name", self.event_name.as_deref()),
            ("table", self.table.as_deref()),
            ("index", Some(self.index.as_str())),
            ("document_id", self.document_id.as_deref()),
        ];
        // SQS refuses an empty value. For a character that it does not take, it refuses the whole message.
        let fits = |value: &&str| {
            (1..=MAX_ATTRIBUTE_BYTES).contains(&value.len())
                && value.chars().all(|char| !char.is_control() && is_taken(char))
        };
        all.into_iter().filter_map(|(name, value)| Some((name, value.filter(fits)?.to_owned()))).collect()
    }
}

/// Serialises and escapes. In JSON text, only a string can hold such a character, so its escape means the same.
fn json(envelope: &Envelope<'_>) -> String {
    let text = serde_json::to_string(envelope).expect("invariant: strings and numbers are always JSON");
    if text.chars().all(is_taken) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 64);
    for char in text.chars() {
        match char {
            char if is_taken(char) => escaped.push(char),
            char => escaped.push_str(&format!("\\u{:04x}", u32::from(char))),
        }
    }
    escaped
}

/// Returns `true` for the characters that "SendMessage" lists: `#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD |
/// #x10000 to #x10FFFF`. All others in a string are below U+10000, so that one escape writes each.
fn is_taken(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn pack(record: &str) -> String {
    let mut packed = GzEncoder::new(Vec::with_capacity(record.len() / 4), Compression::default());
    packed.write_all(record.as_bytes()).expect("invariant: memory takes every write");
    STANDARD.encode(packed.finish().expect("invariant: memory takes every write"))
}
