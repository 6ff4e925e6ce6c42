//! The `redrive` function: writes dead letters again, through the same guard, and takes off the queue what is done.
//!
//! # Layout
//! - [`request`]: what it is asked, checked; [`report`]: what it answers.
//! - [`handler`]: the function, without Lambda around it; [`redrive`]: the loop over the queue's letters; `run`: how far it is.
//! - `record`: letters of ours; `range`: those of Lambda, read again from the stream; `generation`: what says none.

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
