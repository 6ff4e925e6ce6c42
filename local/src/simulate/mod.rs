//! The simulation: the whole path, from a table's writes to the index, over the real core and the real handler, with
//! everything around them as a model that a seed decides.

mod backfill;
mod client;
mod generate;
mod guard;
mod index;
mod ledger;
mod letters;
mod mapping;
mod play;
mod process;
mod redrive;
mod run;
mod schedule;
mod shrink;
mod table;
#[cfg(test)]
mod tests;
mod world;

pub use generate::generate;
pub use guard::{Guard, Missing};
pub use index::{Index, ModelIndex, POISON, Tombstone};
pub use play::{Played, play, play_on};
pub use run::{Run, Summary, replay, shrunk};
pub use schedule::{Act, EngineFault, QueueFault, Schedule, Setting, Step};
pub use shrink::shrink;
pub use world::{Broken, Counts};
