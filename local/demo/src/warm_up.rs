//! Warm-up: brings everything to the state in which a production system is, before anything counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aws_sdk_dynamodb::Client as Tables;
use aws_sdk_dynamodb::types::AttributeValue;
use driftless::queue::Queue as _;
use driftless::queue::sqs::SqsQueue;
use driftless_harness::activity::{PARTITION_KEY, POISON};
use driftless_harness::function::Launch;
use driftless_harness::mapping::stream::ChangeStream;
use driftless_harness::mapping::{EventSourceMapping, MappingConfig};
use opensearch::indices::IndicesDeleteParts;
use opensearch::{BulkParts, OpenSearch};

/// Single writes after which a fresh engine answers as fast as it will.
const WRITES: u32 = 6_000;
/// Longest warm-up of the engine, and of the function.
const LIMIT: Duration = Duration::from_secs(20);
/// Items that come and go.
const ITEMS: u32 = 100;

/// Lets the engine compile its code, by writing to another index.
///
/// # Errors
/// Where it refuses.
pub(crate) async fn engine(engine: &OpenSearch, index: &str) -> Result<()> {
    let scratch = format!("{index}-warm-up");
    let started = Instant::now();
    for number in 0..WRITES {
        let operations = vec![format!(r#"{{"create":{{"_id":"{number}"}}}}"#), format!(r#"{{"n":{number}}}"#)];
        let written = engine.bulk(BulkParts::Index(&scratch)).body(operations).send().await;
        written.context("warm the engine up")?.error_for_status_code().context("warm the engine up")?;
        if started.elapsed() > LIMIT {
            break;
        }
    }
    let deleted = engine.indices().delete(IndicesDeleteParts::Index(&[&scratch])).send().await;
    deleted.context("delete the warm-up's index")?.error_for_status_code().context("delete the warm-up's index")?;
    Ok(())
}

/// Lets items come and go through a mapping of their own, so that the function has made its index. The items are
/// poison, for the way to the queue; their dead letters are taken off it again.
///
/// # Errors
/// Where a service refuses, or the items are not replicated.
pub(crate) async fn function(
    (tables, table): (&Tables, &str),
    queue: &Arc<SqsQueue>,
    (config, stream, launcher): (MappingConfig, Arc<dyn ChangeStream>, Arc<dyn Launch>),
) -> Result<()> {
    let mapping = EventSourceMapping::start(config, stream, launcher, Some(Arc::clone(queue) as _)).await?;
    for number in 0..ITEMS {
        let mut item = key(number);
        item.insert("follow_up".to_owned(), AttributeValue::S(POISON.to_owned()));
        let put = tables.put_item().table_name(table).set_item(Some(item)).send();
        put.await.context("put an item")?;
        let deleted = tables.delete_item().table_name(table).set_key(Some(key(number))).send();
        deleted.await.context("delete it")?;
    }
    mapping.wait_until_drained(LIMIT * 3).await.context("replicate the first items")?;
    mapping.shutdown().await;
    empty(queue).await
}

fn key(number: u32) -> HashMap<String, AttributeValue> {
    let parts = [(PARTITION_KEY, format!("warm-up-{number}")), ("sk", "warm-up".to_owned())];
    parts.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into()
}

async fn empty(queue: &SqsQueue) -> Result<()> {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let messages = queue.receive(deadline).await.context("read the queue")?;
        if messages.is_empty() {
            return Ok(());
        }
        for message in &messages {
            queue.delete(message, deadline).await.context("delete a dead letter")?;
        }
    }
}
