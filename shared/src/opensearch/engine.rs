//! The engine's client, one per process. Sends requests and classifies their failures.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;

use super::auth::{AuthError, signing};
use super::config::EngineConfig;
use super::http::HttpClient;
use super::index_name::IndexName;
use super::requests::is_listed;
use crate::outcome::{Problem, Refusal};

pub(super) use super::http::Request;

/// A client of the engine. Connections stay open between invocations.
#[derive(Debug)]
pub struct Engine {
    client: HttpClient,
    index: IndexName,
    source: Option<String>,
    request_timeout: Duration,
}

/// Time to wait for an answer.
#[derive(Clone, Copy)]
pub(super) struct Wait {
    /// Deadline of the request.
    pub(super) deadline: Instant,
    /// Number of times to double the request time-out.
    pub(super) doublings: u32,
}

impl Wait {
    /// Returns the default wait, without doubling.
    pub(super) fn until(deadline: Instant) -> Self {
        Self { deadline, doublings: 0 }
    }
}

impl Engine {
    /// Builds the client and fetches credentials. Does not call the engine yet.
    ///
    /// # Errors
    /// Fails if credentials are needed and there are none.
    pub async fn connect(config: &EngineConfig) -> Result<Self, AuthError> {
        let signing = signing(&config.auth, &config.endpoint).await?;
        let client = HttpClient::new(config.endpoint.clone(), signing, config.authorities.as_ref());
        let EngineConfig { index, source, request_timeout, .. } = config.clone();
        Ok(Self { client, index, source, request_timeout })
    }

    /// Returns the names of the index.
    #[must_use]
    pub fn index(&self) -> &IndexName {
        &self.index
    }

    /// Returns the name of the table among those that share the index; `None` if the index has one table.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// Sends a request and waits for its answer, signing included.
    pub(super) async fn send(&self, request: Request<'_>, wait: Wait) -> Result<Bytes, Problem> {
        debug_assert!(
            is_listed(request.method, request.path),
            "the list of requests lacks {:?} {}",
            request.method,
            request.path
        );
        let time = self.request_timeout.saturating_mul(1 << wait.doublings);
        let time = time.min(wait.deadline.saturating_duration_since(Instant::now()));
        if time.is_zero() {
            return Err(Problem::Unreachable("no time is left".into()));
        }
        let sent = tokio::time::timeout(time, self.client.send(request));
        let answer = sent.await.map_err(|_| Problem::TimedOut(time))??;
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        Err(Problem::Request(refusal(answer.status, &answer.body)))
    }
}

/// Type of the error that names no index.
pub(super) const INDEX_NOT_FOUND: &str = "index_not_found_exception";

/// The `error` of a response, or of an item in it.
#[derive(Debug, Deserialize)]
pub(super) struct EngineError {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    caused_by: Option<Box<EngineError>>,
}

impl EngineError {
    /// Converts the error to a refusal.
    pub(super) fn into_refusal(self, status: u16) -> Refusal {
        let mut words: Vec<&str> = Vec::new();
        let mut next = Some(&self);
        while let Some(error) = next {
            // From the second line on, the text says where in the request's body the parser was.
            let line = error.reason.as_deref().unwrap_or(&error.kind).lines().next().unwrap_or_default();
            // A cause often repeats its consequence.
            if !line.is_empty() && !words.iter().any(|said| said.contains(line)) {
                words.push(line);
            }
            next = error.caused_by.as_deref();
        }
        Refusal { status, reason: words.join(": ").into(), kind: self.kind.into() }
    }

    /// Returns `true` if the index is closed.
    pub(super) fn is_index_closed(&self) -> bool {
        self.kind == "index_closed_exception"
    }

    /// Returns `true` if the index does not exist. This is the only error without a status of its own.
    pub(super) fn is_index_missing(&self) -> bool {
        self.kind == INDEX_NOT_FOUND
    }
}

fn refusal(status: u16, body: &[u8]) -> Refusal {
    #[derive(Deserialize)]
    struct Answer {
        error: EngineError,
    }
    /// Error format of IAM and of AWS's gateways.
    #[derive(Deserialize)]
    struct AwsAnswer {
        #[serde(alias = "Message")]
        message: String,
    }
    if let Ok(answer) = serde_json::from_slice::<Answer>(body) {
        return answer.error.into_refusal(status);
    }
    match serde_json::from_slice::<AwsAnswer>(body) {
        Ok(answer) => Refusal { status, kind: Refusal::AWS.into(), reason: answer.message.into() },
        // A proxy or gateway answered, with a page that cannot be parsed.
        Err(_) => Refusal { status, kind: "http".into(), reason: "".into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_who_said_it_and_why() {
        for (body, kind, reason) in [
            (
                r#"{"error":{"type":"security_exception","reason":"no permissions for [a]"},"status":403}"#,
                "security_exception",
                "no permissions for [a]",
            ),
            (r#"{"Message":"User: r is not authorized"}"#, Refusal::AWS, "User: r is not authorized"),
            (r#"{"message":"Forbidden"}"#, Refusal::AWS, "Forbidden"),
            ("<html>", "http", ""),
        ] {
            let refusal = refusal(403, body.as_bytes());
            assert_eq!((&*refusal.kind, &*refusal.reason), (kind, reason), "{body}");
        }
    }
}
