//! A real DynamoDB stream: the embedded database's, read through the SDK.

use std::{collections::HashMap, sync::Arc, time::Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_dynamodb::{
    Client as Tables,
    primitives::Blob,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        StreamSpecification, StreamViewType,
    },
};
use driftless_harness::mapping::{
    DynamoDbStream, EventSourceMapping, MappingConfig,
    stream::{ChangeStream, ShardId, ShardPosition, StreamPage},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{LIMIT, scripted_function};

/// A database of its own, with one table whose partition key `pk` is not the first of its keys by name.
pub(super) struct Database {
    pub(super) tables: Tables,
    streams: aws_sdk_dynamodbstreams::Client,
    server: JoinHandle<()>,
}

impl Drop for Database {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(super) const TABLE: &str = "people";

impl Database {
    pub(super) async fn start() -> Self {
        let database = dynoxide::Database::memory().expect("the database opens");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let endpoint = format!("http://{}", listener.local_addr().expect("the port is known"));
        let server = tokio::spawn(async move {
            dynoxide::server::serve_on(listener, database).await;
        });
        let credentials = Credentials::new("local", "local", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(endpoint)
            .build();
        let (tables, streams) = (Tables::new(&config), aws_sdk_dynamodbstreams::Client::new(&config));
        let this = Self { tables, streams, server };
        this.create_table().await;
        this
    }

    async fn create_table(&self) {
        let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
        let text = |name: &str| {
            let definition = AttributeDefinition::builder().attribute_name(name);
            definition.attribute_type(ScalarAttributeType::S).build()
        };
        let stream = StreamSpecification::builder().stream_enabled(true);
        let stream = stream.stream_view_type(StreamViewType::NewAndOldImages).build();
        self.tables
            .create_table()
            .table_name(TABLE)
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(key("pk", KeyType::Hash).expect("a key"))
            .key_schema(key("at", KeyType::Range).expect("a key"))
            .attribute_definitions(text("pk").expect("a definition"))
            .attribute_definitions(text("at").expect("a definition"))
            .stream_specification(stream.expect("a specification"))
            .send()
            .await
            .expect("the table is created");
    }

    pub(super) async fn put(&self, item: HashMap<String, AttributeValue>) {
        self.tables.put_item().table_name(TABLE).set_item(Some(item)).send().await.expect("the item is put");
    }

    pub(super) async fn stream(&self) -> DynamoDbStream {
        DynamoDbStream::of_table(&self.tables, self.streams.clone(), TABLE).await.expect("the table has a stream")
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(super) fn item(key: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([("pk".to_owned(), text(key)), ("at".to_owned(), text("1"))])
}

const NUMBER: &str = "12345678901234567890.123456789";

/// An item with all ten attribute types.
fn full_item() -> HashMap<String, AttributeValue> {
    let mut full = item("a");
    full.extend([
        ("b".to_owned(), AttributeValue::B(Blob::new([0, 255]))),
        ("bs".to_owned(), AttributeValue::Bs(vec![Blob::new([1])])),
        ("bool".to_owned(), AttributeValue::Bool(true)),
        ("l".to_owned(), AttributeValue::L(vec![text(""), AttributeValue::Null(true)])),
        ("m".to_owned(), AttributeValue::M(HashMap::from([("x".to_owned(), text("y"))]))),
        ("n".to_owned(), AttributeValue::N(NUMBER.to_owned())),
        ("ns".to_owned(), AttributeValue::Ns(vec!["1".to_owned()])),
        ("null".to_owned(), AttributeValue::Null(true)),
        ("ss".to_owned(), AttributeValue::Ss(vec!["s".to_owned()])),
    ]);
    full
}

async fn read(stream: &DynamoDbStream, shard: &ShardId, position: &ShardPosition) -> StreamPage {
    let iterator = stream.iterator(shard, position).await.expect("an iterator");
    stream.records(&iterator, 100).await.expect("records")
}

fn events(page: &StreamPage) -> Vec<Value> {
    page.records.iter().map(|record| serde_json::from_slice(record.json()).expect("JSON")).collect()
}

#[tokio::test]
async fn records_of_a_real_stream_have_lambdas_form_in_all_attribute_types() {
    let database = Database::start().await;
    database.put(full_item()).await;
    database.put(item("a")).await;
    database.tables.delete_item().table_name(TABLE).set_key(Some(item("a"))).send().await.unwrap();

    let stream = database.stream().await;
    assert_eq!(stream.partition_key(), "pk");
    let shard = stream.shards().await.unwrap().remove(0).id;
    let page = read(&stream, &shard, &ShardPosition::TrimHorizon).await;
    let events = events(&page);

    let keys = json!({"pk": {"S": "a"}, "at": {"S": "1"}});
    let full = json!({
        "pk": {"S": "a"}, "at": {"S": "1"}, "b": {"B": "AP8="}, "bs": {"BS": ["AQ=="]}, "bool": {"BOOL": true},
        "l": {"L": [{"S": ""}, {"NULL": true}]}, "m": {"M": {"x": {"S": "y"}}}, "n": {"N": NUMBER},
        "ns": {"NS": ["1"]}, "null": {"NULL": true}, "ss": {"SS": ["s"]},
    });
    let names: Vec<_> = events.iter().map(|event| event["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["INSERT", "MODIFY", "REMOVE"]);
    let change = |index: usize| &events[index]["dynamodb"];
    assert_eq!((&change(0)["Keys"], &change(0)["NewImage"]), (&keys, &full));
    assert!(change(0).get("OldImage").is_none() && change(2).get("NewImage").is_none());
    assert_eq!((&change(1)["OldImage"], &change(1)["NewImage"]), (&full, &keys));
    assert_eq!(change(2)["OldImage"], keys);
    for event in &events {
        assert_eq!(event["eventSource"], "aws:dynamodb");
        assert_eq!(event["eventVersion"], "1.1");
        assert_eq!(event["eventSourceARN"], stream.arn());
        assert_eq!(event["dynamodb"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
        assert!(event["dynamodb"]["ApproximateCreationDateTime"].as_i64().unwrap() > 1_700_000_000);
        assert!(event.get("userIdentity").is_none());
    }
}

#[tokio::test]
async fn positions_are_at_after_and_behind_a_record() {
    let database = Database::start().await;
    for key in ["a", "b", "c"] {
        database.put(item(key)).await;
    }
    let stream = database.stream().await;
    let shard = stream.shards().await.unwrap().remove(0).id;
    let all = read(&stream, &shard, &ShardPosition::TrimHorizon).await;
    let second = all.records[1].sequence_number().clone();
    assert_eq!(events(&read(&stream, &shard, &ShardPosition::At(second.clone())).await), events(&all)[1..]);
    assert_eq!(events(&read(&stream, &shard, &ShardPosition::After(second)).await), events(&all)[2..]);
    assert!(read(&stream, &shard, &ShardPosition::Latest).await.records.is_empty());
    assert!(all.records.is_sorted_by_key(|record| record.sequence_number().clone()));
}

#[tokio::test]
async fn a_real_stream_reaches_a_real_function() {
    let database = Database::start().await;
    let folder = TempDir::new().unwrap();
    let deliveries = folder.path().join("deliveries");
    let function = scripted_function().env("DELIVERIES", deliveries.display().to_string());
    let config =
        MappingConfig { report_batch_item_failures: true, parallelization_factor: 2, ..MappingConfig::default() };
    let stream = Arc::new(database.stream().await);
    let mapping = EventSourceMapping::start(config, stream, Arc::new(function), None).await.unwrap();
    for index in 0..40 {
        database.put(item(&index.to_string())).await;
    }
    let start = Instant::now();
    mapping.wait_until_drained(LIMIT).await.unwrap();
    assert!(start.elapsed().as_secs() < 10, "draining takes about two polls");
    let stats = mapping.shutdown().await;
    assert_eq!((stats.records_delivered, stats.stream_errors), (40, 0));
    assert_eq!(std::fs::read_to_string(&deliveries).unwrap().lines().count(), 40);
}

#[tokio::test]
async fn a_table_without_a_stream_is_named() {
    let database = Database::start().await;
    let error = DynamoDbStream::of_table(&database.tables, database.streams.clone(), "absent").await.unwrap_err();
    assert!(error.to_string().contains("absent"), "{error}");
}
