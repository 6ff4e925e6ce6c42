//! Proposal of an index definition from sampled items, for a person to edit.
//!
//! - `sample`: items from all segments of a table; `facts`, `shape`: counts, lengths and forms of their values.
//! - `guess`, `scalar`: from facts to a field's mapping, with a comment on each guess.
//!
//! No value of an item leaves `facts`: comments hold counts and lengths. They stand beside the definition and not in
//! its `_meta`. There they would take room in a parameter of 4 KB, and stay in the index when the guess is edited.

mod facts;
mod guess;
mod sample;
mod scalar;
mod shape;

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use aws_sdk_dynamodb::Client;
use driftless::attribute::Item;
use driftless::field::{Level, field_name};
use driftless::opensearch::IndexDefinition;
use driftless::table::dynamodb::DynamoDbTable;
use driftless::table::{KeySchema, Table as _};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

pub use guess::{EngineKind, FieldGuess};

use facts::FieldFacts;
use guess::Guesser;

use crate::table::TableFacts;

/// Longest wait for the description of the table.
const LIMIT: Duration = Duration::from_secs(30);
/// Fields of an index from which on its limit of 1,000 is raised.
const MANY_FIELDS: usize = 500;
/// Nested fields that an engine allows in an index.
const NESTED_FIELDS: usize = 50;

/// Proposed definition, with a comment on each guess.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proposal {
    /// Number of items that it was made from.
    pub items: u64,
    /// Body of a create-index request.
    pub definition: Value,
    /// Guesses in the order of their paths.
    pub fields: Vec<FieldGuess>,
}

/// Reads about this many items of a table, and proposes a definition for them.
///
/// # Errors
/// Fails if the table cannot be read, or has no items.
pub async fn propose_for_table(client: Client, table: &str, items: usize, engine: EngineKind) -> Result<Proposal> {
    TableFacts::of(&client, table).await?;
    let reader = DynamoDbTable::with_client(client, table);
    let keys = reader.describe(Instant::now() + LIMIT).await.map_err(|error| anyhow!("{error}"));
    let keys = keys.with_context(|| format!("describe the keys of the table {table}"))?;
    let items = sample::sample(&reader, items).await.with_context(|| format!("read the table {table}"))?;
    ensure!(!items.is_empty(), "the table {table} has no items to propose a definition from");
    Ok(propose(&items, Some(&keys), engine))
}

/// Proposes a definition. `keys`: the table's key attributes, if they are known.
#[must_use]
pub fn propose(items: &[Item<'_>], keys: Option<&KeySchema>, engine: EngineKind) -> Proposal {
    let mut fields = FieldFacts::default();
    for item in items {
        for (name, value) in &item.0 {
            fields.member(&field_name(name, Level::Top)).note(value);
        }
    }
    let items = items.len() as u64;
    let mut guesser = Guesser::new(engine, key_fields(keys));
    let properties = guesser.properties("", &fields.members, items, "items");
    let mut definition = IndexDefinition::default().to_json();
    for (name, value) in limits(&guesser) {
        definition["settings"][name] = value;
    }
    definition["mappings"]["properties"] = properties.into();
    Proposal { items, definition, fields: guesser.guesses }
}

fn key_fields(keys: Option<&KeySchema>) -> Vec<String> {
    let attributes = keys.into_iter().flat_map(|keys| std::iter::once(&keys.partition).chain(&keys.sort));
    attributes.map(|key| field_name(&key.name, Level::Top).into_owned()).collect()
}

/// Limits of the index that the guesses come near to.
fn limits(guesser: &Guesser) -> Map<String, Value> {
    let mut limits = Map::new();
    let fields = guesser.guesses.len();
    if fields > MANY_FIELDS {
        limits.insert("index.mapping.total_fields.limit".to_owned(), json!(fields * 4));
    }
    let nested = guesser.guesses.iter().filter(|guess| guess.kind == "nested").count();
    if nested > NESTED_FIELDS {
        limits.insert("index.mapping.nested_fields.limit".to_owned(), json!(nested * 2));
    }
    limits
}

#[cfg(test)]
mod tests;
