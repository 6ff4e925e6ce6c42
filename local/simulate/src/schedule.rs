//! Schedule of a run as plain data: writes, operations and faults. Generated from a seed, shrunk by leaving out steps,
//! kept and replayed as JSON.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// All events of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Seed of all delays.
    pub seed: u64,
    /// Settings, which stay the same throughout.
    #[serde(alias = "setting")]
    pub scenario: RunSettings,
    /// Keys of items that were in the table before its stream. Only a backfill brings them into the index.
    pub initial: Vec<u8>,
    /// Steps in their order.
    pub steps: Vec<Step>,
}

/// Settings of mapping, stream and processes in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSettings {
    /// Maximum number of records in one invocation.
    pub batch_size: usize,
    /// Number of concurrent batches of one shard.
    pub lanes: usize,
    /// Number of retries of a failed batch.
    pub retries: u32,
    /// True if a failed batch is split.
    pub bisect: bool,
    /// Age from which records are given up.
    pub maximum_age_ms: Option<u32>,
    /// True if a parent shard is finished before its children start. The promises do not rest on it.
    pub parents_first: bool,
    /// True if the records of a batch keep the order of the stream. The promises do not rest on it.
    pub in_order: bool,
    /// Maximum error of the processes' clocks, in either direction.
    pub skew_ms: u32,
    /// Rules of Kinesis; `None` for DynamoDB Streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinesis: Option<KinesisSettings>,
}

/// Source of a schedule's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SimulatedSource {
    /// DynamoDB Streams of the table
    #[default]
    Streams,
    /// Kinesis Data Streams for DynamoDB
    Kinesis,
}

/// Settings of the way through Kinesis in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KinesisSettings {
    /// Number of records in a hundred that come behind later ones.
    pub late_percent: u8,
    /// Number of records in a hundred that come once more, under a new sequence number.
    pub repeated_percent: u8,
    /// Number of changes in a hundred that have the time of the table's change before.
    pub same_time_percent: u8,
    /// True if records go to any shard and carry no partition key.
    pub any_shard: bool,
    /// True if times are in milliseconds at the start.
    pub milliseconds: bool,
}

/// One step of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Time since the step before.
    pub after_ms: u32,
    /// Event of the step.
    pub act: Act,
}

/// Event of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// The item gets this number, whether it existed or not.
    Put {
        /// Key of the item.
        key: u8,
        /// Content, unique in the schedule.
        number: u32,
        /// True if the engine refuses the document until its mapping is mended.
        poison: bool,
    },
    /// The item is removed, if it exists.
    Delete {
        /// Key of the item.
        key: u8,
    },
    /// Every open shard is closed; children follow.
    Split,
    /// Every open shard is closed; one child follows for all of them.
    Merge,
    /// The precision of the times in Kinesis changes.
    SwitchPrecision,
    /// The other kind of source is enabled beside the present one: both get every change from now on.
    AddSource,
    /// The other kind of source replaces the present one, and the generation is raised.
    SwitchSource,
    /// The table gets a new stream, with a mapping of its own beside the old one.
    RecreateStream,
    /// The source is replaced. Once the stream has drained, the generation is raised, and a stream follows whose label
    /// sorts before all others.
    RaiseGeneration,
    /// A second mapping reads the newest stream from its start.
    SecondMapping,
    /// A backfill writes all items that the index lacks.
    Backfill,
    /// A purge deletes old tombstones.
    Purge,
    /// Somebody discards the newest message: its changes no longer reach the index, or only by a repair.
    Discard,
    /// Minutes pass, then a repair makes every document equal to its item.
    Repair,
    /// A redrive handles the messages in the queue.
    Redrive,
    /// The engine's mapping is mended: it accepts everything from now on.
    Mend,
    /// The stream drains, all messages are redriven, and weeks go by without an event.
    Settle,
    /// The engine's next write has this fault.
    Write(EngineFault),
    /// The engine's next read has this fault.
    Read(EngineFault),
    /// Nobody reaches the engine for a while.
    Outage {
        /// Duration of this state.
        for_ms: u32,
    },
    /// A copy of the index becomes its primary. Writes that were on their way to the copies are lost.
    FailOver,
    /// The index is closed: it refuses each document as if that were at fault.
    Close {
        /// Duration of this state.
        for_ms: u32,
    },
    /// The process of the next write is killed before the engine has it.
    CrashBefore,
    /// The process of the next write is killed after the engine has done it.
    CrashAfter,
    /// The next invocation's answer is lost, and its process with it.
    LoseAnswer,
    /// The next send to the queue has this fault.
    Send(QueueFault),
    /// The next messages that are received stay visible to others.
    ReceiveTwice,
    /// The next message that is deleted reappears.
    Reappear,
    /// The next redrive cannot read the stream.
    UnreadableRange,
    /// A lane's last batches are delivered once more, to another process, while the lane goes on.
    Redeliver {
        /// Number of batches that come again.
        batches: u8,
    },
}

/// Fault of one request to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EngineFault {
    /// The request does not arrive.
    Unreachable,
    /// The request is carried out, and its answer is lost.
    AnswerLost,
    /// The request is carried out after the client has given it up.
    Late {
        /// Time since it was sent.
        by_ms: u32,
    },
    /// The request is carried out slowly.
    Slow {
        /// Additional time that it takes.
        by_ms: u32,
    },
    /// The request is refused as a whole.
    Refused {
        /// HTTP status of the refusal.
        status: u16,
    },
    /// Every second document of the request is refused.
    HalfRefused {
        /// HTTP status of the refusal.
        status: u16,
    },
    /// A read shows the state before the last write.
    Outdated,
}

/// Fault of sending one dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueFault {
    /// The queue refuses the message.
    Refused,
    /// The message is stored, and the answer is lost.
    AnswerLost,
    /// The process is killed before the message is stored.
    CrashBefore,
    /// The process is killed after the message is stored.
    CrashAfter,
}
