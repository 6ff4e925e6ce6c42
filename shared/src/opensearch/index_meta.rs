//! The member `_meta.driftless` of a physical index's mapping, written so that it stays.

use std::time::Duration;

use opensearch::http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::engine::{Engine, Request, Wait};
use super::identity::set;
use crate::outcome::Problem;

/// Time without a set-back after which a written `_meta` stays: mapping updates that were under way have ended then.
const META_STAYS: Duration = Duration::from_secs(1);

/// Time between two looks at a written `_meta`: shorter than the engine needs to publish a mapping.
const META_LOOK: Duration = Duration::from_millis(20);

/// Concurrent writes of a `_meta` that was set back.
///
/// The engine takes updates in batches, and the shards read what the batch before made. So old and new take turns
/// until the new one is the last of two batches in a row. Three writers get there in seconds, one in half a minute.
const META_WRITERS: usize = 3;

/// Writes in a row of each of these writers.
const META_WRITES: usize = 3;

impl Engine {
    /// Writes members of `_meta.driftless`, by their JSON pointers, and keeps the others. Returns once they stay.
    ///
    /// A document with a new field updates the mapping, too, and that update carries the `_meta` that its shard knew.
    /// One that was under way sets `_meta` back (seen on OpenSearch 3.8). So the members are read again for a second.
    pub(super) async fn put_meta(
        &self,
        index: &str,
        mut meta: Value,
        members: &[(String, Value)],
        deadline: Instant,
    ) -> Result<(), Problem> {
        let before = meta["driftless"].clone();
        let (mut writers, mut writes) = (1, 1);
        loop {
            for (pointer, value) in members {
                set(&mut meta["driftless"], pointer, value.clone());
            }
            let mapping = json!({"_meta": meta});
            futures::future::try_join_all((0..writers).map(async |_| {
                for _ in 0..writes {
                    self.put_mapping(index, &mapping, deadline).await?;
                }
                Ok::<_, Problem>(())
            }))
            .await?;
            match self.set_back(index, &before, members, deadline).await? {
                None => return Ok(()),
                Some(now) => meta = now,
            }
            tracing::debug!(index, "a mapping update has set _meta back: it is written again");
            (writers, writes) = (META_WRITERS, META_WRITES);
        }
    }

    /// Watches written members of `_meta.driftless`. Returns the `_meta` that has one of them as it was before.
    async fn set_back(
        &self,
        index: &str,
        before: &Value,
        members: &[(String, Value)],
        deadline: Instant,
    ) -> Result<Option<Value>, Problem> {
        let since = Instant::now();
        while since.elapsed() < META_STAYS {
            let meta = self.meta(index, deadline).await?;
            // What another process has written meanwhile is another value, and stays.
            let is_set_back = |(pointer, value): &(String, Value)| {
                let now = meta["driftless"].pointer(pointer);
                now != Some(value) && now == before.pointer(pointer)
            };
            if members.iter().any(is_set_back) {
                return Ok(Some(meta));
            }
            sleep(META_LOOK).await;
        }
        Ok(None)
    }

    pub(super) async fn put_mapping(&self, index: &str, mapping: &Value, deadline: Instant) -> Result<(), Problem> {
        let body = mapping.to_string().into();
        let path = format!("/{index}/_mapping");
        self.send(Request { method: Method::Put, path: &path, body: Some(body) }, Wait::until(deadline)).await.map(drop)
    }

    /// Reads the `_meta` of an index's mapping.
    async fn meta(&self, index: &str, deadline: Instant) -> Result<Value, Problem> {
        let path = format!("/{index}/_mapping?filter_path=error%2C%2A.mappings._meta");
        let body = self.send(Request { method: Method::Get, path: &path, body: None }, Wait::until(deadline)).await?;
        let answer: Value = serde_json::from_slice(&body)
            .map_err(|_| Problem::Protocol("the description of a mapping is not JSON".into()))?;
        Ok(answer[index]["mappings"]["_meta"].clone())
    }
}
