//! A real Kinesis data stream, and the bridge from a table's real stream into it, with every fault that it has.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU64,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::{Client, primitives::Blob};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use driftless_harness::{
    mapping::{
        BridgeCounts, EventSourceMapping, KinesisBridge, KinesisFaults, KinesisStream, MappingConfig, Observe,
        ShardChoice, TimePrecision,
        record::StreamRecord,
        stream::{ChangeStream, Shard, ShardId, ShardPosition},
    },
    services::{EmbeddedKinesis, Service as _, create_stream, kinesis_client},
};
use serde_json::Value;

use super::{
    LIMIT,
    dynamodb_stream::{Database, TABLE, item},
    scripted_function,
};

/// A Kinesis of its own with one stream of two shards.
struct Stage {
    client: Client,
    _service: EmbeddedKinesis,
}

const STREAM: &str = "changes";

impl Stage {
    async fn start() -> Self {
        let service = EmbeddedKinesis::start().await.expect("Kinesis starts");
        let client = kinesis_client(service.endpoint());
        let arn = create_stream(&client, STREAM, 2).await.expect("a stream");
        assert_eq!(arn, format!("arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"));
        Self { client, _service: service }
    }

    async fn put(&self, key: &str, data: &str) {
        let put = self.client.put_record().stream_name(STREAM).partition_key(key);
        put.data(Blob::new(data)).send().await.expect("a record is put");
    }

    async fn stream(&self, choice: ShardChoice) -> KinesisStream {
        KinesisStream::new(self.client.clone(), STREAM, choice).await.expect("the stream is active")
    }
}

fn event(record: &StreamRecord) -> Value {
    serde_json::from_slice(record.json()).expect("JSON")
}

fn data(event: &Value) -> String {
    String::from_utf8(STANDARD.decode(event["kinesis"]["data"].as_str().expect("data")).expect("base64")).expect("text")
}

async fn read(stream: &KinesisStream, shard: &ShardId, position: ShardPosition) -> Vec<String> {
    let iterator = stream.iterator(shard, &position).await.expect("an iterator");
    stream.records(&iterator, 100).await.expect("records").records.iter().map(|record| data(&event(record))).collect()
}

#[tokio::test]
async fn records_have_lambdas_form_and_positions_are_at_after_and_behind_one() {
    let stage = Stage::start().await;
    for data in ["one", "two", "three"] {
        stage.put("same", data).await;
    }
    let stream = stage.stream(ShardChoice::ByKey).await;
    let mut found = Vec::new();
    for shard in stream.shards().await.expect("answers") {
        let iterator = stream.iterator(&shard.id, &ShardPosition::TrimHorizon).await.expect("answers");
        found.extend(
            stream
                .records(&iterator, 100)
                .await
                .expect("answers")
                .records
                .into_iter()
                .map(|record| (shard.id.clone(), record)),
        );
    }
    assert_eq!(found.len(), 3);
    let (shard, second) = &found[1];
    let json = event(second);
    assert_eq!((&*data(&json), json["eventSource"].as_str()), ("two", Some("aws:kinesis")));
    assert_eq!(json["kinesis"]["partitionKey"], "same");
    assert_eq!(json["eventID"], format!("{shard}:{}", second.sequence_number()));
    assert!(found.is_sorted_by_key(|(_, record)| record.sequence_number().clone()));
    let number = second.sequence_number().clone();
    assert_eq!(read(&stream, shard, ShardPosition::At(number.clone())).await, ["two", "three"]);
    assert_eq!(read(&stream, shard, ShardPosition::After(number)).await, ["three"]);
    assert!(read(&stream, shard, ShardPosition::Latest).await.is_empty());
    // Another limit than the page's tells where the next one begins.
    let iterator = stream.iterator(shard, &ShardPosition::TrimHorizon).await.expect("answers");
    let first = stream.records(&iterator, 1).await.expect("answers");
    let rest = stream.records(&first.next.expect("an open shard goes on"), 100).await.expect("answers");
    assert_eq!((first.records.len(), rest.records.len()), (1, 2));
}

#[tokio::test]
async fn a_split_and_a_merge_end_shards_and_name_the_parents() {
    let stage = Stage::start().await;
    for key in 0..20 {
        stage.put(&key.to_string(), "before").await;
    }
    let stream = stage.stream(ShardChoice::ByKey).await;
    let open = stream.shards().await.expect("answers");
    let (left, right) = (open[0].id.as_str(), open[1].id.as_str());
    let merge = stage.client.merge_shards().stream_name(STREAM).shard_to_merge(left).adjacent_shard_to_merge(right);
    merge.send().await.expect("merged");
    let merged = stage.stream(ShardChoice::ByKey).await.shards().await.expect("answers");
    let child = &merged[2];
    assert_eq!((&child.parent, &child.adjacent_parent), (&Some(open[0].id.clone()), &Some(open[1].id.clone())));
    let split = stage.client.split_shard().stream_name(STREAM).shard_to_split(child.id.as_str());
    split.new_starting_hash_key((1_u128 << 127).to_string()).send().await.expect("split");
    let split = stage.stream(ShardChoice::ByKey).await.shards().await.expect("answers");
    assert_eq!(split.iter().filter(|shard| shard.parent == Some(child.id.clone())).count(), 2);
    assert_eq!(split.iter().filter(|shard| shard.closed).count(), 3);
    let mut before = 0;
    for Shard { id, .. } in &split[..2] {
        let mut next = Some(stream.iterator(id, &ShardPosition::TrimHorizon).await.expect("answers"));
        let mut reads = 0;
        while let Some(iterator) = next.take() {
            let page = stream.records(&iterator, 100).await.expect("answers");
            before += page.records.len();
            next = page.next;
            reads += 1;
            assert!(reads < 10, "a closed shard ends");
        }
    }
    assert_eq!(before, 20);
}

/// Records that were delivered: by their Kinesis sequence numbers, the changes.
#[derive(Default)]
struct Delivered(Mutex<Vec<Value>>);

impl Observe for Delivered {
    fn delivered(&self, records: &[StreamRecord]) {
        let change = |record: &StreamRecord| serde_json::from_str::<Value>(&data(&event(record))).expect("JSON");
        self.0.lock().expect("not poisoned").extend(records.iter().map(change));
    }
}

/// Writes changes, brings them through the bridge, and returns what a function got of them.
async fn bridged(choice: ShardChoice, faults: KinesisFaults) -> (BridgeCounts, Vec<Value>) {
    let (stage, database) = (Stage::start().await, Database::start().await);
    let bridge = KinesisBridge::new(stage.client.clone(), STREAM, "pk", choice, faults).await.expect("a bridge");
    let source: Arc<dyn ChangeStream> = Arc::new(database.stream().await);
    let feed = EventSourceMapping::start(MappingConfig::default(), source, Arc::new(bridge.clone()), None)
        .await
        .expect("starts");
    let delivered = Arc::new(Delivered::default());
    // Lambda looks once a second, which would be most of the time for the shards of each resharding.
    let config = MappingConfig {
        report_batch_item_failures: true,
        parallelization_factor: 3,
        poll_interval: Duration::from_millis(100),
        ..MappingConfig::kinesis()
    };
    let stream: Arc<dyn ChangeStream> = Arc::new(bridge.stream());
    let observer = Some(Arc::clone(&delivered) as _);
    let mapping = EventSourceMapping::start_observed(config, stream, Arc::new(scripted_function()), None, observer)
        .await
        .expect("there");
    for n in 0..300 {
        let mut changed: HashMap<_, _> = item(&format!("k{}", n % 12));
        changed.insert("n".to_owned(), AttributeValue::N(n.to_string()));
        database.put(changed).await;
        if n == 150 {
            feed.wait_until_drained(LIMIT).await.expect("drained");
            bridge.set_precision(TimePrecision::Millisecond);
        }
    }
    database
        .tables
        .delete_item()
        .table_name(TABLE)
        .set_key(Some(item("k0")))
        .send()
        .await
        .expect("the database answers");
    feed.wait_until_drained(LIMIT).await.expect("drained");
    let counts = bridge.put_rest().await;
    mapping.wait_until_drained(LIMIT).await.expect("drained");
    let stats = mapping.shutdown().await;
    assert_eq!((stats.records_read, stats.records_delivered), (counts.put, counts.put), "{stats:?}");
    let delivered = std::mem::take(&mut *delivered.0.lock().expect("there"));
    (counts, delivered)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_without_faults_puts_each_change_once_with_growing_times() {
    let (counts, delivered) = bridged(ShardChoice::ByKey, KinesisFaults::default()).await;
    assert_eq!(counts, BridgeCounts { put: 301, resharded: 0 });
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for change in
        delivered.iter().filter(|change| change["dynamodb"]["ApproximateCreationDateTimePrecision"] == "MICROSECOND")
    {
        let time = change["dynamodb"]["ApproximateCreationDateTime"].as_u64().expect("a number");
        let key = change["dynamodb"]["Keys"].to_string();
        assert!(last.insert(key, time).is_none_or(|before| before < time), "{change}");
    }
    let removed = delivered.last().expect("changes");
    let removed = delivered.iter().find(|change| change["eventName"] == "REMOVE").unwrap_or(removed);
    assert_eq!((&removed["tableName"], removed["dynamodb"].get("NewImage")), (&Value::from(TABLE), None));
    assert_eq!(removed["dynamodb"]["ApproximateCreationDateTime"].to_string().len(), 13, "milliseconds by then");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_reordering_repetition_and_resharding_no_change_is_lost() {
    let faults = KinesisFaults {
        seed: 7,
        late_percent: 20,
        repeated_percent: 20,
        same_time_percent: 20,
        reshard_every: NonZeroU64::new(40),
    };
    for choice in [ShardChoice::ByKey, ShardChoice::Any] {
        let (counts, delivered) = bridged(choice, faults).await;
        assert!(counts.put > 330 && counts.resharded >= 7, "{counts:?}");
        let ids: BTreeSet<_> = delivered.iter().map(|change| change["eventID"].as_str().expect("an id")).collect();
        assert_eq!(ids.len(), 301);
        let ordered =
            |change: &&Value| change["dynamodb"]["NewImage"]["n"]["N"].as_str().and_then(|n| n.parse::<u32>().ok());
        let numbers: Vec<_> = delivered.iter().filter_map(|change| ordered(&change)).collect();
        assert!(numbers.windows(2).filter(|pair| pair[1] < pair[0]).count() > 20, "{numbers:?}");
    }
}
