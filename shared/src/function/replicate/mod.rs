//! Functions that replicate: an event of a stream in, conditional writes to OpenSearch, `batchItemFailures` out.
//!
//! # Layout
//! - [`handler`]: the function without Lambda around it; [`trigger`]: what differs between streams.
//! - [`dead_letters`]: rejected records → dead letters, before the batch is reported as done.
//! - [`response`]: outcomes → the partial batch response.
//! - [`metrics`]: outcomes → EMF lines, aggregated while a process is busy.
//! - [`mod@run`]: the loop of a function's `main`.

pub mod dead_letters;
pub mod handler;
pub mod metrics;
pub mod response;
pub mod run;
pub mod trigger;

pub use handler::{Function, StreamEvent, invoke};
pub use metrics::{Metrics, Outbox};
pub use run::run;
pub use trigger::{DynamoDbStreams, Trigger};
