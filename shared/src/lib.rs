//! The core of driftless: keeps an OpenSearch index equal to a DynamoDB table.
//!
//! # Layout
//! Pure (no I/O, no clock, no environment):
//! - [`attribute`], [`number`]: DynamoDB's values; [`field`], [`document`], [`document_id`]: their form in the index.
//! - [`replication`]: the rules that shape documents and ids.
//! - [`version`], [`time`]: the order and the time of a change; [`change`]: a stream record, parsed.
//! - `fold`: a batch, grouped by document; [`outcome`]: the outcomes of changes, and the error policy.
//!
//! OpenSearch, behind one interface:
//! - [`target`]: the interface; [`writer`]: the conditional write through it.
//! - [`opensearch`]: the real target, the only module that knows HTTP and bulk JSON; `memory`: the test double.
//! - `testing`: stream records, rules and pages for tests.
//!
//! [`source`]: the kinds of streams that records come from; [`batch`]: the parsed records of an event, and those among
//! them that can never be applied.
//!
//! The source of truth: [`table`]: items of the table, by page and by key.
//!
//! Dead letters: [`dead_letter`]: their formats; [`queue`]: their queue; [`bucket`]: whole batches that Lambda gave up;
//! `stream`: records, read again from the stream; `aws`: settings of the clients for AWS.
//!
//! For functions: [`environment`] reads settings and reports all problems together; `function`: the parts that all
//! functions share.

pub mod attribute;
#[cfg(any(feature = "s3", feature = "sqs", feature = "stream", feature = "table"))]
mod aws;
pub mod backoff;
pub mod batch;
pub mod bucket;
pub mod change;
pub mod dead_letter;
pub mod document;
pub mod document_id;
pub mod environment;
pub mod field;
mod fold;
#[cfg(feature = "function")]
pub mod function;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod number;
pub mod opensearch;
pub mod outcome;
pub mod queue;
pub mod replication;
pub mod source;
#[cfg(feature = "stream")]
pub mod stream;
pub mod table;
pub mod target;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod version;
pub mod writer;

#[cfg(test)]
mod fixtures;
