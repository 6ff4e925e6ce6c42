//! The capacity of a deployment: parallelization factor, batch size, shards, concurrency, lag and cost of a load, and
//! the limit that binds first.
//! It is a calculation from measured times, as `docs/capacity.md` describes it, and starts nothing.
//!
//! # Layout
//! - `scenario`: the load and its deployment; `timing`: the time of one invocation, by row B7 of the benchmark;
//! - `plan`: the formula; `lanes`: its queueing part; `limits`: what AWS allows; `price`: what AWS charges;
//! - `render`: plans as text and as Markdown.

mod lanes;
mod limits;
mod plan;
mod price;
mod render;
mod scenario;
mod timing;

pub use plan::{LimitUse, Plan, plans};
pub use price::{Cost, Prices};
pub use render::{markdown, text};
pub use scenario::Scenario;
pub use timing::Timing;
