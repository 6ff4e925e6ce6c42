//! Client of one process for the dead-letter queue, which delivers at least once, in no order, and sometimes refuses.
//!
//! The unit tests' queue in memory is another one. Its messages reappear when a test says so. Here they reappear by the
//! clock, the seed chooses the messages of a receive, and each message is checked against the changes that it is for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use driftless::dead_letter::message::Message;
use driftless::queue::{Queue, QueueError, Received};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::guard::Guard;
use crate::index::SimulatedIndex;
use crate::ledger::Ordinal;
use crate::promise::Broken;
use crate::schedule::QueueFault;
use crate::world::World;

/// Queue as one process uses it.
pub(crate) struct Mailbox<I> {
    world: Arc<World<I>>,
    killed: Arc<Notify>,
    /// Dead letters that were acknowledged before they are sent, as without a guard.
    unsent: Mutex<Vec<(String, Vec<Ordinal>)>>,
    /// Changes of the present batch that were stale when it came, and the number of outdated reads until then.
    stale: Mutex<(BTreeSet<Ordinal>, u64)>,
}

impl<I: SimulatedIndex> Mailbox<I> {
    pub(crate) fn new(world: Arc<World<I>>, killed: Arc<Notify>) -> Self {
        Self { world, killed, unsent: Mutex::default(), stale: Mutex::default() }
    }

    /// Sends the dead letters of a function that answered before it sent them.
    pub(crate) fn send_unsent(&self) {
        let unsent = std::mem::take(&mut *self.unsent.lock().unwrap_or_else(PoisonError::into_inner));
        for (body, changes) in unsent {
            self.world.store_message(body, changes, true);
        }
    }

    /// Notes the changes of a batch that are stale already.
    pub(crate) fn begin_batch(&self, batch: &[Ordinal]) {
        let ledger = self.world.ledger();
        let stale = batch.iter().copied().filter(|&change| ledger.is_stale(change)).collect();
        *self.stale.lock().unwrap_or_else(PoisonError::into_inner) = (stale, ledger.outdated_reads());
    }

    /// Checks that a change which was stale when it came gets no dead letter. An outdated read excuses one.
    fn check_stale(&self, changes: &[Ordinal]) {
        let (stale, outdated_reads) = &*self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        let found = changes.iter().find(|change| stale.contains(change));
        let needless = {
            let ledger = self.world.ledger();
            let found = found
                .filter(|change| ledger.outdated_reads() == *outdated_reads && !ledger.has_poison_decision(**change));
            found.map(|change| ledger.describe(*change))
        };
        if let Some(change) = needless {
            self.world.break_promise(Broken::NeedlessDeadLetter(format!("{change}, which was stale")));
        }
    }

    fn next_fault(&self) -> Option<QueueFault> {
        let fault = self.world.faults.next_send();
        if let Some(fault) = fault {
            self.world.count(name_of(fault), 1);
        }
        fault
    }

    /// Returns `true` if the new source has brought the change again, and a message of the queue holds it.
    fn is_named_again(&self, change: Ordinal) -> bool {
        self.world.scenario.kinesis.is_some() && self.world.messages().names(change)
    }

    async fn die(&self) -> ! {
        self.killed.notify_one();
        std::future::pending().await
    }

    async fn travel(&self) {
        let nth = self.world.messages().next_call();
        sleep(Duration::from_millis(self.world.chance(4_000, nth, 12))).await;
    }
}

impl<I: SimulatedIndex> Queue for Mailbox<I> {
    async fn send(&self, message: &Message, _: Instant) -> Result<(), QueueError> {
        self.travel().await;
        let body = message.body.clone();
        let changes: Vec<_> = self.world.ledger().ordinal(event_number(&body)).into_iter().collect();
        self.check_stale(&changes);
        if !self.world.stands(Guard::DeadLetterBeforeSuccess) {
            self.unsent.lock().unwrap_or_else(PoisonError::into_inner).push((body, changes));
            return Ok(());
        }
        let store = || self.world.store_message(body, changes, true);
        match self.next_fault() {
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
            Some(QueueFault::Refused) if !self.world.stands(Guard::RefusedDeadLetter) => Ok(()),
            Some(QueueFault::Refused) => Err(QueueError::Refused("refused".to_owned())),
        }
    }

    async fn receive(&self, _: Instant) -> Result<Vec<Received>, QueueError> {
        self.travel().await;
        let mut messages = self.world.messages();
        let nth = messages.next_call();
        let mut numbers = messages.visible();
        // In no order, and never all together.
        numbers.sort_by_key(|number| self.world.chance(*number, nth, 1_000));
        numbers.truncate(1 + usize::try_from(self.world.chance(5_000, nth, 10)).unwrap_or_default());
        let twice = !numbers.is_empty() && self.world.faults.receives_twice();
        let mut received = Vec::new();
        for number in numbers {
            let Some(body) = messages.body(number) else { continue };
            let body = match self.world.stands(Guard::DeadLetterVersion) {
                true => body.to_owned(),
                false => body.replace("\"version\":\"0", "\"was\":\"0"),
            };
            received.push(Received { id: number.to_string(), receipt: number.to_string(), body, sent_at: None });
            if !twice {
                messages.hide(number);
            }
            if !self.world.stands(Guard::MessageDelete) {
                messages.remove(number);
            }
        }
        Ok(received)
    }

    async fn delete(&self, message: &Received, _: Instant) -> Result<(), QueueError> {
        self.travel().await;
        let number = message.receipt.parse().unwrap_or_default();
        let sent_for = self.world.messages().changes(number);
        let reappears = self.world.faults.reappears();
        self.world.count("redriven messages", 1);
        if !reappears {
            self.world.messages().remove(number);
        }
        self.world.note(format_args!("message {number} deleted{}", if reappears { ", and back" } else { "" }));
        if let Some((changes, has_record)) = sent_for {
            self.world.check_out(
                &changes,
                |ledger, change| (!has_record && ledger.has_dead_letter(change)) || self.is_named_again(change),
                "and its message deleted",
            );
        }
        Ok(())
    }

    async fn release(&self, message: &Received, _: Instant) -> Result<(), QueueError> {
        self.travel().await;
        let number = message.receipt.parse().unwrap_or_default();
        self.world.messages().show(number);
        Ok(())
    }

    async fn waiting(&self, _: Instant) -> Result<u64, QueueError> {
        Ok(self.world.messages().visible().len() as u64)
    }
}

/// Returns the sequence number of a dead letter's record, which is also its event id in the model.
fn event_number(body: &str) -> &str {
    let number = body.split_once("\"event_id\":\"e").and_then(|(_, rest)| rest.split_once('"'));
    number.map_or("", |(number, _)| number)
}

fn name_of(fault: QueueFault) -> &'static str {
    match fault {
        QueueFault::Refused => "refused dead letters",
        QueueFault::AnswerLost => "lost answers of the queue",
        QueueFault::CrashBefore => "crashes before a dead letter",
        QueueFault::CrashAfter => "crashes after a dead letter",
    }
}
