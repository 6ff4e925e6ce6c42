//! Outcomes → the partial batch response.
//!
//! Lambda retries from the lowest sequence number in the response. It takes a null, empty or unknown one for the
//! failure of the whole batch, so none is ever given. If a failed record's own number cannot be read, the response
//! names the record before it: a retry from there contains both.

use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use driftless::change::Origin;
use driftless::version::SequenceNumber;

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
) -> Result<DynamoDbEventResponse, NothingToName> {
    let mut numbers = failed
        .into_iter()
        .map(|place| origins[..=place].iter().rev().find_map(|o| o.sequence_number.as_ref()).ok_or(NothingToName))
        .collect::<Result<Vec<_>, _>>()?;
    numbers.sort_by_cached_key(|number| SequenceNumber::parse(number).ok());
    numbers.dedup();
    let mut response = DynamoDbEventResponse::default();
    response.batch_item_failures.extend(numbers.into_iter().map(|number| {
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier = Some(number.clone());
        failure
    }));
    Ok(response)
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
