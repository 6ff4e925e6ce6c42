//! Simulation of the whole path from a table's writes to its index: the real core and functions, in a model that a seed
//! decides.
//!
//! The handlers of `replicate` and `redrive` and the writer are real. So are the decisions of the tool's event source
//! mapping. Table, stream, engine, queue, processes and clocks are models. The backfill and the purge are sketches of
//! functions that do not exist yet. Time is virtual, and all delays follow from the seed, so a schedule plays the same
//! each time. After every schedule, the index shows exactly what the table holds. Every change that left the stream was
//! in the index, or in a dead letter, at that moment.
//!
//! # Layout
//! - [`Schedule`]: a run as data; [`generate`] makes one from a seed, [`shrunk`] makes it small.
//! - [`play`], [`play_on`]: one run; [`SimulationRun`]: many runs; [`Broken`]: the promises; [`EventCounts`]: events by
//!   name.
//! - [`Guard`]: guards that can be taken away; `shown`: the records that a function is shown without them.
//! - `world`: state that all actors share, with its parts `clock`, `chance`, `faults`, `activities` and `log`;
//!   `ledger`: the fate of every change.
//! - `table`, `kinesis`, `index`, `messages`: the services; `kinesis_way`: how changes come into Kinesis; `items`: how
//!   functions read them; `client`, `mailbox`: a process's way to index and queue, with faults;
//!   `owned_write`: a write that arrives late; `on_failure`: Lambda's on-failure message.
//! - `process`, `mapping`, `redrive`, `backfill`: the actors.

mod activities;
mod backfill;
mod chance;
mod client;
mod clock;
mod counts;
mod faults;
mod generate;
mod guard;
mod index;
mod items;
mod kinesis;
mod kinesis_way;
mod ledger;
mod log;
mod mailbox;
mod mapping;
mod messages;
mod on_failure;
mod owned_write;
mod play;
mod process;
mod promise;
mod redrive;
mod run;
mod schedule;
mod shown;
mod shrink;
mod table;
#[cfg(test)]
mod tests;
mod world;

pub use counts::EventCounts;
pub use generate::generate;
pub use guard::{Guard, Missing};
pub use index::{POISON, SimulatedIndex, Tombstone};
pub use play::{Played, play, play_on};
pub use promise::Broken;
pub use run::{RunSummary, SimulationRun, replay, shrunk};
pub use schedule::{Act, EngineFault, KinesisSettings, QueueFault, RunSettings, Schedule, SimulatedSource, Step};
pub use shrink::shrink;
