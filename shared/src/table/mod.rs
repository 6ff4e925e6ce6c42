//! Interface to the source of truth: reads items of the table, page by page or by key.
//!
//! # Layout
//! - [`key`]: keys, their schema, and their forms in requests and cursors.
//! - [`selection`]: the part of a table that one run reads, and its cursor; [`reader`]: its pages, within a budget.
//! - `dynamodb`: the real table (feature `table`); `memory`: the test double.
//!
//! Contract of every table: a consistent read shows every write that was acknowledged before it began. A scan or query
//! shows each item once that exists throughout.

#[cfg(feature = "table")]
pub mod dynamodb;
pub mod key;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod reader;
pub mod selection;

use std::future::Future;

use tokio::time::Instant;

pub use key::{Key, KeySchema};

use crate::attribute::Item;
use selection::Range;

/// Keys of one `get`, as `BatchGetItem` takes them.
pub const MOST_KEYS: usize = 100;

/// Error of a table, by the operator's remedy. Never holds an item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A refusal of every such call, until somebody fixes the role or the request.
    #[error("DynamoDB refused with {0}: check the table's name, and the role's permission on the table")]
    Refused(String),
    /// No answer, or a throttled request: the call may succeed later.
    #[error("DynamoDB {0}")]
    Unavailable(String),
    /// An answer that this version of driftless does not understand.
    #[error("DynamoDB gave an answer that is not understood: {0}")]
    Protocol(String),
}

impl TableError {
    /// Returns `true` if the same call may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Consistency of a read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Consistency {
    /// May lack the last writes, at half the price.
    #[default]
    Eventual,
    /// Shows every write before it.
    Strong,
}

/// Request for one page of items.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<'a> {
    /// Part of the table.
    pub range: &'a Range,
    /// Key of the last item that was read.
    pub after: Option<&'a Key>,
    /// Maximum number of items.
    pub limit: u32,
    /// Consistency of the read.
    pub consistency: Consistency,
}

/// One page of items, of each of which the reader has made something.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemPage<M> {
    /// Results of `make` for the items, in the scan's order.
    pub items: Vec<M>,
    /// Key after which the next page begins; absent after the last page.
    pub next: Option<Key>,
    /// Consumed read capacity units.
    pub capacity: f64,
}

/// Items that were read by key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoundItems {
    /// Items in the order of their keys; `None` where there is no item.
    pub items: Vec<Option<Item<'static>>>,
    /// Consumed read capacity units.
    pub capacity: f64,
}

/// A table whose items can be read.
pub trait Table: Send + Sync {
    /// Describes the table and its keys.
    ///
    /// # Errors
    /// Fails if there is no such table, or it cannot be reached.
    fn describe(&self, deadline: Instant) -> impl Future<Output = Result<KeySchema, TableError>> + Send;

    /// Reads one page of items, and hands each with all its attributes to `make`. An item is borrowed from the answer:
    /// most readers need a document of it, and a copy of each attribute would take longer than the document does.
    ///
    /// # Errors
    /// Fails if the table cannot be read.
    fn page<M: Send>(
        &self,
        request: PageRequest<'_>,
        make: impl Fn(&Item<'_>) -> M + Send + Sync,
        deadline: Instant,
    ) -> impl Future<Output = Result<ItemPage<M>, TableError>> + Send;

    /// Reads the items of these keys, which must differ from each other.
    ///
    /// # Errors
    /// Fails if some item cannot be read by the deadline.
    fn get(
        &self,
        keys: &[Key],
        consistency: Consistency,
        deadline: Instant,
    ) -> impl Future<Output = Result<FoundItems, TableError>> + Send;
}
