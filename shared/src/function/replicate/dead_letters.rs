//! Sends the dead letters of a batch before the batch is reported as done, and only for records that Lambda will not
//! deliver again.
//!
//! Lambda delivers everything from the first failed record on once more. So a rejected record behind it gets no dead
//! letter yet: it is reported as failed, and gets its dead letter when it is delivered in front. Otherwise each retry
//! would add another copy.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::batch::Rejected;
use crate::dead_letter::{DeadLetter, Sender};
use crate::function::clock::now;
use crate::queue::Queue;

const CONCURRENT_SENDS: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Destination and sender of dead letters, and the deadline for sending.
#[derive(Debug)]
pub struct SendOptions<'a, Q> {
    /// Queue for the dead letters; without it, none can be sent.
    pub queue: Option<&'a Q>,
    /// Function that sends them.
    pub sender: Sender<'a>,
    /// Deadline for sending, retries included.
    pub deadline: Instant,
}

/// Sends the dead letters and returns their number. Adds each rejected record without one to `failed`.
pub async fn send<Q: Queue>(
    rejected: &[Rejected<'_>],
    failed: &mut BTreeSet<usize>,
    options: SendOptions<'_, Q>,
) -> u64 {
    let SendOptions { queue, sender, deadline } = options;
    let first_failed = failed.first().copied().unwrap_or(usize::MAX);
    let (due, later): (Vec<_>, Vec<_>) = rejected.iter().partition(|rejected| rejected.place < first_failed);
    failed.extend(later.iter().map(|rejected| rejected.place));
    let Some(queue) = queue else {
        failed.extend(due.iter().map(|rejected| rejected.place));
        return 0;
    };
    let mut dead_letters = Vec::with_capacity(due.len());
    for rejected in due {
        dead_letters.push(async move {
            (rejected.place, rejected.origin, deliver(&rejected.dead_letter(sender, now()), queue, deadline).await)
        });
    }
    let sent: Vec<_> = stream::iter(dead_letters).buffer_unordered(CONCURRENT_SENDS).collect().await;
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

async fn deliver<Q: Queue>(dead_letter: &DeadLetter, queue: &Q, deadline: Instant) -> Result<(), String> {
    let message = dead_letter.message().map_err(|error| error.to_string())?;
    // An outage of the queue is retried like one of the engine: Lambda's message would go to the same queue.
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    while let Err(error) = queue.send(&message, deadline).await {
        // A permanent refusal is left to Lambda's on-failure message, like a dead letter that is too large.
        if !error.may_pass() || !backoff.wait_before(deadline).await {
            return Err(error.to_string());
        }
    }
    Ok(())
}
