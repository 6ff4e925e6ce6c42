//! `_bulk`: bodies built straight from documents, answers parsed into typed results.

use std::ops::Range;

use opensearch::http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::engine::{Engine, EngineError, Request, Wait};
use super::probe::{Probe, shown};
use crate::document::write_string;
use crate::outcome::{Problem, Treatment};
use crate::target::{Call, ConditionalWrite, Position, WriteCondition, Written};

/// Limit for the body of a bulk request: half of the smallest limit of managed domains (10 MiB).
const MAX_BODY_BYTES: usize = 5 * 1024 * 1024;

impl Engine {
    /// Writes in as few consecutive bulk requests as their size allows. If the engine refuses a whole request, it is
    /// halved, down to the one document at fault.
    pub(super) async fn bulk(
        &self,
        path: &str,
        writes: &[ConditionalWrite<'_>],
        call: Call,
    ) -> Vec<Result<Written, Problem>> {
        let wait = Wait { deadline: call.deadline, doublings: call.doublings };
        let probe = call.with_probe.then(Probe::draw);
        let mut results = Vec::with_capacity(writes.len());
        for body in bodies(writes, call.max_documents, self.source()) {
            results.extend(self.bulk_or_halves(path, writes, body, (wait, probe.as_ref())).await);
        }
        results
    }

    async fn bulk_or_halves(
        &self,
        path: &str,
        writes: &[ConditionalWrite<'_>],
        body: Body,
        (wait, probe): (Wait, Option<&Probe>),
    ) -> Vec<Result<Written, Problem>> {
        let all = body.places.len();
        let mut results = Vec::with_capacity(all);
        let mut bodies = vec![body];
        while let Some(Body { places, bytes }) = bodies.pop() {
            let count = places.len();
            let sent = match probe {
                None => self.bulk_once(path, bytes, count, wait).await,
                Some(probe) => self.bulk_with_probe(path, (bytes, count), probe, wait).await,
            };
            match sent {
                Ok(answers) => results.extend(answers),
                Err(Problem::Request(refusal)) if matches!(refusal.status, 400 | 413) => {
                    if count == 1 {
                        // A refused request shows nothing of its probe, so the probe is repeated alone.
                        let shown = match probe {
                            None => Ok(()),
                            Some(probe) => self.probe_alone(path, probe, wait).await,
                        };
                        results.push(Err(shown.err().unwrap_or(Problem::Item(refusal))));
                    } else {
                        let middle = places.start + count / 2;
                        bodies.push(Body::of(writes, middle..places.end, self.source()));
                        bodies.push(Body::of(writes, places.start..middle, self.source()));
                    }
                }
                // The problem of one half would be that of the other, after another time-out.
                Err(problem) => {
                    results.resize(all, Err(problem));
                    bodies.clear();
                }
            }
        }
        results
    }

    /// Sends a bulk request with a probe as its last operation. If the index refuses the probe, it refuses all for a
    /// reason of its own.
    async fn bulk_with_probe(
        &self,
        path: &str,
        (mut body, count): (Vec<u8>, usize),
        probe: &Probe,
        wait: Wait,
    ) -> Result<Vec<Result<Written, Problem>>, Problem> {
        write_operation(&probe.impossible_write(), self.source(), &mut body);
        let mut answers = self.bulk_once(path, body, count + 1, wait).await?;
        if let Some(Err(shown)) = answers.pop().map(shown) {
            let refused = |answer: &&mut Result<_, Problem>| {
                answer.as_ref().is_err_and(|problem| problem.treatment() == Treatment::Reject)
            };
            answers.iter_mut().filter(refused).for_each(|answer| *answer = Err(shown.clone()));
        }
        Ok(answers)
    }

    async fn probe_alone(&self, path: &str, probe: &Probe, wait: Wait) -> Result<(), Problem> {
        let body = Body::of(&[probe.impossible_write()], 0..1, self.source());
        shown(self.bulk_once(path, body.bytes, 1, wait).await?.remove(0))
    }

    async fn bulk_once(
        &self,
        path: &str,
        body: Vec<u8>,
        count: usize,
        wait: Wait,
    ) -> Result<Vec<Result<Written, Problem>>, Problem> {
        let request = Request { method: Method::Post, path, body: Some(body.into()) };
        let answer = self.send(request, wait).await?;
        read_answer(&answer, count)
    }
}

/// Part of a batch in one bulk request.
struct Body {
    places: Range<usize>,
    bytes: Vec<u8>,
}

impl Body {
    fn of(writes: &[ConditionalWrite<'_>], places: Range<usize>, source: Option<&str>) -> Self {
        let mut bytes = Vec::with_capacity(1024 * places.len());
        for write in &writes[places.clone()] {
            write_operation(write, source, &mut bytes);
        }
        Self { places, bytes }
    }
}

/// Returns bodies of at most this many documents, each below the limit.
fn bodies(writes: &[ConditionalWrite<'_>], max_documents: usize, source: Option<&str>) -> Vec<Body> {
    let documents = max_documents.max(1);
    let mut bodies = Vec::with_capacity(1);
    let mut open = Body::of(writes, 0..0, source);
    for (place, write) in writes.iter().enumerate() {
        let before = open.bytes.len();
        write_operation(write, source, &mut open.bytes);
        let is_full = open.places.len() == documents || open.bytes.len() > MAX_BODY_BYTES;
        if is_full && before > 0 {
            let bytes = open.bytes.split_off(before);
            bodies.push(std::mem::replace(&mut open, Body { places: place..place, bytes }));
        }
        open.places.end = place + 1;
    }
    bodies.push(open);
    bodies
}

fn write_operation(write: &ConditionalWrite<'_>, source: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(match write.condition {
        WriteCondition::IfAbsent => br#"{"create":{"_id":"#.as_slice(),
        WriteCondition::IfUnchanged(_) => br#"{"index":{"_id":"#,
    });
    write_string(write.id.as_str(), out);
    if let Some(routing) = write.id.routing() {
        out.extend_from_slice(br#","routing":"#);
        write_string(routing, out);
    }
    match write.condition {
        WriteCondition::IfAbsent => {}
        WriteCondition::IfUnchanged(position) => {
            out.extend_from_slice(
                format!(r#","if_seq_no":{},"if_primary_term":{}"#, position.seq_no, position.primary_term).as_bytes(),
            );
        }
    }
    out.extend_from_slice(b"}}\n");
    write_source(write, source, out);
    out.push(b'\n');
}

/// Writes the document with `_driftless` as its last field. A tombstone is `_driftless` alone. Only tombstones,
/// documents of expired items, and those of an index with several tables have indexed members.
fn write_source(write: &ConditionalWrite<'_>, source: Option<&str>, out: &mut Vec<u8>) {
    let tombstone = match write.content.document() {
        Some(document) => {
            let json = document.as_bytes();
            out.extend_from_slice(&json[..json.len() - 1]);
            if json.len() > 2 {
                out.push(b',');
            }
            false
        }
        None => {
            out.push(b'{');
            true
        }
    };
    out.extend_from_slice(br#""_driftless":{"version":"#);
    write_string(write.version.as_str(), out);
    if let Some(event_time) = write.event_time {
        out.extend_from_slice(format!(r#","event_time":{}"#, event_time.as_millis()).as_bytes());
    }
    let written_at = write.written_at.as_millis();
    out.extend_from_slice(format!(r#","written_at":{written_at}"#).as_bytes());
    if let Some(read_at) = write.read_at {
        out.extend_from_slice(format!(r#","read_at":{}"#, read_at.as_millis()).as_bytes());
    }
    if let Some(source) = source {
        out.extend_from_slice(br#","source":"#);
        write_string(source, out);
    }
    if let Some(key) = write.id.key() {
        out.extend_from_slice(format!(r#","key":"{key}""#).as_bytes());
    }
    if let Some(expired_at) = write.content.expired_at() {
        out.extend_from_slice(format!(r#","expired_at":{}"#, expired_at.as_millis()).as_bytes());
    }
    if tombstone {
        out.extend_from_slice(format!(r#","deleted":true,"deleted_at":{written_at}"#).as_bytes());
    }
    out.extend_from_slice(b"}}");
}

#[derive(Deserialize)]
struct BulkAnswer {
    items: Vec<BulkItem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum BulkItem {
    Create(Operation),
    Index(Operation),
}

#[derive(Deserialize)]
struct Operation {
    status: u16,
    /// Negative if nothing was written.
    #[serde(default, rename = "_seq_no")]
    seq_no: Option<i64>,
    #[serde(default, rename = "_primary_term")]
    primary_term: Option<u64>,
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<EngineError>,
}

fn read_answer(answer: &[u8], count: usize) -> Result<Vec<Result<Written, Problem>>, Problem> {
    // The parser's message quotes no body: it says only the expected shape and the position.
    let answer: BulkAnswer = serde_json::from_slice(answer).map_err(|error| {
        Problem::Protocol(format!("bulk answer: line {}, column {}", error.line(), error.column()).into())
    })?;
    if answer.items.len() != count {
        return Err(Problem::Protocol(format!("{} answers to a bulk of {count}", answer.items.len()).into()));
    }
    Ok(answer.items.into_iter().map(|(BulkItem::Create(done) | BulkItem::Index(done))| result(done)).collect())
}

fn result(done: Operation) -> Result<Written, Problem> {
    let seq_no = done.seq_no.and_then(|number| u64::try_from(number).ok());
    match (done.status, seq_no, done.primary_term) {
        (200 | 201, Some(seq_no), Some(primary_term)) => Ok(Written::Done(Position { seq_no, primary_term })),
        (200, ..) if done.result.is_some_and(|result| result.get() == "\"noop\"") => Err(Problem::Dropped),
        (409, ..) => Ok(Written::Conflict),
        (status @ 300.., ..) => Err(Problem::Item(match done.error {
            Some(error) => error.into_refusal(status),
            None => crate::outcome::Refusal { status, kind: "unnamed".into(), reason: "".into() },
        })),
        (status, ..) => Err(Problem::Protocol(format!("a write with status {status} and no position").into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Content;
    use crate::document_id::KeyDigest;
    use crate::fixtures::{change, remove};
    use crate::time::Timestamp;

    fn operation(change: &crate::change::Change, condition: WriteCondition) -> String {
        let write = ConditionalWrite {
            id: &change.id,
            condition,
            content: &change.content,
            version: &change.version,
            event_time: change.event_time,
            written_at: Timestamp::from_millis(99),
            read_at: change.read_at,
        };
        let mut out = Vec::new();
        write_operation(&write, None, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    fn writes(changes: &[crate::change::Change]) -> Vec<ConditionalWrite<'_>> {
        let writes = changes.iter().map(|change| ConditionalWrite {
            id: &change.id,
            condition: WriteCondition::IfAbsent,
            content: &change.content,
            version: &change.version,
            event_time: None,
            written_at: Timestamp::from_millis(99),
            read_at: None,
        });
        writes.collect()
    }

    fn insert_of(key: &str, text: &str) -> crate::change::Change {
        let item = format!(r#"{{"text":{{"S":"{text}"}}}}"#);
        let item = crate::attribute::Item::from_json(&item).expect("an item");
        let content = Content::Document(crate::document::Document::from_item(&item));
        crate::change::Change { content, ..change(key, 1) }
    }

    const VERSION: &str = "0000000001/2026-01-15T09:30:00.000000000/0000000000000000000000000000000000000007";

    #[test]
    fn operations_have_their_golden_form() {
        let mut inserted = change("a\"b", 7);
        inserted.event_time = Some(Timestamp::from_millis(98));
        assert_eq!(
            operation(&inserted, WriteCondition::IfAbsent),
            format!(
                "{{\"create\":{{\"_id\":\"a\\\"b\"}}}}\n{{\"n\":7,\"_driftless\":{{\"version\":\"{VERSION}\",\"event_time\":98,\"written_at\":99}}}}\n"
            )
        );
        let read = crate::change::Change { read_at: Some(Timestamp::from_millis(97)), ..inserted };
        let written = operation(&read, WriteCondition::IfAbsent);
        assert!(written.ends_with("\"event_time\":98,\"written_at\":99,\"read_at\":97}}\n"), "{written}");
        let Content::Document(document) = read.content.clone() else { unreachable!("a document") };
        let expired = Content::Expired { document, expired_at: Timestamp::from_millis(96) };
        let written = operation(&crate::change::Change { content: expired, ..read }, WriteCondition::IfAbsent);
        assert!(written.ends_with("\"read_at\":97,\"expired_at\":96}}\n"), "{written}");
        let position = Position { seq_no: 5, primary_term: 2 };
        assert_eq!(
            operation(&remove("a", 7), WriteCondition::IfUnchanged(position)),
            format!(
                "{{\"index\":{{\"_id\":\"a\",\"if_seq_no\":5,\"if_primary_term\":2}}}}\n{{\"_driftless\":{{\"version\":\"{VERSION}\",\"written_at\":99,\"deleted\":true,\"deleted_at\":99}}}}\n"
            )
        );
    }

    #[test]
    fn an_operation_carries_what_the_id_and_the_index_say() {
        let plain = change("a", 7);
        let id =
            plain.id.clone().with_key(KeyDigest::from_hash("00000000000000ff")).with_routing(Some("p\"".to_owned()));
        let change = crate::change::Change { id, ..plain };
        let writes = writes(std::slice::from_ref(&change));
        let mut out = Vec::new();
        write_operation(&writes[0], Some("orders"), &mut out);
        let expect = format!(
            "{{\"create\":{{\"_id\":\"a\",\"routing\":\"p\\\"\"}}}}\n{{\"n\":7,\"_driftless\":{{\"version\":\"{VERSION}\",\
             \"written_at\":99,\"source\":\"orders\",\"key\":\"00000000000000ff\"}}}}\n"
        );
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expect);
    }

    #[test]
    fn a_bulk_has_no_more_documents_and_bytes_than_it_may() {
        let changes: Vec<_> = (0..7).map(|n| change(&format!("k{n}"), n)).collect();
        let large = "x".repeat(2 * 1024 * 1024);
        let large = [insert_of("a", &large), insert_of("b", &large), insert_of("c", &large)];
        let lens = |writes: &[ConditionalWrite<'_>], max_documents| {
            let bodies = bodies(writes, max_documents, None);
            for body in &bodies {
                assert_eq!(body.bytes, Body::of(writes, body.places.clone(), None).bytes);
            }
            bodies.iter().map(|body| body.places.len()).collect::<Vec<_>>()
        };
        assert_eq!(lens(&writes(&changes), usize::MAX), [7]);
        assert_eq!(lens(&writes(&changes), 3), [3, 3, 1]);
        assert_eq!(lens(&writes(&changes[..1]), 0), [1]);
        assert_eq!(lens(&writes(&large), usize::MAX), [2, 1]);
    }

    #[test]
    fn answers_are_counted_and_typed() {
        let body = br#"{"items":[{"create":{"_index":"i-000001","_seq_no":1,"_primary_term":1,"status":201}},
            {"index":{"_index":"i-000001","status":409,"error":{"type":"version_conflict_engine_exception","reason":"r"}}},
            {"create":{"_index":"i-000001","status":400,"error":{"type":"mapper_parsing_exception","reason":"r","caused_by":{"type":"t","reason":"c"}}}}]}"#;
        let results = read_answer(body, 3).expect("an answer");
        assert_eq!(results[0], Ok(Written::Done(Position { seq_no: 1, primary_term: 1 })));
        assert_eq!(results[1], Ok(Written::Conflict));
        let Err(Problem::Item(refusal)) = &results[2] else { panic!("{results:?}") };
        assert_eq!((refusal.status, &*refusal.kind, &*refusal.reason), (400, "mapper_parsing_exception", "r: c"));
        assert!(matches!(read_answer(body, 2), Err(Problem::Protocol(_))));
        assert!(matches!(read_answer(b"<html>", 1), Err(Problem::Protocol(_))));
        // Answer of the engine after a pipeline's drop processor took the document.
        let dropped = br#"{"items":[{"index":{"_index":"i","_id":"a","_version":-3,"result":"noop","_seq_no":-2,"_primary_term":0,"status":200}}]}"#;
        assert_eq!(read_answer(dropped, 1).expect("an answer"), [Err(Problem::Dropped)]);
        let odd = br#"{"items":[{"create":{"status":201}}]}"#;
        assert!(matches!(read_answer(odd, 1).expect("an answer")[0], Err(Problem::Protocol(_))));
    }
}
