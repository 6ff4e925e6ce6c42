//! The capacity of a deployment: parallelization factor, batch size, shards, concurrency, lag and cost of a load, and
//! the limit that binds first.
//! It is a calculation from measured times, as `docs/capacity.md` describes it, and starts nothing.
//! The simulation plays a load over time on the same lanes.
//!
//! # Layout
//! - `scenario`: the load and its deployment; `timing`: the time of one invocation, by row B7 of the benchmark;
//! - `plan`: the formula; `lanes`: its queueing part; `limits`: what AWS allows; `price`: what AWS charges;
//! - `render`: plans as text and as Markdown;
//! - `simulation`: a load over time, event by event.

mod lanes;
mod limits;
mod plan;
mod price;
mod render;
mod scenario;
mod simulation;
mod timing;

pub use plan::{LimitUse, Plan, plans};
pub use price::{Cost, Prices};
pub use render::{markdown, text};
pub use scenario::Scenario;
pub use simulation::{
    BoundLimit, ClusterSize, Course, Experiment, LagFigures, LagWindow, LimitKind, SimulatedRun, simulate_load,
    simulated_row, simulated_text, simulated_title,
};
pub use timing::Timing;
