//! The `reindex` function: replaces the physical index behind the public alias, without downtime.
//!
//! # Layout
//! - [`request`]: the request, validated; [`report`]: the answer.
//! - [`handler`]: the function without Lambda around it; [`reindex`]: the steps; `definition`: what they create and
//!   apply.
//! - `gate`: the proofs that a switch needs.
//! - [`tombstones`]: the tombstones of the public index, copied to the new one.
//! - [`shadow`]: the users' own searches on both indexes; [`answers`]: two answers compared.

pub mod answers;
mod definition;
mod gate;
pub mod handler;
pub mod reindex;
pub mod report;
pub mod request;
pub mod shadow;
pub mod tombstones;

#[cfg(test)]
mod tests;
