//! The `replicate` function: a DynamoDB Streams event in, guarded writes to OpenSearch, `batchItemFailures` out.
//!
//! # Layout
//! - [`config`]: settings from the environment, every problem at once.
//! - [`context`]: what lives as long as the process: settings, the client, what was written last.
//! - [`handler`]: the function itself, without Lambda around it.
//! - [`error`]: why an invocation fails as a whole.
//! - [`response`]: outcomes → the partial batch response; [`metrics`]: outcomes → one EMF line.

pub mod config;
pub mod context;
pub mod error;
pub mod handler;
pub mod metrics;
pub mod response;
