//! Meaning of a function's answer to a batch: the records that succeeded.
//!
//! The rules are those of "Configuring partial batch response with DynamoDB and Lambda"
//! (services-ddb-batchfailurereporting).

use serde_json::Value;

use super::record::StreamRecord;
use crate::function::InvocationOutcome;

/// Result of a batch in one invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All records of the batch succeeded.
    Succeeded,
    /// The function reported failures; everything from this index on is to be tried again.
    FailedFrom(usize),
    /// The whole batch failed.
    Failed,
}

/// Reads the outcome of an invocation with `records`.
///
/// Without `report_batch_item_failures` the answer is not looked at, as on Lambda: any answer is a success.
#[must_use]
pub fn verdict(outcome: &InvocationOutcome, records: &[StreamRecord], report_batch_item_failures: bool) -> Verdict {
    match outcome {
        InvocationOutcome::Response(_) if !report_batch_item_failures => Verdict::Succeeded,
        InvocationOutcome::Response(body) => reported(body, records),
        InvocationOutcome::FunctionError { .. } | InvocationOutcome::TimedOut | InvocationOutcome::Exited(_) => {
            Verdict::Failed
        }
    }
}

fn reported(body: &[u8], records: &[StreamRecord]) -> Verdict {
    // An empty or null answer, and an empty or null list, are a complete success.
    if body.iter().all(u8::is_ascii_whitespace) {
        return Verdict::Succeeded;
    }
    let failures = match serde_json::from_slice(body) {
        Ok(Value::Null) => return Verdict::Succeeded,
        Ok(Value::Object(mut answer)) => answer.remove("batchItemFailures"),
        // AWS does not say what other JSON means; text that is not JSON is a failure for certain.
        Ok(_) | Err(_) => return Verdict::Failed,
    };
    match failures {
        None | Some(Value::Null) => Verdict::Succeeded,
        Some(Value::Array(failures)) => checkpoint(&failures, records),
        Some(_) => Verdict::Failed,
    }
}

/// The lowest sequence number is the checkpoint; one identifier that is null, empty, under another name or of no
/// record in the batch makes the whole batch fail.
fn checkpoint(failures: &[Value], records: &[StreamRecord]) -> Verdict {
    let mut lowest = None;
    for failure in failures {
        let Some(identifier) = failure.get("itemIdentifier").and_then(Value::as_str) else {
            return Verdict::Failed;
        };
        let Some(index) = records.iter().position(|record| record.sequence_number().as_str() == identifier) else {
            return Verdict::Failed;
        };
        lowest = Some(lowest.map_or(index, |lowest: usize| lowest.min(index)));
    }
    lowest.map_or(Verdict::Succeeded, Verdict::FailedFrom)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{super::testing::record, *};

    #[track_caller]
    fn check(body: &'static str, expected: Verdict) {
        let records: Vec<_> = (1..=4).map(|number| record(number, "key")).collect();
        let outcome = InvocationOutcome::Response(Bytes::from_static(body.as_bytes()));
        assert_eq!(verdict(&outcome, &records, true), expected, "{body}");
        assert_eq!(verdict(&outcome, &records, false), Verdict::Succeeded, "{body}");
    }

    #[test]
    fn an_empty_or_null_answer_or_list_is_a_complete_success() {
        for body in ["", " \n", "null", "{}", r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#] {
            check(body, Verdict::Succeeded);
        }
    }

    #[test]
    fn the_lowest_sequence_number_is_the_checkpoint() {
        check(r#"{"batchItemFailures":[{"itemIdentifier":"3"}]}"#, Verdict::FailedFrom(2));
        check(r#"{"batchItemFailures":[{"itemIdentifier":"4"},{"itemIdentifier":"2"}]}"#, Verdict::FailedFrom(1));
        check(r#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#, Verdict::FailedFrom(0));
    }

    #[test]
    fn an_identifier_that_says_nothing_fails_the_whole_batch() {
        for failure in [
            r#"{"itemIdentifier":null}"#,
            r#"{"itemIdentifier":""}"#,
            r#"{"id":"2"}"#,
            r#"{"itemIdentifier":2}"#,
            r#"{"itemIdentifier":"9"}"#,
            "null",
            "{}",
            r#""2""#,
        ] {
            let body = format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"2"}},{failure}]}}"#);
            check(body.leak(), Verdict::Failed);
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_fails_the_whole_batch() {
        for body in ["{", "oops", r#"{"batchItemFailures":7}"#, r#"["2"]"#, r#""done""#] {
            check(body, Verdict::Failed);
        }
    }

    #[test]
    fn every_function_error_fails_the_whole_batch() {
        let error = InvocationOutcome::FunctionError { kind: "E".into(), message: String::new() };
        for outcome in [error, InvocationOutcome::TimedOut, InvocationOutcome::Exited(None)] {
            assert_eq!(verdict(&outcome, &[record(1, "key")], false), Verdict::Failed);
        }
    }
}
