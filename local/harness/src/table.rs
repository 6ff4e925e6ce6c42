//! A table with a stream, for those who have none; and what DynamoDB says about a table.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::primitives::DateTime;
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

/// Facts about a table, as DynamoDB describes it.
#[derive(Clone, Debug)]
pub struct TableFacts {
    /// Name of the table.
    pub name: String,
    /// ARN of the table.
    pub arn: String,
    /// Time of its creation, in seconds since 1970.
    pub created: i64,
    /// Number of items, which DynamoDB counts every six hours: an estimate.
    pub items: u64,
    /// View type of its stream, if it has one that is enabled.
    pub stream_view: Option<StreamViewType>,
}

impl TableFacts {
    /// Describes the table `name`.
    ///
    /// # Errors
    /// Where there is none of that name, or it cannot be described.
    pub async fn of(client: &Client, name: &str) -> Result<Self> {
        let described = client.describe_table().table_name(name).send().await.map_err(|error| {
            match error.as_service_error().is_some_and(DescribeTableError::is_resource_not_found_exception) {
                true => anyhow!("the table {name} does not exist"),
                false => client_error(error).context(format!("describe the table {name}")),
            }
        });
        let table = described?.table.with_context(|| format!("the table {name} has no description"))?;
        let stream = table.stream_specification().filter(|stream| stream.stream_enabled());
        Ok(Self {
            name: name.to_owned(),
            arn: table.table_arn().unwrap_or_default().to_owned(),
            created: table.creation_date_time().map_or(0, DateTime::secs),
            items: table.item_count().and_then(|items| u64::try_from(items).ok()).unwrap_or_default(),
            stream_view: stream.map(|stream| stream.stream_view_type().cloned().unwrap_or(StreamViewType::KeysOnly)),
        })
    }

    /// Checks that the stream can be replicated.
    ///
    /// # Errors
    /// Where there is no stream, or one without new images; says the command that mends it.
    pub fn check_stream(&self) -> Result<()> {
        let command = |specification: &str| {
            format!("aws dynamodb update-table --table-name {} --stream-specification {specification}", self.name)
        };
        let enable = command("StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES");
        match &self.stream_view {
            None => bail!("the table {} has no stream; enable one:\n  {enable}", self.name),
            Some(StreamViewType::NewImage | StreamViewType::NewAndOldImages) => Ok(()),
            Some(view) => bail!(
                "the stream of the table {} has the view type {}, without new images; replace it:\n  {}\n  {enable}",
                self.name,
                view.as_str(),
                command("StreamEnabled=false")
            ),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(stream_view: Option<StreamViewType>) -> String {
        let (name, arn) = ("orders".to_owned(), String::new());
        TableFacts { name, arn, created: 0, items: 0, stream_view }.check_stream().unwrap_err().to_string()
    }

    #[test]
    fn a_stream_that_cannot_be_replicated_is_named_with_the_command_that_mends_it() {
        let enable = "aws dynamodb update-table --table-name orders --stream-specification \
                      StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES";
        let none = refused(None);
        assert!(none.contains("no stream") && none.ends_with(enable), "{none}");
        let keys = refused(Some(StreamViewType::KeysOnly));
        assert!(
            keys.contains("KEYS_ONLY") && keys.contains("StreamEnabled=false\n") && keys.ends_with(enable),
            "{keys}"
        );
    }
}
