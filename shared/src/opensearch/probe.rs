//! Probes: writes that show if an index behaves as conditional writes require.
//!
//! A probe's document is a tombstone with an id that no item has. So the engine's answer concerns the deployment, and
//! quotes nobody's data.

use std::sync::Arc;

use opensearch::http::Method;
use tokio::time::Instant;

use super::engine::{Engine, Request, Wait};
use super::index_name::WriteAlias;
use crate::change::Content;
use crate::document_id::DocumentId;
use crate::outcome::{Problem, Treatment};
use crate::target::{Call, ConditionalWrite, Position, WriteCondition, Written};
use crate::time::Timestamp;
use crate::version::Version;

/// A position that no document is ever at: the greatest sequence number that the engine can parse.
const IMPOSSIBLE: Position = Position { seq_no: i64::MAX as u64, primary_term: 1 };
/// Length of a probe's id in bytes. Hashed ids are as long, but end in 64 hexadecimal digits, and a probe's does not.
const ID_BYTES: usize = 512;

/// A tombstone for a document that no item has.
pub(super) struct Probe {
    id: DocumentId,
    version: Version,
}

impl Probe {
    /// Draws a new id. No key gives it, for it does not end in a digit.
    pub(super) fn draw() -> Self {
        let drawn = format!("driftless-probe-{:016x}", fastrand::u64(..));
        let version = Version::from_stored("0000000000/probe".to_owned());
        Self { id: DocumentId::from_stored(format!("{drawn:~<ID_BYTES$}")), version }
    }

    fn write(&self, condition: WriteCondition) -> ConditionalWrite<'_> {
        ConditionalWrite {
            id: &self.id,
            condition,
            content: &Content::Tombstone,
            version: &self.version,
            event_time: None,
            // Long ago, so that a purge of old tombstones takes one that a dying process has left.
            written_at: Timestamp::from_millis(0),
            read_at: None,
        }
    }

    /// Returns the write whose condition never holds.
    pub(super) fn impossible_write(&self) -> ConditionalWrite<'_> {
        self.write(WriteCondition::IfUnchanged(IMPOSSIBLE))
    }
}

/// Interprets the answer to an impossible write.
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
    /// Checks that the index takes writes, and refuses one whose condition does not hold. Writes nothing.
    pub(super) async fn probe_condition(&self, alias: &WriteAlias, deadline: Instant) -> Result<(), Problem> {
        shown(self.impossible_write(alias.bulk_path(), deadline).await)
    }

    /// Checks that the engine honours `require_alias`. Writes nothing.
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

    /// Writes a tombstone into the shard of the document `beside`, reads it back, and deletes it.
    pub(super) async fn probe_beside(
        &self,
        alias: &WriteAlias,
        beside: &DocumentId,
        deadline: Instant,
    ) -> Result<(), Problem> {
        let probe = Probe::draw();
        let write = probe.write(WriteCondition::IfAbsent);
        let routed: String =
            url::form_urlencoded::byte_serialize(beside.routing().unwrap_or(beside.as_str()).as_bytes()).collect();
        let (bulk, mget) =
            (format!("{}&routing={routed}", alias.bulk_path()), format!("{}&routing={routed}", alias.mget_path(1)));
        let position = match self.bulk(&bulk, &[write], Call::until(deadline)).await.remove(0).map_err(of_deployment)? {
            Written::Done(position) => position,
            Written::Conflict => return Err(Problem::Protocol("a probe met a document of its id".into())),
        };
        let found = self.mget_once(&mget, &[&probe.id], Wait::until(deadline)).await.map(|mut found| found.remove(0));
        // Delete it in any case. If that fails, a tombstone stays that is old enough to be purged.
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

/// Turns a problem with a probe into one of the index.
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
    use crate::outcome::Refusal;

    #[test]
    fn what_an_index_refuses_of_a_probe_is_its_own_fault() {
        let refusal =
            |status, kind: &str| Problem::Item(Refusal { status, kind: kind.into(), reason: "said so".into() });
        assert_eq!(shown(Ok(Written::Conflict)), Ok(()));
        let done = Written::Done(Position { seq_no: 1, primary_term: 1 });
        for (answer, words) in [
            (Ok(done), "cannot be guarded"),
            (Err(refusal(400, "index_closed_exception")), "index_closed_exception: said so"),
            // A missing pipeline, or an alias without a write index.
            (Err(refusal(400, "illegal_argument_exception")), "pipelines"),
            (Err(Problem::Dropped), "pipeline of the index drops"),
        ] {
            let Err(Problem::Probe(said)) = shown(answer) else { panic!("{words}") };
            assert!(said.contains(words), "{said}");
        }
        // Problems that may pass are retried, and a missing index has an error of its own.
        for problem in
            [refusal(429, "busy"), refusal(403, "cluster_block_exception"), refusal(404, "index_not_found_exception")]
        {
            assert_eq!(shown(Err(problem.clone())), Err(problem));
        }
    }

    #[test]
    fn no_item_has_the_id_of_a_probe() {
        let (one, other) = (Probe::draw().id, Probe::draw().id);
        assert_eq!(one.as_str().len(), ID_BYTES, "plain ids are shorter");
        assert!(one.as_str().ends_with('~'), "hashed ones end in a digit");
        assert_ne!(one, other);
    }
}
