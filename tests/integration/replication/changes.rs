//! Changes of items and of rules: items that stop matching, records that are refused and then taken, rules that differ.

use driftless::outcome::SHAPE_CLASS;
use driftless_harness::function::FunctionConfig;
use driftless_harness::slices::verify::OrphanSearch;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::{HASH_KEY, RulesScene, answer};
use crate::loading::{count, fails};
use crate::purge::PURGE;
use crate::support::{TABLE_ARN, documents, insert};

/// Begins every value that is planted in an item.
const PLANTED: &str = "planted";

fn item(key: &str, more: &Value) -> Value {
    let mut item = json!({"pk": {"S": key}, "sk": {"S": "s"}});
    let members = item.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("attributes").clone());
    item
}

fn with_status(status: &str) -> Value {
    item("a", &json!({"status": {"S": status}}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_stops_matching_is_removed_and_comes_back_when_it_matches_again() {
    let rules = "where = '.status == \"active\"'\ninclude = [\"status\"]";
    let scene = RulesScene::new("where", rules).await;
    let index = &scene.scene.index;
    let active = documents(&[("a|s", r#"{"status":"active"}"#)]);
    scene.put(&with_status("active")).await;
    scene.stream().await;
    assert_eq!(index.visible().await, active);
    scene.put(&with_status("closed")).await;
    scene.stream().await;
    assert_eq!(index.visible().await.len(), 0, "it matches no more");
    // It left a tombstone, so the whole stream from its oldest record on brings nothing back.
    scene.stream().await;
    assert_eq!((index.visible().await.len(), index.all().await), (0, documents(&[("a|s", "")])));
    let verdict = scene.verify(false, OrphanSearch::Proof).await;
    assert_eq!((verdict.equal, verdict.items, verdict.documents), (Some(true), 0, 0));
    let backfilled = scene.backfill().await;
    assert_eq!((count(&backfilled, "left_out"), count(&backfilled, "written")), (1, 0), "{backfilled}");
    scene.put(&with_status("active")).await;
    scene.stream().await;
    assert_eq!(index.visible().await, active, "it matches again");

    // Nobody follows the stream: a repair does the same.
    scene.put(&with_status("closed")).await;
    let found = scene.compare(true).await;
    assert_eq!((count(&found, "orphaned"), count(&found, "repaired")), (1, 1), "{found}");
    assert_eq!(index.visible().await.len(), 0);
    scene.put(&with_status("active")).await;
    let found = scene.compare(true).await;
    assert_eq!((count(&found, "tombstone_where_item_lives"), count(&found, "repaired")), (1, 1), "{found}");
    assert_eq!(index.visible().await, active);
    // Removed for good.
    scene.delete(&json!({"pk": {"S": "a"}, "sk": {"S": "s"}})).await;
    scene.stream().await;
    assert_eq!(index.visible().await.len(), 0);
    assert_eq!(scene.letters().await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_list_that_the_default_mapping_rejects_is_taken_as_json_text() {
    let mut scene = RulesScene::new("mixed-list", "").await;
    let mixed = json!({"L": [{"N": "1"}, {"M": {"deep": {"S": "x"}}}, {"S": "text"}]});
    scene.put(&item("a", &json!({ "mixed": mixed }))).await;
    scene.stream().await;
    let letters = scene.letters().await;
    assert_eq!(letters.len(), 1, "the default mapping rejects it");
    assert_eq!(letters[0].rejected.status, Some(400), "{:?}", letters[0].rejected);
    scene.with("json_text = [\"mixed\"]");
    let report = scene.redrive().await;
    assert_eq!((&report["changes"]["applied"], &report["left"]), (&json!(1), &json!(0)), "{report}");
    let expect = documents(&[("a|s", r#"{"mixed":"[1,{\"deep\":\"x\"},\"text\"]","pk":"a","sk":"s"}"#)]);
    assert_eq!(scene.scene.index.visible().await, expect);
    assert_eq!(scene.verify(false, OrphanSearch::Proof).await.equal, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_the_rules_refuse_is_one_dead_letter_until_they_are_corrected() {
    // Each kind of refusal, with the attribute or the key that its reason names.
    let refusals = [
        ("[dates]\nat = \"iso\"", "at: "),
        ("[inflate]\nat = \"json\"", "at: "),
        ("[[derive]]\nfrom = \"at\"\npattern = '^(?<day>\\d+)$'", "at: "),
        ("where = '.at | tonumber'", "REPLICATION.where: "),
        ("document = '.at'", "REPLICATION.document: "),
        ("[rename]\nat = \"member\"", "item: "),
        ("others = \"reject\"\n[[entity]]\nname = \"e\"\nattribute = \"at\"\nequals = \"none\"", "item: "),
    ];
    let refusals = refusals.into_iter().map(|(refusing, place)| refuse_then_redrive(refusing, place));
    stream::iter(refusals).buffer_unordered(2).collect::<()>().await;
}

/// Streams an item that the rules refuse, with this place in the reason, and redrives it under other rules.
async fn refuse_then_redrive(refusing: &str, place: &str) {
    let mut scene = RulesScene::new("refusing", refusing).await;
    let private = json!({"at": {"S": "planted-at"}, "member": {"S": "planted-member"}});
    scene.put(&item("planted-key", &private)).await;
    scene.stream().await;
    let letters = scene.letters().await;
    assert_eq!(letters.len(), 1, "{refusing}");
    let rejected = &letters[0].rejected;
    assert_eq!((rejected.class.as_str(), rejected.status), (SHAPE_CLASS, None), "{refusing}: {rejected:?}");
    let named = (letters[0].document_id.as_deref(), letters[0].version.is_some(), letters[0].event_name.as_deref());
    assert_eq!(named, (Some("planted-key|s"), true, Some("INSERT")), "{refusing}");
    assert!(rejected.reason.contains(place) && !rejected.reason.contains(PLANTED), "{refusing}: {rejected:?}");
    assert!(letters[0].record.get().contains("planted-at"), "the dead letter holds the whole record");
    let kept = scene.redrive().await;
    assert_eq!((&kept["letters"]["kept"], &kept["changes"]["rejected"]), (&json!(1), &json!(1)), "{kept}");
    assert_eq!(kept["kept"][0]["class"], SHAPE_CLASS, "{kept}");
    let found = scene.verify(false, OrphanSearch::Count).await;
    assert_eq!((found.unshaped, found.equal), (1, Some(false)), "{refusing}");
    let answer = scene.backfill().await;
    assert_eq!((count(&answer, "rejected"), &answer["rejected"][0]["class"]), (1, &json!(SHAPE_CLASS)), "{answer}");
    let printed = scene.printed();
    assert!(printed.contains(SHAPE_CLASS), "{refusing}: the log names the class");
    let planted: Vec<&str> = printed.lines().filter(|line| line.contains(PLANTED)).collect();
    assert!(planted.is_empty(), "{refusing}: {planted:#?}");

    scene.with("include = [\"at\"]");
    let report = scene.redrive().await;
    assert_eq!((&report["changes"]["applied"], &report["left"]), (&json!(1), &json!(0)), "{refusing}: {report}");
    let expect = documents(&[("planted-key|s", r#"{"at":"planted-at"}"#)]);
    assert_eq!(scene.scene.index.visible().await, expect, "{refusing}");
    assert_eq!(scene.verify(false, OrphanSearch::Proof).await.equal, Some(true), "{refusing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_needs_no_rule_but_those_for_ids() {
    // The image is gone, so neither `where` nor a date can be asked.
    let scene = RulesScene::new("removed", "where = '.at'\n[dates]\nat = \"iso\"").await;
    scene.put(&item("a", &json!({"at": {"S": "2026-01-15"}}))).await;
    scene.stream().await;
    assert_eq!(scene.scene.index.visible().await.len(), 1);
    scene.delete(&json!({"pk": {"S": "a"}, "sk": {"S": "s"}})).await;
    scene.stream().await;
    assert_eq!((scene.scene.index.visible().await.len(), scene.letters().await.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_rules_for_ids_are_refused_by_every_function() {
    const PATTERN: &str =
        "[[derive]]\nfrom = \"pk\"\npattern = '^(?<name>[a-z]+)(?<shard>\\d)$'\nfields = [\"name\"]\n";
    let leave_out = format!("{PATTERN}[id]\nleave_out = [\"shard\"]");
    let mut scene = RulesScene::new("other-ids", &leave_out).await;
    scene.put(&item("a1", &json!({}))).await;
    scene.stream().await;
    let before = scene.scene.index.visible().await;
    assert_eq!(before, documents(&[("a|s", r#"{"name":"a","pk":"a1","sk":"s"}"#)]));
    let refused = async |scene: &RulesScene| {
        let functions = [
            (scene.function("backfill", &crate::loading::BACKFILL), json!({})),
            (scene.verify_function(), json!({"repair": true})),
            (scene.verify_function(), json!({})),
            (scene.function("purge", &PURGE), json!({})),
        ];
        for (config, request) in functions {
            let name = config.name.clone();
            let (kind, message) = fails(impatient(config), request).await;
            assert_eq!(kind, "Configuration", "{name}: {message}");
            assert!(message.contains("rules for document ids"), "{name}: {message}");
        }
    };
    for other in ["", "[id]\nhash = true", &leave_out.replace("\\d)", "[0-9])")] {
        scene.with(other);
        refused(&scene).await;
    }
    assert_eq!(scene.scene.index.visible().await, before, "nothing was written");
    // The key of hashed ids is a rule, too.
    let mut scene = RulesScene::new("other-key", "[id]\nhash = true").await;
    scene.put(&item("a1", &json!({}))).await;
    scene.backfill().await;
    let config = scene.function("backfill", &crate::loading::BACKFILL).env("HASH_KEY", HASH_KEY.replace('0', "1"));
    let (kind, message) = fails(impatient(config), json!({})).await;
    assert!(kind == "Configuration" && message.contains("another HASH_KEY"), "{kind}: {message}");
    // Rules for documents alone change no id.
    scene.with("include = [\"none\"]\n[id]\nhash = true");
    assert_eq!(count(&scene.backfill().await, "superseded"), 1);
}

/// A wrong configuration is waited out within this time.
fn impatient(mut config: FunctionConfig) -> FunctionConfig {
    config.timeout = crate::support::CREATED;
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_rules_for_documents_are_told_until_a_repair_is_accepted() {
    let mut scene = RulesScene::new("other-rules", "include = [\"pk\"]").await;
    scene.put(&item("a", &json!({"status": {"S": "active"}}))).await;
    scene.stream().await;
    let told = "holds documents that other rules of REPLICATION made";
    assert!(!scene.printed().contains(told));

    // Unless it is told to refuse, the function goes on and says so.
    scene.with("include = [\"pk\", \"status\"]");
    scene.put(&item("b", &json!({"status": {"S": "active"}}))).await;
    let request = json!({"keys": [item("b", &json!({}))]});
    let written = answer(scene.function("backfill", &crate::loading::BACKFILL), request).await;
    assert_eq!(count(&written, "written"), 1, "{written}");
    assert!(scene.printed().contains(told));
    let [a, b] = [r#"{"pk":"a","status":"active"}"#, r#"{"pk":"b","status":"active"}"#];
    assert_eq!(scene.scene.index.visible().await, documents(&[("a|s", r#"{"pk":"a"}"#), ("b|s", b)]));

    let refusing = "changed = \"refuse\"\ninclude = [\"pk\", \"status\"]";
    scene.with(refusing);
    let load = || impatient(scene.function("backfill", &crate::loading::BACKFILL));
    let (kind, message) = fails(load(), json!({})).await;
    assert!(kind == "Configuration" && message.contains(told) && message.contains("continue"), "{kind}: {message}");
    let record = insert("c", 1).replace(TABLE_ARN, &scene.table_arn);
    let event = format!(r#"{{"Records":[{record}]}}"#);
    let event = serde_json::from_str(&event).expect("JSON");
    let (kind, message) = fails(impatient(scene.replicate()), event).await;
    assert!(kind == "Configuration" && message.contains(told), "{kind}: {message}");

    // The way out.
    let found = scene.compare(true).await;
    assert_eq!((count(&found, "stale"), count(&found, "repaired")), (1, 1), "{found}");
    assert!(fails(load(), json!({})).await.1.contains(told), "a repair alone says nothing about all documents");
    scene.reindex("accept").await;
    let printed = scene.printed().len();
    let loaded = answer(scene.function("backfill", &crate::loading::BACKFILL), json!({})).await;
    assert_eq!((count(&loaded, "written"), count(&loaded, "superseded")), (0, 2), "{loaded}");
    assert!(!scene.printed()[printed..].contains(told));
    assert_eq!(scene.scene.index.visible().await, documents(&[("a|s", a), ("b|s", b)]));
    assert_eq!(scene.verify(false, OrphanSearch::Proof).await.equal, Some(true));
    // Spelling and the policy itself are no rules.
    scene.with("# the same\ninclude = ['pk','status']\nchanged = \"refuse\"");
    scene.backfill().await;
}
