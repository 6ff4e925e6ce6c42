//! The `purge` function: removes tombstones that no late change can need any more, and documents of expired items
//! whose retention is over.
//!
//! # Layout
//! - [`request`]: the request, validated; [`report`]: the answer.
//! - [`handler`]: the function without Lambda around it; [`purge`]: the loop over pages of tombstones; `expired`:
//!   documents of expired items; `tries`: the tries of both.
//! - [`metrics`]: the result as an EMF line.

mod expired;
pub mod handler;
pub mod metrics;
pub mod purge;
pub mod report;
pub mod request;
mod tries;

#[cfg(test)]
mod tests;
