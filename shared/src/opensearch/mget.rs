//! `_mget`: realtime states of documents.

use bytes::Bytes;
use opensearch::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::engine::{Engine, EngineError, Request, Wait};
use super::index_name::WriteAlias;
use crate::document_id::{DocumentId, KeyDigest};
use crate::outcome::Problem;
use crate::target::{Position, StoredState};
use crate::time::Timestamp;
use crate::version::Version;

/// Document of a read, with its routing.
#[derive(Serialize)]
struct RoutedId<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing: Option<&'a str>,
}

/// Body of a read.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Ids<'a> {
    Ids(Vec<&'a str>),
    Docs(Vec<RoutedId<'a>>),
}

/// Returns the body of a read of documents.
pub(super) fn ids_body(ids: &[&DocumentId]) -> Bytes {
    let body = match ids.iter().any(|id| id.routing().is_some()) {
        false => Ids::Ids(ids.iter().map(|id| id.as_str()).collect()),
        true => Ids::Docs(ids.iter().map(|id| RoutedId { id: id.as_str(), routing: id.routing() }).collect()),
    };
    Bytes::from(serde_json::to_vec(&body).expect("writing strings to memory does not fail"))
}

/// Answer to a read, whose documents have sources of this type.
#[derive(Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
struct MgetAnswer<S> {
    docs: Vec<Doc<S>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
struct Doc<S> {
    #[serde(default)]
    found: bool,
    #[serde(default, rename = "_seq_no")]
    seq_no: Option<u64>,
    #[serde(default, rename = "_primary_term")]
    primary_term: Option<u64>,
    #[serde(default, rename = "_source")]
    source: Option<S>,
    #[serde(default)]
    error: Option<EngineError>,
}

/// Metadata in a source.
#[derive(Default, Deserialize)]
pub(super) struct Source<'a> {
    /// Parsed separately: foreign content spoils no other document's answer.
    #[serde(borrow, default, rename = "_driftless")]
    driftless: Option<&'a RawValue>,
}

impl Source<'_> {
    /// Returns the metadata; unreadable metadata counts as none, because then the document is foreign.
    pub(super) fn metadata(self) -> Metadata {
        self.driftless.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }
}

/// Content of the member `_driftless`.
#[derive(Default, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    version: Option<Version>,
    #[serde(default)]
    event_time: Option<Timestamp>,
    #[serde(default)]
    written_at: Option<Timestamp>,
    #[serde(default)]
    read_at: Option<Timestamp>,
    #[serde(default)]
    expired_at: Option<Timestamp>,
    #[serde(default)]
    key: Option<KeyDigest>,
    /// True in a tombstone.
    #[serde(default)]
    pub(super) deleted: bool,
}

impl Metadata {
    /// Returns the state of the document that carries this.
    pub(super) fn state(self, position: Position) -> StoredState {
        let Self { version, event_time, written_at, read_at, expired_at, key, deleted } = self;
        StoredState { version, event_time, written_at, read_at, expired_at, key, deleted, position }
    }

    /// Returns `true` if the document carries a version.
    pub(super) fn has_version(&self) -> bool {
        self.version.is_some()
    }
}

impl Engine {
    /// Reads the states of documents, in the order of `ids`.
    pub(super) async fn mget(
        &self,
        alias: &WriteAlias,
        ids: &[&DocumentId],
        wait: Wait,
    ) -> Vec<Result<Option<StoredState>, Problem>> {
        match self.mget_once(alias.mget_path(ids.len()), ids, wait).await {
            Ok(answers) => answers,
            Err(problem) => vec![Err(problem); ids.len()],
        }
    }

    pub(super) async fn mget_once(
        &self,
        path: &str,
        ids: &[&DocumentId],
        wait: Wait,
    ) -> Result<Vec<Result<Option<StoredState>, Problem>>, Problem> {
        let request = Request { method: Method::Post, path, body: Some(ids_body(ids)) };
        read_docs(&self.send(request, wait).await?, ids.len(), state)
    }
}

/// Parses the answer to a read of `count` documents, and converts each document that exists.
pub(super) fn read_docs<'a, S: Deserialize<'a>, T>(
    answer: &'a [u8],
    count: usize,
    convert: impl Fn(Position, Option<S>) -> Result<T, Problem>,
) -> Result<Vec<Result<Option<T>, Problem>>, Problem> {
    let answer: MgetAnswer<S> = serde_json::from_slice(answer).map_err(|error| {
        Problem::Protocol(format!("read answer: line {}, column {}", error.line(), error.column()).into())
    })?;
    if answer.docs.len() != count {
        return Err(Problem::Protocol(format!("{} answers to a read of {count}", answer.docs.len()).into()));
    }
    let document = |doc: Doc<S>| match (doc.error, doc.found, doc.seq_no, doc.primary_term) {
        (Some(error), ..) => Err(read_problem(error)),
        (None, false, ..) => Ok(None),
        (None, true, Some(seq_no), Some(primary_term)) => {
            convert(Position { seq_no, primary_term }, doc.source).map(Some)
        }
        (None, true, ..) => Err(Problem::Protocol("a document without a position".into())),
    };
    Ok(answer.docs.into_iter().map(document).collect())
}

fn state(position: Position, source: Option<Source<'_>>) -> Result<StoredState, Problem> {
    Ok(source.unwrap_or_default().metadata().state(position))
}

/// Returns the problem of one read. Errors of single reads carry no status: a missing index and a missing permission
/// are the deployment's, all others may pass.
fn read_problem(error: EngineError) -> Problem {
    if error.is_index_closed() {
        return Problem::Probe("the index is closed: open it (POST INDEX/_open); until then nothing is written".into());
    }
    let missing = error.is_index_missing();
    let mut refusal = error.into_refusal(503);
    if missing {
        refusal.status = 404;
    } else if refusal.is_permission() {
        refusal.status = 403;
    }
    Problem::Item(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_names_routings_where_there_are_some() {
        let id = |text: &str| DocumentId::from_stored(text.to_owned());
        let routed = id("b").with_routing(Some("p".to_owned()));
        assert_eq!(ids_body(&[&id("a"), &id("b")]), r#"{"ids":["a","b"]}"#);
        assert_eq!(ids_body(&[&id("a"), &routed]), r#"{"docs":[{"_id":"a"},{"_id":"b","routing":"p"}]}"#);
    }

    #[test]
    fn every_answer_is_typed() {
        let body = br#"{"docs":[{"_index":"i-000001","_seq_no":4,"_primary_term":1,"found":true,"_source":{"_driftless":{"version":"v","event_time":5,"written_at":6,"read_at":7,"expired_at":8,"key":"00000000000000ff","deleted":true}}},
            {"_index":"i-000001","found":false},{"_index":"i-000001","_seq_no":4,"_primary_term":1,"found":true,"_source":{}},
            {"_index":"i","error":{"type":"index_not_found_exception","reason":"no such index"}},{"_index":"i","error":{"type":"other"}},
            {"_index":"i-000001","_seq_no":4,"_primary_term":1,"found":true,"_source":{"_driftless":{"version":1}}},
            {"_index":"i","error":{"type":"security_exception","reason":"no permissions for [a]"}}]}"#;
        let states = read_docs(body, 7, state).expect("an answer");
        let position = Position { seq_no: 4, primary_term: 1 };
        let stored = |version: Option<&str>, event_time| {
            Ok(Some(StoredState {
                version: version.map(|v| Version::from_stored(v.to_owned())),
                event_time,
                written_at: event_time.map(|_| Timestamp::from_millis(6)),
                read_at: event_time.map(|_| Timestamp::from_millis(7)),
                expired_at: event_time.map(|_| Timestamp::from_millis(8)),
                key: event_time.and_then(|_| KeyDigest::from_hash("00000000000000ff")),
                deleted: event_time.is_some(),
                position,
            }))
        };
        assert_eq!(states[..3], [stored(Some("v"), Some(Timestamp::from_millis(5))), Ok(None), stored(None, None)]);
        assert_eq!(states[3].as_ref().expect_err("missing").status(), Some(404));
        assert_eq!(states[4].as_ref().expect_err("other").status(), Some(503));
        assert_eq!(states[5], stored(None, None), "one odd document spoils no other's answer");
        let refused = states[6].as_ref().expect_err("a missing permission");
        assert_eq!((refused.status(), refused.treatment()), (Some(403), crate::outcome::Treatment::Configuration));
        assert!(matches!(read_docs(body, 4, state), Err(Problem::Protocol(_))));
    }
}
