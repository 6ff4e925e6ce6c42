//! `cargo local mapping` on a real table: what it proposes takes every item, makes searches right, and shows no value.

use std::process::Stdio;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::commands::{LOCAL, services};
use crate::loading::{Scene, count, key, run};

const ITEMS: u64 = 120;
/// Stands in every text, so that any value that is shown is noticed.
const PRIVATE: &str = "Zyxwv";

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn map(members: impl IntoIterator<Item = (String, AttributeValue)>) -> AttributeValue {
    AttributeValue::M(members.into_iter().collect())
}

/// Puts items with attributes of every kind that the proposal knows.
async fn fill(scene: &Scene) {
    for n in 0..ITEMS {
        let line = |sku: u64, qty: u64| {
            map([("sku".to_owned(), text(format!("{PRIVATE}-{sku}"))), ("qty".to_owned(), number(qty))])
        };
        let mut item = key(n);
        let mut add = |name: &str, value: AttributeValue| drop(item.insert(name.to_owned(), value));
        add("status", text(["shipped", "in transit", "paid"][(n % 3) as usize].to_owned() + PRIVATE));
        add("customer", text(format!("cust#{PRIVATE}{n:05}")));
        add("title", text(format!("{PRIVATE} regal {n}")));
        add("note", text(format!("{PRIVATE} a long note about order {n} {}", "with many words in it ".repeat(20))));
        add("placed_at", text(format!("2026-01-{:02}T09:30:00Z", n % 28 + 1)));
        add("expires", number(1_768_469_467 + n));
        add("updatedAt", number(1_768_469_467_310 + n));
        add("total", number(format!("{n}.5")));
        add("snowflake", number(1_234_567_890_123_456_789 + n));
        add("share", number(format!("{}.123456789012345678", 12_345_678_901_234_567_890_u128 + u128::from(n))));
        add("lines", AttributeValue::L(vec![line(n, 2), line(n + 1, 9)]));
        add("mixed", AttributeValue::L(vec![text(PRIVATE), number(n), AttributeValue::Bool(true)]));
        add("loose", if n % 2 == 0 { map([("city".to_owned(), text(PRIVATE))]) } else { text(PRIVATE) });
        let stock =
            |at: u64| (format!("sku-{:04}", n + at), if at == 0 { AttributeValue::Null(true) } else { number(at) });
        add("stock", map((0..3).map(stock)));
        add("place", map([("lat".to_owned(), number("48.4")), ("lon".to_owned(), number("9.99"))]));
        add("bytes", AttributeValue::B(Blob::new([0, 1, 255])));
        add("flag", AttributeValue::Bool(n % 2 == 0));
        add("a.b", text(format!("{PRIVATE}{n}")));
        let put = scene.tables.put_item().table_name(&scene.table).set_item(Some(item));
        put.send().await.expect("put");
    }
}

/// Runs the command. Returns what it printed on standard output, and on standard error.
async fn mapping(scene: &Scene, arguments: &[&str]) -> (String, String) {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(&*LOCAL);
    command.arg("--home").arg(home.path()).args(["mapping", "--table", &scene.table]).args(arguments);
    let output = command.envs(services().environment()).stdin(Stdio::null()).output().await.expect("the tool runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    (stdout, stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_takes_every_item_and_makes_searches_right() {
    let scene = Scene::new("proposed").await;
    fill(&scene).await;
    let (engine, flat) = (scene.index.engine_kind().await, scene.index.flat_mapping().await);
    let (stdout, _) = mapping(&scene, &["--json", "--engine", engine]).await;
    assert!(!stdout.contains(PRIVATE), "{stdout}");
    let proposal: Value = serde_json::from_str(stdout.lines().last().expect("a line")).expect("JSON");
    assert_eq!(proposal["items"], ITEMS);
    let kinds = proposal["fields"].as_array().expect("fields").iter();
    let kinds: Vec<String> = kinds
        .map(|field| {
            assert!(field["comment"].as_str().is_some_and(|comment| comment.len() > 10), "{field}");
            format!("{} {}", field["path"].as_str().expect("a path"), field["type"].as_str().expect("a type"))
        })
        .collect();
    let stock = format!("stock {}", flat["type"].as_str().expect("a type"));
    let expected = [
        "a%2Eb keyword",
        "bytes binary",
        "customer keyword",
        "expires date",
        "flag boolean",
        "lines nested",
        "lines.qty double",
        "lines.sku keyword",
        "loose object",
        "mixed keyword",
        "note text",
        "pk keyword",
        "place geo_point",
        "placed_at date",
        "share double",
        "sk keyword",
        "snowflake keyword",
        "status keyword",
        &stock,
        "title text",
        "total double",
        "updatedAt date",
    ];
    assert_eq!(kinds, expected);

    let config = scene.backfill().env("INDEX_DEFINITION", proposal["definition"].to_string());
    let loaded = run(config, json!({}), None).await;
    assert_eq!((count(&loaded, "written"), count(&loaded, "rejected")), (ITEMS, 0), "{loaded}");
    let verify = scene.verify().env("INDEX_DEFINITION", proposal["definition"].to_string());
    let verdict = run(verify, json!({"settle_ms": 200}), None).await;
    assert_eq!((&verdict["equal"], verdict.get("drift")), (&json!(true), None), "{verdict}");
    let line = json!({"bool": {"filter": [{"term": {"lines.sku": format!("{PRIVATE}-5")}}, {"range": {"lines.qty": {"gte": 7}}}]}});
    let id = |n: u64| crate::loading::id(n);
    let in_stock = if flat.get("enabled").is_none() { vec![id(119)] } else { Vec::new() };
    for (query, expected) in [
        (json!({"term": {"customer": format!("cust#{PRIVATE}00007")}}), vec![id(7)]),
        (json!({"term": {"snowflake": "1234567890123456790"}}), vec![id(1)]),
        (json!({"term": {"share.exact": "12345678901234567893.123456789012345678"}}), vec![id(3)]),
        (json!({"nested": {"path": "lines", "query": line}}), vec![id(4)]),
        (json!({"range": {"expires": {"lt": 1_768_469_469}}}), vec![id(0), id(1)]),
        (json!({"term": {"stock.sku-0121": "2"}}), in_stock),
        (json!({"term": {"a%2Eb": format!("{PRIVATE}9")}}), vec![id(9)]),
    ] {
        let mut found = scene.index.search(query.clone()).await;
        found.sort();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_comes_from_all_over_the_table_and_comments_stand_beside_the_definition() {
    let scene = Scene::new("sampled").await;
    scene.fill(0..600).await;
    let (stdout, stderr) = mapping(&scene, &["--sample", "40", "--engine", "elasticsearch"]).await;
    let definition: Value = serde_json::from_str(&stdout).expect("standard output is the definition");
    assert_eq!(definition["mappings"]["properties"]["exact"]["fields"]["exact"]["type"], "keyword", "{stdout}");
    assert_eq!(definition["mappings"].get("_meta"), None);
    assert!(stderr.contains("from 40 items"), "{stderr}");
    let line = stderr.lines().find(|line| line.starts_with("pk ")).expect("a comment on the key");
    assert!(line.contains("keyword") && line.contains("in 40 of 40 items; part of the table's key"), "{line}");
    let one = |text: &str| stdout.contains(text) || stderr.contains(text);
    assert!(!one("quoted") && !one("xxx"), "{stdout}\n{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_without_items_or_none_at_all_is_named() {
    let mut scene = Scene::new("unfilled").await;
    for words in ["has no items to propose a definition from", "does not exist"] {
        let home = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(&*LOCAL);
        command.arg("--home").arg(home.path()).args(["mapping", "--table", &scene.table]);
        let output = command.envs(services().environment()).output().await.expect("the tool runs");
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && stderr.contains(words), "{stderr}");
        scene.table = crate::support::unique("absent");
    }
}
