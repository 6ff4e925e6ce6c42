//! The `backfill` function: writes the items of a table to the index, as far as no change has reached it yet.
//!
//! # Layout
//! - [`request`]: the request, validated; [`report`]: the answer.
//! - [`handler`]: the function without Lambda around it; [`backfill`]: the loop over pages of items.
//! - [`metrics`]: progress as EMF lines.

pub mod backfill;
pub mod handler;
pub mod metrics;
pub mod report;
pub mod request;

#[cfg(test)]
mod tests;
