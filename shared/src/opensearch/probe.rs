//! Probes: writes by which an index shows that it does what every guarded write relies on.
//!
//! A probe's document is a tombstone with an id that no item has, so whatever the engine says of it is said of the
//! deployment, and quotes nobody's data.

use std::sync::Arc;

use opensearch::http::Method;
use tokio::time::Instant;

use super::engine::{Engine, Request, Wait};
use super::index_name::WriteAlias;
use crate::change::Content;
use crate::document_id::DocumentId;
use crate::outcome::{Problem, Treatment};
use crate::target::{Call, Guard, GuardedWrite, Position, Written};
use crate::time::Timestamp;
use crate::version::Version;

/// A state that no document is ever in: the greatest sequence number that the engine can read.
const IMPOSSIBLE: Position = Position { seq_no: i64::MAX as u64, primary_term: 1 };
/// Bytes of an id: hashed ids have as many, and end in 64 hexadecimal digits. A probe's does not.
const ID_BYTES: usize = 512;

/// A tombstone of a document that no item has.
pub(super) struct Probe {
    id: DocumentId,
    version: Version,
}

impl Probe {
    /// Draws another id each time. No key has it, for it ends in no digit.
    pub(super) fn draw() -> Self {
        let drawn = format!("driftless-probe-{:016x}", fastrand::u64(..));
        let version = Version::from_stored("0000000000/probe".to_owned());
        Self { id: DocumentId::from_stored(format!("{drawn:~<ID_BYTES$}")), version }
    }

    fn write(&self, guard: Guard) -> GuardedWrite<'_> {
        GuardedWrite {
            id: &self.id,
            guard,
            content: &Content::Removed,
            version: &self.version,
            event_time: None,
            // Long ago, so that whoever removes old tombstones takes one that a dying process has left.
            written_at: Timestamp::from_millis(0),
        }
    }

    /// The write that no index carries out.
    pub(super) fn impossible_write(&self) -> GuardedWrite<'_> {
        self.write(Guard::At(IMPOSSIBLE))
    }
}

/// Reads what the answer to an impossible write shows of the index.
pub(super) fn shown(answer: Result<Written, Problem>) -> Result<(), Problem> {
    match answer {
        Ok(Written::Conflict) => Ok(()),
        Ok(Written::Done(_)) => Err(fault(
            "OpenSearch carried out a write whose if_seq_no did not hold: writes to this index cannot be guarded",
        )),
        Err(problem) => Err(of_deployment(problem)),
    }
}

impl Engine {
    /// Shows that the index takes writes, and refuses one whose guard does not hold. Writes nothing.
    pub(super) async fn probe_guard(&self, alias: &WriteAlias, deadline: Instant) -> Result<(), Problem> {
        shown(self.impossible_write(alias.bulk_path(), deadline).await)
    }

    /// Shows that the engine refuses to write where an alias is wanted and none is. Writes nothing.
    pub(super) async fn probe_alias(&self, physical: &str, deadline: Instant) -> Result<(), Problem> {
        match self.impossible_write(&format!("/{physical}/_bulk?require_alias=true"), deadline).await {
            Err(Problem::Item(refusal)) if refusal.status == 404 => Ok(()),
            Err(Problem::Item(refusal)) if refusal.status == 400 => Err(fault(
                "OpenSearch does not know require_alias: Elasticsearch 7.10 or later, or OpenSearch, is needed",
            )),
            Err(problem) => Err(of_deployment(problem)),
            Ok(_) => Err(fault(
                "OpenSearch ignores require_alias, so a write could create an index: Elasticsearch 7.10 or later, or \
                 OpenSearch, is needed",
            )),
        }
    }

    async fn impossible_write(&self, path: &str, deadline: Instant) -> Result<Written, Problem> {
        let probe = Probe::draw();
        self.bulk(path, &[probe.impossible_write()], Call::until(deadline)).await.remove(0)
    }

    /// Writes a tombstone into the shard that holds the document `beside`, reads it back, and deletes it.
    pub(super) async fn probe_beside(
        &self,
        alias: &WriteAlias,
        beside: &DocumentId,
        deadline: Instant,
    ) -> Result<(), Problem> {
        let probe = Probe::draw();
        let write = probe.write(Guard::Absent);
        let routed: String = url::form_urlencoded::byte_serialize(beside.as_str().as_bytes()).collect();
        let (bulk, mget) =
            (format!("{}&routing={routed}", alias.bulk_path()), format!("{}&routing={routed}", alias.mget_path(1)));
        let position = match self.bulk(&bulk, &[write], Call::until(deadline)).await.remove(0).map_err(of_deployment)? {
            Written::Done(position) => position,
            Written::Conflict => return Err(Problem::Protocol("a probe met a document of its id".into())),
        };
        let found = self.mget_once(&mget, &[&probe.id], Wait::until(deadline)).await.map(|mut found| found.remove(0));
        // Whatever was read: nothing is to be left. Where this fails, a tombstone stays that is old enough to be purged.
        if let Err(problem) = self.delete(&bulk, &probe.id, position, deadline).await {
            tracing::warn!(class = problem.class(), "the tombstone of a probe could not be deleted");
        }
        match found?? {
            Some(stored) if stored.version.as_ref() == Some(&probe.version) => Ok(()),
            _ => Err(fault(
                "OpenSearch does not show the _driftless.version that was written: an ingest pipeline, the mapping's \
                 _source, or field-level security of the function's role hides it, and without it no write is guarded",
            )),
        }
    }

    async fn delete(&self, bulk: &str, id: &DocumentId, at: Position, deadline: Instant) -> Result<(), Problem> {
        let delete =
            serde_json::json!({"_id": id.as_str(), "if_seq_no": at.seq_no, "if_primary_term": at.primary_term});
        let body = format!("{}\n", serde_json::json!({"delete": delete}));
        let request = Request { method: Method::Post, path: bulk, body: Some(body.into()) };
        self.send(request, Wait::until(deadline)).await.map(drop)
    }
}

fn fault(words: &str) -> Problem {
    Problem::Probe(Arc::from(words))
}

/// What the engine says of a probe, it says of the index.
fn of_deployment(problem: Problem) -> Problem {
    match problem {
        Problem::Dropped => fault("an ingest pipeline of the index drops what is written: removed items would stay"),
        Problem::Item(refusal) if Problem::Item(refusal.clone()).treatment() == Treatment::Reject => fault(&format!(
            "the index takes no writes: {} {}: {}; check that it is open, that its write alias leads to one index, and \
             the pipelines in its settings",
            refusal.status, refusal.kind, refusal.reason
        )),
        problem => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_item_has_the_id_of_a_probe() {
        let (one, other) = (Probe::draw().id, Probe::draw().id);
        assert_eq!(one.as_str().len(), ID_BYTES, "plain ids are shorter");
        assert!(one.as_str().ends_with('~'), "hashed ones end in a digit");
        assert_ne!(one, other);
    }
}
