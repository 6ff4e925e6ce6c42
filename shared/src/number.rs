//! DynamoDB's number: an exact decimal of up to 38 significant digits, sent as a string.
//!
//! A [`Number`] keeps every digit and has one spelling per value: `1`, `1.0` and `1E0` give the same document and the
//! same document id. It never passes through a float, and has no arithmetic.

use std::cmp::Ordering;
use std::fmt;

/// Values from 1e-38 up to 1e38 are written without an exponent, all others with one.
const PLAIN_MAGNITUDE: i64 = 38;

/// An exact decimal in canonical form: `0.DIGITS × 10^magnitude`. The digits neither begin nor end with a zero.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    /// Significant digits; empty for zero.
    digits: String,
    /// Power of ten that the fraction `0.DIGITS` is multiplied by; 0 for zero.
    magnitude: i64,
}

/// Error for a text that is not a decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number such as \"12\", \"-0.5\" or \"1E+10\"")]
pub struct NotANumber;

impl Number {
    /// Parses a decimal: an optional sign, digits with an optional fraction, an optional exponent.
    pub fn parse(text: &str) -> Result<Self, NotANumber> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], parse_exponent(&unsigned[at + 1..])?),
            None => (unsigned, 0),
        };
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if integer.len() + fraction.len() == 0 || !all_digits(integer) || !all_digits(fraction) {
            return Err(NotANumber);
        }
        Ok(Self::canonical(negative, integer, fraction, exponent))
    }

    fn canonical(negative: bool, integer: &str, fraction: &str, exponent: i64) -> Self {
        let mut digits = String::with_capacity(integer.len() + fraction.len());
        digits.push_str(integer);
        digits.push_str(fraction);
        let significant = digits.trim_start_matches('0');
        let leading_zeros = digits.len() - significant.len();
        let significant = significant.trim_end_matches('0');
        if significant.is_empty() {
            return Self { negative: false, digits: String::new(), magnitude: 0 };
        }
        let magnitude = exponent + integer.len() as i64 - leading_zeros as i64;
        Self { negative, digits: significant.to_owned(), magnitude }
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

fn parse_exponent(text: &str) -> Result<i64, NotANumber> {
    // DynamoDB's exponents reach 125. An i32 is far above, and sums of it fit in an i64.
    text.parse::<i32>().map(i64::from).map_err(|_| NotANumber)
}

/// Writes the canonical text, which is also a valid JSON number.
impl fmt::Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.is_empty() {
            return out.write_str("0");
        }
        if self.negative {
            out.write_str("-")?;
        }
        let count = self.digits.len() as i64;
        if self.magnitude <= -PLAIN_MAGNITUDE || self.magnitude > PLAIN_MAGNITUDE {
            let (first, rest) = self.digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            return write!(out, "{first}{point}{rest}E{}", self.magnitude - 1);
        }
        if self.magnitude <= 0 {
            let zeros = usize::try_from(-self.magnitude).unwrap_or_default();
            return write!(out, "0.{:0<zeros$}{}", "", self.digits);
        }
        if self.magnitude >= count {
            let zeros = usize::try_from(self.magnitude - count).unwrap_or_default();
            return write!(out, "{}{:0<zeros$}", self.digits, "");
        }
        let (integer, fraction) = self.digits.split_at(usize::try_from(self.magnitude).unwrap_or_default());
        write!(out, "{integer}.{fraction}")
    }
}

/// Numeric order, in which number sets are sorted.
impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let absolute = || self.magnitude.cmp(&other.magnitude).then_with(|| self.digits.cmp(&other.digits));
        self.sign().cmp(&other.sign()).then_with(|| if self.negative { absolute().reverse() } else { absolute() })
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(input: &str, expect: &str) {
        assert_eq!(Number::parse(input).map(|number| number.to_string()).as_deref(), Ok(expect));
    }

    #[test]
    fn every_digit_is_kept() {
        for exact in [
            "12345678901234567890.123456789",
            "9007199254740993",
            "99999999999999999999999999999999999999",
            "-0.00000000000000000000000000000000000001",
            "0.1",
            "-7",
            "0",
        ] {
            check(exact, exact);
        }
    }

    #[test]
    fn one_value_has_one_spelling() {
        for one in ["1", "1.0", "1E0", "+1", "01", "0.1e1", "10E-1", "1."] {
            check(one, "1");
        }
        check("-0.00", "0");
        check(".5", "0.5");
        check("1E20", "100000000000000000000");
        check("1E+125", "1E125");
        check("-1.50E-130", "-1.5E-130");
        check("12E37", "1.2E38");
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for bad in ["", "-", ".", "1e", "e5", "NaN", "Infinity", "1_000", "1,5", " 1", "0x10", "١", "1E99999999999"] {
            assert_eq!(Number::parse(bad), Err(NotANumber), "{bad:?}");
        }
    }

    #[test]
    fn order_is_numeric() {
        let sorted =
            ["-1E30", "-10", "-9", "-0.5", "0", "0.05", "0.5", "9", "10", "9007199254740992", "9007199254740993"];
        let numbers: Vec<Number> = sorted.iter().map(|text| Number::parse(text).expect("a number")).collect();
        assert!(numbers.is_sorted());
    }

    proptest! {
        #[test]
        fn up_to_38_digits_survive(digits in "[1-9][0-9]{0,37}", fraction in 0usize..38, negative: bool) {
            let mut text = digits.trim_end_matches('0').to_owned();
            if fraction > 0 && fraction < text.len() {
                text.insert(text.len() - fraction, '.');
            }
            if negative { text.insert(0, '-'); }
            let parsed = Number::parse(&text).unwrap();
            prop_assert_eq!(parsed.to_string(), text);
        }

        #[test]
        fn canonical_text_reads_back_and_is_json(text in "-?[0-9]{1,40}(\\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?") {
            let number = Number::parse(&text).unwrap();
            let canonical = number.to_string();
            prop_assert_eq!(&Number::parse(&canonical).unwrap(), &number);
            prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&canonical).is_ok(), "{}", canonical);
        }
    }
}
