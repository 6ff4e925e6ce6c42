//! Set-up of an invocation that does a slice of work on a table.

use std::sync::Arc;

use super::clock::{Deadlines, Slice};
use super::context::{Access, Context, IndexChoice};
use super::error::FunctionError;
use crate::opensearch::OpenSearchTarget;
use crate::table::dynamodb::{DynamoDbTable, LastTable};
use crate::table::{KeySchema, Table as _};
use crate::writer::Writer;

/// Times of an invocation, and its table.
#[derive(Debug)]
pub struct TableSlice {
    /// Deadlines of the invocation.
    pub deadlines: Deadlines,
    /// Times of the slice.
    pub slice: Slice,
    /// Table with the items.
    pub table: Arc<DynamoDbTable>,
    /// Keys of the table.
    pub schema: KeySchema,
}

impl TableSlice {
    /// Describes the table that the request, or else the settings, name.
    ///
    /// # Errors
    /// Fails if the settings are wrong, or there is no such table, or it cannot be reached.
    pub async fn begin(
        context: &Context,
        tables: &LastTable,
        requested: Option<&str>,
        deadline_ms: u64,
    ) -> Result<Self, FunctionError> {
        let deadlines = context.deadlines(deadline_ms)?;
        let slice = Slice::until(deadlines.work);
        let table = tables.named(context.settings()?.table(requested)?);
        let schema = table.describe(deadlines.work).await?;
        Ok(Self { deadlines, slice, table, schema })
    }

    /// Returns the writer on the chosen indexes of the table.
    ///
    /// # Errors
    /// As [`Context::open`].
    pub async fn writer(
        &self,
        context: &Context,
        access: Access,
        index: IndexChoice,
    ) -> Result<Arc<Writer<OpenSearchTarget>>, FunctionError> {
        context.open(access, index, Some(&self.schema.table_arn), self.deadlines.work).await
    }
}
