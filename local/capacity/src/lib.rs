//! The capacity of a deployment: which factor, batch size, shards and concurrency a load needs, how late its changes will be,
//! what it costs, and which limit binds first. A calculation from measured times, as `docs/capacity.md` writes it down; nothing is started.
//!
//! # Layout
//! - `timing`: what one invocation takes, as measured by row B7 of the benchmark;
//! - `plan`: the formula; `limits`: what AWS allows; `price`: what AWS charges;
//! - `render`: plans as text and as Markdown.

mod limits;
mod plan;
mod price;
mod render;
mod timing;

pub use plan::{LimitUse, Plan, Setting, plans};
pub use price::{Cost, Prices};
pub use render::{markdown, text};
pub use timing::Timing;
