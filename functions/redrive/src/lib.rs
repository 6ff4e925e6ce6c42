//! The `redrive` function: replays dead letters with the same conditional writes, and deletes those that are done.
//!
//! # Layout
//! - [`request`]: the request, validated; [`report`]: the answer.
//! - [`handler`]: the function without Lambda around it; [`redrive`]: the loop over the queue; `objects`: the loop over
//!   the on-failure bucket; `run`: the progress of both.
//! - `record`: our dead letters; `range`: Lambda's on-failure messages, read again from the stream, and the batches in
//!   the bucket; `generation`: messages without a generation.

mod generation;
pub mod handler;
mod objects;
mod range;
mod record;
pub mod redrive;
pub mod report;
pub mod request;
mod run;

#[cfg(test)]
mod tests;
