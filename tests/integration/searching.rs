//! Every search of `docs/searching.md`, run in an index without a definition and in one with the page's own.

use std::collections::BTreeMap;

use driftless::testing::page::code_blocks;
use opensearch::http::Method;
use serde_json::{Value, json};

use crate::support::{CREATED, Index, ReplicateFunction, remove, with_image};

const PAGE: &str = include_str!("../../docs/searching.md");
/// Searches that the page has at least.
const SEARCHES: usize = 45;

/// Row of a table: a search and its result.
#[derive(Debug)]
struct Row<'p> {
    section: &'p str,
    index: &'p str,
    search: &'p str,
    is_right: bool,
    expected: &'p str,
}

/// The page's items and its definition.
fn items_and_definition() -> [String; 2] {
    let json = code_blocks(PAGE).into_iter().filter(|(language, _)| *language == "json");
    json.map(|(_, text)| text).collect::<Vec<_>>().try_into().expect("the page has its items and its definition")
}

/// Returns the searches of the page.
fn rows() -> Vec<Row<'static>> {
    let mut rows = Vec::new();
    for section in PAGE.split("\n## ").skip(1) {
        let (title, body) = section.split_once('\n').expect("a section has lines");
        for line in body.lines() {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [index, search, result] = cells[..] else { continue };
            if !matches!(index, "own" | "default" | "both") {
                continue;
            }
            let result = result.trim_matches(['|', ' ']);
            let (is_right, expected) = match result.strip_prefix("right: ") {
                Some(expected) => (true, expected),
                None => (false, result.strip_prefix("**wrong**: ").unwrap_or_else(|| panic!("{line}"))),
            };
            // What follows is for people. Values with dots are in backquotes.
            let expected = expected.split_once(". ").map_or(expected, |(expected, _)| expected).trim_end_matches('.');
            rows.push(Row { section: title, index, search: search.trim_matches('`'), is_right, expected });
        }
    }
    rows
}

/// Parts of a text in backquotes, each with what follows it.
fn quoted(text: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = text.split('`').skip(1).collect();
    parts.chunks(2).map(|part| (part[0], part.get(1).copied().unwrap_or_default().trim_matches([' ', ',']))).collect()
}

/// Answer of a search, in the page's words.
async fn answer(index: &Index, row: &Row<'_>) -> String {
    let search: Value = serde_json::from_str(row.search).unwrap_or_else(|error| panic!("{row:?}: {error}"));
    let is_body = ["query", "aggs", "sort"].iter().any(|member| search.get(member).is_some());
    let is_sorted = search.get("sort").is_some();
    let body = if is_body { search } else { json!({"query": search}) };
    let (status, text) = index.send(Method::Post, &format!("/{}/_search", index.name), Some(body)).await;
    if status != 200 {
        return format!("error {status}");
    }
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let aggregation = answer["aggregations"].as_object().and_then(|all| all.values().next());
    if let Some(aggregation) = aggregation {
        let Some(buckets) = aggregation["buckets"].as_array() else {
            return format!("value `{}`", aggregation["value"]);
        };
        let key = |bucket: &Value| match bucket["key_as_string"].as_str().or(bucket["key"].as_str()) {
            Some(key) => key.to_owned(),
            None => bucket["key"].to_string(),
        };
        let buckets = buckets.iter().map(|bucket| format!("`{}` {}", key(bucket), bucket["doc_count"]));
        return format!("buckets {}", buckets.collect::<Vec<_>>().join(", "));
    }
    let hits = answer["hits"]["hits"].as_array().expect("hits").iter();
    let mut ids: Vec<&str> = hits.map(|hit| hit["_id"].as_str().expect("an id")).collect();
    if !is_sorted {
        ids.sort_unstable();
    }
    match ids[..] {
        [] => "nothing".to_owned(),
        _ => ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", "),
    }
}

/// An index of the page's orders, o-4 written and removed.
async fn orders(name: &str, definition: Option<&str>) -> (Index, usize) {
    let index = Index::new(name);
    let mut settings = index.settings();
    settings.extend(definition.map(|definition| ("INDEX_DEFINITION".to_owned(), definition.to_owned())));
    let [items, _] = items_and_definition();
    let items: Vec<&str> = items.lines().collect();
    let ids = items.iter().map(|item| {
        let item: Value = serde_json::from_str(item).expect("an item");
        item["order_id"]["S"].as_str().expect("an id").to_owned()
    });
    let mut records: Vec<String> =
        ids.zip(&items).zip(1..).map(|((id, item), number)| with_image(&id, number, item)).collect();
    records.push(with_image("o-4", 90, items[0]));
    let function = ReplicateFunction::new(settings).timeout(CREATED);
    function.succeed(&records).await;
    function.succeed(&[remove("o-4", 91)]).await;
    index.refresh().await;
    (index, items.len())
}

#[tokio::test]
async fn every_search_of_the_page_gives_what_it_says() {
    let [_, definition] = items_and_definition();
    let (own, count) = orders("searching-own", Some(&definition)).await;
    let (default, _) = orders("searching-default", None).await;
    let everything = (1..=count).map(|n| format!("`o-{n}`")).collect::<Vec<_>>().join(", ");
    let mut wrong = Vec::new();
    // Right and wrong results of each section.
    let mut sections: BTreeMap<&str, [Vec<String>; 2]> = BTreeMap::new();
    let rows = rows();
    for row in &rows {
        let indexes = match row.index {
            "own" => vec![&own],
            "default" => vec![&default],
            _ => vec![&own, &default],
        };
        let expected = if row.expected == "everything" { everything.as_str() } else { row.expected };
        for index in indexes {
            let found = answer(index, row).await;
            if found != expected {
                wrong.push(format!("{row:?}\n  found: {found}"));
            }
            sections.entry(row.section).or_default()[usize::from(!row.is_right)].push(found);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.len() >= SEARCHES, "{} searches were read", rows.len());
    for (section, [mut right, wrong]) in sections {
        right.dedup();
        assert_eq!(right.len(), 1, "{section}: right searches disagree");
        assert!(!wrong.contains(&right[0]), "{section}: a wrong search gives the right answer");
    }
}

#[test]
fn the_pages_results_are_read_as_they_are_written() {
    for row in rows() {
        let is_known = matches!(row.expected, "nothing" | "everything" | "error 400");
        assert!(is_known || !quoted(row.expected).is_empty(), "{row:?}");
    }
}
