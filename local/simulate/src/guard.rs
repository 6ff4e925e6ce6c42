//! Guards that the promises rest on, by name. Without any one of them, the simulation must find a broken promise.
//!
//! Core and functions know nothing of this. The model takes a guard away from outside: in the records that a function is
//! shown, in its settings, in an answer of index or queue, or in the function's own answer.

use clap::ValueEnum;

/// One guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Guard {
    /// A change that is no newer than what stands in the index is not written
    VersionCompare,
    /// A write happens only if the document is in the state that was compared
    AtomicWrite,
    /// A removed document leaves a tombstone with its version
    Tombstone,
    /// Changes of one batch are put in the order of their versions
    FoldOrder,
    /// Where the newest change of a batch is rejected, the one before it is tried
    FoldFallback,
    /// Sequence numbers are compared as numbers
    SequencePadding,
    /// A re-created stream's changes are newer than its predecessor's
    StreamLabel,
    /// A raised generation's changes are newer than all before
    Generation,
    /// A duplicate that nobody was told of is written once more
    ConfirmedDuplicate,
    /// A document that the engine refuses is read before it is decided
    ReadBeforeReject,
    /// The index shows that it takes writes before a refusal becomes a letter
    Probe,
    /// What failed is reported to Lambda
    FailureReport,
    /// The lowest failed sequence number is among those that are reported
    LowestFailure,
    /// What the mapping gives up leaves a message
    OnFailureMessage,
    /// A dead letter is in the queue before its record is reported as done
    LetterBeforeSuccess,
    /// A record whose letter the queue refuses is reported as failed
    RefusedLetter,
    /// A letter is deleted only once its change is applied, superseded or discarded
    LetterDelete,
    /// A redriven change keeps the generation that it was rejected in
    LetterVersion,
    /// A redrive writes through the guard, as everyone does
    RedriveGuard,
    /// The backfill creates documents and replaces none
    BackfillCreate,
    /// The backfill's version is older than every stream's
    BackfillVersion,
    /// A change that is older than the read of the stored content is superseded, whatever its version
    ReadAt,
    /// A tombstone is purged only when no stale write can arrive any more
    PurgeAge,
    /// A tombstone is purged only if it still is one
    PurgeAtomic,
}

impl Guard {
    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What it guarantees.
    #[must_use]
    pub fn about(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }
}

/// The guards that are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing(u32);

impl Missing {
    /// Whether a guard stands.
    #[must_use]
    pub fn stands(self, guard: Guard) -> bool {
        self.0 & (1 << guard as u32) == 0
    }

    /// The missing guards.
    pub fn guards(self) -> impl Iterator<Item = Guard> {
        Guard::value_variants().iter().copied().filter(move |guard| !self.stands(*guard))
    }
}

impl FromIterator<Guard> for Missing {
    fn from_iter<I: IntoIterator<Item = Guard>>(guards: I) -> Self {
        Self(guards.into_iter().fold(0, |missing, guard| missing | (1 << guard as u32)))
    }
}
