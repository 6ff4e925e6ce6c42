//! Policy of the mapping after an invocation, as pure functions.
//!
//! The rules are those of "Retain discarded records for a DynamoDB event source in Lambda" (services-dynamodb-errors)
//! and "Configuring partial batch response with DynamoDB and Lambda" (services-ddb-batchfailurereporting). Where AWS is
//! silent, the choice is the one that is harder on the function, and a comment says so.

use super::{
    config::MappingConfig,
    record::{PAYLOAD_FRAME_BYTES, StreamRecord},
    response::Verdict,
};
use crate::function::PAYLOAD_LIMIT_BYTES;

/// Records of one lane that are delivered together.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// The records, in the order of the stream; never none.
    pub records: Vec<StreamRecord>,
    /// Number of allowed retries that these records have used up.
    pub retries: u32,
    /// Number of invocations that these records were part of.
    pub invocations: u32,
    /// True for a redelivery on purpose, whose records are accounted for already.
    pub redelivered: bool,
}

/// Result of the invocation of a batch.
#[derive(Debug, Default)]
pub struct Decision {
    /// Records that are done.
    pub delivered: Vec<StreamRecord>,
    /// Follow-up for the other records.
    pub then: FollowUp,
}

/// Follow-up for the records of a batch that did not succeed.
#[derive(Debug, Default)]
pub enum FollowUp {
    /// Nothing: all records are done.
    #[default]
    Done,
    /// They are delivered again, after a back-off.
    Retry(Delivery),
    /// They are delivered again as these batches, one after the other.
    Bisect(Vec<Delivery>),
    /// Their retries are used up.
    GiveUp(Delivery),
}

impl Delivery {
    /// Creates a delivery whose records were not invoked yet.
    #[must_use]
    pub fn new(records: Vec<StreamRecord>) -> Self {
        Self { records, ..Self::default() }
    }

    /// Splits off the records from `index` on; both parts keep what was used up.
    #[must_use]
    pub fn split_off(&mut self, index: usize) -> Self {
        Self { records: self.records.split_off(index), ..*self }
    }

    /// Splits off the records at the start that are older than `config` allows at `now_ms`.
    #[must_use]
    pub fn expired(&mut self, config: &MappingConfig, now_ms: i64) -> Option<Self> {
        let age_ms = i64::try_from(config.maximum_record_age?.as_millis()).unwrap_or(i64::MAX);
        let oldest_ms = now_ms.saturating_sub(age_ms);
        let expired = self.records.iter().take_while(|record| record.arrival_ms() < oldest_ms).count();
        let rest = self.split_off(expired);
        let expired = std::mem::replace(self, rest);
        (!expired.records.is_empty()).then_some(expired)
    }

    /// Decides what follows from `verdict`; `self` was invoked just now.
    #[must_use]
    pub fn decide(mut self, verdict: Verdict, config: &MappingConfig) -> Decision {
        let (delivered, failed) = match verdict {
            Verdict::Succeeded => {
                return Decision { delivered: self.records, then: FollowUp::Done };
            }
            Verdict::Failed => (Vec::new(), self),
            Verdict::FailedFrom(index) => {
                let failed = self.split_off(index);
                (self.records, failed)
            }
        };
        let then = match failed.bisected(verdict, config) {
            Ok(parts) => FollowUp::Bisect(parts),
            Err(failed) => failed.retried(config),
        };
        Decision { delivered, then }
    }

    /// Splits a failed batch, which uses up no retry; `Err` is the batch as it was, if it cannot be split.
    fn bisected(mut self, verdict: Verdict, config: &MappingConfig) -> Result<Vec<Self>, Self> {
        match verdict {
            _ if !config.bisect_batch_on_function_error => Err(self),
            // With partial responses the batch is bisected at the returned sequence number, and only what follows is
            // delivered again. If that is the first record, nothing was split: it is an ordinary retry.
            Verdict::FailedFrom(0) => Err(self),
            Verdict::FailedFrom(_) => Ok(vec![self]),
            _ if self.records.len() < 2 => Err(self),
            _ => {
                let second = self.split_off(self.records.len() / 2);
                Ok(vec![self, second])
            }
        }
    }

    /// AWS does not say whether progress within a batch renews its retries. Here it does not.
    fn retried(mut self, config: &MappingConfig) -> FollowUp {
        if config.maximum_retry_attempts.is_some_and(|maximum| self.retries >= maximum) {
            return FollowUp::GiveUp(self);
        }
        self.retries = self.retries.saturating_add(1);
        FollowUp::Retry(self)
    }
}

/// Counts the `records`, from the first on, that make the next batch: up to `batch_size`, and up to the payload limit.
///
/// The second value tells that the batch is full, so that there is nothing to wait for.
#[must_use]
pub fn batch_length<'a>(records: impl Iterator<Item = &'a StreamRecord>, batch_size: usize) -> (usize, bool) {
    let (mut length, mut bytes) = (0, PAYLOAD_FRAME_BYTES);
    for record in records {
        bytes += record.json().len() + 1;
        // A single record that is too large goes alone: the invocation shows what is wrong with it.
        if length > 0 && bytes > PAYLOAD_LIMIT_BYTES {
            return (length, true);
        }
        length += 1;
        if length == batch_size {
            return (length, true);
        }
    }
    (length, false)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::{super::testing::record, *};

    fn batch(numbers: std::ops::RangeInclusive<u64>) -> Delivery {
        Delivery::new(numbers.map(|number| record(number, "key")).collect())
    }

    fn numbers(records: &[StreamRecord]) -> Vec<u64> {
        records.iter().map(|record| record.sequence_number().as_str().parse().unwrap()).collect()
    }

    fn config(retries: Option<u32>, bisect: bool) -> MappingConfig {
        MappingConfig {
            maximum_retry_attempts: retries,
            bisect_batch_on_function_error: bisect,
            ..MappingConfig::default()
        }
    }

    #[test]
    fn a_failed_batch_is_retried_as_often_as_allowed_and_then_given_up() {
        let config = config(Some(2), false);
        let mut batch = batch(1..=3);
        for used in 1..=2 {
            let FollowUp::Retry(again) = batch.decide(Verdict::Failed, &config).then else { panic!("no retry {used}") };
            assert_eq!(again.retries, used);
            batch = again;
        }
        let FollowUp::GiveUp(lost) = batch.decide(Verdict::Failed, &config).then else { panic!("not given up") };
        assert_eq!(numbers(&lost.records), [1, 2, 3]);
    }

    #[test]
    fn without_a_limit_a_batch_is_never_given_up() {
        let mut last = batch(1..=1);
        last.retries = u32::MAX;
        assert!(matches!(last.decide(Verdict::Failed, &config(None, false)).then, FollowUp::Retry(_)));
    }

    #[test]
    fn everything_from_the_checkpoint_on_is_retried_and_what_is_before_it_is_done() {
        let decision = batch(1..=4).decide(Verdict::FailedFrom(2), &config(Some(1), false));
        assert_eq!(numbers(&decision.delivered), [1, 2]);
        let FollowUp::Retry(again) = decision.then else { panic!("no retry") };
        assert_eq!((numbers(&again.records), again.retries), (vec![3, 4], 1));
    }

    #[test]
    fn bisecting_halves_a_failed_batch_and_uses_no_retry() {
        let decision = batch(1..=5).decide(Verdict::Failed, &config(Some(0), true));
        let FollowUp::Bisect(parts) = decision.then else { panic!("not bisected") };
        assert_eq!(parts.iter().map(|part| numbers(&part.records)).collect::<Vec<_>>(), [vec![1, 2], vec![3, 4, 5]]);
        assert!(parts.iter().all(|part| part.retries == 0));
    }

    #[test]
    fn a_single_record_is_not_bisected_but_retried() {
        let decision = batch(1..=1).decide(Verdict::Failed, &config(Some(1), true));
        assert!(matches!(decision.then, FollowUp::Retry(_)));
    }

    #[test]
    fn with_partial_responses_the_batch_is_bisected_at_the_returned_number() {
        let decision = batch(1..=4).decide(Verdict::FailedFrom(1), &config(Some(0), true));
        assert_eq!(numbers(&decision.delivered), [1]);
        let FollowUp::Bisect(parts) = decision.then else { panic!("not bisected") };
        assert_eq!(parts.iter().map(|part| numbers(&part.records)).collect::<Vec<_>>(), [vec![2, 3, 4]]);
        // Without progress it is a retry, or a batch whose first record fails would be delivered for ever.
        assert!(matches!(
            batch(1..=4).decide(Verdict::FailedFrom(0), &config(Some(0), true)).then,
            FollowUp::GiveUp(_)
        ));
    }

    #[test]
    fn only_the_records_that_are_too_old_expire() {
        let config = MappingConfig { maximum_record_age: Some(Duration::from_secs(60)), ..MappingConfig::default() };
        let now_ms = record(1, "key").arrival_ms() + 60_000;
        let mut fresh = batch(1..=2);
        assert!(fresh.expired(&config, now_ms).is_none());
        assert_eq!(fresh.records.len(), 2);
        let mut old = batch(1..=2);
        assert_eq!(old.expired(&config, now_ms + 1).map(|batch| numbers(&batch.records)), Some(vec![1, 2]));
        assert!(old.records.is_empty());
    }

    #[test]
    fn a_batch_ends_at_its_size_or_at_the_payload_limit() {
        let records: Vec<_> = (1..=5).map(|number| record(number, "key")).collect();
        assert_eq!(batch_length(records.iter(), 3), (3, true));
        assert_eq!(batch_length(records.iter(), 9), (5, false));
        let large = || {
            let text = "x".repeat(PAYLOAD_LIMIT_BYTES / 2);
            let json = String::from_utf8(record(1, "key").json().to_vec()).unwrap();
            let json = json.replacen('{', &format!("{{\"x\":\"{text}\","), 1);
            StreamRecord::from_json(Bytes::from(json), "pk").unwrap()
        };
        assert_eq!(batch_length([large(), large(), large()].iter(), 9), (1, true));
    }
}
