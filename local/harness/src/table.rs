//! A table with a stream, for those who have none.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification,
    StreamViewType, TableStatus,
};
use tokio::time::{Instant, sleep};

use crate::services::client_error;

/// The partition key of tables made here.
const KEY: &str = "id";
const LIMIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Creates the table `name` with a string key `id` and a stream of new and old images, unless there is a table of that
/// name, and waits until it can be used.
///
/// # Errors
/// Where DynamoDB refuses, or the table does not become active.
pub async fn create(client: &Client, name: &str) -> Result<()> {
    let key = AttributeDefinition::builder().attribute_name(KEY).attribute_type(ScalarAttributeType::S);
    let schema = KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash);
    let stream = StreamSpecification::builder().stream_enabled(true);
    let created = client
        .create_table()
        .table_name(name)
        .attribute_definitions(key.build().context("define the key")?)
        .key_schema(schema.build().context("define the key's role")?)
        .billing_mode(BillingMode::PayPerRequest)
        .stream_specification(
            stream.stream_view_type(StreamViewType::NewAndOldImages).build().context("define the stream")?,
        )
        .send()
        .await;
    match created {
        Err(error) if !error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
            Err(client_error(error).context(format!("create the table {name}")))
        }
        _ => active(client, name).await,
    }
}

async fn active(client: &Client, name: &str) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let described = client.describe_table().table_name(name).send().await;
        let table = described.map_err(client_error).with_context(|| format!("describe the table {name}"))?.table;
        let status = table.and_then(|table| table.table_status);
        if status == Some(TableStatus::Active) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("the table {name} is not active after {LIMIT:?}: {status:?}");
        }
        sleep(POLL_INTERVAL).await;
    }
}
