//! Points in time, in milliseconds since the epoch. Reads no clock.

use serde::{Deserialize, Serialize};

/// Time in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Creates a time from milliseconds since the epoch.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the epoch.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the milliseconds since `earlier`; 0 if `earlier` is later.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Parses `ApproximateCreationDateTime`: seconds from DynamoDB Streams, milliseconds or microseconds through
    /// Kinesis. Their size tells them apart (seconds reach the year 5138 first). `None` for zero, text and nonsense.
    #[must_use]
    pub fn from_any_unit(json: &str) -> Option<Self> {
        let value: f64 = json.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0)?;
        let millis = match value {
            v if v < 1e11 => v * 1e3,
            v if v < 1e14 => v,
            v if v < 1e17 => v / 1e3,
            _ => return None,
        };
        Some(Self(millis.round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_that_aws_sends_is_understood() {
        for same in ["1768469467", "1768469467.0", "1.768469467E9", "1768469467000", "1768469467000000"] {
            assert_eq!(Timestamp::from_any_unit(same), Some(Timestamp(1_768_469_467_000)), "{same}");
        }
        assert_eq!(Timestamp::from_any_unit("1768469467.123"), Some(Timestamp(1_768_469_467_123)));
    }

    #[test]
    fn a_time_that_is_none_is_absent() {
        for none in ["0", "-1", "null", "\"2026\"", "1e300", "NaN", "{}"] {
            assert_eq!(Timestamp::from_any_unit(none), None, "{none}");
        }
    }
}
