//! Records of Kinesis that the event source mapping gives up: their messages name exactly them, and a redrive reads
//! them again from Kinesis.

use std::time::Duration;

use driftless_harness::activity::{PARTITION_KEY, create_table};
use driftless_harness::compare::compare;
use driftless_harness::function::FunctionConfig;
use driftless_harness::load::ItemMaker as _;
use driftless_harness::mapping::{KinesisFaults, ShardChoice};
use driftless_harness::services::dynamodb_client;
use driftless_harness::{activity::ActivityItems, mapping::MappingConfig};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::on_failure::{TestQueue, redrive, services, template};
use super::{eventually, proxy, settings};
use crate::kinesis::{KINESIS_BINARY, KinesisSource, ThroughKinesis};
use crate::support::{Index, unique};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kinesis_gives_up_is_read_again_from_kinesis_and_redriven() {
    let (proxy, index) = (proxy().await, Index::new("kinesis-given-up"));
    let tables = dynamodb_client(services().dynamodb_endpoint());
    let table = unique("faults");
    create_table(&tables, &table).await.expect("a table");
    let function = FunctionConfig::new("replicate-kinesis", KINESIS_BINARY.clone()).env("PARTITION_KEY", PARTITION_KEY);
    let settings = settings(&index, &proxy, 1_000);
    let mut function = settings.iter().fold(function, |function, (name, value)| function.env(name, value));
    function.timeout = Duration::from_secs(2);
    let config = MappingConfig { poll_interval: Duration::from_millis(100), ..template(5) };
    let source = KinesisSource { services: services(), tables: &tables, table: &table };
    let repeated = KinesisFaults { seed: 3, repeated_percent: 30, ..KinesisFaults::default() };
    let way = ThroughKinesis::start(source, function, config, (ShardChoice::ByKey, repeated)).await;
    let put = async |keys: std::ops::Range<u64>, revision| {
        let mut rng = StdRng::seed_from_u64(revision);
        for key in keys {
            let item = ActivityItems::default().item(key, &mut rng, revision);
            tables.put_item().table_name(&table).set_item(Some(item)).send().await.expect("put");
        }
    };
    let differences = async || {
        let compared = compare(&tables, &table, index.client(), &index.name, Some(PARTITION_KEY)).await;
        compared.expect("compared").differences()
    };
    put(0..3, 1).await;
    way.drain().await;
    assert_eq!(differences().await, 0);
    proxy.refuse().await;
    put(3..15, 1).await;
    eventually("something was given up", async || way.mapping.stats().dead_letters > 0).await;
    proxy.accept().await.expect("listens");
    way.drain().await;
    let queue = TestQueue::new("kinesis-ranges").await;
    let messages = way.messages.messages();
    let mut records = 0;
    for message in &messages {
        let message = serde_json::to_value(message).expect("JSON");
        let range = &message["KinesisBatchInfo"];
        assert!(range["streamArn"].as_str().is_some_and(|arn| arn.starts_with("arn:aws:kinesis:")), "{message}");
        records += range["batchSize"].as_u64().expect("a size");
        queue.put(&message).await;
    }
    let stats = way.mapping.stats();
    assert_eq!((messages.len() as u64, records), (stats.dead_letters, stats.dead_lettered_records), "{stats:?}");
    assert!(differences().await > 0, "an item is missing");
    let mut settings = settings;
    settings.push(("TABLE_NAME".to_owned(), table.clone()));
    let report: Value = redrive(&queue, settings).await;
    assert_eq!((&report["letters"]["kept"], &report["left"]), (&json!(0), &json!(0)), "{report}");
    assert_eq!(differences().await, 0, "after one redrive: {report}");
    assert_eq!(queue.messages().await.len(), 0);
    way.end().await;
}
