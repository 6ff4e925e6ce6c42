//! Interval of an index's refreshes: the time until searches see a write.

use std::fmt;

/// Units of the engine that make sense for a refresh.
const UNITS: [&str; 3] = ["ms", "s", "m"];

/// Value of `index.refresh_interval`, as the engine takes it: `1s`, `200ms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshInterval(String);

impl RefreshInterval {
    /// Parses a positive whole number with its unit.
    ///
    /// # Errors
    /// Says the expected form. `-1`, which ends all refreshes, is refused: searches would never see a write.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let number = UNITS.iter().find_map(|unit| text.strip_suffix(unit)).unwrap_or_default();
        let is_number = !number.is_empty() && number.len() <= 9 && number.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && number.bytes().any(|byte| byte != b'0') {
            return Ok(Self(text.to_owned()));
        }
        Err("must be a time such as 1s, 200ms or 5m, as index.refresh_interval takes it")
    }
}

impl fmt::Display for RefreshInterval {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_with_a_unit() {
        for good in ["1s", "200ms", "5m", "010s"] {
            assert_eq!(RefreshInterval::parse(good).expect(good).to_string(), good);
        }
        for bad in ["", "1", "s", "0s", "00ms", "-1", "-1s", "1.5s", "1 s", "1h", "٣s", "9999999999s"] {
            assert!(RefreshInterval::parse(bad).is_err(), "{bad}");
        }
    }
}
