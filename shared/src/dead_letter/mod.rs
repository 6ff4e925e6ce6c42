//! Dead letters: what could not be applied, kept so that it can be, once what is wrong is mended.
//!
//! One queue holds two shapes. Our own letter ([`DeadLetter`]) has the whole record and why it was rejected. Lambda's
//! ([`StreamRange`]) names records that were given up by their place in the stream, and must be read there within 24 hours.
//!
//! # Layout
//! - [`DeadLetter`]: our letter, as JSON; [`message`]: as a message that a queue takes, compressed where it is large.
//! - [`range`]: Lambda's letter; [`Letter::read`] tells the two apart.

pub mod message;
pub mod range;

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::change::{Change, ChangeKind, Origin, RecordError};
use crate::outcome::Problem;
use crate::time::Timestamp;
pub use range::StreamRange;

/// The value of `format` in every letter of ours.
pub const FORMAT: &str = "driftless/dead-letter/1";
/// Class of the letters about changes whose order is in doubt.
pub const ORDER_ANOMALY: &str = "order_anomaly";
/// Larger than any record that Lambda delivers (6 MB): what unpacks to more is no letter of ours.
const MAX_RECORD_BYTES: u64 = 8 * 1024 * 1024;

/// Why a change was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The engine's error type, such as `mapper_parsing_exception`, or `malformed_record`.
    pub class: String,
    /// The engine's status; absent for a record that was never sent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The engine's words, with field and type, or the record's field and what was expected there. May quote the item.
    pub reason: String,
}

impl Rejection {
    /// A refusal by the engine.
    #[must_use]
    pub fn from_problem(problem: &Problem) -> Self {
        let reason = match (problem, engine_words(problem)) {
            (Problem::Suspect { .. }, Some(words)) => format!("{problem}: {words}"),
            (_, Some(words)) => words.to_owned(),
            (_, None) => problem.to_string(),
        };
        Self { class: problem.class().to_owned(), status: problem.status(), reason }
    }

    /// A change that is older by version and newer by event time than what stands in the index.
    #[must_use]
    pub fn order_anomaly() -> Self {
        let reason =
            "older by version than what stands in the index, newer by event time: one of the two orders is wrong";
        Self { class: ORDER_ANOMALY.to_owned(), status: None, reason: reason.to_owned() }
    }

    /// A record that cannot be read.
    #[must_use]
    pub fn from_record_error(error: &RecordError) -> Self {
        Self { class: "malformed_record".to_owned(), status: None, reason: error.to_string() }
    }
}

/// The engine's own words, where it gave any.
fn engine_words(problem: &Problem) -> Option<&str> {
    match problem {
        Problem::Request(refusal) | Problem::Item(refusal) => Some(&*refusal.reason).filter(|words| !words.is_empty()),
        Problem::Suspect { last, .. } => engine_words(last),
        _ => None,
    }
}

/// A record that can never be applied as things are, and why.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Why.
    pub rejected: Rejection,
    /// The record's `eventID`.
    pub event_id: Option<String>,
    /// What the record does to its item: `INSERT`, `MODIFY` or `REMOVE`.
    pub event_name: Option<String>,
    /// The document that the change is of; absent where the record could not be read.
    pub document_id: Option<String>,
    /// The change's version, its generation included: redriven, it keeps it.
    pub version: Option<String>,
    /// The table, from the record's stream.
    pub table: Option<String>,
    /// The index's public name.
    pub index: String,
    /// When it was rejected, by the function's clock.
    pub rejected_at: Timestamp,
    /// Version of the code that rejected it, and of the function as Lambda counts it.
    pub function_version: String,
    /// The record, byte for byte as it came.
    pub record: Box<RawValue>,
}

/// Either letter that the queue may hold.
#[derive(Debug)]
pub enum Letter {
    /// Ours.
    Record(Box<DeadLetter>),
    /// Lambda's.
    Range(StreamRange),
}

/// The message is neither letter. Holds shapes, never content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a dead letter: {0}")]
pub struct Unreadable(String);

/// A letter as JSON; `record` or `record_gzip` holds the record.
#[derive(Serialize, Deserialize)]
struct Envelope {
    format: String,
    rejected: Rejection,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    index: String,
    rejected_at: Timestamp,
    function_version: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    record: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record_gzip: Option<String>,
}

/// A record may be `null`, too: it is there all the same.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl DeadLetter {
    /// A letter about a record, as far as it could be read.
    #[must_use]
    pub fn new(record: &RawValue, origin: &Origin, change: Option<&Change>, why: Rejection, from: &Sender<'_>) -> Self {
        Self {
            rejected: why,
            event_id: origin.event_id.clone(),
            event_name: change.map(|change| change.kind.event_name().to_owned()),
            document_id: change.map(|change| change.id.to_string()),
            version: change.map(|change| change.version.to_string()),
            table: origin.table().map(str::to_owned),
            index: from.index.to_owned(),
            rejected_at: from.now,
            function_version: from.function_version.to_owned(),
            record: record.to_owned(),
        }
    }

    fn envelope(&self, record: Option<Box<RawValue>>, record_gzip: Option<String>) -> Envelope {
        Envelope {
            format: FORMAT.to_owned(),
            rejected: self.rejected.clone(),
            event_id: self.event_id.clone(),
            event_name: self.event_name.clone(),
            document_id: self.document_id.clone(),
            version: self.version.clone(),
            table: self.table.clone(),
            index: self.index.clone(),
            rejected_at: self.rejected_at,
            function_version: self.function_version.clone(),
            record,
            record_gzip,
        }
    }

    fn from_envelope(envelope: Envelope) -> Result<Self, Unreadable> {
        let record = match (envelope.record, envelope.record_gzip) {
            (Some(record), None) => record,
            (None, Some(packed)) => unpack(&packed)?,
            _ => return Err(Unreadable("expected either record or record_gzip".to_owned())),
        };
        Ok(Self {
            rejected: envelope.rejected,
            event_id: envelope.event_id,
            event_name: envelope.event_name,
            document_id: envelope.document_id,
            version: envelope.version,
            table: envelope.table,
            index: envelope.index,
            rejected_at: envelope.rejected_at,
            function_version: envelope.function_version,
            record,
        })
    }
}

/// Who sends letters.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The index's public name.
    pub index: &'a str,
    /// The code's version, and the function's.
    pub function_version: &'a str,
    /// The function's clock.
    pub now: Timestamp,
}

impl Letter {
    /// Reads a message of the queue.
    ///
    /// # Errors
    /// Where it is neither letter.
    pub fn read(body: &str) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Shape<'a> {
            #[serde(borrow, default)]
            format: Option<&'a RawValue>,
            #[serde(borrow, default, rename = "DDBStreamBatchInfo")]
            range: Option<&'a RawValue>,
        }
        let shape: Shape<'_> = serde_json::from_str(body)
            .map_err(|_| Unreadable("expected a JSON object with format or DDBStreamBatchInfo".to_owned()))?;
        // What a parser says may quote the message; where it was is enough.
        let at = |error: serde_json::Error| Unreadable(format!("line {}, column {}", error.line(), error.column()));
        match shape {
            Shape { range: Some(_), .. } => serde_json::from_str(body).map(Self::Range).map_err(at),
            Shape { format: Some(format), .. } if format.get() == format!("\"{FORMAT}\"") => {
                let envelope = serde_json::from_str(body).map_err(at)?;
                DeadLetter::from_envelope(envelope).map(Box::new).map(Self::Record)
            }
            _ => Err(Unreadable(format!("expected format {FORMAT} or DDBStreamBatchInfo"))),
        }
    }
}

fn unpack(packed: &str) -> Result<Box<RawValue>, Unreadable> {
    let broken = |what: &str| Unreadable(format!("record_gzip: {what}"));
    let bytes = STANDARD.decode(packed).map_err(|_| broken("expected base64"))?;
    let mut record = String::new();
    let mut unpacked = flate2::read::GzDecoder::new(bytes.as_slice()).take(MAX_RECORD_BYTES);
    unpacked.read_to_string(&mut record).map_err(|_| broken("expected gzip of UTF-8"))?;
    RawValue::from_string(record).map_err(|_| broken("expected gzip of one JSON value of at most 8 MiB"))
}

impl ChangeKind {
    /// The `eventName` of such a change.
    #[must_use]
    pub fn event_name(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Modify => "MODIFY",
            Self::Remove => "REMOVE",
        }
    }
}

#[cfg(test)]
mod tests;
