//! Whole documents: their realtime read, their listing by sequence number, and their conditional deletion.
//!
//! A listing goes by `_seq_no`, which the engine indexes by itself. A scroll cannot be taken up again after its
//! keep-alive, and `_id` is not sortable everywhere. A number is unique within a shard only, so a page ends between two
//! numbers: of a full page, the documents with its last number belong to the next page.

use opensearch::http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::engine::{Engine, EngineError, Request, Wait};
use super::index_name::WriteAlias;
use super::mget::{Metadata, Source, ids_body, read_docs};
use crate::document_id::DocumentId;
use crate::outcome::{Problem, Refusal};
use crate::target::{Call, Deleted, DocumentPage, Listed, ListedDocument, Position, StoredBody, StoredDocument};

/// Number of documents of a page: below the engine's default `index.max_result_window`, and above any number of shards.
const PAGE: usize = 2_000;
/// Beginning of the last member of every document that driftless wrote.
const METADATA: &str = "\"_driftless\":";

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    timed_out: bool,
    #[serde(default, rename = "_shards")]
    shards: Shards,
    #[serde(default)]
    hits: Hits,
}

/// Counts of the shards of a search.
#[derive(Default, Deserialize)]
pub(super) struct Shards {
    #[serde(default)]
    pub(super) failed: u64,
}

#[derive(Default, Deserialize)]
struct Hits {
    #[serde(default)]
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default, rename = "_routing")]
    routing: Option<String>,
    #[serde(rename = "_seq_no")]
    seq_no: u64,
    #[serde(rename = "_primary_term")]
    primary_term: u64,
}

impl Hit {
    fn into_listed(self) -> ListedDocument {
        ListedDocument {
            id: DocumentId::from_stored(self.id).with_routing(self.routing),
            position: Position { seq_no: self.seq_no, primary_term: self.primary_term },
        }
    }
}

#[derive(Deserialize)]
struct Counted {
    count: u64,
    #[serde(rename = "_shards")]
    shards: Shards,
}

#[derive(Deserialize)]
struct DeleteAnswer {
    items: Vec<DeleteItem>,
}

#[derive(Deserialize)]
struct DeleteItem {
    delete: Deletion,
}

#[derive(Deserialize)]
struct Deletion {
    status: u16,
    #[serde(default)]
    error: Option<EngineError>,
}

impl Engine {
    /// Reads whole documents, in the order of `ids`.
    pub(super) async fn whole_documents(
        &self,
        alias: &WriteAlias,
        ids: &[&DocumentId],
        wait: Wait,
    ) -> Vec<Result<Option<StoredDocument>, Problem>> {
        if ids.is_empty() {
            return Vec::new();
        }
        let body = Some(ids_body(ids));
        let request = Request { method: Method::Post, path: alias.whole_documents_path(), body };
        let answer = self.send(request, wait).await.and_then(|answer| read_docs(&answer, ids.len(), document));
        answer.unwrap_or_else(|problem| vec![Err(problem); ids.len()])
    }

    /// Counts documents of this kind.
    pub(super) async fn count(&self, alias: &WriteAlias, counted: Listed, deadline: Instant) -> Result<u64, Problem> {
        let body = json!({"query": query(counted, None, self.source())}).to_string().into();
        let request = Request { method: Method::Post, path: alias.count_path(), body: Some(body) };
        let counted: Counted = parsed(&self.send(request, Wait::until(deadline)).await?, "count")?;
        if counted.shards.failed > 0 {
            return Err(Problem::Protocol("a count without all shards".into()));
        }
        Ok(counted.count)
    }

    /// Lists documents from a sequence number on.
    pub(super) async fn list(
        &self,
        alias: &WriteAlias,
        listed: Listed,
        from: u64,
        deadline: Instant,
    ) -> Result<DocumentPage, Problem> {
        let body = json!({
            "size": PAGE, "track_total_hits": false, "_source": false, "seq_no_primary_term": true,
            "query": query(listed, Some(from), self.source()), "sort": [{"_seq_no": "asc"}],
        });
        let listing = self.search(alias, body, deadline).await?;
        page(listing.hits.hits.into_iter().map(Hit::into_listed).collect(), PAGE)
    }

    /// Lists the documents that were written last.
    pub(super) async fn latest(
        &self,
        alias: &WriteAlias,
        most: usize,
        deadline: Instant,
    ) -> Result<Vec<DocumentId>, Problem> {
        let body = json!({
            "size": most, "track_total_hits": false, "_source": false, "seq_no_primary_term": true,
            "query": {"bool": {"filter": of_source(self.source())}}, "sort": [{"_seq_no": "desc"}],
        });
        let listing = self.search(alias, body, deadline).await?;
        Ok(listing.hits.hits.into_iter().map(|hit| hit.into_listed().id).collect())
    }

    async fn search(&self, alias: &WriteAlias, body: Value, deadline: Instant) -> Result<Listing, Problem> {
        let request = Request { method: Method::Post, path: alias.search_path(), body: Some(body.to_string().into()) };
        let listing: Listing = parsed(&self.send(request, Wait::until(deadline)).await?, "listing")?;
        // A part of the documents would look like all of them.
        if listing.timed_out || listing.shards.failed > 0 {
            return Err(Problem::Protocol("a listing without all shards".into()));
        }
        Ok(listing)
    }

    /// Deletes documents that are still at their positions.
    pub(super) async fn delete_found(
        &self,
        alias: &WriteAlias,
        found: &[ListedDocument],
        call: Call,
    ) -> Vec<Result<Deleted, Problem>> {
        let mut results = Vec::with_capacity(found.len());
        for part in found.chunks(call.max_documents.clamp(1, PAGE)) {
            let mut body = String::new();
            for ListedDocument { id, position } in part {
                let mut condition = json!({
                    "_id": id.as_str(), "if_seq_no": position.seq_no, "if_primary_term": position.primary_term,
                });
                if let Some(routing) = id.routing() {
                    condition["routing"] = routing.into();
                }
                body.push_str(&json!({"delete": condition}).to_string());
                body.push('\n');
            }
            let request = Request { method: Method::Post, path: alias.bulk_path(), body: Some(body.into()) };
            let wait = Wait { deadline: call.deadline, doublings: call.doublings };
            let answer = self.send(request, wait).await.and_then(|answer| read_deletions(&answer, part.len()));
            results.extend(answer.unwrap_or_else(|problem| vec![Err(problem); part.len()]));
        }
        results
    }
}

/// Returns the filters that leave out the documents of other tables in the index.
fn of_source(source: Option<&str>) -> Vec<Value> {
    source.map(|source| json!({"term": {"_driftless.source": source}})).into_iter().collect()
}

fn query(listed: Listed, from: Option<u64>, source: Option<&str>) -> Value {
    let mut filter = of_source(source);
    let mut must_not = Vec::new();
    let deleted = json!({"term": {"_driftless.deleted": true}});
    let expired = json!({"exists": {"field": "_driftless.expired_at"}});
    match listed {
        Listed::Live => must_not.push(deleted),
        Listed::OfItems => must_not.extend([deleted, expired]),
        Listed::WithoutItems => filter.push(json!({"bool": {"should": [deleted, expired]}})),
        Listed::ExpiredBefore(time) => {
            filter.push(json!({"range": {"_driftless.expired_at": {"lt": time.as_millis()}}}));
        }
        Listed::TombstonesBefore(time) => {
            filter.push(deleted);
            filter.push(json!({"range": {"_driftless.deleted_at": {"lt": time.as_millis()}}}));
        }
    }
    if let Some(from) = from {
        filter.push(json!({"range": {"_seq_no": {"gte": from}}}));
    }
    json!({"bool": {"filter": filter, "must_not": must_not}})
}

/// Makes a page of the found documents, `full` of which are as many as were asked for.
fn page(mut found: Vec<ListedDocument>, full: usize) -> Result<DocumentPage, Problem> {
    let Some(last) = found.last().map(|last| last.position.seq_no).filter(|_| found.len() >= full) else {
        return Ok(DocumentPage { found, next: None });
    };
    found.retain(|one| one.position.seq_no < last);
    if found.is_empty() {
        return Err(Problem::Protocol("more shards than a page has documents".into()));
    }
    Ok(DocumentPage { found, next: Some(last) })
}

/// Parses an answer. The error says where it is wrong, and quotes nothing.
pub(super) fn parsed<'a, T: Deserialize<'a>>(answer: &'a [u8], of: &str) -> Result<T, Problem> {
    serde_json::from_slice(answer).map_err(|error| {
        Problem::Protocol(format!("{of} answer: line {}, column {}", error.line(), error.column()).into())
    })
}

fn document(position: Position, source: Option<&RawValue>) -> Result<StoredDocument, Problem> {
    let source = source.ok_or_else(|| Problem::Protocol("a document without a source".into()))?;
    let (metadata, body) = parts(source.get());
    Ok(StoredDocument { state: metadata.state(position), body })
}

/// Splits a document's source into `_driftless` and the rest, byte for byte.
fn parts(source: &str) -> (Metadata, StoredBody) {
    split(source).unwrap_or_else(|| {
        // A document of another form may carry a version all the same.
        let found = serde_json::from_str::<Source<'_>>(source).unwrap_or_default();
        (found.metadata(), StoredBody::Foreign(source.as_bytes().to_vec()))
    })
}

/// Splits a document of our own form: its last member is `_driftless`. No text of a document can be taken for it, as
/// quotes in texts are escaped.
fn split(source: &str) -> Option<(Metadata, StoredBody)> {
    let (content, metadata) = source.rsplit_once(METADATA)?;
    // A member of a nested object would leave more than one brace.
    let metadata: Metadata = serde_json::from_str(metadata.strip_suffix('}')?).ok()?;
    if !metadata.has_version() {
        return None;
    }
    let content = match content {
        "{" => "{",
        content => content.strip_suffix(',')?,
    };
    let body = match (content, metadata.deleted) {
        ("{", true) => StoredBody::Tombstone,
        (_, true) => return None,
        (content, false) => StoredBody::Document([content.as_bytes(), b"}"].concat()),
    };
    Some((metadata, body))
}

fn read_deletions(answer: &[u8], count: usize) -> Result<Vec<Result<Deleted, Problem>>, Problem> {
    let answer: DeleteAnswer = parsed(answer, "bulk")?;
    if answer.items.len() != count {
        return Err(Problem::Protocol(format!("{} answers to a bulk of {count}", answer.items.len()).into()));
    }
    let deleted = |DeleteItem { delete: Deletion { status, error } }: DeleteItem| match status {
        200 => Ok(Deleted::Done),
        404 if error.is_none() => Ok(Deleted::Moved),
        409 => Ok(Deleted::Moved),
        status => Err(Problem::Item(match error {
            Some(error) => error.into_refusal(status),
            None => Refusal { status, kind: "unnamed".into(), reason: "".into() },
        })),
    };
    Ok(answer.items.into_iter().map(deleted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(source: &str) -> StoredBody {
        parts(source).1
    }

    #[test]
    fn a_document_of_our_form_gives_exactly_the_bytes_that_were_written() {
        const OURS: &str = r#""_driftless":{"version":"v","written_at":1}}"#;
        for written in [
            r#"{"n":12345678901234567890.123456789}"#,
            r#"{"a":"\"_driftless\":{\"version\":\"x\"}}","b":1E125}"#,
            r#"{"m":{"_driftless":{"version":"x"}},"z":[{}]}"#,
            "{}",
        ] {
            let open = &written[..written.len() - 1];
            let comma = if written == "{}" { "" } else { "," };
            let source = format!("{open}{comma}{OURS}");
            assert_eq!(body(&source), StoredBody::Document(written.as_bytes().to_vec()), "{source}");
            assert_eq!(
                parts(&source).0.state(Position { seq_no: 0, primary_term: 1 }).version.expect("v").as_str(),
                "v"
            );
        }
        assert_eq!(
            body(r#"{"_driftless":{"version":"v","written_at":1,"deleted":true,"deleted_at":1}}"#),
            StoredBody::Tombstone
        );
    }

    #[test]
    fn every_other_form_is_foreign() {
        for source in [
            "{}",
            r#"{"a":1}"#,
            r#"{"a":1,"_driftless":{"written_at":1}}"#,
            r#"{"_driftless":{"version":"v"},"a":1}"#,
            r#"{"a":{"_driftless":{"version":"v"}}}"#,
            r#"{"a":1, "_driftless":{"version":"v"}, "b":2}"#,
            r#"{"a":1,"_driftless":{"version":"v","deleted":true}}"#,
            r#"{"_driftless":"x"}"#,
        ] {
            assert_eq!(body(source), StoredBody::Foreign(source.as_bytes().to_vec()), "{source}");
        }
        let moved = parts(r#"{"_driftless":{"version":"v"},"a":1}"#).0;
        assert!(moved.has_version(), "its version still counts");
    }

    #[test]
    fn answers_of_reads_are_counted_and_typed() {
        let answer = br#"{"docs":[{"_index":"i","_id":"a","_version":1,"_seq_no":4,"_primary_term":1,"found":true,"_source":{"n":1.50,"_driftless":{"version":"v","read_at":7}}},
            {"_index":"i","_id":"b","found":false},{"_index":"i","error":{"type":"index_not_found_exception","reason":"r"}}]}"#;
        let answers = read_docs(answer, 3, document).expect("an answer");
        let Ok(Some(document)) = &answers[0] else { panic!("{answers:?}") };
        assert_eq!(document.body, StoredBody::Document(br#"{"n":1.50}"#.to_vec()));
        assert_eq!(document.state.read_at.map(|time| time.as_millis()), Some(7));
        assert_eq!(answers[1], Ok(None));
        assert_eq!(answers[2].as_ref().expect_err("missing").status(), Some(404));
        assert!(read_docs(answer, 2, super::document).is_err());
    }

    #[test]
    fn a_full_page_ends_between_two_sequence_numbers() {
        let found = |numbers: &[u64]| -> Vec<ListedDocument> {
            let one = |(at, &seq_no): (usize, &u64)| ListedDocument {
                id: DocumentId::from_stored(at.to_string()),
                position: Position { seq_no, primary_term: 1 },
            };
            numbers.iter().enumerate().map(one).collect()
        };
        let short = page(found(&[1, 2, 2]), 4).expect("a page");
        assert_eq!((short.found.len(), short.next), (3, None));
        let full = page(found(&[1, 2, 3, 3]), 4).expect("a page");
        assert_eq!((full.found.len(), full.next), (2, Some(3)));
        assert!(page(found(&[3, 3]), 2).is_err());
    }

    #[test]
    fn a_deletion_is_done_or_the_document_moved() {
        let answer =
            br#"{"items":[{"delete":{"status":200,"result":"deleted"}},{"delete":{"status":404,"result":"not_found"}},
            {"delete":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"r"}}},
            {"delete":{"status":404,"error":{"type":"index_not_found_exception","reason":"r"}}}]}"#;
        let deletions = read_deletions(answer, 4).expect("an answer");
        assert_eq!(deletions[..3], [Ok(Deleted::Done), Ok(Deleted::Moved), Ok(Deleted::Moved)]);
        assert_eq!(deletions[3].as_ref().expect_err("missing").status(), Some(404));
    }
}
