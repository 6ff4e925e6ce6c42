//! Loads on a real table.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::*;
use crate::services::{EmbeddedDynamoDb, Service, dynamodb_client};
use crate::table;

async fn service_with(table: &str) -> (EmbeddedDynamoDb, Client) {
    let service = EmbeddedDynamoDb::start().await.unwrap();
    let client = dynamodb_client(service.endpoint());
    table::create(&client, table).await.unwrap();
    (service, client)
}

fn load() -> Load {
    Load { rate: 400.0, seconds: 1.0, keys: 40, skew: 1.0, seed: 3, ..Load::default() }
}

async fn run_plain(load: &Load, client: &Client, table: &str) -> LoadReport {
    let items = Arc::new(PlainItems::of(client, table).await.unwrap());
    run(load, client, table, items, Arc::default()).await.unwrap()
}

/// Returns the number of the last write of each live key, as the table must hold it after the plan.
fn expected(load: &Load) -> HashMap<u64, u64> {
    let mut live = HashMap::new();
    for write in WriteSchedule::new(load) {
        match write.kind {
            WriteKind::Remove => live.remove(&write.key),
            WriteKind::Insert | WriteKind::Modify => live.insert(write.key, write.n),
        };
    }
    live
}

#[tokio::test]
async fn writes_are_what_the_plan_says_and_end_as_its_last() {
    let (_service, client) = service_with("planned").await;
    let load = load();
    let report = run_plain(&load, &client, "planned").await;
    let count = |kind| WriteSchedule::new(&load).filter(|write| write.kind == kind).count() as u64;
    assert_eq!(report.failed, 0, "{:?}", report.first_failure);
    assert_eq!(
        (report.inserted, report.modified, report.removed, report.without_effect),
        (count(WriteKind::Insert), count(WriteKind::Modify), count(WriteKind::Remove), 0)
    );
    assert_eq!(report.changes(), report.planned);
    assert_eq!(report.latency_us.len(), report.planned);
    assert!(report.service_us.min() > 10, "no answer comes in {} us", report.service_us.min());
    let items = client.scan().table_name("planned").consistent_read(true).send().await.unwrap().items.unwrap();
    let found: HashMap<u64, u64> = items
        .iter()
        .map(|item| {
            let key = item["id"].as_s().unwrap().trim_start_matches("key-").parse().unwrap();
            assert!(item[WRITTEN_AT].as_n().unwrap().parse::<u64>().unwrap() > 1_700_000_000_000_000);
            (key, item["write"].as_n().unwrap().parse().unwrap())
        })
        .collect();
    assert_eq!(found, expected(&load));
}

#[tokio::test]
async fn a_slow_table_holds_writes_back_and_drops_none() {
    let (_service, client) = service_with("narrow").await;
    let load = Load { rate: 2_000.0, seconds: 0.2, max_in_flight: 1, ..load() };
    let report = run_plain(&load, &client, "narrow").await;
    assert_eq!(report.changes(), 400);
    assert!(report.waited_for_slot + report.waited_for_key > 0, "{report:?}");
    assert!(report.latency_us.max() >= report.service_us.max());
}

#[tokio::test]
async fn a_stopped_load_ends_with_the_writes_that_it_has_begun() {
    let (_service, client) = service_with("stopped").await;
    let load = Load { seconds: 600.0, ..load() };
    let items = Arc::new(PlainItems::of(&client, "stopped").await.unwrap());
    let meter = Arc::new(Meter::default());
    let stop = tokio::time::sleep(std::time::Duration::from_millis(200));
    let report = run_until(&load, &client, "stopped", items, Arc::clone(&meter), stop).await.unwrap();
    assert!(report.planned > 10 && report.planned < load.writes(), "{report:?}");
    assert_eq!((report.changes(), meter.due(), meter.done()), (report.planned, report.planned, report.planned));
}

#[tokio::test]
async fn a_held_load_writes_nothing_and_goes_on_at_its_rate() {
    const HELD: Duration = Duration::from_millis(600);
    let (_service, client) = service_with("held").await;
    let items = Arc::new(PlainItems::of(&client, "held").await.unwrap());
    let (load, meter) = (Load { rate: 100.0, seconds: 0.5, ..load() }, Arc::new(Meter::default()));
    let hold = async {
        let held = meter.hold().await;
        tokio::time::sleep(HELD).await;
        assert_eq!(meter.due(), 0, "nothing is begun meanwhile");
        drop(held);
    };
    // In this order: the load is held before its first write is due.
    let ((), report) = tokio::join!(hold, run(&load, &client, "held", items, Arc::clone(&meter)));
    let report = report.unwrap();
    assert_eq!((report.planned, report.failed), (50, 0));
    // What was held back does not come in one burst afterwards.
    assert!(report.elapsed > HELD + Duration::from_millis(400), "{:?}", report.elapsed);
}

#[tokio::test]
async fn failed_writes_are_counted_with_their_reason() {
    let (_service, client) = service_with("present").await;
    let items = Arc::new(PlainItems::of(&client, "present").await.unwrap());
    let load = Load { rate: 100.0, seconds: 0.1, ..load() };
    let meter = Arc::new(Meter::default());
    let report = run(&load, &client, "missing", items, Arc::clone(&meter)).await.unwrap();
    assert_eq!((report.failed, report.changes()), (10, 0));
    assert_eq!((meter.due(), meter.done(), meter.failed()), (10, 10, 10));
    assert!(report.first_failure.unwrap().contains("ResourceNotFound"));
}

#[tokio::test]
async fn items_that_were_there_before_are_reported_as_modified() {
    let (_service, client) = service_with("filled").await;
    let old = AttributeValue::S("key-00000000".to_owned());
    let put = client.put_item().table_name("filled").item("id", old).return_values(ReturnValue::None);
    put.send().await.unwrap();
    let load = Load { rate: 10.0, seconds: 0.1, keys: 1, ..load() };
    let report = run_plain(&load, &client, "filled").await;
    assert_eq!((report.planned, report.inserted, report.modified), (1, 0, 1));
}

#[test]
fn a_load_without_sense_is_refused_with_every_problem() {
    let problems = Load { rate: 0.0, keys: 0, ..load() }.check().unwrap_err().to_string();
    assert_eq!(problems, "the rate must be above 0 and at most 1,000,000; there must be a key");
}
