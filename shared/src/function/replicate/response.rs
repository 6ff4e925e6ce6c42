//! Outcomes → the partial batch response.
//!
//! Lambda retries from the lowest sequence number in the response. It takes a null, empty or unknown one for the
//! failure of the whole batch, so none is ever given. If a failed record's own number cannot be read, the response
//! names the record before it: a retry from there contains both.

use serde::Serialize;

use crate::change::{Origin, RecordNumber};

/// Response of a function to a batch of a stream's records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// Records that Lambda must deliver again, the lowest first.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// Record that Lambda must deliver again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// Sequence number of the record, as Lambda knows it.
    pub item_identifier: String,
}

/// Error for a failed record without a readable number, with none before it either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NothingToName;

/// Makes the response from the records' identifications and the places of the failed ones, in order.
///
/// # Errors
/// Fails if a failed record can only be reported by failing the invocation.
pub fn partial_batch_response(
    origins: &[Origin],
    failed: impl IntoIterator<Item = usize>,
) -> Result<BatchResponse, NothingToName> {
    let mut numbers = failed
        .into_iter()
        .map(|place| origins[..=place].iter().rev().find_map(|o| o.sequence_number.as_ref()).ok_or(NothingToName))
        .collect::<Result<Vec<_>, _>>()?;
    numbers.sort_by_cached_key(|number| RecordNumber::parse(number).ok());
    numbers.dedup();
    let failure = |number: &String| BatchItemFailure { item_identifier: number.clone() };
    Ok(BatchResponse { batch_item_failures: numbers.into_iter().map(failure).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(numbers: &[Option<&str>], failed: &[usize], expect: &str) {
        let response = partial_batch_response(&origins(numbers), failed.iter().copied()).expect("a response");
        assert_eq!(serde_json::to_string(&response).expect("JSON"), expect);
    }

    fn origins(numbers: &[Option<&str>]) -> Vec<Origin> {
        let origin = |number: &Option<&str>| Origin { sequence_number: number.map(str::to_owned), ..Origin::default() };
        numbers.iter().map(origin).collect()
    }

    #[test]
    fn the_lowest_failure_comes_first_as_a_number() {
        check(
            &[Some("10000"), Some("9900")],
            &[0, 1],
            r#"{"batchItemFailures":[{"itemIdentifier":"9900"},{"itemIdentifier":"10000"}]}"#,
        );
    }

    #[test]
    fn numbers_of_kinesis_compare_as_numbers_too() {
        let [low, high] = ["9", "1"].map(|first| format!("{first}{}", "0".repeat(55 + usize::from(first == "1"))));
        let expect = format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{low}"}},{{"itemIdentifier":"{high}"}}]}}"#);
        check(&[Some(&*high), Some(&*low)], &[0, 1], &expect);
    }

    #[test]
    fn no_failure_is_an_empty_list() {
        check(&[Some("1")], &[], r#"{"batchItemFailures":[]}"#);
    }

    #[test]
    fn a_record_without_a_number_is_retried_from_the_one_before() {
        check(&[Some("1"), Some("2"), None, Some("3")], &[2], r#"{"batchItemFailures":[{"itemIdentifier":"2"}]}"#);
        check(&[Some("1"), None, None], &[0, 1, 2], r#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#);
        assert_eq!(partial_batch_response(&origins(&[None, Some("3")]), [0]), Err(NothingToName));
    }
}
