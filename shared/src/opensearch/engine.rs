//! One client per process, and the one way in which requests are sent and their failures named.

use std::time::Duration;

use bytes::Bytes;
use opensearch::http::Method;
use serde::Deserialize;
use tokio::time::Instant;

use super::auth::{AuthError, signing};
use super::config::EngineConfig;
use super::http::HttpClient;
use super::index_name::IndexName;
use crate::outcome::{Problem, Refusal};

/// A client of the engine: connections are kept alive between invocations.
#[derive(Debug)]
pub struct Engine {
    client: HttpClient,
    index: IndexName,
    request_timeout: Duration,
}

/// A request, in the engine's terms.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// With its query, percent-encoded.
    pub(super) path: &'a str,
    pub(super) body: Option<Bytes>,
}

/// How long an answer is waited for.
#[derive(Clone, Copy)]
pub(super) struct Wait {
    /// At the latest until then.
    pub(super) deadline: Instant,
    /// How often the usual time is doubled.
    pub(super) doublings: u32,
}

impl Wait {
    /// The usual time.
    pub(super) fn until(deadline: Instant) -> Self {
        Self { deadline, doublings: 0 }
    }
}

impl Engine {
    /// Builds the client; fetches credentials, and does not talk to the engine yet.
    ///
    /// # Errors
    /// Where credentials are wanted and there are none.
    pub async fn connect(config: &EngineConfig) -> Result<Self, AuthError> {
        let client = HttpClient::new(config.endpoint.clone(), signing(&config.auth).await?);
        Ok(Self { client, index: config.index.clone(), request_timeout: config.request_timeout })
    }

    /// The index's names.
    #[must_use]
    pub fn index(&self) -> &IndexName {
        &self.index
    }

    /// Sends a request, and waits for its answer as long as that may take, signing included.
    pub(super) async fn send(&self, request: Request<'_>, wait: Wait) -> Result<Bytes, Problem> {
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

/// An `error` of the engine's, in a response or in one of its items.
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
    /// The refusal that this error stands for.
    pub(super) fn into_refusal(self, status: u16) -> Refusal {
        let mut words: Vec<&str> = Vec::new();
        let mut next = Some(&self);
        while let Some(error) = next {
            // From the second line on stands where in the request body the engine's parser was.
            let line = error.reason.as_deref().unwrap_or(&error.kind).lines().next().unwrap_or_default();
            // A cause often repeats what it caused.
            if !line.is_empty() && !words.iter().any(|said| said.contains(line)) {
                words.push(line);
            }
            next = error.caused_by.as_deref();
        }
        Refusal { status, reason: words.join(": ").into(), kind: self.kind.into() }
    }

    /// Whether the index is not there: the one error that comes without a status of its own.
    pub(super) fn is_index_missing(&self) -> bool {
        self.kind == "index_not_found_exception"
    }
}

fn refusal(status: u16, body: &[u8]) -> Refusal {
    #[derive(Deserialize)]
    struct Answer {
        error: EngineError,
    }
    /// What IAM, and AWS's gateways, answer with.
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
        // A proxy or gateway in between: its page says nothing that could be parsed.
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
