//! A reader who counts through the public alias all the time, and notices what is missing or doubled.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use opensearch::OpenSearch;
use serde::Serialize;
use serde_json::json;

use crate::first_load::ARCHIVED;
use crate::searches::search;

/// Time between two searches.
const PAUSE: Duration = Duration::from_millis(20);

/// Searches of a reader, counted by what they found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reads {
    /// Searches that the reader sent.
    pub searches: u64,
    /// Searches that got no answer.
    pub failed: u64,
    /// Searches that missed a document, or found one twice.
    pub wrong: u64,
    /// First of these, in words.
    pub problem: Option<String>,
}

impl Reads {
    /// Searches until the future is dropped. `expected` documents are there all the time.
    pub(crate) async fn go_on(&mut self, engine: &OpenSearch, index: &str, expected: u64) -> Infallible {
        loop {
            let found = count(engine, index).await;
            self.note(found, expected);
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn note(&mut self, found: Result<u64>, expected: u64) {
        self.searches += 1;
        let problem = match found {
            Ok(found) if found == expected => return,
            Ok(found) => {
                self.wrong += 1;
                format!("a search found {found} documents, and {expected} are there")
            }
            Err(error) => {
                self.failed += 1;
                format!("a search failed: {error:#}")
            }
        };
        self.problem.get_or_insert(problem);
    }
}

async fn count(engine: &OpenSearch, index: &str) -> Result<u64> {
    let body = json!({"size": 0, "track_total_hits": true, "query": {"term": {"tags": ARCHIVED}}});
    let answer = search(engine, index, body).await?;
    ensure!(answer["_shards"]["failed"] == 0, "not all shards answered");
    answer["hits"]["total"]["value"].as_u64().context("count what was found")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_missing_and_a_doubled_document_and_a_failure_are_noticed() {
        let mut reads = Reads::default();
        for found in [Ok(5), Ok(4), Ok(10), Err(anyhow!("503")), Ok(5)] {
            reads.note(found, 5);
        }
        assert_eq!((reads.searches, reads.wrong, reads.failed), (5, 2, 1));
        assert_eq!(reads.problem.as_deref(), Some("a search found 4 documents, and 5 are there"));
    }
}
