//! Making sure that the index exists and is ours.
//!
//! A table's index is a physical index `NAME-000001`, a [`WriteAlias`] that leads to this physical index only, and the public
//! alias `NAME`, whose filter hides tombstones. All three come to be in one request, so that concurrent cold starts see all
//! or nothing.

use opensearch::http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::definition::{FORMAT, IndexDefinition, hides_tombstones};
use super::engine::{Engine, Request};
use super::index_name::WriteAlias;
use crate::outcome::{ConfigurationError, Problem};

/// Why the index is not ready.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// A person must mend it.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// It may pass.
    #[error(transparent)]
    Problem(Problem),
}

impl Engine {
    /// Makes sure that the index exists and is ours; an existing one is checked and used as it is. What it is written through.
    ///
    /// # Errors
    /// A foreign or broken index, a refusal, or an engine that cannot be reached.
    pub async fn ensure_index(
        &self,
        definition: &IndexDefinition,
        deadline: Instant,
    ) -> Result<WriteAlias, EnsureError> {
        if let Some(alias) = self.check(deadline).await? {
            return Ok(alias);
        }
        let refused = match self.create(definition, deadline).await {
            Ok(alias) => return Ok(alias),
            Err(Problem::Request(refusal)) if refusal.status == 400 => refusal,
            Err(problem) => return Err(ensure_error(problem)),
        };
        // Another cold start was faster, or one of the names is taken.
        if let Some(alias) = self.check(deadline).await? {
            return Ok(alias);
        }
        let taken = [self.index().public(), self.index().first()];
        for name in taken {
            if self.exists(name, deadline).await? {
                return Err(self.foreign(format!(
                    "`{name}` exists, and is not driftless's with its public alias: choose another INDEX, or remove it"
                )));
            }
        }
        Err(self.foreign(format!("the engine refuses to create it: {}", refused.reason)))
    }

    /// The write alias, where the public one is there and all is as it should be.
    async fn check(&self, deadline: Instant) -> Result<Option<WriteAlias>, EnsureError> {
        let public = self.index().public();
        let filter = "%2A.aliases%2C%2A.mappings._meta%2C%2A.mappings.properties._driftless";
        let Some(found) = self.get(&format!("/{public}?filter_path={filter}"), deadline).await? else {
            return Ok(None);
        };
        let indices = found.as_object().map(|indices| indices.iter().collect::<Vec<_>>()).unwrap_or_default();
        let [(physical, index)] = indices[..] else {
            return Err(self.foreign(format!(
                "the alias `{public}` must lead to exactly one index, and leads to {}",
                indices.len()
            )));
        };
        if *physical == *public {
            return Err(self.foreign(format!(
                "`{public}` is an index that was not made by driftless, where an alias should be: choose another INDEX, or remove it"
            )));
        }
        let format = &index["mappings"]["_meta"]["driftless"]["format"];
        if format.as_u64() != Some(FORMAT) {
            return Err(self.foreign(format!(
                "`{physical}` does not carry driftless format {FORMAT} in its mapping's _meta: choose another INDEX, or backfill into a new one"
            )));
        }
        if index["mappings"]["properties"]["_driftless"]["properties"]["deleted"]["type"] != "boolean" {
            return Err(
                self.foreign(format!("`{physical}` has lost the mapping of _driftless: backfill into a new index"))
            );
        }
        if index["aliases"][public]["filter"] != hides_tombstones() {
            return Err(self.foreign(format!(
                "the alias `{public}` of `{physical}` has not the filter {}: without it readers see removed items; add it",
                hides_tombstones()
            )));
        }
        let aliases = index["aliases"].as_object().into_iter().flat_map(serde_json::Map::keys);
        let Some(alias) = WriteAlias::find(self.index(), aliases) else {
            return Err(self.foreign(format!(
                "`{physical}` has no write alias: add one, named `{}` and 16 hexadecimal digits that no other index has had",
                self.index().write_prefix()
            )));
        };
        Ok(Some(alias))
    }

    async fn create(&self, definition: &IndexDefinition, deadline: Instant) -> Result<WriteAlias, Problem> {
        let alias = WriteAlias::draw(self.index());
        let body = definition.create_body(self.index().public(), alias.name());
        let request = Request { method: Method::Put, path: self.index().first(), body: Some(body.to_string().into()) };
        self.send(request, deadline).await.map(|_| alias)
    }

    async fn exists(&self, name: &str, deadline: Instant) -> Result<bool, EnsureError> {
        Ok(self.get(&format!("/{name}?filter_path=%2A.aliases"), deadline).await?.is_some())
    }

    async fn get(&self, path: &str, deadline: Instant) -> Result<Option<Value>, EnsureError> {
        match self.send(Request { method: Method::Get, path, body: None }, deadline).await {
            Ok(body) => serde_json::from_slice(&body)
                .map(Some)
                .map_err(|_| EnsureError::Problem(Problem::Protocol("the description of an index is not JSON".into()))),
            Err(Problem::Request(refusal)) if refusal.status == 404 => Ok(None),
            Err(problem) => Err(ensure_error(problem)),
        }
    }

    fn foreign(&self, problem: String) -> EnsureError {
        ConfigurationError::Index { index: self.index().public().to_owned(), problem }.into()
    }
}

fn ensure_error(problem: Problem) -> EnsureError {
    match problem.treatment() {
        crate::outcome::Treatment::Configuration => ConfigurationError::from_problem(&problem).into(),
        _ => EnsureError::Problem(problem),
    }
}
