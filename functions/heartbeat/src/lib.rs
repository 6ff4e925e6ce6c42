//! The `heartbeat` function: writes one item, and measures the time until a search through the public alias finds it.
//!
//! # Layout
//! - [`handler`]: the function without Lambda around it; [`report`]: the answer; `metrics`: the EMF line.
//! - `place`: the ends of a beat's way, which a process finds out once.

pub mod handler;
mod metrics;
mod place;
pub mod report;
