//! Searches that such a table is replicated for: axes that its keys do not have, and an aggregation.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use driftless_display::style;
use driftless_harness::activity::KINDS;
use opensearch::{OpenSearch, SearchParts};
use serde_json::{Value, json};

/// Runs both searches and lays their results out.
///
/// # Errors
/// Where the engine refuses, or answers in another shape.
pub async fn run(engine: &OpenSearch, index: &str) -> Result<Vec<String>> {
    let mut lines = filter(engine, index).await?;
    lines.extend(aggregation(engine, index).await?);
    Ok(lines)
}

pub(crate) async fn search(engine: &OpenSearch, index: &str, body: Value) -> Result<Value> {
    let answer = engine.search(SearchParts::Index(&[index])).body(body).send().await.context("search")?;
    let answer = answer.error_for_status_code().context("search")?;
    answer.json().await.context("read what was found")
}

/// Returns both searches in the form of `_msearch`.
#[must_use]
pub fn for_msearch() -> String {
    [filter_body(), aggregation_body()].map(|body| format!("{{}}\n{body}\n")).concat()
}

/// Member, company, kind and time: four axes, no key of the table.
fn filter_body() -> Value {
    let range = json!({"gte": "2026-09-21", "lt": "2026-11-16"});
    json!({
        "size": 5,
        "sort": [{"at": "desc"}],
        "track_total_hits": true,
        "query": {"bool": {"filter": [
            {"terms": {"member": ["m-1001", "m-1002", "m-1003", "m-1004", "m-1005", "m-1006"]}},
            {"terms": {"company": ["Cobalt Energy", "Fjord Bank", "Harbor Tools"]}},
            {"terms": {"kind": ["order", "meeting"]}},
            {"range": {"at": range}},
        ]}},
    })
}

async fn filter(engine: &OpenSearch, index: &str) -> Result<Vec<String>> {
    let answer = search(engine, index, filter_body()).await?;
    let total = answer["hits"]["total"]["value"].as_u64().context("count what was found")?;
    let mut lines = vec![
        String::new(),
        style::heading(format!(
            "orders and meetings of six members with three companies in eight weeks: {total}, the newest first"
        )),
        format!("  {:<21} {:<8} {:<8} {:<16} {:>12}", "at", "member", "kind", "company", "amount"),
    ];
    for hit in answer["hits"]["hits"].as_array().context("read the hits")? {
        let field = |name: &str| hit["_source"][name].as_str().unwrap_or("-").to_owned();
        let amount = hit["_source"]["amount"].as_f64().map_or_else(|| "-".to_owned(), |amount| format!("{amount:.2}"));
        lines.push(format!(
            "  {:<21} {:<8} {:<8} {:<16} {amount:>12}",
            field("at"),
            field("member"),
            field("kind"),
            field("company")
        ));
    }
    Ok(lines)
}

/// Activities by kind and week.
fn aggregation_body() -> Value {
    let kinds = json!({"terms": {"field": "kind", "size": KINDS.len()}});
    let weeks = json!({"date_histogram": {"field": "at", "calendar_interval": "week", "format": "yyyy-MM-dd"}, "aggs": {"kinds": kinds}});
    json!({"size": 0, "aggs": {"weeks": weeks}})
}

async fn aggregation(engine: &OpenSearch, index: &str) -> Result<Vec<String>> {
    let answer = search(engine, index, aggregation_body()).await?;
    let buckets = answer["aggregations"]["weeks"]["buckets"].as_array().context("read the weeks")?;
    let heads: String = KINDS.iter().map(|kind| format!("{kind:>9}")).collect();
    let mut lines = vec![
        String::new(),
        style::heading("activities by kind and week"),
        format!("  {:<11}{heads}{:>9}", "week of", "all"),
    ];
    for week in buckets {
        let counts = by_kind(week)?;
        let cells: String =
            KINDS.iter().map(|kind| format!("{:>9}", counts.get(*kind).copied().unwrap_or(0))).collect();
        let day = week["key_as_string"].as_str().context("read a week")?;
        let all = week["doc_count"].as_u64().context("count a week")?;
        lines.push(format!("  {day:<11}{cells}{all:>9}"));
    }
    Ok(lines)
}

fn by_kind(week: &Value) -> Result<BTreeMap<String, u64>> {
    let kinds = week["kinds"]["buckets"].as_array().context("read the kinds")?;
    let count = |kind: &Value| Some((kind["key"].as_str()?.to_owned(), kind["doc_count"].as_u64()?));
    kinds.iter().map(|kind| count(kind).context("read a kind")).collect()
}
