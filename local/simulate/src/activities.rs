//! What goes on in the background of a run, and the end of it: a stream has drained when nothing is under way any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Activities that must end before the stream counts as drained.
pub(crate) struct Activities {
    background: Mutex<JoinSet<()>>,
    changed: watch::Sender<()>,
    draining: AtomicBool,
}

impl Activities {
    pub(crate) fn new() -> Self {
        Self { background: Mutex::default(), changed: watch::Sender::new(()), draining: AtomicBool::new(false) }
    }

    /// Runs one beside all others.
    pub(crate) fn spawn(&self, activity: impl Future<Output = ()> + 'static) {
        self.background.lock().unwrap_or_else(PoisonError::into_inner).spawn_local(activity);
    }

    /// Tells those that wait for changes.
    pub(crate) fn notify(&self) {
        self.changed.send_replace(());
    }

    /// Changes as they come.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whether whoever reads the stream shall end when nothing new is there.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Waits until all have ended, those that are started meanwhile included. Returns whether they did within `limit`.
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
