//! The folders of `examples/`: checked, loaded through the stream and by the commands of their page, and searched.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use opensearch::http::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{RulesScene, repository, services};
use crate::commands::LOCAL;
use crate::loading::{BACKFILL, VERIFY};

/// The key that the page of the messages names.
const EXAMPLE_KEY: &str = "local-use-only-0123456789abcdef01";

/// A folder of `examples/`.
struct Example {
    name: &'static str,
    folder: PathBuf,
    items: Vec<Value>,
    searches: Vec<Search>,
}

/// A search with the ids of its hits, in their order.
struct Search {
    heading: String,
    body: Value,
    hits: Vec<String>,
}

impl Example {
    fn read(name: &'static str) -> Self {
        let folder = repository().join("examples").join(name);
        let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let requests: Value = serde_json::from_str(&text("items.json")).expect("JSON");
        let requests = requests.as_object().and_then(|tables| tables.get(name)).and_then(Value::as_array);
        let items: Vec<Value> =
            requests.expect("requests").iter().map(|request| request["PutRequest"]["Item"].clone()).collect();
        assert!((10..=25).contains(&items.len()), "one request of BatchWriteItem takes 25 items");
        let searches = searches(&text("searches.md"));
        assert!(searches.len() >= 5, "{name}");
        Self { name, folder, items, searches }
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().expect("text").to_owned()
    }

    /// Runs a command of `cargo local` on the table.
    async fn local(&self, command: &str, arguments: &[&str]) -> (String, String) {
        let home = tempfile::tempdir().expect("a folder");
        let mut tool = Command::new(&*LOCAL);
        tool.arg("--home").arg(home.path()).arg(command).args(["--config", &self.file("replication.toml")]);
        tool.args(arguments).envs(services().environment()).env("PARTITION_KEY", "pk").env("HASH_KEY", EXAMPLE_KEY);
        tool.env("INDEX_DEFINITION", self.file("index.json")).env_remove("DEAD_LETTER_QUEUE_URL");
        tool.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = tool.output().await.expect("the tool runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success(), "{} {command}: {stdout}\n{stderr}", self.name);
        (stdout, stderr)
    }

    async fn search_all(&self, scene: &RulesScene) {
        let index = &scene.scene.index;
        for Search { heading, body, hits } in &self.searches {
            let (status, text) =
                index.send(Method::Post, &format!("/{}/_search", index.name), Some(body.clone())).await;
            assert_eq!(status, 200, "{heading}: {text}");
            let answer: Value = serde_json::from_str(&text).expect("JSON");
            let found = answer["hits"]["hits"].as_array().expect("hits").iter();
            let found: Vec<&str> = found.map(|hit| hit["_id"].as_str().expect("an id")).collect();
            assert_eq!(&found, hits, "{}: {heading}", self.name);
        }
    }

    /// Loads the items by both paths, and searches both indexes. Returns the one that the stream made.
    async fn check(&self, documents: usize) -> RulesScene {
        let (said, _) = self.local("check", &[]).await;
        assert!(said.contains("valid"), "{said}");
        let mut stream = RulesScene::new(self.name, &self.file("replication.toml")).await;
        stream.definition = Some(self.folder.join("index.json"));
        EXAMPLE_KEY.clone_into(&mut stream.hash_key);
        for item in &self.items {
            stream.put(item).await;
        }
        let table = stream.scene.table.clone();
        let (samples, _) = self.local("check", &["--table", &table, "--sample", "25", "--json"]).await;
        let counts: Value = serde_json::from_str(samples.lines().last().expect("counts")).expect("JSON");
        let left_out = self.items.len() - documents;
        let expect = json!({"valid": true, "samples": self.items.len(), "no_document": left_out, "rejected": 0});
        assert_eq!(counts, expect);

        stream.stream().await;
        let made = stream.scene.index.visible().await;
        assert_eq!((made.len(), stream.letters().await.len()), (documents, 0), "{made:#?}");
        self.search_all(&stream).await;

        let backfill = stream.beside(self.name, &stream.rules).await;
        let pair = ["--table", &table, "--index", &backfill.scene.index.name, "--json", "--binary"];
        let (loaded, _) = self.local("backfill", &[&pair[..], &[BACKFILL.to_str().expect("text")]].concat()).await;
        let loaded: Value = serde_json::from_str(loaded.lines().last().expect("a summary")).expect("JSON");
        assert_eq!([&loaded["written"], &loaded["left_out"]], [&json!(documents), &json!(left_out)], "{loaded}");
        assert_eq!(backfill.scene.index.visible().await, made, "the same documents");
        self.search_all(&backfill).await;
        let verify = [&pair[..], &[VERIFY.to_str().expect("text"), "--settle-ms", "200"]].concat();
        let (verdict, _) = self.local("verify", &verify).await;
        let verdict: Value = serde_json::from_str(verdict.lines().last().expect("a summary")).expect("JSON");
        assert_eq!((&verdict["equal"], &verdict["items"]), (&json!(true), &json!(documents)), "{verdict}");

        // All that a mapping of the user's own names is there: no field is guessed.
        let given: Value =
            serde_json::from_str(&fs::read_to_string(self.file("index.json")).expect("a file")).expect("JSON");
        let (_, mapping) =
            stream.scene.index.send(Method::Get, &format!("/{}/_mapping", stream.scene.index.name), None).await;
        let mapping: Value = serde_json::from_str(&mapping).expect("JSON");
        let fields = |mapping: &Value| -> BTreeSet<String> {
            let properties = mapping["mappings"]["properties"].as_object().expect("fields");
            properties.keys().filter(|name| *name != "_driftless").cloned().collect()
        };
        let physical = mapping.as_object().and_then(|map| map.values().next()).expect("an index");
        assert_eq!(fields(physical), fields(&given), "{}", self.name);

        // A removed item is gone, by its key alone.
        let (pk, sk) = (&self.items[0]["pk"], &self.items[0]["sk"]);
        stream.delete(&json!({"pk": pk, "sk": sk})).await;
        stream.stream().await;
        assert_eq!(stream.scene.index.visible().await.len(), documents - 1);
        stream
    }
}

/// Reads the searches of a page: each has a heading, a block of JSON, and a block with its hits.
fn searches(page: &str) -> Vec<Search> {
    let block = |section: &str, language: &str| {
        let (_, block) = section.split_once(&format!("```{language}\n")).expect("a block");
        block.split_once("```").expect("its end").0.to_owned()
    };
    let search = |section: &str| Search {
        heading: section.lines().next().expect("a heading").to_owned(),
        body: serde_json::from_str(&block(section, "json")).expect("JSON"),
        hits: block(section, "text").lines().map(str::to_owned).collect(),
    };
    page.split("\n## ").skip(1).map(search).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_activity_history_gets_its_fields_from_its_keys() {
    let example = Example::read("activity-history");
    let scene = example.check(example.items.len()).await;
    let expect = r#"{"activity":"a3","at":"2026-01-15T09:31:07Z","company":"Birch & Sons","duration_min":45,"follow_up":"2026-01-23T00:00:00Z","kind":"meeting","member":"m-17","note":"Walked through the contract","source":{"system":"crm"},"tenant":"acme"}"#;
    assert_eq!(scene.scene.index.visible().await["acme#m-17|2026-01-15T09:31:07Z#meeting#a3"], expect);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_orders_of_a_single_table_are_told_apart_by_a_type() {
    let example = Example::read("orders-single-table");
    // A draft and a counter have no documents.
    let scene = example.check(example.items.len() - 2).await;
    let visible = scene.scene.index.visible().await;
    let order = r#"{"currency":"EUR","customer":"c-100","options":"[\"gift\",{\"wrap\":\"blue\"},2]","order":"o-1","placed_at":"2026-01-15T09:31:07Z","status":"shipped","total":59.80,"type":"order"}"#;
    assert_eq!(visible["CUSTOMER#c-100|ORDER#o-1"], order.replace("59.80", "59.8"));
    let line = r#"{"amount":29.9,"customer":"c-100","line":"1","order":"o-1","price":14.95,"quantity":2,"sku":"MUG-7","title":"Mug with a lighthouse","type":"line"}"#;
    assert_eq!(visible["CUSTOMER#c-100|LINE#o-1#1"], line);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_messages_lose_their_shard_and_hide_their_numbers() {
    let example = Example::read("messages");
    let page = fs::read_to_string(example.folder.join("README.md")).expect("a page");
    assert!(page.contains(EXAMPLE_KEY), "the page names the key of its hashes");
    let scene = example.check(example.items.len()).await;
    let visible = scene.scene.index.visible().await;
    assert!(visible.keys().all(|id| id.contains("#2026-01#|01KF")), "{visible:?}");
    let message = &visible["lobby#2026-01#|01KF000000003"];
    assert!(message.contains(r#""attachments":[{"bytes":18230,"name":"timetable.pdf"}]"#), "{message}");
    assert!(message.contains(r#""body":"An hour. I am sending the timetable""#), "{message}");
    let whole = scene.raw().await;
    for private in ["1111111", "2222222", "3333333", "#2026-01#0", "#2026-01#1", "#2026-01#3"] {
        assert!(!whole.contains(private), "{private}");
    }
    assert!(!scene.printed().contains("1111111"));
}

#[test]
fn every_folder_of_the_examples_is_tested_and_named() {
    let root = repository();
    let entries = fs::read_dir(root.join("examples")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let folders: BTreeSet<String> = entries
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned())
        .collect();
    let tested = ["activity-history", "messages", "orders-single-table"].map(str::to_owned);
    assert_eq!(folders, BTreeSet::from(tested));
    let page = fs::read_to_string(root.join("examples/README.md")).expect("a page");
    assert!(folders.iter().all(|folder| page.contains(&format!("({folder}/README.md)"))));
    assert!(fs::read_to_string(root.join("README.md")).expect("a page").contains("    examples/"));
}
