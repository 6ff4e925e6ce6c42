//! The `replicate` function: a DynamoDB Streams event in, conditional writes to OpenSearch, `batchItemFailures` out.
//!
//! # Layout
//! - [`handler`]: the function without Lambda around it.
//! - [`dead_letters`]: rejected records → dead letters, before the batch is reported as done.
//! - [`response`]: outcomes → the partial batch response.
//! - [`metrics`]: outcomes → EMF lines, aggregated while a process is busy.

pub mod dead_letters;
pub mod handler;
pub mod metrics;
pub mod response;
