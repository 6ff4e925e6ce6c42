//! The demo ends with the verdict of verify that table and index are equal, and its summary says so.

use std::time::{Duration, Instant};

use driftless_demo::stage::{DemoStage, Functions};
use driftless_demo::{Args, proof, replicate, set_up};
use driftless_harness::services::{Services, WantedServices, shared};
use driftless_harness::slices::verify::OrphanSearch;
use driftless_page::PageArgs;
use opensearch::DeleteParts;
use serde_json::json;

use crate::loading::{BACKFILL, VERIFY};
use crate::reindex::REINDEX;
use crate::streams::{BINARY, REDRIVE};

/// A short demo of a small table, with every fault.
pub(crate) fn arguments() -> Args {
    Args {
        rate: 20.0,
        seconds: 4.0,
        items: 400,
        factor: 2,
        batch_size: 1,
        seed: 7,
        poison: 0.2,
        outage: 0.0,
        timeout: 30,
        calm: false,
        json: true,
        keep: false,
        release: false,
        page: PageArgs::default(),
        picture: None,
    }
}

pub(crate) fn functions() -> Functions {
    Functions {
        replicate: BINARY.clone(),
        redrive: REDRIVE.clone(),
        backfill: BACKFILL.clone(),
        verify: VERIFY.clone(),
        reindex: REINDEX.clone(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_shows_an_index_that_is_equal() {
    let args = arguments();
    let services: &Services = shared(WantedServices::default());
    let stage = set_up(&args, services, functions()).await.expect("a stage");
    let summary = replicate(&args, &stage, services).await.expect("played");
    assert!(summary.equal && summary.items > 0 && summary.items == summary.documents, "{summary:?}");
    assert_eq!((summary.differences, summary.letters_left), (0, 0), "{summary:?}");
    // Every poison change has a letter, and nothing else has; a killed process may have left two of one.
    assert!(summary.poison > 0 && summary.dead_lettered_records == summary.poison, "{summary:?}");
    assert_eq!((summary.redriven, summary.dead_lettered_ranges), (summary.dead_letters, 0), "{summary:?}");
    assert!(summary.changes > 100 && summary.function.applied > 100, "{summary:?}");
    // Nothing of the warm-up counts; a killed process may have kept some of what it did.
    assert!(summary.function.applied <= summary.changes + summary.redriven, "{summary:?}");
    assert!(summary.function.rejected < 100, "{summary:?}");
    assert!(summary.redelivered > 0 && summary.killed > 0 && summary.duplicates > 0, "{summary:?}");
    assert!(summary.lag_p50_ms.is_some() && summary.lag_p99_ms >= summary.lag_p50_ms, "{summary:?}");
    let json = serde_json::to_value(&summary).expect("JSON");
    // The stream begins behind the items that the table held: the backfill has brought them.
    assert!(json["backfill"]["items"].as_u64() >= Some(args.items) && json["backfill"]["done"] == true, "{json}");
    let reindex = &json["reindex"];
    assert!(reindex["index"].as_str().is_some_and(|name| name.ends_with("-000002")), "{json}");
    // The items of the warm-up were deleted before.
    assert!(reindex["tombstones"].as_u64() >= Some(100) && reindex["searches_compared"] == 2, "{json}");
    assert_eq!((&reindex["found_before"], reindex["found_after"].as_u64() > Some(0)), (&json!(0), true), "{json}");
    let reads = &reindex["reads"];
    assert!(reads["searches"].as_u64() > Some(20) && reads["failed"] == 0 && reads["wrong"] == 0, "{json}");
    assert!(reindex["verify"]["orphans"] == "listed" && reindex["verify"]["items"].as_u64() > Some(300), "{json}");
    let verify = &json["verify"];
    assert_eq!((&verify["equal"], &verify["orphans"]), (&json!(true), &json!("listed")), "{json}");
    a_lost_document_is_noticed(&stage).await;
    stage.take_down().await;
}

/// The proof is one: it fails where a document is gone.
async fn a_lost_document_is_noticed(stage: &DemoStage) {
    let (engine, index) = (&stage.engine, stage.index.as_str());
    let found = engine.search(opensearch::SearchParts::Index(&[index])).size(1).send().await.expect("answered");
    let found: serde_json::Value = found.json().await.expect("JSON");
    let hit = &found["hits"]["hits"][0];
    let (index, id) = (hit["_index"].as_str().expect("an index"), hit["_id"].as_str().expect("an id"));
    let deleted = engine.delete(DeleteParts::IndexId(index, id)).send().await.expect("answered");
    deleted.error_for_status_code().expect("deleted");
    // For half a minute, the dead letters that were redriven look like a stream that is behind.
    let begun = Instant::now();
    let verify = loop {
        let verify = proof::verify(stage, json!({}), OrphanSearch::Full).await.expect("verified");
        if verify.pending == 0 || begun.elapsed() > Duration::from_secs(60) {
            break verify;
        }
        assert_eq!((verify.equal, verify.differences()), (None, 0), "not called equal: {verify:?}");
    };
    assert_eq!((verify.equal, verify.missing, verify.differences()), (Some(false), 1, 1), "{verify:?}");
}
