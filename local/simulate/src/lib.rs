//! The simulation: the whole path from a table's writes to its index, over the real core and the real functions, with
//! everything around them as a model that a seed decides.
//!
//! Real are `replicate`'s and `redrive`'s handlers, the writer, and what the tool's event source mapping decides with
//! (batches, answers, retries, splits). Modelled are table, stream, engine, queue, processes and clocks; the backfill and the
//! purge are sketches of what those functions must keep. Time is virtual and all delays follow from the seed, so that
//! a schedule plays the same each time. After every schedule: the index shows exactly what the table holds, and every
//! change that left the stream was in the index, or in a letter, at that moment.
//!
//! # Layout
//! - [`Schedule`]: a run as data; [`generate`]: from a seed; [`shrunk`]: small; [`Guard`]: what can be taken away.
//! - [`play`], [`play_on`]: one run; [`Run`]: many; [`Broken`]: the promises; [`Counts`]: what happened how often.
//! - `world`: what all who act share, and its parts: `clock`, `chance`, `faults`, `activities`, `log`;
//!   `ledger`: what became of every change.
//! - `table`, `index`, `letters`: the model's services; `client`, `mailbox`: a process's way to index and queue, with their
//!   faults; `on_failure`: Lambda's own message.
//! - `process`, `mapping`, `redrive`, `backfill`: who acts.

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
mod ledger;
mod letters;
mod log;
mod mailbox;
mod mapping;
mod on_failure;
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

pub use counts::Counts;
pub use generate::generate;
pub use guard::{Guard, Missing};
pub use index::{Index, POISON, Tombstone};
pub use play::{Played, play, play_on};
pub use promise::Broken;
pub use run::{Run, Summary, replay, shrunk};
pub use schedule::{Act, EngineFault, QueueFault, Schedule, Setting, Step};
pub use shrink::shrink;
