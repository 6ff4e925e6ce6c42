//! The `redrive` function: writes dead letters again, through the same guard, and takes off the queue what is done.
//!
//! # Layout
//! - [`request`]: what it is asked, checked; [`report`]: what it answers.
//! - [`handler`]: the function, without Lambda around it; [`redrive`]: the loop over the queue's letters;
//!   `range`: those of Lambda, read again from the stream.

pub mod handler;
mod range;
pub mod redrive;
pub mod report;
pub mod request;

#[cfg(test)]
mod tests;
