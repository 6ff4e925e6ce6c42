//! A schedule as plain data: what is written, and what goes wrong when. Made from a seed, shrunk by leaving steps out,
//! kept and replayed as JSON.

use serde::{Deserialize, Serialize};

/// Everything that happens in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Decides every delay.
    pub seed: u64,
    /// What stays the same throughout.
    pub setting: Setting,
    /// Items that were in the table before its stream, by key: only a backfill brings them into the index.
    pub initial: Vec<u8>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// How the mapping and the function are set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The most records in one invocation.
    pub batch_size: usize,
    /// Batches of one shard that are in work at the same time.
    pub lanes: usize,
    /// How often a failed batch is tried again.
    pub retries: u32,
    /// Whether a failed batch is split.
    pub bisect: bool,
    /// Records older than this are given up.
    pub maximum_age_ms: Option<u32>,
    /// Whether a parent shard is finished before its children start. The promises do not rest on it.
    pub parents_first: bool,
    /// Whether the records of a batch come in the order of the stream. The promises do not rest on it.
    pub in_order: bool,
    /// By how much the processes' clocks are wrong, at most, in either direction.
    pub skew_ms: u32,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The time since the step before.
    pub after_ms: u32,
    /// What happens then.
    pub act: Act,
}

/// What happens in a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// The item gets this number, whether it existed or not.
    Put {
        /// Which item.
        key: u8,
        /// Unique in the schedule.
        number: u32,
        /// Whether the engine refuses the document until its mapping is mended.
        poison: bool,
    },
    /// The item is removed, if it exists.
    Delete {
        /// Which item.
        key: u8,
    },
    /// Every open shard is closed; children follow.
    Split,
    /// The table gets a new stream, with a mapping of its own beside the old one.
    RecreateStream,
    /// The source is replaced: once the stream has drained, the generation is raised and a stream follows whose label sorts before all others.
    RaiseGeneration,
    /// A second mapping reads the newest stream from its start.
    SecondMapping,
    /// All items are brought into the index, as far as they are not there.
    Backfill,
    /// Old tombstones are removed.
    Purge,
    /// Somebody discards the newest letter: its changes reach the index no more, or only by a repair.
    Discard,
    /// Minutes go by, then every document is made equal to its item.
    Repair,
    /// Whatever letters there are are redriven.
    Redrive,
    /// What the engine refuses is mended; it accepts everything from now on.
    Mend,
    /// The stream drains, letters are redriven, and weeks go by in which nothing happens.
    Settle,
    /// The engine's next write goes wrong.
    Write(EngineFault),
    /// The engine's next read goes wrong.
    Read(EngineFault),
    /// Nobody reaches the engine.
    Outage {
        /// For how long.
        for_ms: u32,
    },
    /// A copy of the index takes its primary's place: writes that were on their way to the copies are gone.
    FailOver,
    /// The index takes no writes: it refuses each document as if that were at fault.
    Close {
        /// For how long.
        for_ms: u32,
    },
    /// The process of the next write is killed before the engine has it.
    CrashBefore,
    /// The process of the next write is killed after the engine has done it.
    CrashAfter,
    /// The next invocation's answer is lost, and its process with it.
    LoseAnswer,
    /// Sending the next letter goes wrong.
    Send(QueueFault),
    /// The next letters that are received stay visible to others.
    ReceiveTwice,
    /// The next letter that is deleted comes back.
    Reappear,
    /// The stream cannot be read by the next redrive.
    UnreadableRange,
    /// A lane's last batches are delivered once more, by another process, while the lane goes on.
    Redeliver {
        /// How many batches.
        batches: u8,
    },
}

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EngineFault {
    /// It does not arrive.
    Unreachable,
    /// It is carried out, and its answer is lost.
    AnswerLost,
    /// It is carried out after the client has given it up.
    Late {
        /// How long after it was sent.
        by_ms: u32,
    },
    /// It is carried out, slowly.
    Slow {
        /// How slowly.
        by_ms: u32,
    },
    /// It is refused as a whole.
    Refused {
        /// With this status.
        status: u16,
    },
    /// Every second document of it is refused.
    HalfRefused {
        /// With this status.
        status: u16,
    },
    /// A read shows the state before the last write.
    Outdated,
}

/// What goes wrong with sending one letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueFault {
    /// The queue refuses it.
    Refused,
    /// It is stored, and the answer is lost.
    AnswerLost,
    /// The process is killed before it is stored.
    CrashBefore,
    /// The process is killed when it is stored.
    CrashAfter,
}
