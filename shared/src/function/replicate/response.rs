//! Outcomes → what the partial batch response names.
//!
//! Lambda retries from the lowest sequence number in the response. It takes a null, empty or unknown one for the
//! failure of the whole batch, so none is ever given. If a failed record's own number cannot be read, the response
//! names the record before it: a retry from there contains both.

use crate::change::{Origin, RecordNumber};

/// Error for a failed record without a readable number, with none before it either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NothingToName;

/// Returns the sequence numbers that a response names, the lowest first, for the places of the failed records.
///
/// # Errors
/// Fails if a failed record can only be reported by failing the invocation.
pub fn failed_numbers(
    origins: &[Origin],
    failed: impl IntoIterator<Item = usize>,
) -> Result<Vec<String>, NothingToName> {
    let mut numbers = failed
        .into_iter()
        .map(|place| origins[..=place].iter().rev().find_map(|o| o.sequence_number.as_ref()).ok_or(NothingToName))
        .collect::<Result<Vec<_>, _>>()?;
    numbers.sort_by_cached_key(|number| RecordNumber::parse(number).ok());
    numbers.dedup();
    Ok(numbers.into_iter().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(numbers: &[Option<&str>], failed: &[usize], expect: &[&str]) {
        let named = failed_numbers(&origins(numbers), failed.iter().copied()).expect("a response");
        assert_eq!(named, expect);
    }

    fn origins(numbers: &[Option<&str>]) -> Vec<Origin> {
        let origin = |number: &Option<&str>| Origin { sequence_number: number.map(str::to_owned), ..Origin::default() };
        numbers.iter().map(origin).collect()
    }

    #[test]
    fn the_lowest_failure_comes_first_as_a_number() {
        check(&[Some("10000"), Some("9900")], &[0, 1], &["9900", "10000"]);
    }

    #[test]
    fn numbers_of_kinesis_compare_as_numbers_too() {
        let [low, high] = ["9", "1"].map(|first| format!("{first}{}", "0".repeat(55 + usize::from(first == "1"))));
        check(&[Some(&*high), Some(&*low)], &[0, 1], &[&*low, &*high]);
    }

    #[test]
    fn no_failure_is_an_empty_list() {
        check(&[Some("1")], &[], &[]);
    }

    #[test]
    fn a_record_without_a_number_is_retried_from_the_one_before() {
        check(&[Some("1"), Some("2"), None, Some("3")], &[2], &["2"]);
        check(&[Some("1"), None, None], &[0, 1, 2], &["1"]);
        assert_eq!(failed_numbers(&origins(&[None, Some("3")]), [0]), Err(NothingToName));
    }
}
