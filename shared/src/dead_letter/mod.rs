//! Dead letters: changes that could not be applied, kept for a redrive after the cause is fixed.
//!
//! One queue holds two shapes. Our own [`DeadLetter`] holds the whole record and the reason of its rejection. Lambda's
//! on-failure message ([`StreamRange`]) names a range of the stream, which must be read again while the stream keeps
//! it.
//!
//! # Layout
//! - [`DeadLetter`]: our dead letter, as JSON; [`message`]: as a message for the queue, compressed if it is large.
//! - [`cause`]: what dead letters are grouped by.
//! - [`range`]: Lambda's on-failure message; [`DeadLetterMessage::read`] tells the two apart.
//! - [`invocation_record`]: the same with the whole event, as Lambda puts it into a bucket.

pub mod cause;
pub mod invocation_record;
pub mod message;
pub mod range;

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::change::{ChangeKind, ChangeName, Origin, RecordError};
use crate::outcome::{Problem, SHAPE_CLASS};
use crate::time::Timestamp;
pub use range::StreamRange;

/// Value of `format` in our dead letters.
pub const FORMAT: &str = "driftless/dead-letter/1";
/// Class of dead letters for changes whose order is in doubt.
pub const ORDER_ANOMALY: &str = "order_anomaly";
/// Limit for an unpacked record, above Lambda's 6 MB of an event. Anything larger is no dead letter of ours.
const MAX_RECORD_BYTES: u64 = 8 * 1024 * 1024;

/// Reason for a rejection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The engine's error type, such as `mapper_parsing_exception`, or `malformed_record`, or `replication_rules`.
    pub class: String,
    /// The engine's status; absent for a record that was never sent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The engine's reason, or the record's field and its expected shape. May quote the item.
    pub reason: String,
}

impl Rejection {
    /// Reason of a refusal by the engine.
    #[must_use]
    pub fn from_problem(problem: &Problem) -> Self {
        let reason = match (problem, engine_words(problem)) {
            (Problem::Suspect { .. } | Problem::OneIndex { .. }, Some(words)) => format!("{problem}: {words}"),
            (_, Some(words)) => words.to_owned(),
            (_, None) => problem.to_string(),
        };
        Self { class: problem.class().to_owned(), status: problem.status(), reason }
    }

    /// Reason of a change that is older by version, and newer by event time, than the stored one.
    #[must_use]
    pub fn order_anomaly() -> Self {
        let reason =
            "older by version than what stands in the index, newer by event time: one of the two orders is wrong";
        Self { class: ORDER_ANOMALY.to_owned(), status: None, reason: reason.to_owned() }
    }

    /// Reason of a record that cannot be read.
    #[must_use]
    pub fn from_record_error(error: &RecordError) -> Self {
        let class = match error {
            RecordError::Shape(_) | RecordError::Unshaped { .. } => SHAPE_CLASS,
            _ => "malformed_record",
        };
        Self { class: class.to_owned(), status: None, reason: error.to_string() }
    }
}

/// Words of the engine's own, where it gave any.
fn engine_words(problem: &Problem) -> Option<&str> {
    match problem {
        Problem::Request(refusal) | Problem::Item(refusal) => Some(&*refusal.reason).filter(|words| !words.is_empty()),
        Problem::Suspect { last, .. } => engine_words(last),
        Problem::OneIndex { problem, .. } => engine_words(problem),
        _ => None,
    }
}

/// A record that can never be applied in the present state, with the reason.
// `remote` gives it no `Serialize` of its own, which would leave the record out: its JSON is that of an `Envelope`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct DeadLetter {
    /// Reason for the rejection.
    pub rejected: Rejection,
    /// Stream's id of the record, its `eventID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// Kind of the change: `INSERT`, `MODIFY` or `REMOVE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_name: Option<String>,
    /// Document of the change; absent if the record could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_id: Option<String>,
    /// Version of the change, generation included. A redrive keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Table of the record's stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Public name of the index.
    pub index: String,
    /// Time of the rejection, by the function's clock.
    pub rejected_at: Timestamp,
    /// Versions of the code and of the function that rejected it.
    pub function_version: String,
    /// The record, byte for byte as it came.
    #[serde(skip, default = "no_record")]
    pub record: Box<RawValue>,
}

/// A message of the dead-letter queue, in either shape.
#[derive(Debug)]
pub enum DeadLetterMessage {
    /// Our own dead letter, with its record.
    Record(Box<DeadLetter>),
    /// Lambda's on-failure message, with a range of the stream.
    Range(StreamRange),
}

/// Error for a message of neither shape. Holds shapes, never content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a dead letter: {0}")]
pub struct Unreadable(String);

/// JSON of a dead letter as a queue holds it. Either `record` or `record_gzip` holds the record.
#[derive(Serialize)]
struct Envelope<'l> {
    format: &'static str,
    #[serde(flatten, with = "DeadLetter")]
    dead_letter: &'l DeadLetter,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'l RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_gzip: Option<String>,
}

/// The same as it is received.
#[derive(Deserialize)]
struct ReceivedEnvelope {
    #[serde(flatten, with = "DeadLetter")]
    dead_letter: DeadLetter,
    #[serde(default, deserialize_with = "present")]
    record: Option<Box<RawValue>>,
    #[serde(default)]
    record_gzip: Option<String>,
}

/// Returns the value of a dead letter's record while its envelope is being parsed.
fn no_record() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// Keeps a `null` apart from a missing member: a record may be `null`, too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl DeadLetter {
    /// Makes the dead letter of a record, as far as the record could be read.
    #[must_use]
    pub fn new(
        record: &RawValue,
        origin: &Origin,
        change: Option<&ChangeName>,
        why: Rejection,
        sender: Sender<'_>,
        rejected_at: Timestamp,
    ) -> Self {
        Self {
            rejected: why,
            event_id: origin.event_id.clone(),
            event_name: change.map(|change| change.kind.event_name().to_owned()),
            document_id: change.map(|change| change.id.to_string()),
            version: change.map(|change| change.version.to_string()),
            table: origin.table().map(str::to_owned),
            index: change.and_then(|change| change.id.index()).unwrap_or(sender.index).to_owned(),
            rejected_at,
            function_version: sender.function_version.to_owned(),
            record: record.to_owned(),
        }
    }

    fn from_envelope(envelope: ReceivedEnvelope) -> Result<Self, Unreadable> {
        let record = match (envelope.record, envelope.record_gzip) {
            (Some(record), None) => record,
            (None, Some(packed)) => unpack(&packed)?,
            _ => return Err(Unreadable("expected either record or record_gzip".to_owned())),
        };
        Ok(Self { record, ..envelope.dead_letter })
    }
}

/// Function that sends dead letters.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// Public name of the index.
    pub index: &'a str,
    /// Versions of the code and of the function.
    pub function_version: &'a str,
}

impl DeadLetterMessage {
    /// Parses a message of the queue.
    ///
    /// # Errors
    /// Fails if the message has neither shape.
    pub fn read(body: &str) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Shape<'a> {
            #[serde(borrow, default)]
            format: Option<&'a RawValue>,
            #[serde(borrow, default, rename = "DDBStreamBatchInfo", alias = "KinesisBatchInfo")]
            range: Option<&'a RawValue>,
        }
        let shape: Shape<'_> = serde_json::from_str(body).map_err(|_| {
            Unreadable("expected a JSON object with format, DDBStreamBatchInfo or KinesisBatchInfo".to_owned())
        })?;
        // The parser's own message may quote the queue's; the position is enough.
        let at = |error: serde_json::Error| Unreadable(format!("line {}, column {}", error.line(), error.column()));
        match shape {
            Shape { range: Some(_), .. } => serde_json::from_str(body).map(Self::Range).map_err(at),
            Shape { format: Some(format), .. } if format.get() == format!("\"{FORMAT}\"") => {
                let envelope = serde_json::from_str(body).map_err(at)?;
                DeadLetter::from_envelope(envelope).map(Box::new).map(Self::Record)
            }
            _ => Err(Unreadable(format!("expected format {FORMAT}, DDBStreamBatchInfo or KinesisBatchInfo"))),
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
    /// Returns the `eventName` of such a change.
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
