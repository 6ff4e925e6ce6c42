//! Kinesis Data Streams in the tool's own process: `ferrokinesis`, in memory, served over HTTP so that every client is
//! the real one.
//!
//! It needs neither Docker nor Node.js. A stream is there immediately and keeps all of its records; iterators expire
//! after five minutes, as on AWS. Two writers of one shard may be seen out of order by a reader between them, so a
//! stream should have one writer.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{StreamDescriptionSummary, StreamStatus};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::{self, Next};
use axum::response::Response;
use ferrokinesis::store::StoreOptions;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::clients::REGION;
use super::failure::client_error;
use super::own_threads::{Door, OwnThreads};
use super::service::Service;

/// More than all tests of a process open together.
const OPEN_SHARDS: u32 = 10_000;
/// More than any request for an iterator has.
const MOST_BYTES: usize = 64 * 1024;
const ACTIVE_LIMIT: Duration = Duration::from_secs(10);
const ACTIVE_INTERVAL: Duration = Duration::from_millis(5);

/// An in-memory Kinesis, without streams at the start. Dropping it stops it.
#[derive(Debug)]
pub struct EmbeddedKinesis(OwnThreads);

impl EmbeddedKinesis {
    /// Starts it on a free loopback port; it accepts requests when this returns.
    ///
    /// # Errors
    /// Where no port or thread is to be had.
    pub async fn start() -> Result<Self> {
        OwnThreads::start("kinesis", serve).await.map(Self)
    }
}

impl Service for EmbeddedKinesis {
    fn endpoint(&self) -> &str {
        self.0.endpoint()
    }

    async fn stop(self) -> Result<()> {
        self.0.stop().await
    }
}

async fn serve(door: Door) -> Result<()> {
    let (listener, stop) = door.open().await?;
    let options = StoreOptions {
        create_stream_ms: 0,
        delete_stream_ms: 0,
        update_stream_ms: 0,
        shard_limit: OPEN_SHARDS,
        aws_region: REGION.to_owned(),
        ..StoreOptions::default()
    };
    let (app, _store) = ferrokinesis::create_app(options);
    let app = app.layer(middleware::from_fn(name_stream));
    axum::serve(listener, app).with_graceful_shutdown(stop).await.context("serve Kinesis")
}

/// Names the stream of a request for an iterator that gives its ARN only: `ferrokinesis` wants the name.
async fn name_stream(request: Request, next: Next) -> Response {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    if !target.is_some_and(|target| target.ends_with(".GetShardIterator")) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MOST_BYTES).await.unwrap_or_default();
    let Ok(mut json) = serde_json::from_slice::<Value>(&body) else {
        return next.run(Request::from_parts(head, body.into())).await;
    };
    if let Some((_, name)) = json["StreamARN"].as_str().and_then(|arn| arn.split_once(":stream/")) {
        json["StreamName"] = name.into();
    }
    let body = json.to_string();
    let mut request = Request::from_parts(head, Body::from(body));
    request.headers_mut().remove(CONTENT_LENGTH);
    next.run(request).await
}

/// Creates the stream `name` with `shards` open shards, unless there is one, and returns its ARN once it is active.
///
/// # Errors
/// Where the service refuses, or the stream does not become active.
pub async fn create_stream(kinesis: &Client, name: &str, shards: u16) -> Result<String> {
    let created = kinesis.create_stream().stream_name(name).shard_count(shards.into()).send().await;
    if let Err(error) = created
        && !error.as_service_error().is_some_and(|refusal| refusal.is_resource_in_use_exception())
    {
        return Err(client_error(error)).with_context(|| format!("create the Kinesis stream {name}"));
    }
    Ok(active(kinesis, name).await?.stream_arn)
}

/// Waits until a stream is active, as each change of its shards requires.
///
/// # Errors
/// Where there is no such stream, or it does not become active.
pub async fn active(kinesis: &Client, name: &str) -> Result<StreamDescriptionSummary> {
    let start = Instant::now();
    loop {
        let described = kinesis.describe_stream_summary().stream_name(name).send().await;
        let described = described.map_err(client_error).with_context(|| format!("describe the stream {name}"))?;
        let summary = described.stream_description_summary.context("find the description of the stream")?;
        if summary.stream_status == StreamStatus::Active {
            return Ok(summary);
        }
        ensure!(start.elapsed() < ACTIVE_LIMIT, "the stream {name} is still {}", summary.stream_status);
        sleep(ACTIVE_INTERVAL).await;
    }
}
