//! Shutdown of a process: Lambda announces it only to processes with an extension.
//!
//! Lambda ends a process without extensions by `SIGKILL`. One with an internal extension gets `SIGTERM` first, and up
//! to 500 ms ("Shutdown phase" in "Lambda execution environment lifecycle"). So an extension is registered for no event
//! at all: it costs one request at the start, and nothing per invocation. The runtime's own helper
//! (`spawn_graceful_shutdown_handler`) does the same. But it panics if it cannot register, and prints lines that are
//! not JSON.

use std::time::Duration;

use lambda_runtime::Error;
use lambda_runtime_api_client::PooledClient;
use lambda_runtime_api_client::body::Body;
use tokio::signal::unix::{SignalKind, signal};

/// Name that is unique among a function's extensions.
const EXTENSION: &str = "driftless-shutdown";
const IDENTIFIER: &str = "lambda-extension-identifier";
/// Time-out far above any request within the execution environment.
const PATIENCE: Duration = Duration::from_secs(1);

/// Calls `last` when Lambda ends the process, and exits. Await it before asking for the first event: Lambda takes no
/// extension later. If none can be registered, the process ends without `last`.
pub async fn on_shutdown(last: impl FnOnce() + Send + 'static) {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else { return };
    match tokio::time::timeout(PATIENCE, register()).await {
        Ok(Ok(waiting)) => drop(tokio::spawn(waiting)),
        Ok(Err(error)) => tracing::debug!(%error, "no extension was registered"),
        Err(_) => tracing::debug!("no extension was registered in time"),
    }
    tokio::spawn(async move {
        terminated.recv().await;
        last();
        std::process::exit(0);
    });
}

/// Registers the extension. The returned future waits for an event that never comes.
async fn register() -> Result<impl Future<Output = ()> + Send + 'static, Error> {
    let client = PooledClient::builder().build();
    let request = lambda_runtime_api_client::build_request()
        .method("POST")
        .uri("/2020-01-01/extension/register")
        .header("lambda-extension-name", EXTENSION)
        .body(Body::from(r#"{"events":[]}"#))?;
    let registered = client.call(request).await?;
    let identifier = registered.headers().get(IDENTIFIER).ok_or("the answer names no identifier")?.clone();
    let next = lambda_runtime_api_client::build_request()
        .method("GET")
        .uri("/2020-01-01/extension/event/next")
        .header(IDENTIFIER, identifier)
        .body(Body::empty())?;
    Ok(async move { drop(client.call(next).await) })
}
