//! A re-index: a second physical index beside the public one, and the moves of their aliases.
//!
//! Two aliases decide everything, and each move of them is one atomic call:
//! - An index with a write alias is written. `create` gives the new index one, and at the same moment renames that of
//!   the public index. So no process writes to the old index alone from then on: each finds its alias gone, looks
//!   again, and finds both.
//! - The index with the public alias is read. A switch moves that alias.
//!
//! [`ReindexRecord`] keeps what was done and proved, in `_meta.driftless.reindex` of the new index. So a process that
//! dies in the middle of any step leaves nothing behind that its successor does not find.

use std::collections::BTreeMap;

use opensearch::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::definition::{IndexDefinition, hides_tombstones};
use super::engine::{Engine, Request, Wait};
use super::identity::{Identities, Identity};
use super::index::{EnsureError, FoundIndex, FoundIndexes, PhysicalIndex, ensure_error, refresh_hint};
use super::index_name::WriteAlias;
use crate::outcome::Problem;
use crate::replication::Fingerprints;
use crate::time::Timestamp;

/// The two indexes of an index name, as a re-index sees them.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexPair {
    /// The index that readers see.
    pub public: ReindexedIndex,
    /// The index that is written besides.
    pub other: Option<ReindexedIndex>,
}

/// One of the two indexes, with the record of the re-index that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReindexedIndex {
    /// The index, as writes see it.
    pub index: PhysicalIndex,
    /// Record of the re-index that made it; absent for the first index of a name.
    pub record: Option<ReindexRecord>,
    /// The whole `_meta` of the mapping.
    meta: Value,
    identity: Identity,
    identities: Identities,
}

impl ReindexedIndex {
    /// Returns the identity of the index, which its successor has, too.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// Returns the names of the tables that share the index; none if it has one table.
    #[must_use]
    pub fn sources(&self) -> Vec<String> {
        self.identities.names()
    }
}

/// Record of a re-index.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReindexRecord {
    /// Name of the physical index that is to be replaced.
    pub from: String,
    /// Time of the creation, in milliseconds since the epoch.
    pub created_at: Option<Timestamp>,
    /// Time at which all tombstones were copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tombstones_copied_at: Option<Timestamp>,
    /// Result of the last whole verify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// Proofs of the tables that share the index, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, SourceProof>,
    /// Result of the last shadow reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadowed>,
    /// Index whose refreshes a switch has stopped, and its setting before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_refresh: Option<StoppedRefresh>,
}

/// Proof of one table's documents, among those that share the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceProof {
    /// Time at which all tombstones of the table were copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tombstones_copied_at: Option<Timestamp>,
    /// Result of the last whole verify of the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
}

/// Result of a whole verify of the new index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Time of the verdict.
    pub at: Timestamp,
    /// Items that were compared.
    pub items: u64,
    /// Differences that were found and not repaired, and items that were never found equal.
    pub differences: u64,
}

/// Result of shadow reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadowed {
    /// Time of the last search.
    pub at: Timestamp,
    /// Searches that were run against both indexes.
    pub searches: u64,
    /// Searches whose answers differ.
    pub different: u64,
}

/// An index whose refreshes are stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedRefresh {
    /// Name of the physical index.
    pub index: String,
    /// Value of `index.refresh_interval` before; absent if it was not set.
    pub before: Option<String>,
}

impl ReindexRecord {
    /// Returns the proofs of a table; of the only one without a name.
    #[must_use]
    pub fn proof(&self, source: Option<&str>) -> SourceProof {
        match source {
            Some(name) => self.sources.get(name).copied().unwrap_or_default(),
            None => SourceProof { tombstones_copied_at: self.tombstones_copied_at, verified: self.verified },
        }
    }
}

impl Engine {
    /// Describes the public index and the second one.
    ///
    /// # Errors
    /// Fails if there is no public index, or one of them is not as it should be.
    pub async fn index_pair(&self, deadline: Instant) -> Result<IndexPair, EnsureError> {
        let FoundIndexes { public, other } = self.find(deadline).await?.ok_or_else(|| self.missing())?;
        let reindexed = |found: FoundIndex| {
            let record = serde_json::from_value(found.meta["driftless"]["reindex"].clone()).ok();
            let FoundIndex { index, identities, meta, .. } = found;
            let identity = identities.of(self.source()).cloned();
            let identity = identity.ok_or_else(|| self.contradicted(identities.lack(self.source())))?;
            Ok::<_, EnsureError>(ReindexedIndex { index, record, meta, identity, identities })
        };
        Ok(IndexPair { public: reindexed(public)?, other: other.map(reindexed).transpose()? })
    }

    /// Creates a second index with the source of the public one, and lets both be written. Returns its name. `rules`
    /// are those that make its documents.
    ///
    /// # Errors
    /// Fails if the engine refuses the definition, or another process has begun a re-index.
    pub async fn create_beside(
        &self,
        public: &ReindexedIndex,
        definition: &IndexDefinition,
        rules: Fingerprints,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<String, EnsureError> {
        self.check_other_alias(deadline).await?;
        // What a process that died has left of this step was never written to.
        let mut last = public.index.name.clone();
        for (name, index) in self.numbered(deadline).await? {
            let record = &index["mappings"]["_meta"]["driftless"]["reindex"];
            let is_written = index["aliases"].as_object().is_some_and(|aliases| !aliases.is_empty());
            if record["from"] == public.index.name.as_str() && !is_written {
                self.delete_index(&name, deadline).await.map_err(ensure_error)?;
            } else {
                last = last.max(name);
            }
        }
        let name = self.index().after(&last).ok_or_else(|| {
            self.foreign(format!("`{last}` has the last number: restore its documents into another INDEX"))
        })?;
        let record =
            ReindexRecord { from: public.index.name.clone(), created_at: Some(now), ..ReindexRecord::default() };
        let own = Identity { rules, ..public.identity.clone() };
        let mut meta = public.identities.with(&own).to_meta();
        meta["reindex"] = record_json(&record);
        let body = definition.create_body_without_aliases(meta).to_string().into();
        let path = format!("/{name}");
        let created =
            self.send(Request { method: Method::Put, path: &path, body: Some(body) }, Wait::until(deadline)).await;
        created.map_err(|problem| match problem {
            Problem::Request(refusal) if refusal.status == 400 => {
                let hint = refresh_hint(definition);
                self.foreign(format!("the engine refuses to create `{name}`: {}{hint}", refusal.reason))
            }
            problem => ensure_error(problem),
        })?;
        // Another process may have begun a re-index meanwhile, and not every engine refuses to remove an alias that is
        // gone.
        let pair = self.index_pair(deadline).await?;
        if pair.other.is_some() || pair.public.index != public.index {
            return Err(
                self.foreign("is under another re-index, which began at the same moment: see status".to_owned())
            );
        }
        let (renamed, drawn) = (WriteAlias::draw(self.index()), WriteAlias::draw(self.index()));
        let actions = json!([
            {"remove": {"index": public.index.name, "alias": public.index.alias.name(), "must_exist": true}},
            {"add": {"index": public.index.name, "alias": renamed.name(), "is_write_index": true}},
            {"add": {"index": name, "alias": drawn.name(), "is_write_index": true}},
            {"add": {"index": name, "alias": self.index().other(), "filter": hides_tombstones()}},
        ]);
        self.move_aliases(actions, deadline).await.map_err(ensure_error)?;
        Ok(name)
    }

    /// Moves the public alias from one index to the other, and the alias of the second index the other way.
    ///
    /// # Errors
    /// Fails with the engine's problem. Then nothing has moved, or all.
    pub async fn move_public_alias(&self, from: &str, to: &str, deadline: Instant) -> Result<(), Problem> {
        let (public, other, filter) = (self.index().public(), self.index().other(), hides_tombstones());
        let actions = json!([
            {"remove": {"index": from, "alias": public, "must_exist": true}},
            {"add": {"index": to, "alias": public, "filter": filter}},
            {"remove": {"index": to, "alias": other}},
            {"add": {"index": from, "alias": other, "filter": filter}},
        ]);
        self.move_aliases(actions, deadline).await
    }

    /// Removes the second index: first its aliases, so that no process finds it any more, then the index.
    ///
    /// # Errors
    /// Fails with the engine's problem. The step can be repeated.
    pub async fn drop_index(&self, index: &ReindexedIndex, deadline: Instant) -> Result<(), Problem> {
        let name = &index.index.name;
        let actions = json!([
            {"remove": {"index": name, "alias": index.index.alias.name()}},
            {"remove": {"index": name, "alias": self.index().other()}},
        ]);
        self.move_aliases(actions, deadline).await?;
        self.delete_index(name, deadline).await
    }

    /// Deletes an index that is neither read nor written.
    ///
    /// # Errors
    /// Fails with the engine's problem.
    pub async fn delete_unused(&self, name: &str, deadline: Instant) -> Result<(), Problem> {
        self.delete_index(name, deadline).await
    }

    /// Names the indexes of this name that are neither read nor written: left by a process that died in `drop`.
    ///
    /// # Errors
    /// Fails with the engine's problem.
    pub async fn leftovers(&self, deadline: Instant) -> Result<Vec<String>, EnsureError> {
        let all = self.numbered(deadline).await?.into_iter();
        let unused = all.filter(|(_, index)| index["aliases"].as_object().is_none_or(serde_json::Map::is_empty));
        Ok(unused.map(|(name, _)| name).collect())
    }

    /// Writes the record of the re-index that made this index.
    ///
    /// # Errors
    /// Fails with the engine's problem.
    pub async fn keep_record(
        &self,
        index: &ReindexedIndex,
        record: &ReindexRecord,
        deadline: Instant,
    ) -> Result<(), Problem> {
        let members = [("/reindex".to_owned(), record_json(record))];
        self.put_meta(&index.index.name, index.meta.clone(), &members, deadline).await
    }

    /// Notes the rules that made the index's documents.
    ///
    /// # Errors
    /// Fails with the engine's problem.
    pub async fn note_rules(
        &self,
        index: &ReindexedIndex,
        rules: &Fingerprints,
        deadline: Instant,
    ) -> Result<(), Problem> {
        let members = [(index.identity.rules_pointer(), json!(rules))];
        self.put_meta(&index.index.name, index.meta.clone(), &members, deadline).await
    }

    /// Runs searches, as `_msearch` takes them. Returns one answer per search.
    ///
    /// # Errors
    /// Fails with the engine's problem.
    pub async fn multi_search(&self, ndjson: String, deadline: Instant) -> Result<Vec<Value>, Problem> {
        #[derive(Deserialize)]
        struct Answer {
            responses: Vec<Value>,
        }
        // Under the index's name, which IAM policies allow. Each header names its own index.
        let answer = self.post(&format!("/{}/_msearch", self.index().public()), Some(ndjson), deadline).await?;
        let answer: Result<Answer, _> = serde_json::from_slice(&answer);
        answer.map(|answer| answer.responses).map_err(|_| Problem::Protocol("the answer to searches".into()))
    }

    pub(super) async fn post(
        &self,
        path: &str,
        body: Option<String>,
        deadline: Instant,
    ) -> Result<bytes::Bytes, Problem> {
        let request = Request { method: Method::Post, path, body: body.map(Into::into) };
        self.send(request, Wait::until(deadline)).await
    }

    /// Moves aliases in one call: all of them, or none. A removal with `must_exist` fails if the alias is gone.
    async fn move_aliases(&self, mut actions: Value, deadline: Instant) -> Result<(), Problem> {
        match self.post("/_aliases", Some(json!({"actions": actions}).to_string()), deadline).await {
            // Elasticsearch 7.10 does not know that member.
            Err(Problem::Request(refusal)) if &*refusal.kind == "x_content_parse_exception" => {
                for action in actions.as_array_mut().into_iter().flatten() {
                    if let Some(remove) = action.get_mut("remove").and_then(Value::as_object_mut) {
                        remove.remove("must_exist");
                    }
                }
                self.post("/_aliases", Some(json!({"actions": actions}).to_string()), deadline).await.map(drop)
            }
            answer => answer.map(drop),
        }
    }

    async fn delete_index(&self, name: &str, deadline: Instant) -> Result<(), Problem> {
        let path = format!("/{name}");
        let deleted =
            self.send(Request { method: Method::Delete, path: &path, body: None }, Wait::until(deadline)).await;
        match deleted {
            // An earlier try has deleted it.
            Err(Problem::Request(refusal)) if refusal.status == 404 => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Lists the physical indexes of this name, aliases or not: `NAME-` and six digits, with `_meta.driftless`.
    pub(super) async fn numbered(&self, deadline: Instant) -> Result<Vec<(String, Value)>, EnsureError> {
        let filter = "%2A.aliases%2C%2A.mappings._meta%2C%2A.settings.index.uuid";
        let path = format!("/{}-%2A?expand_wildcards=all&filter_path=error%2C{filter}", self.index().public());
        let all = self.get(&path, deadline).await?.unwrap_or_default();
        let all = all.as_object().cloned().unwrap_or_default().into_iter();
        Ok(all
            .filter(|(name, index)| {
                self.index().is_numbered(name) && index["mappings"]["_meta"]["driftless"].is_object()
            })
            .collect())
    }

    /// Fails if another index has the alias that the second index would get.
    async fn check_other_alias(&self, deadline: Instant) -> Result<(), EnsureError> {
        let other = self.index().other();
        if self.exists(other, deadline).await? {
            return Err(self.foreign(format!(
                "`{other}` exists, and is the name by which a re-index shows its second index: remove or rename it"
            )));
        }
        Ok(())
    }
}

fn record_json(record: &ReindexRecord) -> Value {
    serde_json::to_value(record).expect("a record is JSON")
}
