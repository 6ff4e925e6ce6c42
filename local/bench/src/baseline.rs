//! The baseline: one keep-alive connection to OpenSearch, or to DynamoDB, without a guard and without retries.
//! It parses no more of an answer than it needs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use driftless::document_id::DocumentId;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use url::Url;

const OPENSEARCH: [(&str, &str); 1] = [("content-type", "application/json")];
/// Headers of every DynamoDB request. A local database checks no signature, only that there is one.
const DYNAMODB_SCAN: [(&str, &str); 4] = [
    ("content-type", "application/x-amz-json-1.0"),
    ("x-amz-target", "DynamoDB_20120810.Scan"),
    ("x-amz-date", "20260101T000000Z"),
    (
        "authorization",
        "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-target, Signature=0",
    ),
];

/// Service at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BaselineService {
    OpenSearch,
    /// A local DynamoDB that is scanned.
    DynamoDb,
}

/// Connection to OpenSearch that writes to one index, or to DynamoDB.
pub(crate) struct BaselineClient {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    service: BaselineService,
    bulk_path: String,
    mget_path: String,
}

/// Body of an answer, and the time from the request's first byte to the answer's last.
pub(crate) struct TimedAnswer {
    pub(crate) body: Bytes,
    pub(crate) took: Duration,
}

impl BaselineClient {
    /// Connects. The index or alias must exist.
    pub(crate) async fn connect(endpoint: &str, index: &str) -> Result<Self> {
        Self::open(&Url::parse(endpoint).context("read the engine's URL")?, index, BaselineService::OpenSearch).await
    }

    /// Connects to a service.
    pub(crate) async fn open(url: &Url, index: &str, service: BaselineService) -> Result<Self> {
        let host = url.host_str().context("find the engine's host")?;
        let port = url.port_or_known_default().context("find the engine's port")?;
        let authority = format!("{host}:{port}");
        let stream = TcpStream::connect(&authority).await.context("connect to the engine")?;
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.context("speak HTTP to the engine")?;
        // The task ends with the sender; requests see its errors.
        tokio::spawn(connection);
        let (bulk_path, mget_path) = (format!("/{index}/_bulk"), format!("/{index}/_mget"));
        Ok(Self { sender, authority, service, bulk_path, mget_path })
    }

    /// Sends an unguarded bulk request, and returns its time.
    pub(crate) async fn bulk(&mut self, operations: impl Into<Bytes>) -> Result<Duration> {
        let path = self.bulk_path.clone();
        let answer = self.send(Method::POST, &path, operations.into()).await?;
        // OpenSearch puts it first, and a baseline writer reads no more of the answer.
        let start = &answer.body[..answer.body.len().min(64)];
        ensure!(
            start.windows(14).any(|bytes| bytes == br#""errors":false"#),
            "the engine refuses a baseline bulk: {}",
            String::from_utf8_lossy(&answer.body[..answer.body.len().min(600)])
        );
        Ok(answer.took)
    }

    /// Reads whole documents, realtime, by id.
    pub(crate) async fn read(&mut self, ids: &[DocumentId]) -> Result<TimedAnswer> {
        let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        let path = self.mget_path.clone();
        let body = serde_json::to_vec(&serde_json::json!({ "ids": ids })).context("write ids")?;
        self.send(Method::POST, &path, body.into()).await
    }

    /// Sends a GET request, and returns the JSON of the answer.
    pub(crate) async fn json(&mut self, path: &str) -> Result<Value> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        serde_json::from_slice(&answer.body).with_context(|| format!("read the answer to {path}"))
    }

    /// Sends a request of any method.
    pub(crate) async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<TimedAnswer> {
        let request = Request::builder().method(method).uri(path).header(HOST, &self.authority);
        let headers: &[(&str, &str)] = match self.service {
            BaselineService::OpenSearch => &OPENSEARCH,
            BaselineService::DynamoDb => &DYNAMODB_SCAN,
        };
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Full::new(body)).context("build a request")?;
        self.sender.ready().await.context("wait for the connection")?;
        let start = Instant::now();
        let response = self.sender.send_request(request).await.context("send a request to the engine")?;
        let status = response.status();
        let body = response.into_body().collect().await.context("read the engine's answer")?.to_bytes();
        let took = start.elapsed();
        if !status.is_success() {
            bail!("the engine answers {status} to {path}: {}", String::from_utf8_lossy(&body[..body.len().min(600)]));
        }
        Ok(TimedAnswer { body, took })
    }
}
