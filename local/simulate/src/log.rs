//! The log of a run: everything observable, in order; counts; and the first promise that was broken.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use driftless_harness::stable_hash::StableHash;

use crate::counts::EventCounts;
use crate::promise::Broken;

/// Log that all who act write to.
pub(crate) struct Log(Mutex<Entries>);

struct Entries {
    counts: EventCounts,
    broken: Option<Broken>,
    /// Hash of everything observable.
    trace: StableHash,
    /// Lines of everything observable, if asked for.
    lines: Option<Vec<String>>,
}

/// Log of a run that has ended.
pub(crate) struct Closed {
    pub(crate) counts: EventCounts,
    pub(crate) broken: Option<Broken>,
    pub(crate) trace: u64,
    pub(crate) lines: Vec<String>,
}

impl Log {
    /// Creates an empty log. A verbose one keeps its lines.
    pub(crate) fn new(verbose: bool) -> Self {
        let trace = StableHash::default();
        Self(Mutex::new(Entries { counts: EventCounts::default(), broken: None, trace, lines: verbose.then(Vec::new) }))
    }

    /// Notes an observable event at this time since the start.
    pub(crate) fn note(&self, elapsed_ms: u64, what: fmt::Arguments<'_>) {
        let line = format!("{elapsed_ms:>6} {what}");
        let mut entries = self.entries();
        entries.trace.write(line.as_bytes());
        if let Some(lines) = &mut entries.lines {
            lines.push(line);
        }
    }

    pub(crate) fn count(&self, what: &'static str, number: u64) {
        self.entries().counts.add(what, number);
    }

    /// Keeps the first broken promise.
    pub(crate) fn keep(&self, broken: Broken) {
        self.entries().broken.get_or_insert(broken);
    }

    /// Ends the log, and returns it.
    pub(crate) fn close(&self) -> Closed {
        let mut entries = self.entries();
        Closed {
            counts: std::mem::take(&mut entries.counts),
            broken: entries.broken.take(),
            trace: entries.trace.finish(),
            lines: entries.lines.take().unwrap_or_default(),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
