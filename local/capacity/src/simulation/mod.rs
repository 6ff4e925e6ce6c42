//! A load over time on the lanes of a stream, event by event: what the formula's averages do not show.
//!
//! Each poll, each invocation and each bulk request to each node is an event. Changes are counted, not played: a lane's
//! queue holds spans of changes that came evenly. Guards and faults are the business of the room `simulate`.
//!
//! # Layout
//! - `experiment`: the input; `course`: load and cluster over time; `result`: the figures, `report`: as text.
//! - `run`: the event loop; `shard`: a shard with its lanes; `span`: changes that wait.
//! - `concurrency`: Lambda's limits; `cluster`: nodes, their queues and refusals.
//! - `bottleneck`: limits that bound; `lag_windows`: lag over time; `chance`: random numbers.

mod bottleneck;
mod chance;
mod cluster;
mod concurrency;
mod course;
mod experiment;
mod lag_windows;
mod report;
mod result;
mod run;
mod shard;
mod span;

#[cfg(test)]
mod tests;

pub use bottleneck::{BoundLimit, LimitKind};
pub use cluster::ClusterSize;
pub use course::Course;
pub use experiment::Experiment;
pub use lag_windows::{LagFigures, LagWindow};
pub use report::{simulated_row, simulated_text, simulated_title};
pub use result::SimulatedRun;
pub use run::simulate_load;
