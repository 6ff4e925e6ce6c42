//! Each rule on every path: stream, backfill, redrive and repair give the same bytes, and verify says so.

use std::collections::BTreeMap;

use driftless::outcome::SHAPE_CLASS;
use driftless::testing::rules::{COMPRESSED, DERIVES_FROM_PK, keyed_hash};
use driftless_harness::slices::verify::{OrphanSearch, OrphansLookedFor};
use serde_json::{Value, json};

use super::RulesScene;

/// Rules that refuse every record.
const REFUSING: &str = "where = 'error(\"refused\")'\n";
/// Other rules for documents, which made the index that a repair finds.
const OTHER: &str = "include = [\"member\"]\n";

fn items() -> [Value; 3] {
    let text = |text: &str| json!({ "S": text });
    let number = |number: &str| json!({ "N": number });
    let lines = json!({"L": [{"M": {"price": {"N": "2"}, "cost": {"N": "1"}}}, {"M": {"price": {"N": "3"}}}]});
    let address = json!({"M": {"city": {"S": "Bonn"}, "zip": {"S": "53111"}, "geo": {"S": "50,7"}}});
    let answers = json!({"L": [{"N": "1"}, {"S": "none"}, {"M": {"other": {"BOOL": true}}}]});
    let order = json!({
        "pk": text("acme#2026-01-15#7"), "sk": text("ORDER#1"), "status": text("active"), "member": text("m-1"),
        "salary": number("1"), "address": address, "email": text("a@b.example"), "at": number("1768469467"),
        "due": text("2026-01-15T10:00:00+01:00"), "answers": answers, "lines": lines,
        "body": {"B": COMPRESSED}, "exact": number("12345678901234567890.000000001"),
        "aws:rep:updateregion": text("eu-west-1"),
    });
    let customer = json!({
        "pk": text("globex#2026-01-16#12"), "sk": text("CUSTOMER#9"), "status": text("closed"), "name": text("Globex"),
        "member": text("m-2"), "address": {"M": {"city": {"S": "Ulm"}}},
    });
    let note = json!({
        "pk": text("acme#2026-01-16#1"), "sk": text("NOTE#3"), "status": text("active"), "member": text("m-3"),
        "email": text("c@d.example"),
    });
    [order, customer, note]
}

/// Rules for documents, and those for ids, which every writer of an index shares.
struct Case {
    name: &'static str,
    documents: String,
    ids: String,
    expect: BTreeMap<String, String>,
}

impl Case {
    fn new(name: &'static str, documents: &str, ids: &str, expect: &[(String, String)]) -> Self {
        Self { name, documents: documents.to_owned(), ids: ids.to_owned(), expect: expect.iter().cloned().collect() }
    }

    fn rules(&self, documents: &str) -> String {
        format!("{documents}{}", self.ids)
    }

    /// Runs every path into an index of its own.
    async fn check(self) {
        let rules = self.rules(&self.documents);
        let stream = RulesScene::new(self.name, &rules).await;
        for item in items() {
            stream.put(&item).await;
        }
        let [backfill, redrive, repair] = [
            stream.beside(self.name, &rules).await,
            stream.beside(self.name, &rules).await,
            stream.beside(self.name, &self.rules(OTHER)).await,
        ];
        let (.., repair) = futures::future::join4(
            self.streamed(&stream),
            self.backfilled(&backfill),
            self.redriven(&redrive),
            self.repaired(repair, &rules),
        )
        .await;
        for (path, scene) in [("stream", &stream), ("backfill", &backfill), ("redrive", &redrive), ("repair", &repair)]
        {
            assert_eq!(scene.scene.index.visible().await, self.expect, "{path} of {}", self.name);
        }
        let verified = [("stream", &stream, true), ("backfill", &backfill, false), ("redrive", &redrive, true)];
        let verified = verified.into_iter().chain([("repair", &repair, false)]);
        futures::future::join_all(verified.map(|(path, scene, is_recent)| self.proven(path, scene, is_recent))).await;
    }

    async fn streamed(&self, scene: &RulesScene) {
        scene.stream().await;
        assert_eq!(scene.letters().await.len(), 0, "{}", self.name);
    }

    async fn backfilled(&self, scene: &RulesScene) {
        let answer = scene.backfill().await;
        assert_eq!(crate::loading::count(&answer, "rejected"), 0, "{answer}");
        assert_eq!(crate::loading::count(&answer, "left_out"), (items().len() - self.expect.len()) as u64, "{answer}");
    }

    /// Each record becomes a dead letter under rules that refuse it, and is redriven under those of the case.
    async fn redriven(&self, scene: &RulesScene) {
        scene.stream_with(&self.rules(REFUSING)).await;
        let letters = scene.letters().await;
        assert_eq!(letters.len(), items().len(), "{letters:?}");
        assert!(letters.iter().all(|letter| letter.rejected.class == SHAPE_CLASS), "{letters:?}");
        let report = scene.redrive().await;
        assert_eq!((&report["letters"]["redriven"], &report["left"]), (&json!(3), &json!(0)), "{report}");
    }

    /// An index that other rules made, and that is repaired under those of the case.
    async fn repaired(&self, mut scene: RulesScene, rules: &str) -> RulesScene {
        scene.backfill().await;
        let before = scene.scene.index.visible().await;
        assert!(before.len() == items().len() && before != self.expect, "{before:?}");
        scene.with(rules);
        let found = scene.verify(true, OrphanSearch::None).await;
        assert_eq!((found.differences(), found.repaired), (3, 3), "{}: {:?}", self.name, found.examples);
        scene
    }

    /// Compares table and index. Counts prove nothing while changes of a stream are recent.
    async fn proven(&self, path: &str, scene: &RulesScene, is_recent: bool) {
        let summary = scene.verify(false, OrphanSearch::Proof).await;
        assert_eq!(summary.differences(), 0, "{path} of {}: {:?}", self.name, summary.examples);
        assert_eq!((summary.items, summary.in_motion), (self.expect.len() as u64, 0), "{path} of {}", self.name);
        let expect = match (self.ids.contains("[id]"), is_recent) {
            (true, true) => (None, OrphansLookedFor::CountsProveNothing, true),
            (hidden, false) => (Some(true), OrphansLookedFor::Counted, hidden),
            (false, true) => (Some(true), OrphansLookedFor::Listed, false),
        };
        assert_eq!((summary.equal, summary.orphans, summary.hidden_keys), expect, "{path} of {}", self.name);
        assert_eq!(summary.documents_in_index, Some(self.expect.len() as u64));
    }
}

const ORDER: &str = "acme#2026-01-15#7|ORDER#1";
const CUSTOMER: &str = "globex#2026-01-16#12|CUSTOMER#9";
const NOTE: &str = "acme#2026-01-16#1|NOTE#3";

fn documents(expect: &[(&str, &str)]) -> Vec<(String, String)> {
    expect.iter().map(|(id, json)| ((*id).to_owned(), (*json).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_chooses_renames_hashes_and_converts_attributes_alike() {
    let rules = r#"
include = ["pk", "sk", "member", "address", "email", "at", "due", "answers", "exact", "lines"]
exclude = ["address.geo", "lines.cost"]
hash = ["email"]
json_text = ["answers"]

[rename]
member = "person"
"address.zip" = "postcode"

[dates]
at = "epoch_seconds"
due = "iso"
"#;
    let order = format!(
        r#"{{"address":{{"city":"Bonn","postcode":"53111"}},"answers":"[1,\"none\",{{\"other\":true}}]","at":"2026-01-15T09:31:07Z","due":"2026-01-15T09:00:00Z","email":"{}","exact":12345678901234567890.000000001,"lines":[{{"price":2}},{{"price":3}}],"person":"m-1","pk":"acme#2026-01-15#7","sk":"ORDER#1"}}"#,
        keyed_hash("a@b.example")
    );
    let customer = r#"{"address":{"city":"Ulm"},"person":"m-2","pk":"globex#2026-01-16#12","sk":"CUSTOMER#9"}"#;
    let email = keyed_hash("c@d.example");
    let note = format!(r#"{{"email":"{email}","person":"m-3","pk":"acme#2026-01-16#1","sk":"NOTE#3"}}"#);
    let expect = documents(&[(ORDER, &order), (CUSTOMER, customer), (NOTE, &note)]);
    Case::new("shape", rules, "", &expect).check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_inflates_and_filters_alike() {
    let rules = r##"
where = '.status == "active"'
document = '{id: .pk, kind: (.sk | split("#")[0]), total: ([.lines[]?.price] | add), body, exact}'
inflate_limit = 1000

[inflate]
body = "json"
"##;
    let order =
        r#"{"body":{"a":1},"exact":12345678901234567890.000000001,"id":"acme#2026-01-15#7","kind":"ORDER","total":5}"#;
    let note = r#"{"body":null,"exact":null,"id":"acme#2026-01-16#1","kind":"NOTE","total":null}"#;
    Case::new("filters", rules, "", &documents(&[(ORDER, order), (NOTE, note)])).check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_tells_entities_apart_and_derives_fields_alike() {
    let entities = r#"
[[entity]]
name = "order"
attribute = "sk"
prefix = "ORDER#"
include = ["member", "address"]
exclude = ["address.geo"]

[[entity]]
name = "customer"
attribute = "status"
equals = "closed"
include = ["name"]

[[entity.derive]]
from = "sk"
pattern = '^CUSTOMER#(?<number>\d+)$'
"#;
    let rules = format!("entity_field = \"kind\"\nothers = \"leave_out\"\n{DERIVES_FROM_PK}{entities}");
    let order =
        r#"{"address":{"city":"Bonn","zip":"53111"},"day":"2026-01-15","kind":"order","member":"m-1","tenant":"acme"}"#;
    let customer = r#"{"day":"2026-01-16","kind":"customer","name":"Globex","number":"9","tenant":"globex"}"#;
    Case::new("entities", &rules, "", &documents(&[(ORDER, order), (CUSTOMER, customer)])).check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_leaves_the_shard_out_of_the_id_alike() {
    let rules = r#"exclude = ["pk", "answers", "body", "at", "due", "lines", "address", "exact"]"#;
    let order = r#"{"day":"2026-01-15","email":"a@b.example","member":"m-1","salary":1,"sk":"ORDER#1","status":"active","tenant":"acme"}"#;
    let customer =
        r#"{"day":"2026-01-16","member":"m-2","name":"Globex","sk":"CUSTOMER#9","status":"closed","tenant":"globex"}"#;
    let note =
        r#"{"day":"2026-01-16","email":"c@d.example","member":"m-3","sk":"NOTE#3","status":"active","tenant":"acme"}"#;
    let expect = documents(&[
        ("acme#2026-01-15#|ORDER#1", order),
        ("globex#2026-01-16#|CUSTOMER#9", customer),
        ("acme#2026-01-16#|NOTE#3", note),
    ]);
    let ids = format!("{DERIVES_FROM_PK}\n[id]\nleave_out = [\"shard\"]\n");
    Case::new("shards", rules, &ids, &expect).check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_hashes_ids_alike() {
    let rules =
        "exclude = [\"pk\", \"sk\", \"answers\", \"body\", \"at\", \"due\", \"lines\", \"address\", \"exact\"]\n";
    let order = r#"{"email":"a@b.example","member":"m-1","salary":1,"status":"active"}"#;
    let customer = r#"{"member":"m-2","name":"Globex","status":"closed"}"#;
    let note = r#"{"email":"c@d.example","member":"m-3","status":"active"}"#;
    let expect = [(ORDER, order), (CUSTOMER, customer), (NOTE, note)];
    let expect: Vec<_> = expect.iter().map(|(id, json)| (keyed_hash(id), (*json).to_owned())).collect();
    Case::new("hashed", rules, "\n[id]\nhash = true\n", &expect).check().await;
}
