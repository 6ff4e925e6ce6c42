//! Dead letters of a batch: sent before the batch is reported as done, and only for records that Lambda will not deliver
//! again.
//!
//! Lambda delivers everything from the first failed record on once more. So a rejected record behind it gets no letter
//! yet: it is reported as failed, and gets its letter when its turn has come. Otherwise each retry would leave another.

use std::collections::BTreeSet;

use driftless::change::{Change, Origin};
use driftless::dead_letter::{DeadLetter, Rejection, Sender};
use driftless::queue::Queue;
use futures::StreamExt as _;
use futures::stream;
use serde_json::value::RawValue;
use tokio::time::Instant;

/// Letters under way at once.
const AT_ONCE: usize = 8;

/// A record that can never be applied.
#[derive(Debug)]
pub struct Rejected<'b> {
    /// Its place in the batch.
    pub place: usize,
    /// The record as it came, and what it says of itself.
    pub record: (&'b RawValue, &'b Origin),
    /// Its change, where it could be read.
    pub change: Option<&'b Change>,
    /// Why.
    pub why: Rejection,
}

/// Sends the letters. Adds to `failed` every rejected record that has none, and gives how many were sent.
pub async fn send<Q: Queue>(
    rejected: Vec<Rejected<'_>>,
    failed: &mut BTreeSet<usize>,
    queue: Option<&Q>,
    (from, deadline): (&Sender<'_>, Instant),
) -> u64 {
    let first_failed = failed.first().copied().unwrap_or(usize::MAX);
    let (due, later): (Vec<_>, Vec<_>) = rejected.into_iter().partition(|rejected| rejected.place < first_failed);
    failed.extend(later.iter().map(|rejected| rejected.place));
    let Some(queue) = queue else {
        failed.extend(due.iter().map(|rejected| rejected.place));
        return 0;
    };
    let sent = stream::iter(due).map(async |Rejected { place, record: (raw, origin), change, why }| {
        let letter = DeadLetter::new(raw, origin, change, why, from);
        (place, origin, deliver(&letter, queue, deadline).await)
    });
    let sent: Vec<_> = sent.buffer_unordered(AT_ONCE).collect().await;
    let mut count = 0;
    for (place, origin, result) in sent {
        match result {
            Ok(()) => count += 1,
            Err(problem) => {
                let event_id = origin.event_id.as_deref();
                tracing::error!(
                    event_id,
                    problem,
                    "no dead letter could be sent: the record is left to Lambda's retries"
                );
                failed.insert(place);
            }
        }
    }
    count
}

async fn deliver<Q: Queue>(letter: &DeadLetter, queue: &Q, deadline: Instant) -> Result<(), String> {
    let message = letter.message().map_err(|error| error.to_string())?;
    queue.send(&message, deadline).await.map_err(|error| error.to_string())
}
