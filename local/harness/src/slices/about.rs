//! Identity of the table and of the indexes that cursors are about: others of the same names are not.

use std::time::Duration;

use opensearch::OpenSearch;
use opensearch::http::Method;
use opensearch::http::headers::HeaderMap;
use opensearch::http::transport::Transport;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::table::TableFacts;

/// Longest wait for the engine.
const LIMIT: Duration = Duration::from_secs(5);

/// Describes the table, and the physical indexes of an index's name. An engine that asks for credentials shows none.
pub async fn about(table: &TableFacts, endpoint: &str, index: &str) -> Value {
    let uuids = timeout(LIMIT, uuids(endpoint, index)).await.ok().flatten();
    json!({"table": table.arn, "created": table.created, "engine": endpoint, "indexes": uuids})
}

async fn uuids(endpoint: &str, index: &str) -> Option<Value> {
    let engine = OpenSearch::new(Transport::single_node(endpoint).ok()?);
    // Numbered indexes besides the alias: during a re-index there are two.
    let path = format!("/{index},{index}-0*/_settings/index.uuid?ignore_unavailable=true&flat_settings=true");
    let answer = engine.send(Method::Get, &path, HeaderMap::new(), None::<&()>, None::<()>, None).await.ok()?;
    answer.error_for_status_code().ok()?.json().await.ok()
}
