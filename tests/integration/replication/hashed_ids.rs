//! Keys that are personal data: with hashed ids, nothing that leaves the table shows them but a dead letter's record.

use driftless::testing::rules::keyed_hash;
use driftless_harness::slices::verify::{OrphanSearch, OrphansLookedFor};
use serde_json::json;
use serde_json::value::RawValue;

use super::RulesScene;
use crate::loading::count;

/// Begins every value of a key.
const PLANTED: &str = "planted";
const RULES: &str = "exclude = [\"pk\", \"sk\"]\n[dates]\nat = \"iso\"\n[id]\nhash = true\n";

fn item(number: u32, at: &str) -> serde_json::Value {
    json!({"pk": {"S": format!("planted-{number}@example.com")}, "sk": {"S": "planted-sort"}, "at": {"S": at}})
}

fn id(number: u32) -> String {
    keyed_hash(&format!("planted-{number}@example.com|planted-sort"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_output_shows_a_key_and_verify_and_purge_work() {
    let mut scene = RulesScene::new("private", RULES).await;
    let key = |number| {
        let mut key = item(number, "");
        key.as_object_mut().expect("an object").remove("at");
        key
    };
    for number in 0..6 {
        scene.put(&item(number, "2026-01-15")).await;
    }
    // Refused by the rules, with a dead letter.
    scene.put(&item(6, "planted-date")).await;
    scene.delete(&key(0)).await;
    scene.stream().await;
    let mut outputs = vec![("index", scene.raw().await)];
    assert_eq!(scene.scene.index.visible().await.len(), 5);
    assert!(outputs[0].1.contains(&id(0)) && outputs[0].1.contains(&id(1)), "the tombstone's id is a hash, too");
    let letters = scene.letters().await;
    assert_eq!(letters.len(), 1);
    let described = driftless::dead_letter::DeadLetter { record: RawValue::NULL.to_owned(), ..letters[0].clone() };
    outputs.push(("all of a dead letter but its record", format!("{described:?}")));
    outputs.push(("kept", scene.redrive().await.to_string()));

    // Verify: what is missing, stale or refused is told by hashes.
    scene.put(&item(2, "2026-01-16")).await;
    scene.put(&item(7, "2026-01-17")).await;
    let found = scene.compare(false).await;
    let kinds = ["stale", "missing", "unshaped"].map(|kind| count(&found, kind));
    assert_eq!((kinds, &found["hidden_keys"]), ([1, 1, 1], &json!(true)), "{found}");
    assert!(found["examples"].to_string().contains(&id(2)), "{found}");
    outputs.push(("verify", found.to_string()));
    let (kind, message) = crate::loading::fails(scene.verify_function(), json!({"orphans": "full"})).await;
    assert!(kind == "Request" && message.contains("orphans: count"), "{kind}: {message}");
    outputs.push(("refusal", message));
    // As the state machine of a re-index asks.
    let possible = super::answer(scene.verify_function(), json!({"orphans": "possible"})).await;
    let listed = (&possible["done"], &possible["counts"]["read"], &possible["hidden_keys"]);
    assert_eq!(listed, (&json!(true), &json!(0), &json!(true)), "{possible}");
    let keys = json!({"keys": [key(2), key(0)], "settle_ms": 200});
    let named = super::answer(scene.verify_function(), keys).await;
    assert_eq!(named["counts"]["stale"], 1, "{named}");
    outputs.push(("verify of keys", named.to_string()));

    // The rules are corrected: the dead letter is redriven, and a repair does the rest.
    scene.with("exclude = [\"pk\", \"sk\", \"at\"]\n[id]\nhash = true\n");
    outputs.push(("redriven", scene.redrive().await.to_string()));
    outputs.push(("backfill", scene.backfill().await.to_string()));
    let repaired = scene.compare(true).await;
    assert!(count(&repaired, "stale") > 0 && count(&repaired, "repaired") == count(&repaired, "stale"), "{repaired}");
    outputs.push(("repair", repaired.to_string()));
    let verdict = scene.verify(false, OrphanSearch::Proof).await;
    assert_eq!((verdict.differences(), verdict.items, verdict.documents_in_index), (0, 7, Some(7)));
    assert_eq!(verdict.orphans, OrphansLookedFor::CountsProveNothing, "the redriven change is recent");

    let purged = scene.purge().await;
    assert_eq!((&purged["found"], &purged["purged"]), (&json!(1), &json!(1)), "{purged}");
    outputs.push(("purge", purged.to_string()));
    outputs.push(("reindex", scene.reindex("accept").await.to_string()));
    let whole = scene.raw().await;
    assert!(!whole.contains(&id(0)) && whole.contains(&id(6)), "the tombstone is purged");
    outputs.push(("index", whole));
    outputs.push(("log", scene.printed()));
    for (output, text) in outputs {
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(PLANTED)).collect();
        assert!(lines.is_empty(), "{output}: {lines:#?}");
    }
    let log = scene.printed();
    for expected in ["\"_aws\":", "\"Rejected\":", "\"level\":\"ERROR\"", "\"message\":\"redrive\""] {
        assert!(log.contains(expected), "metrics and logs were searched: {expected}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_prove_an_index_that_cannot_be_listed_and_show_what_is_too_much() {
    let scene = RulesScene::new("counted", RULES).await;
    for number in 0..20 {
        scene.put(&item(number, "2026-01-15")).await;
    }
    scene.backfill().await;
    for orphans in [OrphanSearch::Proof, OrphanSearch::Listing, OrphanSearch::Count] {
        let verdict = scene.verify(false, orphans).await;
        assert_eq!((verdict.equal, verdict.orphans), (Some(true), OrphansLookedFor::Counted), "{orphans:?}");
        assert!(verdict.hidden_keys && verdict.is_clean(), "{orphans:?}");
    }
    // Nobody follows the stream: the document of this item is an orphan that has no name.
    scene.delete(&json!({"pk": {"S": "planted-3@example.com"}, "sk": {"S": "planted-sort"}})).await;
    for orphans in [OrphanSearch::Proof, OrphanSearch::Listing] {
        let verdict = scene.verify(false, orphans).await;
        assert_eq!((verdict.equal, verdict.orphans), (None, OrphansLookedFor::CountsProveNothing), "{orphans:?}");
        assert_eq!((verdict.items, verdict.documents_in_index, verdict.is_clean()), (19, Some(20), false));
    }
    // By its key, it is found and mended.
    let key = json!({"pk": {"S": "planted-3@example.com"}, "sk": {"S": "planted-sort"}});
    let request = json!({"keys": [key], "settle_ms": 200, "repair": true});
    let mended = super::answer(scene.verify_function(), request).await;
    assert_eq!((&mended["counts"]["orphaned"], &mended["counts"]["repaired"]), (&json!(1), &json!(1)), "{mended}");
    assert_eq!(scene.verify(false, OrphanSearch::Proof).await.equal, Some(true));
}
