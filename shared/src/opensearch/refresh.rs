//! Refreshes of an index: asked for, and their interval.

use std::time::Duration;

use opensearch::http::Method;
use serde_json::json;
use tokio::time::Instant;

use super::engine::{Engine, INDEX_NOT_FOUND, Request, Wait};
use super::index::EnsureError;
use crate::outcome::Problem;

/// Time after which a serverless collection has refreshed an index by itself: about 10 s, by AWS's documentation.
const OWN_REFRESH: Duration = Duration::from_secs(12);

impl Engine {
    /// Makes everything that was written to the index searchable, or waits until it is where nobody can ask for it.
    ///
    /// # Errors
    /// Fails with the engine's problem.
    pub async fn refresh(&self, index: &str, deadline: Instant) -> Result<(), Problem> {
        match self.post(&format!("/{index}/_refresh"), None, deadline).await {
            // OpenSearch Serverless has no such request, and answers without an error of the engine.
            Err(Problem::Request(refusal)) if refusal.status == 404 && &*refusal.kind != INDEX_NOT_FOUND => {
                tracing::warn!(index, "the engine takes no refresh: waiting for its own");
                tokio::time::sleep_until(deadline.min(Instant::now() + OWN_REFRESH)).await;
                Ok(())
            }
            answer => answer.map(drop),
        }
    }

    /// Reads `index.refresh_interval`; `None` if it is not set.
    ///
    /// # Errors
    /// Fails with the engine's problem.
    pub async fn refresh_interval(&self, index: &str, deadline: Instant) -> Result<Option<String>, EnsureError> {
        let path = format!("/{index}/_settings?filter_path=error%2C%2A.settings.index.refresh_interval");
        let found = self.get(&path, deadline).await?.unwrap_or_default();
        Ok(found[index]["settings"]["index"]["refresh_interval"].as_str().map(str::to_owned))
    }

    /// Sets `index.refresh_interval`; `None` sets the engine's default.
    ///
    /// # Errors
    /// Fails with the engine's problem.
    pub async fn set_refresh_interval(
        &self,
        index: &str,
        interval: Option<&str>,
        deadline: Instant,
    ) -> Result<(), Problem> {
        let body = json!({"index": {"refresh_interval": interval}}).to_string().into();
        let path = format!("/{index}/_settings");
        self.send(Request { method: Method::Put, path: &path, body: Some(body) }, Wait::until(deadline)).await.map(drop)
    }
}
