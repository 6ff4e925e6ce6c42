//! A queue in memory with scripted faults: the double for tests and simulation.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::{Queue, QueueError, Received};
use crate::dead_letter::message::Message;

/// Fault of one send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendFault {
    /// No fault: the message is stored.
    None,
    /// The queue refuses every message for now.
    Refused,
    /// The queue refuses this message permanently.
    MessageRefused,
    /// The message is stored, and the answer is lost.
    AnswerLost,
}

#[derive(Debug, Default)]
struct State {
    visible: VecDeque<Received>,
    hidden: Vec<Received>,
    faults: VecDeque<SendFault>,
    sends: u64,
    reveals: bool,
    sent: u64,
    receipts: u64,
}

/// A queue in memory. Clones share one queue. Received messages stay hidden until they are released or
/// [`MemoryQueue::reveal`]ed.
#[derive(Debug, Clone, Default)]
pub struct MemoryQueue(Arc<Mutex<State>>);

impl MemoryQueue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Schedules faults for the next sends, one per call.
    pub fn fail_sends(&self, faults: impl IntoIterator<Item = SendFault>) {
        self.state().faults.extend(faults);
    }

    /// Cancels the scheduled faults.
    pub fn mend(&self) {
        self.state().faults.clear();
    }

    /// Returns the number of sends so far.
    #[must_use]
    pub fn sends(&self) -> u64 {
        self.state().sends
    }

    /// Stores a message as Lambda's event source mapping would.
    pub fn put(&self, body: impl Into<String>) {
        self.state().store(body.into());
    }

    /// Returns the bodies of all messages, hidden ones included.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        let state = self.state();
        state.visible.iter().chain(&state.hidden).map(|message| message.body.clone()).collect()
    }

    /// From now on, each receive ends the visibility timeout of the messages received before it.
    pub fn hide_for_one_receive(&self) {
        self.state().reveals = true;
    }

    /// Ends the visibility timeout of received messages.
    pub fn reveal(&self) {
        let mut state = self.state();
        let hidden = std::mem::take(&mut state.hidden);
        state.visible.extend(hidden);
    }
}

impl State {
    fn store(&mut self, body: String) {
        self.sent += 1;
        let id = self.sent.to_string();
        self.visible.push_back(Received { id, receipt: String::new(), body, sent_at: None });
    }

    /// Takes out a hidden message by its newest receipt.
    fn take(&mut self, message: &Received) -> Option<Received> {
        let at = self.hidden.iter().position(|hidden| hidden.receipt == message.receipt)?;
        Some(self.hidden.swap_remove(at))
    }
}

impl Queue for MemoryQueue {
    async fn send(&self, message: &Message, _: Instant) -> Result<(), QueueError> {
        let mut state = self.state();
        state.sends += 1;
        let fault = state.faults.pop_front().unwrap_or(SendFault::None);
        if matches!(fault, SendFault::None | SendFault::AnswerLost) {
            state.store(message.body.clone());
        }
        match fault {
            SendFault::None => Ok(()),
            SendFault::Refused => Err(QueueError::Refused("Scripted".to_owned())),
            SendFault::MessageRefused => Err(QueueError::Message("Scripted".to_owned())),
            SendFault::AnswerLost => Err(QueueError::Unreachable("did not answer".to_owned())),
        }
    }

    async fn receive(&self, _: Instant) -> Result<Vec<Received>, QueueError> {
        let mut state = self.state();
        if state.reveals {
            let hidden = std::mem::take(&mut state.hidden);
            state.visible.extend(hidden);
        }
        let count = state.visible.len().min(10);
        let mut taken: Vec<Received> = state.visible.drain(..count).collect();
        for message in &mut taken {
            state.receipts += 1;
            message.receipt = state.receipts.to_string();
        }
        state.hidden.extend(taken.iter().cloned());
        Ok(taken)
    }

    async fn delete(&self, message: &Received, _: Instant) -> Result<(), QueueError> {
        self.state().take(message);
        Ok(())
    }

    async fn release(&self, message: &Received, _: Instant) -> Result<(), QueueError> {
        let mut state = self.state();
        if let Some(message) = state.take(message) {
            state.visible.push_back(message);
        }
        Ok(())
    }

    async fn waiting(&self, _: Instant) -> Result<u64, QueueError> {
        Ok(self.state().visible.len() as u64)
    }
}
