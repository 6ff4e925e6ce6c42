//! Copies of one document: in the index that is read, in one that a re-index fills, and in those that it left behind.

use opensearch::http::Method;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::engine::{Engine, Request, Wait};
use super::index::{EnsureError, ensure_error};
use super::mget::ids_body;
use crate::document_id::DocumentId;
use crate::outcome::Problem;

/// Copy of a document in one physical index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DocumentCopy {
    /// Name of the physical index.
    pub index: String,
    /// Role of the index.
    pub role: IndexRole,
    /// State of the document there.
    pub state: CopyState,
}

/// Role of a physical index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexRole {
    /// Readers see it through the public alias.
    Public,
    /// It is written, and readers do not see it.
    Written,
    /// Nobody reads or writes it: a re-index has left it.
    Leftover,
}

/// State of a document in one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyState {
    /// The document, with its content.
    Document,
    /// A tombstone: the id, the version and times.
    Tombstone,
    /// Nothing of the document.
    Absent,
    /// The index does not answer, because it is closed for example.
    Unknown,
}

impl Engine {
    /// Looks for a document in every physical index of this name.
    ///
    /// # Errors
    /// Fails if the indexes cannot be listed, or one cannot be read for now.
    pub async fn copies(&self, id: &DocumentId, deadline: Instant) -> Result<Vec<DocumentCopy>, EnsureError> {
        let public = self.index().public();
        let mut copies = Vec::new();
        for (name, index) in self.numbered(deadline).await? {
            let aliases = &index["aliases"];
            let role = match aliases.as_object().is_none_or(serde_json::Map::is_empty) {
                true => IndexRole::Leftover,
                false if aliases[public].is_object() => IndexRole::Public,
                false => IndexRole::Written,
            };
            let state = self.state_in(&name, id, deadline).await?;
            copies.push(DocumentCopy { index: name, role, state });
        }
        Ok(copies)
    }

    async fn state_in(&self, index: &str, id: &DocumentId, deadline: Instant) -> Result<CopyState, EnsureError> {
        let path = format!("/{index}/_mget?_source=_driftless.deleted");
        let body = Some(ids_body(&[id]));
        let answer = self.send(Request { method: Method::Post, path: &path, body }, Wait::until(deadline));
        let answer: Value = match answer.await {
            Ok(body) => serde_json::from_slice(&body).unwrap_or_default(),
            // A closed index, for example.
            Err(Problem::Request(refusal)) if refusal.status == 400 => return Ok(CopyState::Unknown),
            Err(problem) => return Err(ensure_error(problem)),
        };
        let document = &answer["docs"][0];
        Ok(match (&document["found"], document["_source"]["_driftless"]["deleted"] == true) {
            (Value::Bool(true), true) => CopyState::Tombstone,
            (Value::Bool(true), false) => CopyState::Document,
            (Value::Bool(false), _) => CopyState::Absent,
            _ => CopyState::Unknown,
        })
    }
}
