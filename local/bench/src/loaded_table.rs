//! The table of the rows about first load and proof: many items of half a kilobyte, and the bare ways to read them.

use std::ops::Range;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PutRequest, ScalarAttributeType, StreamSpecification,
    StreamViewType, WriteRequest,
};
use bytes::Bytes;
use driftless::attribute::Item;
use driftless::document::Document;
use driftless::document_id::DocumentId;
use driftless::version::{Generation, Version};
use driftless_harness::load::{ItemMaker as _, PlainItems};
use driftless_harness::services::{Services, dynamodb_client};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::baseline::{BaselineClient, BaselineService};

/// Partition key of the table: its only key attribute.
const KEY: &str = "id";
/// Items of one `BatchWriteItem`.
const WRITTEN_TOGETHER: u64 = 25;
/// Requests under way while the table is filled.
const CONCURRENT_WRITES: usize = 8;
/// Items of a page, as the functions read them.
const PAGE_ITEMS: u64 = 2_000;
/// The key behind a page, the last member of an answer that matters.
const LAST_KEY: &[u8] = b"\"LastEvaluatedKey\":";

/// A table filled with items of known number and size.
pub(crate) struct LoadedTable {
    pub(crate) name: String,
    /// Number of items that it was filled with.
    pub(crate) items: u64,
    /// Items per second that the database took.
    pub(crate) fill_rate: f64,
    pub(crate) client: Client,
    pub(crate) makes: PlainItems,
    endpoint: String,
}

impl LoadedTable {
    /// Creates a table without a stream, and fills it.
    pub(crate) async fn fill(services: &Services, name: String, items: u64) -> Result<Self> {
        let endpoint = services.dynamodb_endpoint().to_owned();
        let client = dynamodb_client(&endpoint);
        create(&client, &name).await?;
        services.index_scan(&name)?;
        let makes = PlainItems::of(&client, &name).await?;
        let started = Instant::now();
        let mut table = Self { name, items, fill_rate: f64::NAN, client, makes, endpoint };
        let firsts = (0..items).step_by(usize::try_from(WRITTEN_TOGETHER).context("count items")?);
        let writes = firsts.map(|first| table.put(first..(first + WRITTEN_TOGETHER).min(items)));
        stream::iter(writes).buffer_unordered(CONCURRENT_WRITES).try_collect::<()>().await?;
        table.fill_rate = items as f64 / started.elapsed().as_secs_f64();
        Ok(table)
    }

    async fn put(&self, keys: Range<u64>) -> Result<()> {
        let put = |key| {
            let put = PutRequest::builder().set_item(Some(self.item(key))).build().context("build an item")?;
            Ok(WriteRequest::builder().put_request(put).build())
        };
        let requests: Vec<WriteRequest> = keys.map(put).collect::<Result<_>>()?;
        let answer = self.client.batch_write_item().request_items(&self.name, requests).send().await;
        let left = answer.context("fill the table")?.unprocessed_items.unwrap_or_default();
        ensure!(left.is_empty(), "the database left items unprocessed");
        Ok(())
    }

    fn item(&self, key: u64) -> driftless_harness::load::LoadItem {
        self.makes.item(key, &mut StdRng::seed_from_u64(key), 0)
    }

    /// Switches the stream on. What was written before is not in it.
    pub(crate) async fn enable_stream(&self) -> Result<()> {
        let stream = StreamSpecification::builder().stream_enabled(true);
        let stream = stream.stream_view_type(StreamViewType::NewAndOldImages).build().context("define the stream")?;
        let described =
            self.client.describe_table().table_name(&self.name).send().await.context("describe the table")?;
        if described.table.is_some_and(|table| table.latest_stream_arn.is_none()) {
            let update = self.client.update_table().table_name(&self.name).stream_specification(stream);
            update.send().await.context("switch the stream on")?;
        }
        Ok(())
    }

    /// Bodies of bulk requests that create the documents of these items in this order, so many in one.
    pub(crate) fn create_bulks(&self, keys: &[u64], documents: usize) -> Result<Vec<Bytes>> {
        keys.chunks(documents).map(|keys| self.create_operations(keys).map(Bytes::from)).collect()
    }

    /// Bulk operations that create the documents of these items, with the metadata of a backfill.
    fn create_operations(&self, keys: &[u64]) -> Result<Vec<u8>> {
        let version = Version::lowest(Generation(1));
        let mut operations = Vec::new();
        for &key in keys {
            let item = Item::from_sdk(self.item(key)).map_err(|error| anyhow!("convert an item: {error}"))?;
            let document = Document::from_item(&item);
            let (_, members) = document.as_bytes().split_last().context("a document is an object")?;
            operations.extend_from_slice(format!("{{\"create\":{{\"_id\":\"{}\"}}}}\n", id(key)).as_bytes());
            operations.extend_from_slice(members);
            let metadata = json!({"version": version.as_str(), "written_at": 1_700_000_000_000_u64, "read_at": 1_700_000_000_000_u64});
            operations.extend_from_slice(format!(",\"_driftless\":{metadata}}}\n").as_bytes());
        }
        Ok(operations)
    }

    /// Scans the table page by page over one connection, and reads no more of an answer than it needs.
    /// Returns the numbers of the items, in their order, if asked to.
    pub(crate) async fn scan(&self, with_numbers: bool) -> Result<Vec<u64>> {
        let url = Url::parse(&self.endpoint).context("read the database's URL")?;
        let mut connection = BaselineClient::open(&url, "", BaselineService::DynamoDb).await?;
        let (mut numbers, mut after) = (Vec::new(), None);
        loop {
            // As the functions ask.
            let mut request = json!({"TableName": self.name, "Segment": 0, "TotalSegments": 1, "Limit": PAGE_ITEMS,
                "ConsistentRead": false, "ReturnConsumedCapacity": "TOTAL"});
            if let Some(after) = after {
                request["ExclusiveStartKey"] = after;
            }
            let answer = connection.send(hyper::Method::POST, "/", Bytes::from(request.to_string())).await?;
            if with_numbers {
                numbers.extend(read_numbers(&answer.body)?);
            }
            after = last_key(&answer.body)?;
            if after.is_none() {
                return Ok(numbers);
            }
        }
    }
}

/// Id of an item's document.
pub(crate) fn id(key: u64) -> String {
    format!("key-{key:08}")
}

/// Ids of items' documents.
pub(crate) fn ids(keys: &[u64]) -> Vec<DocumentId> {
    keys.iter().map(|key| DocumentId::from_stored(id(*key))).collect()
}

async fn create(client: &Client, name: &str) -> Result<()> {
    let key = AttributeDefinition::builder().attribute_name(KEY).attribute_type(ScalarAttributeType::S);
    let schema = KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash);
    let request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    let request = request.attribute_definitions(key.build().context("define the key")?);
    let request = request.key_schema(schema.build().context("define the key's role")?);
    request.send().await.with_context(|| format!("create the table {name}"))?;
    Ok(())
}

fn last_key(answer: &[u8]) -> Result<Option<Value>> {
    let Some(at) = answer.windows(LAST_KEY.len()).rposition(|part| part == LAST_KEY) else { return Ok(None) };
    let mut rest = serde_json::Deserializer::from_slice(&answer[at + LAST_KEY.len()..]).into_iter();
    rest.next().transpose().context("read a page's last key")
}

fn read_numbers(answer: &[u8]) -> Result<Vec<u64>> {
    #[derive(Deserialize)]
    struct Page {
        #[serde(rename = "Items")]
        items: Vec<Keyed>,
    }
    #[derive(Deserialize)]
    struct Keyed {
        id: Text,
    }
    #[derive(Deserialize)]
    struct Text {
        #[serde(rename = "S")]
        text: String,
    }
    let page: Page = serde_json::from_slice(answer).context("read a page")?;
    let number = |keyed: Keyed| keyed.id.text.trim_start_matches("key-").parse().context("read an item's number");
    page.items.into_iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_its_items_and_where_the_next_begins() {
        let page = br#"{"Items":[{"id":{"S":"key-00000007"},"n":{"N":"1"}},{"id":{"S":"key-00000009"}}],"Count":2,
            "LastEvaluatedKey":{"id":{"S":"key-00000009"}},"ConsumedCapacity":{"CapacityUnits":1.0}}"#;
        assert_eq!(read_numbers(page).unwrap(), [7, 9]);
        assert_eq!(last_key(page).unwrap(), Some(json!({"id": {"S": "key-00000009"}})));
        assert_eq!(last_key(br#"{"Items":[],"Count":0}"#).unwrap(), None);
    }
}
