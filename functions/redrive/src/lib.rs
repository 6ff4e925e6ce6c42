//! The `redrive` function: replays dead letters with the same conditional writes, and deletes those that are done.
//!
//! # Layout
//! - [`request`]: the request, validated; [`report`]: the answer.
//! - [`handler`]: the function without Lambda around it; [`redrive`]: the loop over the queue; `run`: its progress.
//! - `record`: our dead letters; `range`: Lambda's on-failure messages, read again from the stream; `generation`:
//!   messages without a generation.

mod generation;
pub mod handler;
mod range;
mod record;
pub mod redrive;
pub mod report;
pub mod request;
mod run;

#[cfg(test)]
mod tests;
