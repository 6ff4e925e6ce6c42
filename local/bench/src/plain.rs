//! The bare limit: one keep-alive connection to the engine, and nothing around it. No guard, no retries, no parsing of
//! what need not be known.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use driftless::document_id::DocumentId;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use url::Url;

/// A connection to the engine, and the index that it writes to.
pub(crate) struct Plain {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    bulk_path: String,
    mget_path: String,
}

/// An answer: its body, and the time from the request's first byte to the answer's last.
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    pub(crate) took: Duration,
}

impl Plain {
    /// Connects; `index` is an index or an alias, and must exist.
    pub(crate) async fn connect(endpoint: &str, index: &str) -> Result<Self> {
        let url = Url::parse(endpoint).context("read the engine's URL")?;
        let host = url.host_str().context("find the engine's host")?;
        let port = url.port_or_known_default().context("find the engine's port")?;
        let authority = format!("{host}:{port}");
        let stream = TcpStream::connect(&authority).await.context("connect to the engine")?;
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.context("speak HTTP to the engine")?;
        // Ends with the sender; what goes wrong before is seen by the request.
        tokio::spawn(connection);
        let (bulk_path, mget_path) = (format!("/{index}/_bulk"), format!("/{index}/_mget"));
        Ok(Self { sender, authority, bulk_path, mget_path })
    }

    /// An unguarded bulk.
    pub(crate) async fn bulk(&mut self, operations: impl Into<Bytes>) -> Result<Duration> {
        let path = self.bulk_path.clone();
        let answer = self.send(Method::POST, &path, operations.into()).await?;
        // The engine puts it first; looking for it is all that a plain writer does with the answer.
        let start = &answer.body[..answer.body.len().min(64)];
        ensure!(
            start.windows(14).any(|bytes| bytes == br#""errors":false"#),
            "the engine refuses a plain bulk: {}",
            String::from_utf8_lossy(&answer.body[..answer.body.len().min(600)])
        );
        Ok(answer.took)
    }

    /// Reads whole documents, realtime, by id.
    pub(crate) async fn read(&mut self, ids: &[DocumentId]) -> Result<Answer> {
        let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        let path = self.mget_path.clone();
        let body = serde_json::to_vec(&serde_json::json!({ "ids": ids })).context("write ids")?;
        self.send(Method::POST, &path, body.into()).await
    }

    /// What the engine answers to a GET, as JSON.
    pub(crate) async fn json(&mut self, path: &str) -> Result<Value> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        serde_json::from_slice(&answer.body).with_context(|| format!("read the answer to {path}"))
    }

    /// Any request.
    pub(crate) async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .context("build a request")?;
        self.sender.ready().await.context("wait for the connection")?;
        let start = Instant::now();
        let response = self.sender.send_request(request).await.context("send a request to the engine")?;
        let status = response.status();
        let body = response.into_body().collect().await.context("read the engine's answer")?.to_bytes();
        let took = start.elapsed();
        if !status.is_success() {
            bail!("the engine answers {status} to {path}: {}", String::from_utf8_lossy(&body[..body.len().min(600)]));
        }
        Ok(Answer { body, took })
    }
}
