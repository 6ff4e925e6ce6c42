//! Activities in the background of a run, and the wait for their end: then the stream has drained.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Activities that must end before the stream counts as drained.
pub(crate) struct Activities {
    background: Mutex<JoinSet<()>>,
    /// Not a watch: that wakes its receivers in a random order.
    changed: Notify,
    changes: AtomicU64,
    draining: AtomicBool,
}

impl Activities {
    pub(crate) fn new() -> Self {
        Self {
            background: Mutex::default(),
            changed: Notify::new(),
            changes: AtomicU64::new(0),
            draining: AtomicBool::new(false),
        }
    }

    /// Starts an activity beside all others.
    pub(crate) fn spawn(&self, activity: impl Future<Output = ()> + 'static) {
        self.background.lock().unwrap_or_else(PoisonError::into_inner).spawn_local(activity);
    }

    /// Wakes those that wait for changes.
    pub(crate) fn notify(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Changes from now on.
    pub(crate) fn changes(&self) -> Changes<'_> {
        Changes { activities: self, seen: self.changes.load(Ordering::Relaxed) }
    }

    /// Returns whether readers of the stream shall end once nothing new is there.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Waits until all have ended, those that start meanwhile included. Returns whether they did within `limit`.
    pub(crate) async fn drain(&self, limit: Duration, on_panic: impl Fn(String)) -> bool {
        self.draining.store(true, Ordering::Relaxed);
        self.notify();
        let ended = timeout(limit, async {
            loop {
                let mut activities =
                    std::mem::take(&mut *self.background.lock().unwrap_or_else(PoisonError::into_inner));
                if activities.is_empty() {
                    break;
                }
                while let Some(ended) = activities.join_next().await {
                    if let Err(error) = ended {
                        on_panic(error.to_string());
                    }
                }
            }
        });
        let in_time = ended.await.is_ok();
        self.draining.store(false, Ordering::Relaxed);
        in_time
    }
}

/// Changes, as one of those that wait for them has seen them.
pub(crate) struct Changes<'a> {
    activities: &'a Activities,
    seen: u64,
}

impl Changes<'_> {
    /// Counts everything until now as seen.
    pub(crate) fn mark_seen(&mut self) {
        self.seen = self.activities.changes.load(Ordering::Relaxed);
    }

    /// Waits until something has changed that was not seen.
    pub(crate) async fn next(&mut self) {
        while self.seen == self.activities.changes.load(Ordering::Relaxed) {
            self.activities.changed.notified().await;
        }
        self.mark_seen();
    }
}
