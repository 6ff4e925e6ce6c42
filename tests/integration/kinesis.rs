//! The way through Kinesis, on the real services: a table's stream, the bridge, a Kinesis data stream, and the real
//! binary behind the event source mapping, with everything that happens on this way.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use driftless::change::ChangeKind;
use driftless::testing::{KinesisRecordBuilder, TABLE_ARN};
use driftless_harness::activity::{ActivityItems, PARTITION_KEY, create_table};
use driftless_harness::compare::compare;
use driftless_harness::function::build_function;
use driftless_harness::function::{BuildProfile, FunctionConfig, FunctionProcess};
use driftless_harness::load::{self, Load, Meter};
use driftless_harness::mapping::{
    BridgeCounts, DynamoDbStream, EventSourceMapping, KinesisBridge, KinesisFaults, MappingConfig, MappingStats,
    MemoryMessages, ShardChoice, TimePrecision,
};
use driftless_harness::services::{
    DynamoDbKind, Services, WantedServices, create_stream, dynamodb_client, kinesis_client, shared, streams_client,
};
use driftless_harness::table::TableFacts;

use crate::loading::Scene;
use crate::many_writers::{ManyWriters, repair_under_changes};
use crate::streams::troubled;
use crate::support::{Index, services, unique};

/// Built once for all tests.
pub(crate) static KINESIS_BINARY: LazyLock<PathBuf> =
    LazyLock::new(|| build_function("replicate-kinesis", BuildProfile::Debug).expect("the function builds"));

const DRAIN: Duration = Duration::from_secs(180);

/// Everything that goes wrong between a table and Kinesis, often.
pub(crate) const FAULTS: KinesisFaults = KinesisFaults {
    seed: 11,
    late_percent: 15,
    repeated_percent: 15,
    same_time_percent: 15,
    reshard_every: NonZeroU64::new(90),
};

/// A table's way through Kinesis to an index, running.
pub(crate) struct ThroughKinesis {
    pub(crate) bridge: KinesisBridge,
    feed: EventSourceMapping,
    pub(crate) mapping: EventSourceMapping,
    pub(crate) messages: Arc<MemoryMessages>,
}

/// Table, and the services that it is on.
#[derive(Clone, Copy)]
pub(crate) struct KinesisSource<'s> {
    pub(crate) services: &'s Services,
    pub(crate) tables: &'s Client,
    pub(crate) table: &'s str,
}

impl<'s> KinesisSource<'s> {
    /// The table of a scene.
    pub(crate) fn of(scene: &'s Scene) -> Self {
        Self { services: services(), tables: &scene.tables, table: &scene.table }
    }

    async fn stream(self) -> DynamoDbStream {
        let streams = streams_client(self.services.dynamodb_endpoint());
        DynamoDbStream::of_table(self.tables, streams, self.table).await.expect("a stream")
    }

    /// Settings of the function that this source has and a stream has not.
    async fn configured(self, mut function: FunctionConfig) -> FunctionConfig {
        let facts = TableFacts::of(self.tables, self.table).await.expect("a table");
        for (name, value) in self.services.environment() {
            // The function may be behind a proxy.
            function.environment.entry(name.to_owned()).or_insert(value);
        }
        function.env("TABLE_ARN", facts.arn).env("TABLE_NAME", self.table)
    }
}

impl ThroughKinesis {
    pub(crate) async fn start(
        source: KinesisSource<'_>,
        function: FunctionConfig,
        config: MappingConfig,
        (choice, faults): (ShardChoice, KinesisFaults),
    ) -> Self {
        let client = kinesis_client(source.services.kinesis_endpoint().expect("Kinesis is wanted"));
        let name = unique(source.table);
        create_stream(&client, &name, 2).await.expect("a Kinesis data stream");
        let bridge = KinesisBridge::new(client, &name, PARTITION_KEY, choice, faults).await.expect("a bridge");
        let table_stream = Arc::new(source.stream().await);
        let feed = EventSourceMapping::start(MappingConfig::default(), table_stream, Arc::new(bridge.clone()), None);
        let feed = feed.await.expect("the bridge starts");
        let messages = Arc::new(MemoryMessages::default());
        let (stream, function) = (Arc::new(bridge.stream()), Arc::new(source.configured(function).await));
        let mapping = EventSourceMapping::start(config, stream, function, Some(Arc::clone(&messages) as _));
        let mapping = mapping.await.expect("the function starts");
        Self { bridge, feed, mapping, messages }
    }

    /// Waits until everything that the table has now is in the index, or was given up.
    pub(crate) async fn drain(&self) -> BridgeCounts {
        self.feed.wait_until_drained(DRAIN).await.expect("the table's stream is drained");
        let counts = self.bridge.put_rest().await;
        self.mapping.wait_until_drained(DRAIN).await.expect("Kinesis is drained");
        counts
    }

    /// The same, and ends it.
    pub(crate) async fn end(self) -> (BridgeCounts, MappingStats) {
        let counts = self.drain().await;
        (counts, self.mapping.shutdown().await)
    }
}

/// The real binary, writing to `index`.
fn function(index: &Index) -> FunctionConfig {
    let function = FunctionConfig::new("replicate-kinesis", KINESIS_BINARY.clone()).env("PARTITION_KEY", PARTITION_KEY);
    index.settings().into_iter().fold(function, |function, (name, value)| function.env(name, value))
}

/// Lambda's own polling, which is once a second, makes these tests long.
fn polling(config: MappingConfig) -> MappingConfig {
    MappingConfig { poll_interval: Duration::from_millis(100), ..config }
}

async fn a_troubled_kinesis_stream_converges(dynamodb: DynamoDbKind, choice: ShardChoice) {
    let services = shared(WantedServices { dynamodb, sqs: false, ..WantedServices::default() });
    let tables = dynamodb_client(services.dynamodb_endpoint());
    let table = unique("activity");
    create_table(&tables, &table).await.expect("a table");
    let index = Index::new("kinesis");
    let source = KinesisSource { services, tables: &tables, table: &table };
    let way = ThroughKinesis::start(source, function(&index), polling(troubled()), (choice, FAULTS)).await;
    let mut changes = 0;
    for precision in [TimePrecision::Microsecond, TimePrecision::Millisecond, TimePrecision::Microsecond] {
        way.bridge.set_precision(precision);
        let load = Load { rate: 60.0, seconds: 2.0, keys: 60, ..Load::default() };
        let items = Arc::new(ActivityItems::default());
        let written = load::run(&load, &tables, &table, items, Arc::new(Meter::default())).await.expect("written");
        assert_eq!(written.failed, 0, "{written:?}");
        changes += written.changes();
    }
    let messages = Arc::clone(&way.messages);
    let (counts, stats) = way.end().await;
    assert!(counts.put > changes && counts.resharded > 2, "{counts:?} of {changes}");
    assert!(stats.redelivered_batches > 0 && stats.faults > 0, "{stats:?}");
    assert_eq!((stats.records_read, stats.records_lost), (counts.put, 0), "{stats:?}");
    assert_eq!(messages.messages().len(), 0, "{:?}", messages.messages());
    let comparison =
        compare(&tables, &table, index.client(), &index.name, Some(PARTITION_KEY)).await.expect("compared");
    assert_eq!(comparison.differences(), 0, "{}", comparison.describe());
    assert!(comparison.items > 0 && comparison.items == comparison.documents, "{comparison:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_troubled_kinesis_stream_of_the_embedded_dynamodb_converges() {
    a_troubled_kinesis_stream_converges(DynamoDbKind::Embedded, ShardChoice::ByKey).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_troubled_kinesis_stream_without_partition_keys_converges() {
    a_troubled_kinesis_stream_converges(DynamoDbKind::Embedded, ShardChoice::Any).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_troubled_kinesis_stream_of_dynamodb_local_converges() {
    a_troubled_kinesis_stream_converges(DynamoDbKind::DynamoDbLocal, ShardChoice::ByKey).await;
}

/// A record of the microsecond of this number, whose document is `{"n": number}` unless it is a removal.
fn record(kind: ChangeKind, key: &str, number: u64) -> String {
    match kind {
        ChangeKind::Insert => KinesisRecordBuilder::insert(key, number),
        ChangeKind::Modify => KinesisRecordBuilder::modify(key, number),
        ChangeKind::Remove => KinesisRecordBuilder::remove(key, number),
    }
    .json()
}

/// A process for records of the table `T`.
fn process(index: &Index) -> FunctionProcess {
    let function = FunctionConfig::new("replicate-kinesis", KINESIS_BINARY.clone()).env("TABLE_ARN", TABLE_ARN);
    let settings = index.settings().into_iter();
    FunctionProcess::new(
        settings.fold(function.env("TABLE_NAME", "T"), |function, (name, value)| function.env(name, value)),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_processes_writing_the_same_key_through_kinesis_converge() {
    ManyWriters { index: &Index::new("hot-kinesis"), process, record }.write_one_key().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_batch_of_kinesis_delivered_to_many_in_any_order_is_applied_once() {
    ManyWriters { index: &Index::new("same-kinesis"), process, record }.write_one_batch().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repairs_and_changes_through_kinesis_race_and_the_newest_stands() {
    let scene = Scene::new("race-kinesis").await;
    scene.fill(0..40).await;
    let config =
        MappingConfig { batch_size: 25, report_batch_item_failures: true, ..polling(MappingConfig::default()) };
    let source = KinesisSource::of(&scene);
    let way = ThroughKinesis::start(source, function(&scene.index), config, (ShardChoice::ByKey, FAULTS)).await;
    way.drain().await;
    scene.backfilled().await;
    repair_under_changes(&scene).await;
    way.end().await;
    let comparison = scene.compared().await;
    assert_eq!(comparison.differences(), 0, "{}", comparison.describe());
}
