//! Request to `purge`: the age of tombstones, and their number.

use driftless::function::{FunctionError, IndexChoice, request};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const EXAMPLE: &str = "{\"max\": 1000000, \"age_days\": 16}";
/// Age from which on no change can arrive that the tombstone must stop. A record is in the stream for 1 day, and may
/// become a dead letter at its end. A dead letter is in its queue for 14 days. A redrive or a backfill that holds an
/// old item is over within minutes; clocks differ by less. One day more is margin.
pub const DEFAULT_AGE_DAYS: f64 = 16.0;
/// Default for `max`, the number of tombstones per invocation.
const DEFAULT_MAX: u64 = 1_000_000;
const DAY_MS: f64 = 24.0 * 60.0 * 60.0 * 1_000.0;

/// A request. All members are optional: `{}` purges what is older than 16 days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PurgeRequest {
    /// Index to purge, if a re-index is under way: `public` or `other`.
    pub index: IndexChoice,
    /// Maximum number of tombstones to handle.
    pub max: u64,
    /// Minimum age of a tombstone in days.
    pub age_days: f64,
}

impl Default for PurgeRequest {
    fn default() -> Self {
        Self { index: IndexChoice::Public, max: DEFAULT_MAX, age_days: DEFAULT_AGE_DAYS }
    }
}

impl PurgeRequest {
    /// Parses an invocation's payload.
    ///
    /// # Errors
    /// Names the wrong member and the expected form.
    pub fn read(payload: Value) -> Result<Self, FunctionError> {
        let request: Self = request::read(payload, EXAMPLE)?;
        if request.index == IndexChoice::All {
            return Err(FunctionError::Request(
                "index is all, and one index is purged at a time: use public or other".to_owned(),
            ));
        }
        if request.max == 0 {
            return Err(FunctionError::Request("max is 0: set it to at least 1, or leave it out".to_owned()));
        }
        if !request.age_days.is_finite() || request.age_days < 0.0 {
            return Err(FunctionError::Request("age_days must be 0 or more: leave it out for 16".to_owned()));
        }
        Ok(request)
    }

    /// Returns the minimum age in milliseconds.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the age is not negative, and saturates"
    )]
    pub fn age_ms(&self) -> u64 {
        (self.age_days * DAY_MS) as u64
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_asked_is_an_age_of_sixteen_days() {
        for payload in [Value::Null, json!({}), json!({"age_days": null})] {
            let request = PurgeRequest::read(payload).expect("a request");
            assert_eq!((request.max, request.age_ms()), (1_000_000, 16 * 24 * 60 * 60 * 1_000));
        }
    }

    #[test]
    fn the_sample_request_is_the_default() {
        let sample = serde_json::from_str(include_str!("../../../events/requests/purge.json")).expect("JSON");
        assert_eq!(PurgeRequest::read(sample).expect("a request"), PurgeRequest::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_expected() {
        for (payload, named) in
            [(json!({"age": 1}), "age"), (json!({"max": 0}), "max is 0"), (json!({"age_days": -1}), "age_days")]
        {
            let error = PurgeRequest::read(payload).expect_err("refused").to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
