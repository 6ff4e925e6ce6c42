//! Makes sure that the index exists and is ours.
//!
//! A table's index is a physical index `NAME-000001`, a [`WriteAlias`] for it alone, and the public alias `NAME`, whose
//! filter hides tombstones. One request creates all three, so that concurrent cold starts find all or nothing.

use opensearch::http::Method;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::definition::{FORMAT, IndexDefinition, changes_source, hides_tombstones, maps_expired_at};
use super::engine::{Engine, Request, Wait};
use super::flat_settings::flat_settings;
use super::identity::{Identities, Identity, IdentityComparison};
use super::index_name::WriteAlias;
use crate::outcome::{ConfigurationError, Problem};
use crate::replication::Fingerprints;

/// Reason why the index is not ready.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// A problem that a person must fix.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// A problem that may pass.
    #[error(transparent)]
    Problem(Problem),
}

/// Requirements on an index.
#[derive(Debug, Clone, Copy)]
pub struct IndexRequirements<'a> {
    /// Identity of the function.
    pub identity: &'a Identity,
    /// Definition for a missing index; with `None`, nothing is created, and no table joins an index of others.
    pub create: Option<&'a IndexDefinition>,
    /// Lets a raised generation take the index over. Without it, the index is used as it is.
    pub takes_over: bool,
    /// `true` if documents of expired items stay, and are to be found by their time.
    pub keeps_expired: bool,
}

/// An index that is ours and takes conditional writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalIndex {
    /// Name of the physical index.
    pub name: String,
    /// Alias that every write goes through.
    pub alias: WriteAlias,
    /// ARN of the table whose items it holds.
    pub table: String,
    /// Fingerprints of the rules that made its documents.
    pub rules: Fingerprints,
}

/// The indexes that are written: two while a re-index lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenIndexes {
    /// The index that the public alias leads to.
    pub public: PhysicalIndex,
    /// The index that a re-index fills, or has replaced.
    pub other: Option<PhysicalIndex>,
}

/// An index with the content of its `_meta.driftless`.
pub(super) struct FoundIndex {
    pub(super) index: PhysicalIndex,
    pub(super) identities: Identities,
    /// The whole `_meta` of the mapping.
    pub(super) meta: Value,
    /// `true` if documents of expired items are found by their time.
    maps_expired_at: bool,
}

/// The indexes behind the public alias and the write aliases.
pub(super) struct FoundIndexes {
    pub(super) public: FoundIndex,
    pub(super) other: Option<FoundIndex>,
}

impl Engine {
    /// Makes sure that the index exists, is ours, and takes conditional writes. An existing index is checked. A raised
    /// generation takes it over; otherwise it is used as it is. While a re-index lasts, the same goes for the second
    /// index.
    ///
    /// # Errors
    /// Fails for a foreign or broken index, one of another source, a refusal, or an engine that cannot be reached.
    pub async fn ensure_index(
        &self,
        wanted: IndexRequirements<'_>,
        deadline: Instant,
    ) -> Result<WrittenIndexes, EnsureError> {
        let found = match (self.find(deadline).await?, wanted.create) {
            (Some(found), _) => found,
            (None, Some(definition)) => self.create_or_find(definition, wanted.identity, deadline).await?,
            (None, None) => return Err(self.missing()),
        };
        let public = self.ready(found.public, wanted, deadline).await?;
        let other = match found.other {
            Some(other) => Some(self.ready(other, wanted, deadline).await?),
            None => None,
        };
        Ok(WrittenIndexes { public, other })
    }

    /// Checks one of the indexes.
    async fn ready(
        &self,
        found: FoundIndex,
        wanted: IndexRequirements<'_>,
        deadline: Instant,
    ) -> Result<PhysicalIndex, EnsureError> {
        let adds_expired_at = wanted.keeps_expired && !found.maps_expired_at;
        let index = self.identified(found, wanted, deadline).await?;
        if adds_expired_at {
            // Before the first such document: the engine indexes none of those that it has.
            self.put_mapping(&index.name, &maps_expired_at(), deadline).await.map_err(ensure_error)?;
        }
        self.probe_alias(&index.name, deadline).await.map_err(ensure_error)?;
        self.probe_condition(&index.alias, deadline).await.map_err(ensure_error)?;
        Ok(index)
    }

    /// Compares the index's identity with the function's, and takes the index over after a raise of the generation.
    async fn identified(
        &self,
        found: FoundIndex,
        wanted: IndexRequirements<'_>,
        deadline: Instant,
    ) -> Result<PhysicalIndex, EnsureError> {
        let own = wanted.identity;
        match own.compare(&found.identities) {
            IdentityComparison::Same => Ok(found.index),
            IdentityComparison::Raised if !wanted.takes_over => Ok(found.index),
            IdentityComparison::Contradiction(problem) => Err(self.contradicted(problem)),
            IdentityComparison::Joins if wanted.create.is_none() => {
                Err(self.contradicted(found.identities.lack(own.source.as_deref())))
            }
            IdentityComparison::Raised | IdentityComparison::Joins => {
                let written = match found.identities.of(own.source.as_deref()) {
                    // The documents stay as the rules of their time made them.
                    Some(stored) => Identity {
                        table: own.table.clone().or(stored.table.clone()),
                        rules: stored.rules.clone(),
                        ..own.clone()
                    },
                    None => own.clone(),
                };
                let members = written.members();
                self.put_meta(&found.index.name, found.meta, &members, deadline).await.map_err(ensure_error)?;
                // Another process may have raised it further at the same moment.
                let now = self.find(deadline).await?.and_then(|now| now.named(&found.index.name));
                match now {
                    Some(now) if own.compare(&now.identities) == IdentityComparison::Same => Ok(now.index),
                    Some(_) => {
                        Err(EnsureError::Problem(Problem::Protocol("the generation moved while it was raised".into())))
                    }
                    None => Err(self.missing()),
                }
            }
        }
    }

    async fn create_or_find(
        &self,
        definition: &IndexDefinition,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<FoundIndexes, EnsureError> {
        let refused = match self.create(definition, identity, deadline).await {
            Ok(()) => None,
            Err(Problem::Request(refusal)) if refusal.status == 400 => Some(refusal),
            Err(problem) => return Err(ensure_error(problem)),
        };
        // A refusal means that another cold start was faster, or that one of the names is taken.
        if let Some(found) = self.find(deadline).await? {
            return Ok(found);
        }
        for name in [self.index().public(), self.index().first()] {
            if self.exists(name, deadline).await? {
                return Err(self.foreign(format!(
                    "`{name}` exists, and is not driftless's with its public alias: choose another INDEX, or remove it"
                )));
            }
        }
        let reason = refused.map(|refusal| refusal.reason).unwrap_or_default();
        Err(self.foreign(format!("the engine refuses to create it: {reason}{}", refresh_hint(definition))))
    }

    /// Returns the index behind the public alias if it exists, with the second one of a re-index; fails if one is not
    /// as it should be.
    pub(super) async fn find(&self, deadline: Instant) -> Result<Option<FoundIndexes>, EnsureError> {
        let public = self.index().public();
        let filter = "%2A.aliases%2C%2A.mappings._meta%2C%2A.mappings._source%2C%2A.mappings._routing\
                      %2C%2A.mappings.properties._driftless%2C%2A.settings.index.derived_source\
                      %2C%2A.settings.index.knn%2C%2A.settings.index.mapping.source%2C%2A.settings.index.mode";
        let Some(behind) = self.get(&format!("/{public}?filter_path=error%2C{filter}"), deadline).await? else {
            return Ok(None);
        };
        let behind: Vec<(String, Value)> = behind.as_object().cloned().unwrap_or_default().into_iter().collect();
        let [(physical, index)] = &behind[..] else {
            return Err(self.foreign(format!(
                "the alias `{public}` must lead to exactly one index, and leads to {}",
                behind.len()
            )));
        };
        // In a request of its own: IAM policies allow paths that begin with the name, and no list of names. A closed
        // index is found, too: it is written, so it must not be forgotten.
        let prefix = self.index().write_prefix();
        let written =
            self.get(&format!("/{prefix}%2A?expand_wildcards=all&filter_path=error%2C{filter}"), deadline).await?;
        let others = written.as_ref().and_then(Value::as_object).cloned().unwrap_or_default().into_iter();
        let checked = |physical: &str, index: &Value, is_public| {
            self.checked(physical, index, is_public).map_err(|problem| self.foreign(problem))
        };
        let public = checked(physical, index, true)?;
        // The prefix may be that of another index's name.
        let mut others = others.filter(|(name, index)| name != physical && self.write_alias(index).is_some());
        let other = match (others.next(), others.next()) {
            (None, _) => None,
            (Some((physical, index)), None) => Some(checked(&physical, &index, false)?),
            (Some((one, _)), Some((another, _))) => {
                return Err(self.foreign(format!(
                    "has the write aliases of `{one}` and `{another}` besides that of `{}`: one re-index at a time; \
                     drop one",
                    public.index.name
                )));
            }
        };
        Ok(Some(FoundIndexes { public, other }))
    }

    fn write_alias(&self, index: &Value) -> Option<WriteAlias> {
        WriteAlias::find(self.index(), index["aliases"].as_object().into_iter().flat_map(Map::keys))
    }

    /// Parses the description of an index. The error names its problem.
    fn checked(&self, physical: &str, index: &Value, is_public: bool) -> Result<FoundIndex, String> {
        let public = self.index().public();
        if physical == public {
            return Err(format!(
                "`{public}` is an index that was not made by driftless, where an alias should be: choose another INDEX, or remove it"
            ));
        }
        let mappings = &index["mappings"];
        let meta = &mappings["_meta"]["driftless"];
        if meta["format"].as_u64() != Some(FORMAT) {
            return Err(format!(
                "`{physical}` does not carry driftless format {FORMAT} in its mapping's _meta: driftless did not make it; choose another INDEX"
            ));
        }
        let Some(identities) = Identities::from_meta(meta) else {
            return Err(format!(
                "`{physical}` does not say its table and generation in its mapping's _meta.driftless: choose another INDEX"
            ));
        };
        if let Some(problem) = hides_versions(mappings, &index["settings"]) {
            return Err(format!("`{physical}` {problem}"));
        }
        if is_public && index["aliases"][public]["filter"] != hides_tombstones() {
            return Err(format!(
                "the alias `{public}` of `{physical}` has not the filter {}: without it readers see removed items; add it",
                hides_tombstones()
            ));
        }
        let Some(alias) = self.write_alias(index) else {
            return Err(format!(
                "`{physical}` has no write alias: add one, named `{}` and 16 hexadecimal digits that no other index has had",
                self.index().write_prefix()
            ));
        };
        let own = identities.of(self.source());
        let table = own.and_then(|own| own.table.clone()).unwrap_or_default();
        let rules = own.map(|own| own.rules.clone()).unwrap_or_default();
        let index = PhysicalIndex { name: physical.to_owned(), alias, table, rules };
        let maps_expired_at = !mappings["properties"]["_driftless"]["properties"]["expired_at"].is_null();
        Ok(FoundIndex { index, identities, meta: mappings["_meta"].clone(), maps_expired_at })
    }

    async fn create(
        &self,
        definition: &IndexDefinition,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<(), Problem> {
        let alias = WriteAlias::draw(self.index());
        let body = definition.create_body(self.index().public(), alias.name(), Identities::alone(identity).to_meta());
        let request = Request { method: Method::Put, path: self.index().first(), body: Some(body.to_string().into()) };
        self.send(request, Wait::until(deadline)).await.map(drop)
    }

    pub(super) async fn exists(&self, name: &str, deadline: Instant) -> Result<bool, EnsureError> {
        Ok(self.get(&format!("/{name}?filter_path=error%2C%2A.aliases"), deadline).await?.is_some())
    }

    pub(super) async fn get(&self, path: &str, deadline: Instant) -> Result<Option<Value>, EnsureError> {
        match self.send(Request { method: Method::Get, path, body: None }, Wait::until(deadline)).await {
            Ok(body) => serde_json::from_slice(&body)
                .map(Some)
                .map_err(|_| EnsureError::Problem(Problem::Protocol("the description of an index is not JSON".into()))),
            Err(Problem::Request(refusal)) if refusal.status == 404 => Ok(None),
            Err(problem) => Err(ensure_error(problem)),
        }
    }

    pub(super) fn missing(&self) -> EnsureError {
        let problem = "does not exist, and is not created: restore it; or, to begin with an empty index, set CREATE_INDEX to \
                       if-missing and let a new process start, then backfill";
        self.contradicted(problem.to_owned())
    }

    pub(super) fn contradicted(&self, problem: String) -> EnsureError {
        ConfigurationError::Identity { index: self.index().public().to_owned(), problem }.into()
    }

    pub(super) fn foreign(&self, problem: String) -> EnsureError {
        ConfigurationError::Index { index: self.index().public().to_owned(), problem }.into()
    }
}

pub(super) fn ensure_error(problem: Problem) -> EnsureError {
    problem.unless_configuration().map_or_else(EnsureError::from, EnsureError::Problem)
}

impl FoundIndexes {
    /// Returns the index of this name.
    pub(super) fn named(self, name: &str) -> Option<FoundIndex> {
        std::iter::once(self.public).chain(self.other).find(|found| found.index.name == name)
    }
}

/// Names the interval of refreshes, and the remedy, where it may be why an engine refuses an index.
pub(super) fn refresh_hint(definition: &IndexDefinition) -> String {
    definition.refresh_interval().map_or_else(String::new, |interval| {
        format!(
            "; REFRESH_INTERVAL (or the definition's index.refresh_interval) is {interval}: if that is below the \
             cluster's minimum, such as 10s on OR1, OR2, OM2 and OI2 instances and on serverless collections, raise \
             or remove it"
        )
    })
}

/// Describes a setting that hides stored versions from the writer, and so disables its conditions.
fn hides_versions(mappings: &Value, settings: &Value) -> Option<String> {
    let source = &mappings["_source"];
    let is_synthetic = source.get("mode").is_some_and(|mode| mode != "stored");
    let hidden = source["enabled"] == false
        || is_synthetic
        || source.get("includes").is_some()
        || source.get("excludes").is_some();
    if hidden {
        return Some("has a mapping `_source` that leaves fields out: documents carry their version there".to_owned());
    }
    if mappings["_routing"]["required"] == true {
        return Some("wants a routing for every document: documents are written without one".to_owned());
    }
    if let Some(problem) = changes_source(&flat_settings(settings)) {
        return Some(format!("has {problem}"));
    }
    if mappings["properties"]["_driftless"]["properties"]["deleted"]["type"] != "boolean" {
        return Some("has lost the mapping of _driftless: choose another INDEX, or restore the mapping".to_owned());
    }
    None
}
