//! The guards that stand in this crate, by name, so that the simulation can take one away and show that it notices.
//!
//! Without the feature `sabotage` every guard stands, at no cost. With it, guards are missing for a thread, from
//! [`take_away`] on. Only what cannot be taken away from outside (in a target, a queue, an answer) has its place here.

/// A guard of the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The changes of a batch are put in the order of their versions, whatever their places.
    FoldOrder,
    /// Sequence numbers are compared as numbers.
    SequencePadding,
    /// A re-created stream's changes are newer than its predecessor's.
    StreamLabel,
    /// A raised generation's changes are newer than all before.
    Generation,
}

/// Returns `true` if a guard stands.
#[cfg(not(feature = "sabotage"))]
#[inline]
#[must_use]
pub const fn stands(_: Guard) -> bool {
    true
}

#[cfg(feature = "sabotage")]
pub use sabotage::{stands, take_away};

#[cfg(feature = "sabotage")]
mod sabotage {
    use std::cell::Cell;

    use super::Guard;

    thread_local! {
        /// One bit per missing guard.
        static MISSING: Cell<u32> = const { Cell::new(0) };
    }

    const fn bit(guard: Guard) -> u32 {
        1 << guard as u32
    }

    /// Returns `true` if a guard stands in this thread.
    #[must_use]
    pub fn stands(guard: Guard) -> bool {
        MISSING.get() & bit(guard) == 0
    }

    /// From now on exactly these guards are missing in this thread.
    pub fn take_away(guards: &[Guard]) {
        MISSING.set(guards.iter().fold(0, |missing, &guard| missing | bit(guard)));
    }
}
