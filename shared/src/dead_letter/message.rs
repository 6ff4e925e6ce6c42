//! A dead letter as a message that SQS takes: characters that it refuses are escaped, and what is large is compressed.
//!
//! SQS takes 1 MiB per message, attributes included, and 256 KiB where a queue was made before August 2025 ("Amazon SQS
//! message quotas"). So a letter over 256 KiB is compressed, and one over 1 MiB even then is no message: its record
//! is left to Lambda's own failure path.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::DeadLetter;

/// The most that SQS takes, attributes included.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// Letters larger than this are compressed.
const PLAIN_BYTES: usize = 256 * 1024;
/// The longest attribute value; longer ones are of use to nobody who filters.
const MAX_ATTRIBUTE_BYTES: usize = 256;

/// A message, before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The letter as JSON.
    pub body: String,
    /// To filter by: string attributes.
    pub attributes: Vec<(&'static str, String)>,
}

/// The letter is larger than a queue takes, even compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the dead letter has {bytes} bytes compressed, a queue takes {MAX_MESSAGE_BYTES}")]
pub struct TooLarge {
    /// Its size as a message.
    pub bytes: usize,
}

impl DeadLetter {
    /// The letter as a message.
    ///
    /// # Errors
    /// Where it is too large.
    pub fn message(&self) -> Result<Message, TooLarge> {
        let attributes = self.attributes();
        let weight: usize = attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len()).sum();
        let mut body = json(&self.envelope(Some(self.record.clone()), None));
        if body.len() + weight > PLAIN_BYTES {
            body = json(&self.envelope(None, Some(pack(self.record.get()))));
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
        // SQS refuses an empty value, and the whole message for a character that it does not take.
        let fits = |value: &&str| {
            (1..=MAX_ATTRIBUTE_BYTES).contains(&value.len())
                && value.chars().all(|char| !char.is_control() && is_taken(char))
        };
        all.into_iter().filter_map(|(name, value)| Some((name, value.filter(fits)?.to_owned()))).collect()
    }
}

/// Within a JSON text, only a string can hold such a character, so its escape means the same.
fn json(envelope: &super::Envelope) -> String {
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

/// What SQS takes, as "SendMessage" lists it: `#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF`.
/// The rest of what a string can hold is below U+10000, so that one escape writes it.
fn is_taken(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn pack(record: &str) -> String {
    let mut packed = GzEncoder::new(Vec::with_capacity(record.len() / 4), Compression::default());
    packed.write_all(record.as_bytes()).expect("invariant: memory takes every write");
    STANDARD.encode(packed.finish().expect("invariant: memory takes every write"))
}
