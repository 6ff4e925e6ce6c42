//! Proof that changes reported as done are in the index: a realtime read by id of a sample, right after the report.

use anyhow::{Context, Result};
use hyper::Method;
use hyper::body::Bytes;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::baseline::BaselineClient;
use crate::changes::DUE;

/// One change in this many is looked for.
const ONE_IN: u64 = 50;

/// Task that looks for changes beside a run.
pub(crate) struct Sampler {
    reported: UnboundedSender<Reported>,
    task: JoinHandle<Result<Seen>>,
}

struct Reported {
    id: String,
    due_us: u64,
}

/// Result of the sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) looked_for: u64,
    pub(crate) found: u64,
}

impl Sampler {
    /// Starts a task that reads from this index or alias.
    pub(crate) async fn start(endpoint: &str, index: &str) -> Result<Self> {
        let baseline = BaselineClient::connect(endpoint, index).await?;
        let (reported, queue) = unbounded_channel();
        let task = tokio::spawn(look(baseline, index.to_owned(), queue));
        Ok(Self { reported, task })
    }

    /// Notes that the `nth` change was reported as done.
    pub(crate) fn done(&self, nth: u64, id: &str, due_us: u64) {
        if nth.is_multiple_of(ONE_IN) {
            // A task that has ended returns its error at the end.
            let _ = self.reported.send(Reported { id: id.to_owned(), due_us });
        }
    }

    /// Waits for the last reads, and returns the result.
    pub(crate) async fn end(self) -> Result<Seen> {
        drop(self.reported);
        self.task.await.context("wait for the sample")?
    }
}

async fn look(mut baseline: BaselineClient, index: String, mut queue: UnboundedReceiver<Reported>) -> Result<Seen> {
    let mut seen = Seen::default();
    while let Some(Reported { id, due_us }) = queue.recv().await {
        let path = format!("/{index}/_doc/{id}?realtime=true");
        let body = match baseline.send(Method::GET, &path, Bytes::new()).await {
            Ok(answer) => serde_json::from_slice(&answer.body).context("read a document")?,
            Err(_) => Value::Null,
        };
        seen.looked_for += 1;
        seen.found += u64::from(shows(&body, due_us));
    }
    Ok(seen)
}

/// True if the document is of this change, or of a later one.
fn shows(document: &Value, due_us: u64) -> bool {
    let source = &document["_source"];
    source["_driftless"]["deleted"] == true || source[DUE].as_u64().is_some_and(|found| found >= due_us)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_shows_its_change_and_those_before_it() {
        let document = json!({"_source": {"due_us": 100, "_driftless": {"version": "v"}}});
        assert!(shows(&document, 100) && shows(&document, 99));
        assert!(!shows(&document, 101), "an older one");
        assert!(!shows(&json!({"found": false}), 1) && !shows(&Value::Null, 1));
        assert!(shows(&json!({"_source": {"_driftless": {"deleted": true}}}), 1), "it was removed since");
    }
}
