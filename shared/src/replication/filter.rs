//! A jq filter over items: it decides if an item has a document, or makes the document.
//!
//! jaq runs the filter. The item goes in with its attribute names: strings, numbers with every digit, booleans, null,
//! maps as objects, lists and sorted sets as arrays, binary as base64. What comes out becomes a document as the item
//! would: fields are named by [`crate::field`] and sorted by attribute name, so that equal content gives equal bytes.
//! A number that the filter does not compute with keeps its digits. One that it does compute with is an integer of any
//! length, or a double.
//!
//! # Contract
//! - The same item gives the same document, always: a filter sees no clock, no environment and no other item.
//! - A run ends within limits of time, steps, memory, stack and depth ([`Limit`]), whatever filter and item are.
//! - No message holds a value of an item. It holds types, and words of the filter's code.

mod builtins;
mod compile;
mod convert;
mod engine;
mod entries;
mod kind;
mod messages;
mod meter;
mod rewrite;
mod search;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use compile::{FilterError, FilterProblem};
pub use convert::NoDocument;
pub use meter::Limit;

use crate::attribute::Item;
use crate::document::Document;
use engine::Program;
use meter::Stop;
use value::Value;

/// A compiled jq filter.
#[derive(Clone)]
pub struct Filter {
    code: Arc<str>,
    program: Arc<Program>,
    /// Time of one run. Only tests set it, because they run on busy machines and unoptimised.
    time: Duration,
}

/// Reason why a filter gave no answer for an item. It holds no value of the item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterFailure {
    /// The filter raised an error.
    #[error("the jq filter failed: {0}")]
    Error(String),
    /// The filter gave nothing.
    #[error("the jq filter gave no output, where it must give one")]
    NoOutput,
    /// The filter gave more than one value.
    #[error("the jq filter gave several outputs, where it must give one")]
    SeveralOutputs,
    /// The filter gave a value that is no document.
    #[error("the jq filter gave {0}")]
    NoDocument(#[from] NoDocument),
    /// The run reached a limit.
    #[error("the jq filter was stopped: {0}")]
    Stopped(Limit),
    /// The jq implementation panicked.
    #[error("the jq filter failed: the jq implementation does not support what it does")]
    Broken,
}

impl Filter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// Names all problems that were found together, each with its place.
    pub fn compile(code: &str) -> Result<Self, FilterError> {
        Ok(Self { code: code.into(), program: Arc::new(compile::compile(code)?), time: meter::TIME })
    }

    /// Answers a question about an item: false and null are no, all else is yes.
    ///
    /// # Errors
    /// Fails if the filter raises an error, reaches a limit, or does not give exactly one value.
    pub fn matches(&self, item: &Item<'_>) -> Result<bool, FilterFailure> {
        self.run(item, |value| Ok(jaq_core::ValT::as_bool(value)))
    }

    /// Makes a document of an item.
    ///
    /// # Errors
    /// Fails as [`Self::matches`] does, and if the filter gives anything but an object that a document can hold.
    pub fn document(&self, item: &Item<'_>) -> Result<Document, FilterFailure> {
        self.run(item, |value| Ok(convert::to_document(value)?))
    }

    fn run<T>(&self, item: &Item<'_>, take: impl Fn(&Value) -> Result<T, FilterFailure>) -> Result<T, FilterFailure> {
        let run = || meter::run(self.time, || self.only_output(item).and_then(|value| take(&value)));
        let result = match run() {
            // The process may have been paused meanwhile. A filter that is too slow is so twice.
            Err(Stop::Limit(Limit::Time)) => run(),
            result => result,
        };
        match result {
            Ok(result) => result,
            Err(Stop::Limit(limit)) => Err(FilterFailure::Stopped(limit)),
            Err(Stop::Panic) => Err(FilterFailure::Broken),
        }
    }

    fn only_output(&self, item: &Item<'_>) -> Result<Value, FilterFailure> {
        let mut outputs = engine::outputs(&self.program, convert::from_item(item)).map(|output| {
            output.map_err(|exception| match exception.get_err() {
                Ok(error) => FilterFailure::Error(messages::describe(&self.code, error)),
                Err(_) => FilterFailure::Broken,
            })
        });
        let output = outputs.next().ok_or(FilterFailure::NoOutput)??;
        match outputs.next() {
            None => Ok(output),
            Some(Ok(_)) => Err(FilterFailure::SeveralOutputs),
            Some(Err(failure)) => Err(failure),
        }
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Filter").field(&self.code).finish()
    }
}
