//! The `verify` function: compares the items of a table with the documents of its index, and repairs what differs.
//!
//! # Layout
//! - [`request`]: the request, validated; [`report`]: the answer.
//! - [`handler`]: the function without Lambda around it; [`verify`]: the two sides, page by page; `run`: one run, with
//!   the measured lag; `suspects`: documents that differed once, and are looked at again.
//! - [`compare`]: an item and a document, compared byte for byte.
//! - [`metrics`]: the result as an EMF line.

pub mod compare;
pub mod handler;
pub mod metrics;
pub mod report;
pub mod request;
mod run;
mod suspects;
pub mod verify;

#[cfg(test)]
mod tests;
