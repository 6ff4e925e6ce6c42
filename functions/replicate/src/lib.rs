//! The `replicate` function: a DynamoDB Streams event in, conditional writes to OpenSearch, `batchItemFailures` out.
//!
//! # Layout
//! - [`handler`]: the function without Lambda around it.
//! - [`letters`]: rejected records → dead letters, before the batch is reported as done.
//! - [`response`]: outcomes → the partial batch response.
//! - [`metrics`]: outcomes → EMF lines, aggregated while a process is busy.

pub mod handler;
pub mod letters;
pub mod metrics;
pub mod response;
