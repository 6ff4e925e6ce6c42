//! A document as readers find it: by a search through the public alias, refreshed, and behind the alias's filter.

use opensearch::http::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::documents::{Shards, parsed};
use super::engine::{Engine, Request, Wait};
use super::mget::Source;
use crate::document_id::DocumentId;
use crate::outcome::Problem;
use crate::target::{Position, StoredState};

/// Filter for metadata only.
const FILTER: &str =
    "error%2Ctimed_out%2C_shards.failed%2Chits.hits._seq_no%2Chits.hits._primary_term%2Chits.hits._source";

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    timed_out: bool,
    #[serde(default, rename = "_shards")]
    shards: Shards,
    #[serde(borrow, default)]
    hits: FoundHits<'a>,
}

#[derive(Default, Deserialize)]
struct FoundHits<'a> {
    #[serde(borrow, default)]
    hits: Vec<FoundHit<'a>>,
}

#[derive(Deserialize)]
struct FoundHit<'a> {
    #[serde(rename = "_seq_no")]
    seq_no: u64,
    #[serde(rename = "_primary_term")]
    primary_term: u64,
    #[serde(borrow, default, rename = "_source")]
    source: Source<'a>,
}

impl Engine {
    /// Returns the state of a document that readers find; `None` if no search finds it, or there is no index yet.
    ///
    /// # Errors
    /// Fails if the engine gives no complete answer.
    pub async fn found_by_readers(&self, id: &DocumentId, deadline: Instant) -> Result<Option<StoredState>, Problem> {
        let path = format!("/{}/_search?filter_path={FILTER}", self.index().public());
        let body = json!({
            "size": 1, "track_total_hits": false, "seq_no_primary_term": true, "_source": ["_driftless"],
            "query": {"ids": {"values": [id.as_str()]}},
        });
        let request = Request { method: Method::Post, path: &path, body: Some(body.to_string().into()) };
        match self.send(request, Wait::until(deadline)).await {
            Ok(answer) => state(&answer),
            Err(Problem::Request(refusal)) if refusal.status == 404 => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}

fn state(answer: &[u8]) -> Result<Option<StoredState>, Problem> {
    let answer: Answer<'_> = parsed(answer, "search")?;
    let found = answer.hits.hits.into_iter().next();
    if found.is_none() && (answer.timed_out || answer.shards.failed > 0) {
        return Err(Problem::Protocol("a search without all shards".into()));
    }
    Ok(found
        .map(|FoundHit { seq_no, primary_term, source }| source.metadata().state(Position { seq_no, primary_term })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_that_of_the_found_document_and_a_part_of_the_shards_proves_no_absence() {
        let found = br#"{"timed_out":false,"_shards":{"failed":1},"hits":{"hits":[{"_seq_no":4,"_primary_term":1,
            "_source":{"_driftless":{"version":"v","event_time":7}}}]}}"#;
        let found = state(found).expect("an answer").expect("a document");
        assert_eq!((found.event_time.map(|time| time.as_millis()), found.position.seq_no), (Some(7), 4));
        assert_eq!(state(br#"{"timed_out":false,"_shards":{"failed":0}}"#), Ok(None));
        for part in
            [&br#"{"timed_out":false,"_shards":{"failed":1}}"#[..], br#"{"timed_out":true,"_shards":{"failed":0}}"#]
        {
            assert!(state(part).is_err());
        }
    }
}
