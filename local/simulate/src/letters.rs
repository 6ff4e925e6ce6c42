//! The dead-letter queue: at least once, in no order, and now and then unwilling.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use driftless::dead_letter::message::Message;
use driftless::queue::{Queue, QueueError, Received};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::guard::Guard;
use crate::index::Index;
use crate::ledger::Ordinal;
use crate::schedule::QueueFault;
use crate::world::{Broken, Counts, World};

/// How long a received message is hidden.
const HIDDEN: Duration = Duration::from_secs(3);

/// A message of the queue.
pub(crate) struct Letter {
    body: String,
    /// The changes that it was sent for.
    pub(crate) changes: Vec<Ordinal>,
    /// Whether it holds a record, or names a range of the stream.
    own: bool,
    visible_at: Instant,
}

/// All messages, by number.
#[derive(Default)]
pub(crate) struct Letters {
    pub(crate) letters: BTreeMap<u64, Letter>,
    sent: u64,
    received: u64,
}

impl Letters {
    fn store(&mut self, body: String, changes: Vec<Ordinal>, own: bool) {
        self.sent += 1;
        self.letters.insert(self.sent, Letter { body, changes, own, visible_at: Instant::now() });
    }

    /// Whether a letter is there that was sent for this change.
    pub(crate) fn name(&self, change: Ordinal) -> bool {
        self.letters.values().any(|letter| letter.changes.contains(&change))
    }

    /// Whether there is a letter that names a range.
    pub(crate) fn has_range(&self) -> bool {
        self.letters.values().any(|letter| !letter.own)
    }
}

impl<I: Index> World<I> {
    /// Stores a letter, and holds the promise against it that nothing is rejected without need.
    pub(crate) fn store_letter(&self, body: String, changes: Vec<Ordinal>, own: bool) {
        self.note(format_args!("letter for {changes:?}, {}", if own { "a record" } else { "a range" }));
        let needless = {
            let mut state = self.state();
            state.counts.add(if own { "letters with a record" } else { "letters with a range" }, 1);
            state.ledger.lettered(&changes, own);
            let needless = changes.iter().find(|change| own && !state.ledger.is_poison(**change));
            let needless = needless.map(|change| state.ledger.describe(*change));
            state.letters.store(body, changes, own);
            needless
        };
        if let Some(needless) = needless {
            self.break_promise(Broken::NeedlessLetter(needless));
        }
    }
}

/// One process's way to the queue.
pub(crate) struct Mailbox<I> {
    pub(crate) world: Arc<World<I>>,
    pub(crate) killed: Arc<Notify>,
    /// Letters that were acknowledged and are not sent: what a missing guard looks like.
    unsent: Mutex<Vec<(String, Vec<Ordinal>)>>,
    /// Changes of the batch at work that were stale when it came, and the outdated reads until then.
    stale: Mutex<(BTreeSet<Ordinal>, u64)>,
}

impl<I: Index> Mailbox<I> {
    pub(crate) fn new(world: Arc<World<I>>, killed: Arc<Notify>) -> Self {
        Self { world, killed, unsent: Mutex::default(), stale: Mutex::default() }
    }

    /// Sends what a function has left behind that answers before it sends.
    pub(crate) fn catch_up(&self) {
        let unsent = std::mem::take(&mut *self.unsent.lock().unwrap_or_else(PoisonError::into_inner));
        for (body, changes) in unsent {
            self.world.store_letter(body, changes, true);
        }
    }

    /// Notes which changes of a batch are stale already.
    pub(crate) fn begin(&self, batch: &[Ordinal]) {
        let state = self.world.state();
        let stale = batch.iter().copied().filter(|&change| state.ledger.is_stale(change)).collect();
        *self.stale.lock().unwrap_or_else(PoisonError::into_inner) = (stale, state.ledger.outdated_reads);
    }

    /// Holds the promise that a change which was stale when it came leaves no letter. What a copy that lags behind shows
    /// may say otherwise for once.
    fn check_stale(&self, changes: &[Ordinal]) {
        let (stale, outdated_reads) = &*self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        let found = changes.iter().find(|change| stale.contains(change));
        let needless = {
            let state = self.world.state();
            let found = found.filter(|_| state.ledger.outdated_reads == *outdated_reads);
            found.map(|change| state.ledger.describe(*change))
        };
        if let Some(change) = needless {
            self.world.break_promise(Broken::NeedlessLetter(format!("{change}, which was stale")));
        }
    }

    fn fault(&self) -> Option<QueueFault> {
        let state = &mut *self.world.state();
        let fault = state.armed.sends.pop_front();
        if let Some(fault) = fault {
            count(&mut state.counts, fault);
        }
        fault
    }

    async fn die(&self) -> ! {
        self.killed.notify_one();
        std::future::pending().await
    }

    async fn travel(&self) {
        let nth = {
            let mut state = self.world.state();
            state.letters.received += 1;
            state.letters.received
        };
        sleep(Duration::from_millis(self.world.chance(4_000, nth, 12))).await;
    }
}

impl<I: Index> Queue for Mailbox<I> {
    async fn send(&self, message: &Message, _: Instant) -> Result<(), QueueError> {
        self.travel().await;
        let body = message.body.clone();
        let changes: Vec<_> = self.world.state().ledger.ordinal(event_number(&body)).into_iter().collect();
        self.check_stale(&changes);
        if !self.world.stands(Guard::LetterBeforeSuccess) {
            self.unsent.lock().unwrap_or_else(PoisonError::into_inner).push((body, changes));
            return Ok(());
        }
        let store = || self.world.store_letter(body, changes, true);
        match self.fault() {
            None => {
                store();
                Ok(())
            }
            Some(QueueFault::AnswerLost) => {
                store();
                Err(QueueError::Unreachable("did not answer".to_owned()))
            }
            Some(QueueFault::CrashAfter) => {
                store();
                self.die().await
            }
            Some(QueueFault::CrashBefore) => self.die().await,
            Some(QueueFault::Refused) if !self.world.stands(Guard::RefusedLetter) => Ok(()),
            Some(QueueFault::Refused) => Err(QueueError::Refused("refused".to_owned())),
        }
    }

    async fn receive(&self, _: Instant) -> Result<Vec<Received>, QueueError> {
        self.travel().await;
        let now = Instant::now();
        let mut state = self.world.state();
        state.letters.received += 1;
        let nth = state.letters.received;
        let visible = state.letters.letters.iter().filter(|(_, letter)| letter.visible_at <= now);
        let mut numbers: Vec<u64> = visible.map(|(number, _)| *number).collect();
        // No order, and never all at once.
        numbers.sort_by_key(|number| self.world.chance(*number, nth, 1_000));
        numbers.truncate(1 + usize::try_from(self.world.chance(5_000, nth, 10)).unwrap_or_default());
        let twice = state.armed.received_twice > 0 && !numbers.is_empty();
        state.armed.received_twice -= u32::from(twice);
        let mut received = Vec::new();
        for number in numbers {
            let Some(letter) = state.letters.letters.get_mut(&number) else { continue };
            if !twice {
                letter.visible_at = now + HIDDEN;
            }
            let mut body = letter.body.clone();
            if !self.world.stands(Guard::LetterVersion) {
                body = body.replace("\"version\":\"0", "\"was\":\"0");
            }
            received.push(Received { id: number.to_string(), receipt: number.to_string(), body, sent_at: None });
            if !self.world.stands(Guard::LetterDelete) {
                state.letters.letters.remove(&number);
            }
        }
        Ok(received)
    }

    async fn delete(&self, message: &Received, _: Instant) -> Result<(), QueueError> {
        self.travel().await;
        let number = message.receipt.parse().unwrap_or_default();
        let (letter, reappears) = {
            let mut state = self.world.state();
            let reappears = state.armed.reappearances > 0;
            state.armed.reappearances -= u32::from(reappears);
            state.counts.add("redriven letters", 1);
            let letters = &mut state.letters.letters;
            let letter = letters.get(&number).map(|letter| (letter.changes.clone(), letter.own));
            if !reappears {
                letters.remove(&number);
            }
            (letter, reappears)
        };
        self.world.note(format_args!("letter {number} deleted{}", if reappears { ", and back" } else { "" }));
        if let Some((changes, own)) = letter {
            self.world.check_out(
                &changes,
                |ledger, change| !own && ledger.has_letter(change),
                "and its letter deleted",
            );
        }
        Ok(())
    }

    async fn release(&self, message: &Received, _: Instant) -> Result<(), QueueError> {
        self.travel().await;
        let number = message.receipt.parse().unwrap_or_default();
        if let Some(letter) = self.world.state().letters.letters.get_mut(&number) {
            letter.visible_at = Instant::now();
        }
        Ok(())
    }

    async fn waiting(&self, _: Instant) -> Result<u64, QueueError> {
        let now = Instant::now();
        Ok(self.world.state().letters.letters.values().filter(|letter| letter.visible_at <= now).count() as u64)
    }
}

/// The model's records have their sequence number as event id.
fn event_number(body: &str) -> &str {
    let number = body.split_once("\"event_id\":\"e").and_then(|(_, rest)| rest.split_once('"'));
    number.map_or("", |(number, _)| number)
}

fn count(counts: &mut Counts, fault: QueueFault) {
    let what = match fault {
        QueueFault::Refused => "refused letters",
        QueueFault::AnswerLost => "lost answers of the queue",
        QueueFault::CrashBefore => "crashes before a letter",
        QueueFault::CrashAfter => "crashes after a letter",
    };
    counts.add(what, 1);
}
