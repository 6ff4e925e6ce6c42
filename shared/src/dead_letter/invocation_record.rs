//! Lambda's invocation record in the on-failure bucket: an on-failure message, and the whole event with it.
//!
//! The form is that of "Example Amazon S3 invocation record" (services-dynamodb-errors, and for Kinesis
//! kinesis-on-failure-destination): `payload` is the event as an escaped JSON string. An event that stands there as an
//! object is read as well.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{StreamRange, Unreadable};

/// Limit for an object. An event has 6 MB at most, which escaping doubles at most. Anything larger is none of Lambda's.
pub const MAX_OBJECT_BYTES: u64 = 32 * 1024 * 1024;

/// A batch that Lambda gave up, with its records.
#[derive(Debug)]
pub struct InvocationRecord {
    /// Reason, and place in the stream.
    pub range: StreamRange,
    /// Records of the event, unparsed.
    pub records: Vec<Box<RawValue>>,
}

impl InvocationRecord {
    /// Parses an object of the bucket. The error quotes nothing of it.
    ///
    /// # Errors
    /// Fails if the object is no such record, or holds no records of a stream.
    pub fn read(object: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Whole<'a> {
            #[serde(borrow)]
            payload: &'a RawValue,
        }
        #[derive(Deserialize)]
        struct Event {
            #[serde(rename = "Records")]
            records: Vec<Box<RawValue>>,
        }
        let no_record =
            |_| Unreadable("expected an invocation record with DDBStreamBatchInfo or KinesisBatchInfo".to_owned());
        let no_payload = |_| Unreadable("payload: expected an event with Records, as a JSON string".to_owned());
        let range: StreamRange = serde_json::from_slice(object).map_err(no_record)?;
        let Whole { payload } = serde_json::from_slice(object).map_err(no_payload)?;
        let event: serde_json::Result<Event> = match payload.get().starts_with('"') {
            true => serde_json::from_str(payload.get()).and_then(|text: String| serde_json::from_str(&text)),
            false => serde_json::from_str(payload.get()),
        };
        match event.map_err(no_payload)?.records {
            records if records.is_empty() => Err(Unreadable("payload: expected at least one record".to_owned())),
            records => Ok(Self { range, records }),
        }
    }
}

impl Unreadable {
    /// Returns the refusal of an object that is larger than [`MAX_OBJECT_BYTES`]; `None` for others.
    #[must_use]
    pub fn of_size(bytes: u64) -> Option<Self> {
        let is_too_large = bytes > MAX_OBJECT_BYTES;
        is_too_large.then(|| Self(format!("the object has {bytes} bytes, more than any event of Lambda makes")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(member: &str, payload: Value) -> String {
        json!({
            "requestContext": {"requestId": "r", "functionArn": "f", "condition": "RetryAttemptsExhausted",
                               "approximateInvokeCount": 4},
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "version": "1.0", "timestamp": "2019-11-14T00:13:49.717Z",
            member: {"shardId": "s1", "startSequenceNumber": "7", "endSequenceNumber": "9",
                     "approximateArrivalOfFirstRecord": "2019-11-14T00:13:19Z",
                     "approximateArrivalOfLastRecord": "2019-11-14T00:13:19Z", "batchSize": 2,
                     "streamArn": "arn:aws:dynamodb:us-east-2:1:table/T/stream/2019-11-14T00:04:06.388"},
            "payload": payload,
        })
        .to_string()
    }

    #[test]
    fn the_records_of_the_event_come_back_byte_for_byte() {
        let records = r#"{"text": "\"\\\u0001 ä", "n": 12345678901234567890.10}, null"#;
        let event = format!(r#"{{"Records": [{records}]}}"#);
        for member in ["DDBStreamBatchInfo", "KinesisBatchInfo"] {
            let record = InvocationRecord::read(object(member, event.clone().into()).as_bytes()).expect("a record");
            assert_eq!(record.records.iter().map(|raw| raw.get()).collect::<Vec<_>>().join(", "), records);
            assert_eq!(record.range.request.condition, "RetryAttemptsExhausted");
            assert_eq!((record.range.batch.table(), record.range.batch.batch_size), (Some("T"), 2));
        }
    }

    #[test]
    fn an_event_that_is_no_string_is_read_as_well() {
        let object = object("DDBStreamBatchInfo", json!({"Records": [1, 2]}));
        assert_eq!(InvocationRecord::read(object.as_bytes()).expect("a record").records.len(), 2);
    }

    #[test]
    fn an_object_of_another_form_says_what_was_expected_and_not_what_it_holds() {
        let of = |payload: Value| object("DDBStreamBatchInfo", payload);
        let without = json!({"DDBStreamBatchInfo": serde_json::from_str::<Value>(&of(Value::Null)).expect("JSON")
            ["DDBStreamBatchInfo"]});
        for (object, named) in [
            ("secret".to_owned(), "an invocation record"),
            (r#"{"payload": "secret"}"#.to_owned(), "DDBStreamBatchInfo"),
            (without.to_string(), "payload"),
            (of("secret".into()), "payload"),
            (of(json!({"Records": "secret"})), "payload"),
            (of(json!({"Records": []})), "at least one record"),
        ] {
            let error = InvocationRecord::read(object.as_bytes()).expect_err("unreadable").to_string();
            assert!(error.contains(named) && !error.contains("secret"), "{error}");
        }
        assert!(Unreadable::of_size(MAX_OBJECT_BYTES).is_none());
        assert!(Unreadable::of_size(MAX_OBJECT_BYTES + 1).is_some());
    }
}
