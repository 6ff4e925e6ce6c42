//! The function without Lambda around it: one beat per invocation.
//!
//! A beat is told from the one before by the time of its change, and not by its content: the rules of `REPLICATION` may
//! leave any attribute out. The times of two beats are a minute apart, and those of two clocks are not.

use std::time::Duration;

use driftless::attribute::{AttributeValue, Item};
use driftless::function::clock::now;
use driftless::function::{Context, FunctionError};
use driftless::number::Number;
use driftless::target::StoredState;
use driftless::time::Timestamp;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::metrics;
use crate::place::Place;
use crate::report::HeartbeatReport;

/// Attribute that each beat changes: DynamoDB makes no record of a write that changes nothing.
pub const BEAT_ATTRIBUTE: &str = "driftless_heartbeat";
/// Difference that the clocks of DynamoDB and of the function may have. A stream's times are cut to seconds, besides.
const CLOCKS_DIFFER_MS: u64 = 10_000;
/// Pauses between two searches. They grow, so that the lag is known to a twentieth.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// State of the process.
#[derive(Debug, Default)]
pub struct Heart(Mutex<Option<Place>>);

impl Heart {
    /// Handles one invocation.
    ///
    /// # Errors
    /// Fails if the deployment is wrong, or the item cannot be written. An engine that does not answer is a lag.
    pub async fn invoke(&self, context: &Context, deadline_ms: u64) -> Result<HeartbeatReport, FunctionError> {
        let result = context.invocation(async || self.beat(context, deadline_ms).await).await;
        match &result {
            Ok(report) => {
                if report.found {
                    tracing::info!(lag_ms = report.lag_ms, searches = report.searches, "heartbeat");
                } else {
                    tracing::warn!(waited_ms = report.lag_ms, "no search found the heartbeat");
                }
                let index = context.settings().map_or("unknown", |settings| settings.engine.index.public());
                metrics::print(report, index, now());
            }
            // The next invocation fetches credentials and describes the table again.
            Err(_) => *self.0.lock().await = None,
        }
        result
    }

    async fn beat(&self, context: &Context, deadline_ms: u64) -> Result<HeartbeatReport, FunctionError> {
        let deadlines = context.deadlines(deadline_ms)?;
        let mut place = self.0.lock().await;
        let place = match &mut *place {
            Some(place) => place,
            empty => empty.insert(Box::pin(Place::find(context, deadlines.work)).await?),
        };
        let sent_at = now();
        let item = marked(&place.item, sent_at)?;
        deadlines.keep(async { Ok(place.table.put(&item, deadlines.work).await?) }).await?;
        deadlines.keep(look(place, sent_at, deadlines.work)).await
    }
}

/// Returns the item with the time of this beat.
fn marked(item: &Item<'static>, sent_at: Timestamp) -> Result<Item<'static>, FunctionError> {
    let mut item = item.clone();
    let time = Number::parse(&sent_at.as_millis().to_string());
    let time = time.map_err(|error| FunctionError::Request(error.to_string()))?;
    item.0.insert(BEAT_ATTRIBUTE.into(), AttributeValue::Number(time));
    Ok(item)
}

/// Searches until the beat is found or the time is up.
async fn look(place: &Place, sent_at: Timestamp, end: Instant) -> Result<HeartbeatReport, FunctionError> {
    let acknowledged = Instant::now();
    let mut searches = 0;
    loop {
        searches += 1;
        let found = match place.engine.found_by_readers(&place.id, end).await {
            Ok(state) => state.is_some_and(|state| shows(&state, sent_at)),
            // An outage is a lag; what only a person can mend is an error.
            Err(problem) => problem.unless_configuration().map(|_| false)?,
        };
        let waited = acknowledged.elapsed();
        let lag_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let pause = (waited / 20).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        if found || Instant::now() + pause >= end {
            return Ok(HeartbeatReport { found, lag_ms, searches });
        }
        sleep(pause).await;
    }
}

/// Returns `true` if the document has the content of the beat that was sent at this time, or of a later one. After a
/// backfill or a repair, the time of its read says so.
fn shows(state: &StoredState, sent_at: Timestamp) -> bool {
    let time = state.event_time.max(state.read_at);
    !state.deleted && time.is_some_and(|time| time.as_millis() + CLOCKS_DIFFER_MS >= sent_at.as_millis())
}

#[cfg(test)]
mod tests {
    use driftless::target::Position;

    use super::*;

    fn state(event_time: Option<u64>, read_at: Option<u64>, deleted: bool) -> StoredState {
        StoredState {
            version: None,
            event_time: event_time.map(Timestamp::from_millis),
            written_at: None,
            read_at: read_at.map(Timestamp::from_millis),
            expired_at: None,
            key: None,
            deleted,
            position: Position { seq_no: 1, primary_term: 1 },
        }
    }

    #[test]
    fn a_beat_is_told_from_the_one_a_minute_before() {
        let sent_at = Timestamp::from_millis(1_768_469_467_900);
        // Cut to the second, as in a stream.
        assert!(shows(&state(Some(1_768_469_467_000), None, false), sent_at));
        assert!(shows(&state(None, Some(1_768_469_468_000), false), sent_at), "a repair wrote it");
        assert!(shows(&state(Some(1_768_469_407_000), Some(1_768_469_468_000), false), sent_at), "and repaired it");
        assert!(!shows(&state(Some(1_768_469_407_900), None, false), sent_at), "the one before");
        assert!(!shows(&state(Some(1_768_469_467_000), None, true), sent_at), "a tombstone");
        assert!(!shows(&state(None, None, false), sent_at));
    }
}
