//! One client per process, and the one way in which requests are sent and their failures named.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use opensearch::OpenSearch;
use opensearch::http::Method;
use opensearch::http::headers::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use opensearch::http::transport::{SingleNodeConnectionPool, TransportBuilder};
use serde::Deserialize;
use tokio::time::Instant;

use super::auth::{AuthError, signing};
use super::config::EngineConfig;
use super::index_name::IndexName;
use crate::outcome::{Problem, Refusal};

/// A client of the engine: connections are kept alive between invocations.
#[derive(Debug)]
pub struct Engine {
    client: OpenSearch,
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

impl Engine {
    /// Builds the client; fetches credentials, and does not talk to the engine yet.
    ///
    /// # Errors
    /// Where credentials are wanted and there are none.
    pub async fn connect(config: &EngineConfig) -> Result<Self, AuthError> {
        let signing = signing(&config.auth).await?;
        let mut transport = TransportBuilder::new(SingleNodeConnectionPool::new(config.endpoint.clone()));
        if let Some(credentials) = signing.credentials {
            transport = transport.auth(credentials).service_name(signing.service);
        }
        let transport = transport.build().expect("a client without certificates of its own can be built");
        Ok(Self {
            client: OpenSearch::new(transport),
            index: config.index.clone(),
            request_timeout: config.request_timeout,
        })
    }

    /// The index's names.
    #[must_use]
    pub fn index(&self) -> &IndexName {
        &self.index
    }

    /// The client itself, for what this crate has no word for, such as searches.
    #[must_use]
    pub fn client(&self) -> &OpenSearch {
        &self.client
    }

    /// Sends a request, and waits for its answer until the deadline at most.
    pub(super) async fn send(&self, request: Request<'_>, deadline: Instant) -> Result<Bytes, Problem> {
        let timeout = self.request_timeout.min(deadline.saturating_duration_since(Instant::now()));
        if timeout.is_zero() {
            return Err(Problem::Unreachable("no time is left".into()));
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The client would ask for gzip, and the engine compress two hundred bytes for every write.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let query = None::<&()>;
        let sent = self.client.send(request.method, request.path, headers, query, request.body, Some(timeout));
        let response = sent.await.map_err(unreachable)?;
        let status = response.status_code().as_u16();
        let body = response.bytes().await.map_err(unreachable)?;
        if (200..300).contains(&status) { Ok(body) } else { Err(Problem::Request(refusal(status, &body))) }
    }
}

/// The client's error with its causes: none of them holds a body.
fn unreachable(error: opensearch::Error) -> Problem {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    Problem::Unreachable(text.into())
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
    match serde_json::from_slice::<Answer>(body) {
        Ok(answer) => answer.error.into_refusal(status),
        // A proxy or gateway in between: its page says nothing that could be parsed.
        Err(_) => Refusal { status, kind: "http".into(), reason: "".into() },
    }
}
