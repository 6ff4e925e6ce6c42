//! A process's way to the dead-letter queue: at least once, in no order, and now and then unwilling.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use driftless::dead_letter::message::Message;
use driftless::queue::{Queue, QueueError, Received};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::guard::Guard;
use crate::index::Index;
use crate::ledger::Ordinal;
use crate::promise::Broken;
use crate::schedule::QueueFault;
use crate::world::World;

/// One process's way to the queue.
pub(crate) struct Mailbox<I> {
    world: Arc<World<I>>,
    killed: Arc<Notify>,
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
        let ledger = self.world.ledger();
        let stale = batch.iter().copied().filter(|&change| ledger.is_stale(change)).collect();
        *self.stale.lock().unwrap_or_else(PoisonError::into_inner) = (stale, ledger.outdated_reads());
    }

    /// Holds the promise that a change which was stale when it came leaves no letter. What a copy that lags behind shows
    /// may say otherwise for once.
    fn check_stale(&self, changes: &[Ordinal]) {
        let (stale, outdated_reads) = &*self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        let found = changes.iter().find(|change| stale.contains(change));
        let needless = {
            let ledger = self.world.ledger();
            let found = found.filter(|_| ledger.outdated_reads() == *outdated_reads);
            found.map(|change| ledger.describe(*change))
        };
        if let Some(change) = needless {
            self.world.break_promise(Broken::NeedlessLetter(format!("{change}, which was stale")));
        }
    }

    fn fault(&self) -> Option<QueueFault> {
        let fault = self.world.faults.next_send();
        if let Some(fault) = fault {
            self.world.count(name(fault), 1);
        }
        fault
    }

    async fn die(&self) -> ! {
        self.killed.notify_one();
        std::future::pending().await
    }

    async fn travel(&self) {
        let nth = self.world.letters().next_call();
        sleep(Duration::from_millis(self.world.chance(4_000, nth, 12))).await;
    }
}

impl<I: Index> Queue for Mailbox<I> {
    async fn send(&self, message: &Message, _: Instant) -> Result<(), QueueError> {
        self.travel().await;
        let body = message.body.clone();
        let changes: Vec<_> = self.world.ledger().ordinal(event_number(&body)).into_iter().collect();
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
        let mut letters = self.world.letters();
        let nth = letters.next_call();
        let mut numbers = letters.visible();
        // No order, and never all at once.
        numbers.sort_by_key(|number| self.world.chance(*number, nth, 1_000));
        numbers.truncate(1 + usize::try_from(self.world.chance(5_000, nth, 10)).unwrap_or_default());
        let twice = !numbers.is_empty() && self.world.faults.receives_twice();
        let mut received = Vec::new();
        for number in numbers {
            let Some(body) = letters.body(number) else { continue };
            let body = match self.world.stands(Guard::LetterVersion) {
                true => body.to_owned(),
                false => body.replace("\"version\":\"0", "\"was\":\"0"),
            };
            received.push(Received { id: number.to_string(), receipt: number.to_string(), body, sent_at: None });
            if !twice {
                letters.hide(number);
            }
            if !self.world.stands(Guard::LetterDelete) {
                letters.remove(number);
            }
        }
        Ok(received)
    }

    async fn delete(&self, message: &Received, _: Instant) -> Result<(), QueueError> {
        self.travel().await;
        let number = message.receipt.parse().unwrap_or_default();
        let letter = self.world.letters().changes(number);
        let reappears = self.world.faults.reappears();
        self.world.count("redriven letters", 1);
        if !reappears {
            self.world.letters().remove(number);
        }
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
        self.world.letters().show(number);
        Ok(())
    }

    async fn waiting(&self, _: Instant) -> Result<u64, QueueError> {
        Ok(self.world.letters().visible().len() as u64)
    }
}

/// The model's records have their sequence number as event id.
fn event_number(body: &str) -> &str {
    let number = body.split_once("\"event_id\":\"e").and_then(|(_, rest)| rest.split_once('"'));
    number.map_or("", |(number, _)| number)
}

fn name(fault: QueueFault) -> &'static str {
    match fault {
        QueueFault::Refused => "refused letters",
        QueueFault::AnswerLost => "lost answers of the queue",
        QueueFault::CrashBefore => "crashes before a letter",
        QueueFault::CrashAfter => "crashes after a letter",
    }
}
