//! The Lambda Runtime API, version 2018-06-01, for one process ("Using the Lambda runtime API for custom runtimes"),
//! and as much of the Extensions API as an internal extension without events needs.
//!
//! One server lives as long as one process: a long poll that a killed process left behind can never take an event
//! that was meant for its successor.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_TYPE},
    routing::{get, post},
    serve::ListenerExt,
};
use bytes::Bytes;
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

use super::{PAYLOAD_LIMIT_BYTES, new_request_id};

/// One event for the function.
pub(super) struct Event {
    pub(super) request_id: String,
    pub(super) deadline_ms: i64,
    pub(super) payload: Bytes,
}

/// Request of the process to the Runtime API.
pub(super) enum ProcessRequest {
    /// It asks for an event; the first time, its initialisation is over.
    Ready,
    /// It took the event.
    Taken,
    /// It answered the event of this request id.
    Response { request_id: String, body: Bytes },
    /// It failed on the event of this request id.
    Error { request_id: String, error: ReportedError },
    /// Report that its initialisation failed.
    InitError(ReportedError),
}

/// The body of an error report.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReportedError {
    #[serde(default)]
    pub(super) error_type: String,
    #[serde(default)]
    pub(super) error_message: String,
}

impl ReportedError {
    /// The body may be anything, or nothing; the header names the type when the body does not.
    fn parse(headers: &HeaderMap, body: &[u8]) -> Self {
        let mut error = serde_json::from_slice(body).unwrap_or_else(|_| Self {
            error_type: String::new(),
            error_message: String::from_utf8_lossy(body).into_owned(),
        });
        if error.error_type.is_empty() {
            let header = headers.get("lambda-runtime-function-error-type").and_then(|value| value.to_str().ok());
            error.error_type = header.unwrap_or("Unhandled").to_owned();
        }
        error
    }
}

/// A running server; it ends when this is dropped.
pub(super) struct RuntimeApi {
    pub(super) address: SocketAddr,
    pub(super) answers: mpsc::UnboundedReceiver<ProcessRequest>,
    events: mpsc::Sender<Event>,
    server: JoinHandle<()>,
}

struct RuntimeState {
    function_arn: HeaderValue,
    events: Mutex<mpsc::Receiver<Event>>,
    answers: mpsc::UnboundedSender<ProcessRequest>,
}

impl RuntimeApi {
    /// Serves on a free port of loopback.
    pub(super) async fn start(function_arn: &str) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("bind the Runtime API")?;
        let address = listener.local_addr().context("read the Runtime API's port")?;
        let (events, event_receiver) = mpsc::channel(1);
        let (answer_sender, answers) = mpsc::unbounded_channel();
        let shared = Arc::new(RuntimeState {
            function_arn: HeaderValue::from_str(function_arn).context("write the function's ARN into a header")?,
            events: Mutex::new(event_receiver),
            answers: answer_sender,
        });
        // Without TCP_NODELAY small answers may wait for the peer's delayed acknowledgement.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY was refused");
            }
        });
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router(shared)).await {
                tracing::error!(%error, "the Runtime API stopped");
            }
        });
        Ok(Self { address, answers, events, server })
    }

    /// Gives the process its next event.
    pub(super) async fn hand_over(&self, event: Event) -> Result<()> {
        self.events.send(event).await.ok().context("hand the event to the Runtime API")
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn router(shared: Arc<RuntimeState>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{request_id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{request_id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .route("/2020-01-01/extension/register", post(register_extension))
        .route("/2020-01-01/extension/event/next", get(next_extension_event))
        // Larger answers are read and refused: cut off half-way, the runtime would see a broken connection.
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

async fn next(State(shared): State<Arc<RuntimeState>>) -> Result<Response<Body>, StatusCode> {
    // A receiver that is gone means that the process is being replaced; its poll ends with the server.
    let _ = shared.answers.send(ProcessRequest::Ready);
    let event = shared.events.lock().await.recv().await.ok_or(StatusCode::GONE)?;
    let _ = shared.answers.send(ProcessRequest::Taken);
    Response::builder()
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header("Lambda-Runtime-Aws-Request-Id", &event.request_id)
        .header("Lambda-Runtime-Deadline-Ms", event.deadline_ms)
        .header("Lambda-Runtime-Invoked-Function-Arn", &shared.function_arn)
        .header("Lambda-Runtime-Trace-Id", trace_id(event.deadline_ms))
        .body(Body::from(event.payload))
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn response(State(shared): State<Arc<RuntimeState>>, Path(request_id): Path<String>, body: Bytes) -> StatusCode {
    if body.len() > PAYLOAD_LIMIT_BYTES {
        let error = ReportedError {
            error_type: "Function.ResponseSizeTooLarge".to_owned(),
            error_message: format!("the answer has {} bytes, {PAYLOAD_LIMIT_BYTES} are allowed", body.len()),
        };
        let _ = shared.answers.send(ProcessRequest::Error { request_id, error });
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    let _ = shared.answers.send(ProcessRequest::Response { request_id, body });
    StatusCode::ACCEPTED
}

async fn error(
    State(shared): State<Arc<RuntimeState>>,
    Path(request_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let error = ReportedError::parse(&headers, &body);
    let _ = shared.answers.send(ProcessRequest::Error { request_id, error });
    StatusCode::ACCEPTED
}

async fn init_error(State(shared): State<Arc<RuntimeState>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let _ = shared.answers.send(ProcessRequest::InitError(ReportedError::parse(&headers, &body)));
    StatusCode::ACCEPTED
}

/// Takes any extension. There are no events for it: what ends a process is a signal.
async fn register_extension() -> ([(&'static str, String); 1], &'static str) {
    ([("Lambda-Extension-Identifier", new_request_id())], r#"{"functionVersion":"$LATEST","handler":"bootstrap"}"#)
}

async fn next_extension_event() -> StatusCode {
    std::future::pending().await
}

fn trace_id(now_ms: i64) -> String {
    let (root, parent) = (rand::random::<u128>() >> 32, rand::random::<u64>());
    format!("Root=1-{:08x}-{root:024x};Parent={parent:016x};Sampled=0", now_ms / 1_000)
}
