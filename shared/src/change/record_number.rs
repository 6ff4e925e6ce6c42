//! Number by which Lambda and the API of a stream name a record.

use std::cmp::Ordering;

/// Most digits that a number has: Kinesis documents 129 for its own, DynamoDB 40.
const MOST_DIGITS: usize = 129;

/// Number of a record within its shard, compared as an integer. It names a record, and orders no changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordNumber {
    /// Digits without leading zeros.
    digits: String,
}

/// Error for a text that names no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {MOST_DIGITS} decimal digits")]
pub struct NotARecordNumber;

impl RecordNumber {
    /// Parses decimal digits.
    ///
    /// # Errors
    /// Fails if the text is not 1 to 129 decimal digits.
    pub fn parse(text: &str) -> Result<Self, NotARecordNumber> {
        if !Self::is_one(text) {
            return Err(NotARecordNumber);
        }
        Ok(Self { digits: text.trim_start_matches('0').to_owned() })
    }

    /// Returns `true` if the text is 1 to 129 decimal digits.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        (1..=MOST_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    }
}

impl Ord for RecordNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.digits.len().cmp(&other.digits.len()).then_with(|| self.digits.cmp(&other.digits))
    }
}

impl PartialOrd for RecordNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_as_integers_whatever_their_zeros() {
        let number = |text| RecordNumber::parse(text).expect("digits");
        let kinesis = "49590338271490256608559692538361571095921575989136588898";
        assert!(number("9900") < number("10000") && number("0") < number("1") && number("19") < number("20"));
        assert!(number(kinesis) > number("99999999999999999999999999999999999999999"));
        assert_eq!(number("007"), number("7"));
        assert!(RecordNumber::is_one(&"1".repeat(129)));
        for bad in ["", "-1", "1.0", " 1", "x", &"1".repeat(130)] {
            assert_eq!(RecordNumber::parse(bad), Err(NotARecordNumber), "{bad:?}");
        }
    }
}
