//! The core of driftless: keeps an OpenSearch index equal to a DynamoDB table.
//!
//! # Layout
//! Pure, no I/O, no clock, no environment:
//! - [`attribute`], [`number`]: DynamoDB's values; [`field`], [`document`], [`document_id`]: what they become.
//! - [`version`], [`time`]: when a change happened; [`change`]: a stream record, read.
//! - `fold`: a batch, per document; [`outcome`]: how a change ends, and the error policy.
//!
//! The engine, behind one door:
//! - [`target`]: the door; [`writer`]: the guarded write through it.
//! - [`opensearch`]: the real target, the only module that knows HTTP and bulk JSON; `memory`: the test double.
//!
//! [`batch`]: records read together, and those among them that can never be applied.
//!
//! What could not be applied: [`dead_letter`]: the letters; [`queue`]: where they wait; `stream`: their records, read again.
//!
//! For functions: [`environment`] reads settings and reports all problems at once; `function`: what all functions share.
//!
//! [`guards`] names what the promises rest on, for the simulation.

pub mod attribute;
pub mod backoff;
pub mod batch;
pub mod change;
pub mod dead_letter;
pub mod document;
pub mod document_id;
pub mod environment;
pub mod field;
mod fold;
#[cfg(feature = "function")]
pub mod function;
pub mod guards;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
pub mod number;
pub mod opensearch;
pub mod outcome;
pub mod queue;
#[cfg(feature = "stream")]
pub mod stream;
pub mod target;
pub mod time;
pub mod version;
pub mod writer;

#[cfg(test)]
mod fixtures;
