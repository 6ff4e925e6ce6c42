//! Compares a table with an index, item by item and byte by byte, in both directions.
//!
//! The table is scanned and every item converted as the function converts it; the index is read through its public
//! alias, as its readers see it. Both must be at rest.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::Client;
use driftless::attribute::Item;
use driftless::document::Document;
use driftless::document_id::DocumentId;
use opensearch::http::Method;
use opensearch::http::headers::HeaderMap;
use opensearch::{OpenSearch, SearchParts};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

/// Number of documents per page.
const PAGE: usize = 1_000;
/// Ids that a difference is described with.
const NAMED: usize = 5;

/// Result of a comparison.
#[derive(Debug, Default)]
pub struct TableComparison {
    /// Items of the table.
    pub items: u64,
    /// Documents of the index, without tombstones.
    pub documents: u64,
    /// Ids of items without a document.
    pub missing: Vec<String>,
    /// Ids of documents that are not what their items are.
    pub stale: Vec<String>,
    /// Ids of documents without an item.
    pub orphans: Vec<String>,
}

impl TableComparison {
    /// Returns the number of ids that differ.
    #[must_use]
    pub fn differences(&self) -> u64 {
        (self.missing.len() + self.stale.len() + self.orphans.len()) as u64
    }

    /// The first few of each kind.
    #[must_use]
    pub fn describe(&self) -> String {
        let kinds = [("missing", &self.missing), ("stale", &self.stale), ("orphaned", &self.orphans)];
        let described = kinds.iter().filter(|(_, ids)| !ids.is_empty());
        let described =
            described.map(|(kind, ids)| format!("{} {kind} ({})", ids.len(), ids[..ids.len().min(NAMED)].join(", ")));
        described.collect::<Vec<_>>().join("; ")
    }
}

/// Compares `table` with the index behind the public alias `index`. `partition_key` is the function's setting.
///
/// # Errors
/// Where either cannot be read.
pub async fn compare(
    tables: &Client,
    table: &str,
    engine: &OpenSearch,
    index: &str,
    partition_key: Option<&str>,
) -> Result<TableComparison> {
    let mut documents = documents(engine, index).await?;
    let items = items(tables, table, partition_key).await?;
    let mut comparison =
        TableComparison { items: items.len() as u64, documents: documents.len() as u64, ..TableComparison::default() };
    for (id, expected) in items {
        match documents.remove(&id) {
            None => comparison.missing.push(id),
            Some(document) if document != expected => comparison.stale.push(id),
            Some(_) => {}
        }
    }
    comparison.orphans = documents.into_keys().collect();
    Ok(comparison)
}

async fn items(tables: &Client, table: &str, partition_key: Option<&str>) -> Result<BTreeMap<String, String>> {
    let described = tables.describe_table().table_name(table).send().await.context("describe the table")?;
    let described = described.table.context("describe the table")?;
    let keys: Vec<&str> = described.key_schema().iter().map(|key| key.attribute_name()).collect();
    let mut pages = tables.scan().table_name(table).consistent_read(true).into_paginator().send();
    let mut items = BTreeMap::new();
    while let Some(page) = pages.next().await {
        for item in page.context("scan the table")?.items.unwrap_or_default() {
            let item = Item::from_sdk(item).context("convert an item")?;
            let key = item.0.iter().filter(|(name, _)| keys.contains(&name.as_ref()));
            let key = Item(key.map(|(name, value)| (name.clone(), value.clone())).collect());
            let id = DocumentId::from_keys(&key, partition_key).context("make a document id")?;
            let document = Document::from_item(&item);
            items.insert(id.to_string(), String::from_utf8_lossy(document.as_bytes()).into_owned());
        }
    }
    Ok(items)
}

#[derive(Deserialize)]
struct TablePage {
    #[serde(rename = "_scroll_id")]
    scroll_id: String,
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_id")]
    id: String,
    /// Raw, so that numbers are compared digit by digit.
    #[serde(rename = "_source")]
    source: Box<RawValue>,
}

/// All documents behind an alias, by id: their JSON without `_driftless`.
///
/// # Errors
/// Where the engine refuses, or holds a document that driftless did not write.
pub async fn documents(engine: &OpenSearch, index: &str) -> Result<BTreeMap<String, String>> {
    let refresh = format!("/{index}/_refresh");
    let refreshed = engine.send(Method::Post, &refresh, HeaderMap::new(), None::<&()>, None::<()>, None).await;
    refreshed.context("refresh the index")?.error_for_status_code().context("refresh the index")?;
    let body = json!({"size": PAGE, "sort": ["_doc"]});
    let first =
        engine.search(SearchParts::Index(&[index])).scroll("1m").body(body).send().await.context("read the index")?;
    let mut page: TablePage =
        first.error_for_status_code().context("read the index")?.json().await.context("read a page")?;
    let mut documents = BTreeMap::new();
    while !page.hits.hits.is_empty() {
        for hit in page.hits.hits {
            let document =
                without_metadata(hit.source.get()).with_context(|| format!("read the document {}", hit.id))?;
            documents.insert(hit.id, document);
        }
        let next = json!({"scroll": "1m", "scroll_id": page.scroll_id});
        let next = engine.scroll(opensearch::ScrollParts::None).body(next).send().await.context("read on")?;
        page = next.error_for_status_code().context("read on")?.json().await.context("read a page")?;
    }
    Ok(documents)
}

/// A document's JSON less its last field, `_driftless`; `{}` for a tombstone and for an item without attributes.
fn without_metadata(source: &str) -> Result<String> {
    let Some((document, metadata)) = source.rsplit_once("\"_driftless\":{\"version\":") else {
        bail!("it carries no _driftless: driftless did not write it");
    };
    if !metadata.ends_with("}}") || metadata.matches('}').count() != 2 {
        bail!("_driftless is not its last field");
    }
    Ok(format!("{}}}", document.trim_end_matches(',')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_is_taken_off() {
        let metadata = r#""_driftless":{"version":"v","written_at":1}}"#;
        assert_eq!(without_metadata(&format!("{{\"a\":1,{metadata}")).expect("ours"), r#"{"a":1}"#);
        assert_eq!(without_metadata(&format!("{{{metadata}")).expect("ours"), "{}");
        assert!(without_metadata(r#"{"a":1}"#).is_err());
        assert!(without_metadata(r#"{"a":1,"_driftless":{"version":"v"},"b":2}"#).is_err());
    }
}
