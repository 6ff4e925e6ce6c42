//! Ends of a beat's way, which a process finds out once: its item and table, its document and the index that shows it.

use std::sync::Arc;

use driftless::attribute::Item;
use driftless::change::{Content, RecordError};
use driftless::document_id::DocumentId;
use driftless::environment::Misconfigured;
use driftless::function::{Context, FunctionError, connect};
use driftless::opensearch::Engine;
use driftless::table::dynamodb::DynamoDbTable;
use driftless::table::{Key, Table as _};
use tokio::time::Instant;

/// Ends of the way that a beat takes.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) table: DynamoDbTable,
    pub(crate) item: Item<'static>,
    pub(crate) id: DocumentId,
    pub(crate) engine: Engine,
}

impl Place {
    /// Describes the table, makes the document's id by the rules of `REPLICATION`, and connects to its cluster.
    ///
    /// # Errors
    /// Fails if the settings are wrong, the rules give the item no document, or the table cannot be described.
    pub(crate) async fn find(context: &Context, deadline: Instant) -> Result<Self, FunctionError> {
        context.read_hash_key(deadline).await?;
        let settings = context.settings()?;
        let item = settings.heartbeat_item.clone().ok_or_else(|| {
            wrong("is not set: set it to an item in DynamoDB JSON, such as {\"pk\": {\"S\": \"heartbeat\"}}")
        })?;
        let table = DynamoDbTable::new(settings.table(None)?);
        let key = Key::of(&item, &table.describe(deadline).await?).map_err(|error| wrong(&error.to_string()))?;
        let rules = &settings.read_options;
        let id = rules.document_id(key.attributes()).map_err(refused)?;
        let content = rules.replication.content(&item).map_err(|error| refused(error.into()))?;
        if content == Content::Tombstone {
            return Err(wrong("is left out by `where` of REPLICATION: give it attributes that match"));
        }
        let engine = match id.index() {
            Some(index) => settings.of_index(&Arc::from(index)).map_err(|error| wrong(&error))?.engine,
            None => settings.engine.clone(),
        };
        Ok(Self { engine: connect(&engine, deadline).await?, table, item, id })
    }
}

fn wrong(problem: &str) -> FunctionError {
    FunctionError::Misconfigured(Misconfigured(vec![format!("HEARTBEAT_ITEM {problem}")]))
}

fn refused(error: RecordError) -> FunctionError {
    match error {
        RecordError::Configuration(error) => error.into(),
        error => wrong(&format!("has no document by the rules of REPLICATION: {error}")),
    }
}
