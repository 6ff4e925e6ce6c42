//! Two items whose keys give one document id, because `leave_out` cuts out what tells them apart.

use driftless::outcome::OTHER_ITEM_CLASS;
use serde_json::{Value, json};

use super::RulesScene;
use crate::loading::count;
use crate::support::documents;

const RULES: &str = r#"
exclude = ["pk"]
[[derive]]
from = "pk"
pattern = '^(?<tenant>[^#]+)#(?<shard>\d+)$'
fields = ["tenant"]
[id]
leave_out = ["shard"]
"#;

fn key(shard: u32) -> Value {
    json!({"pk": {"S": format!("acme#{shard}")}, "sk": {"S": "s"}})
}

fn item(shard: u32) -> Value {
    let mut item = key(shard);
    item["n"] = json!({"N": shard.to_string()});
    item
}

fn document(shard: u32) -> std::collections::BTreeMap<String, String> {
    documents(&[("acme#|s", &format!(r#"{{"n":{shard},"sk":"s","tenant":"acme"}}"#))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_item_of_one_id_is_noticed_on_every_path_and_takes_nothing() {
    let scene = RulesScene::new("one-id", RULES).await;
    scene.put(&item(7)).await;
    scene.put(&item(8)).await;
    let backfilled = scene.beside("one-id", RULES).await;
    scene.stream().await;
    let index = &scene.scene.index;
    assert_eq!(index.visible().await, document(7), "the first one has the document");
    let letters = scene.letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!((letters[0].rejected.class.as_str(), letters[0].rejected.status), (OTHER_ITEM_CLASS, None));
    assert_eq!(letters[0].document_id.as_deref(), Some("acme#|s"));

    // A redrive and a repair leave it, as both items live.
    let kept = scene.redrive().await;
    assert_eq!((&kept["letters"]["kept"], &kept["kept"][0]["class"]), (&json!(1), &json!(OTHER_ITEM_CLASS)), "{kept}");
    for repair in [false, true] {
        let found = scene.compare(repair).await;
        let counts = ["other_item", "stale", "rejected", "repaired"].map(|name| count(&found, name));
        assert_eq!((counts, &found["equal"]), ([1, 0, u64::from(repair), 0], &json!(false)), "{found}");
        assert_eq!(found["examples"][0]["kind"], "other_item", "{found}");
    }
    // A backfill reports it, whichever item it meets first.
    let answer = backfilled.backfill().await;
    assert_eq!((count(&answer, "written"), count(&answer, "rejected")), (1, 1), "{answer}");
    assert_eq!(answer["rejected"][0]["class"], OTHER_ITEM_CLASS, "{answer}");
    assert_eq!(count(&backfilled.compare(false).await, "other_item"), 1);

    // Once the first item is removed, the second one gets the document: by its dead letter, or by a repair.
    scene.delete(&key(7)).await;
    let redriven = scene.redrive().await;
    assert_eq!(redriven["letters"]["kept"], json!(1), "the document is still there: {redriven}");
    scene.stream().await;
    assert_eq!(index.visible().await.len(), 0, "its removal comes, and the second item has a dead letter");
    scene.redrive().await;
    assert_eq!((scene.letters().await.len(), index.visible().await), (0, document(8)));
    let found = scene.compare(false).await;
    assert_eq!((&found["equal"], count(&found, "items")), (&json!(true), 1), "{found}");
    // The whole stream from its oldest record on changes nothing more, and loses nothing.
    scene.stream().await;
    assert_eq!(index.visible().await, document(8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_is_written_anew_under_another_suffix_keeps_its_document() {
    let scene = RulesScene::new("new-suffix", RULES).await;
    scene.put(&item(1)).await;
    scene.stream().await;
    scene.delete(&key(1)).await;
    scene.put(&item(2)).await;
    scene.stream().await;
    assert_eq!((scene.scene.index.visible().await, scene.letters().await.len()), (document(2), 0));
    // A removal of the old key, delivered again, does not take it.
    scene.stream().await;
    assert_eq!((scene.scene.index.visible().await, scene.letters().await.len()), (document(2), 0));
    let request = json!({"keys": [key(1), key(2)], "settle_ms": 200, "repair": true});
    let by_key = super::answer(scene.verify_function(), request).await;
    assert_eq!((&by_key["equal"], &by_key["counts"]["repaired"]), (&json!(true), &json!(0)), "{by_key}");
    assert_eq!(scene.scene.index.visible().await, document(2), "nothing of the removed item is there");
    scene.delete(&key(2)).await;
    scene.stream().await;
    assert_eq!(scene.purge().await["purged"], json!(1));
    assert_eq!(scene.scene.index.all().await.len(), 0);
}
