//! Board between server and desk: the published state, and which orders are taken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use crate::trouble::Trouble;

/// Order of somebody at the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageOrder {
    /// Inject a trouble, and prove that both sides are equal after it.
    Inject(Trouble),
    /// End the run with its verdict.
    End,
}

/// State that server and desk share.
pub(crate) struct Board {
    published: Mutex<Arc<str>>,
    offers: Mutex<Offers>,
    orders: mpsc::UnboundedSender<PageOrder>,
    /// Wakes who waits until the newest state was fetched.
    pub(crate) fetched: Notify,
}

/// Orders that are taken now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offers {
    /// Trouble that is at work.
    pub(crate) running: Option<Trouble>,
    /// Reason why nothing is taken.
    pub(crate) closed: Option<String>,
    /// Troubles that this run cannot have, with the reason.
    pub(crate) impossible: BTreeMap<Trouble, &'static str>,
}

impl Offers {
    /// Returns the reason why a trouble cannot be ordered now.
    pub(crate) fn refusal(&self, trouble: Trouble) -> Option<String> {
        if let Some(reason) = self.impossible.get(&trouble) {
            return Some((*reason).to_owned());
        }
        match self.running {
            Some(running) => Some(format!("“{}” is at work", running.label())),
            None => self.closed.clone(),
        }
    }
}

impl Board {
    pub(crate) fn new(orders: mpsc::UnboundedSender<PageOrder>) -> Self {
        Self { published: Mutex::new("{}".into()), offers: Mutex::default(), orders, fetched: Notify::new() }
    }

    pub(crate) fn publish(&self, state: String) {
        *lock(&self.published) = state.into();
    }

    pub(crate) fn published(&self) -> Arc<str> {
        let state = Arc::clone(&lock(&self.published));
        self.fetched.notify_waiters();
        state
    }

    pub(crate) fn offers(&self) -> MutexGuard<'_, Offers> {
        lock(&self.offers)
    }

    /// Takes the order of a trouble, or says why not. From here on it counts as running.
    pub(crate) fn order(&self, trouble: Trouble) -> Result<(), String> {
        let mut offers = self.offers();
        match offers.refusal(trouble) {
            Some(refusal) => Err(refusal),
            None => {
                offers.running = Some(trouble);
                self.send(PageOrder::Inject(trouble));
                Ok(())
            }
        }
    }

    pub(crate) fn end(&self) {
        self.send(PageOrder::End);
    }

    fn send(&self, order: PageOrder) {
        // Nobody takes orders any more at the end of a run.
        let _ = self.orders.send(order);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trouble_is_taken_at_a_time_and_only_what_the_run_can_have() {
        let (sender, mut orders) = mpsc::unbounded_channel();
        let board = Board::new(sender);
        board.offers().impossible.insert(Trouble::Engine, "not ours");
        board.offers().closed = Some("not yet".to_owned());
        assert_eq!(board.order(Trouble::Kill), Err("not yet".to_owned()));
        board.offers().closed = None;
        assert_eq!(board.order(Trouble::Engine), Err("not ours".to_owned()));
        assert_eq!(board.order(Trouble::Kill), Ok(()));
        assert_eq!(board.order(Trouble::Again), Err("“Kill a function” is at work".to_owned()));
        assert_eq!(orders.try_recv(), Ok(PageOrder::Inject(Trouble::Kill)));
        assert!(orders.try_recv().is_err(), "what is refused is not ordered");
    }
}
