//! Guards that the promises rest on. Without any single one of them, the simulation must find a broken promise.
//!
//! The core and the functions have no switch for them. The model takes a guard away from outside: in the records that a
//! function is shown, in its settings, in an answer of index or queue, or in the function's own answer.

use clap::ValueEnum;

/// A guard that can be taken away. The texts are the help of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Guard {
    /// A change that is no newer than the stored one is not written
    VersionCompare,
    /// A write happens only if the document is in the state that was compared
    AtomicWrite,
    /// A removed document leaves a tombstone with its version
    Tombstone,
    /// Changes of one batch are sorted by version
    FoldOrder,
    /// If the newest change of a batch is rejected, the one before it is tried
    FoldFallback,
    /// Sequence numbers are compared as numbers
    SequencePadding,
    /// Changes of a re-created stream are newer than its predecessor's
    StreamLabel,
    /// Changes from Kinesis are ordered by the time of the change, not by their place in the stream
    ChangeTime,
    /// Times in milliseconds count as the microseconds that they are
    TimeUnit,
    /// Times of two precisions have no order where they are close
    PrecisionMargin,
    /// Two changes of one item at one time are different changes
    EventId,
    /// An item that decides between two changes is read consistently
    ConsistentItem,
    /// Changes of a raised generation are newer than all before
    Generation,
    /// A duplicate whose write was never acknowledged is written once more
    ConfirmedDuplicate,
    /// A refused document is read before its change is rejected
    ReadBeforeReject,
    /// A probe shows that the index takes writes before a refusal becomes a dead letter
    Probe,
    /// Failed records are reported to Lambda
    FailureReport,
    /// The lowest failed sequence number is among the reported ones
    LowestFailure,
    /// Records that the mapping gives up leave an on-failure message
    OnFailureMessage,
    /// A dead letter is in the queue before its record is reported as done
    #[value(alias = "letter-before-success")]
    DeadLetterBeforeSuccess,
    /// A record whose dead letter the queue refuses is reported as failed
    #[value(alias = "refused-letter")]
    RefusedDeadLetter,
    /// A message is deleted only after its change was applied, superseded or discarded
    #[value(alias = "letter-delete")]
    MessageDelete,
    /// A redriven change keeps the generation in which it was rejected
    #[value(alias = "letter-version")]
    DeadLetterVersion,
    /// A redrive writes conditionally, as everyone does
    RedriveGuard,
    /// The backfill creates documents, and replaces none
    BackfillCreate,
    /// The version of the backfill is older than every stream's
    BackfillVersion,
    /// A change that is older than the read of the stored content is superseded, whatever its version
    ReadAt,
    /// A tombstone is purged only after the last stale write can have arrived
    PurgeAge,
    /// A tombstone is purged only if it still is one
    PurgeAtomic,
}

impl Guard {
    /// Returns the name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Returns its guarantee in one sentence.
    #[must_use]
    pub fn about(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }
}

/// Set of the guards that are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing(u32);

impl Missing {
    /// Returns `true` unless the guard is missing.
    #[must_use]
    pub fn stands(self, guard: Guard) -> bool {
        self.0 & (1 << guard as u32) == 0
    }

    /// Returns the missing guards.
    pub fn guards(self) -> impl Iterator<Item = Guard> {
        Guard::value_variants().iter().copied().filter(move |guard| !self.stands(*guard))
    }
}

impl FromIterator<Guard> for Missing {
    fn from_iter<I: IntoIterator<Item = Guard>>(guards: I) -> Self {
        Self(guards.into_iter().fold(0, |missing, guard| missing | (1 << guard as u32)))
    }
}
