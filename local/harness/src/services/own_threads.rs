//! A server in the tool's own process, on threads of its own.
//!
//! What blocks it then blocks neither a test's single-threaded runtime nor the tool's.

use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Requests under way at the stop get this long to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
const THREADS: usize = 2;

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub(super) struct OwnThreads {
    endpoint: String,
    /// Dropping it is the order to stop.
    running: oneshot::Sender<()>,
    /// Resolves when the server has ended.
    ended: oneshot::Receiver<Result<()>>,
}

/// Way of a server to its port. Opening it tells the starter that requests are accepted.
pub(super) struct Door {
    bound: oneshot::Sender<u16>,
    stop: oneshot::Receiver<()>,
}

impl Door {
    /// Binds a free loopback port. The second value resolves at the order to stop.
    ///
    /// # Errors
    /// Where no port is to be had.
    pub(super) async fn open(self) -> Result<(TcpListener, impl Future<Output = ()> + Send + 'static)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("bind a port")?;
        let port = listener.local_addr().context("read the port")?.port();
        // Nobody waits any more when the start was cancelled.
        let _ = self.bound.send(port);
        // An error means that the sender was dropped, which is the order to stop.
        let stop = async move { drop(self.stop.await) };
        Ok((listener, stop))
    }
}

impl OwnThreads {
    /// Starts `serve` on threads of the name `name`; it accepts requests when this returns.
    ///
    /// # Errors
    /// Where no thread is to be had, or `serve` fails before it opens its door.
    pub(super) async fn start<F: Future<Output = Result<()>>>(
        name: &'static str,
        serve: impl FnOnce(Door) -> F + Send + 'static,
    ) -> Result<Self> {
        let (bound, port) = oneshot::channel();
        let (running, order) = oneshot::channel();
        let (report, ended) = oneshot::channel();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // Nobody listens any more when the server was dropped.
                let _ = report.send(run(name, bound, order, serve));
            })
            .with_context(|| format!("start the thread of the embedded {name}"))?;
        match port.await {
            Ok(port) => Ok(Self { endpoint: format!("http://127.0.0.1:{port}"), running, ended }),
            Err(_) => {
                let outcome = ended.await.unwrap_or_else(|_| Err(anyhow!("its thread panicked")));
                let error = outcome.err().unwrap_or_else(|| anyhow!("it ended at once"));
                Err(error).with_context(|| format!("start the embedded {name}"))
            }
        }
    }

    /// Returns the URL of the server.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Stops the server, and waits until it has ended.
    ///
    /// # Errors
    /// When it failed.
    pub(super) async fn stop(self) -> Result<()> {
        drop(self.running);
        self.ended.await.context("wait for an embedded service")?
    }
}

/// Runs until `order` resolves or its sender is dropped, and then for the requests under way.
fn run<F: Future<Output = Result<()>>>(
    name: &'static str,
    bound: oneshot::Sender<u16>,
    order: oneshot::Receiver<()>,
    serve: impl FnOnce(Door) -> F,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name(name)
        .enable_all()
        .build()
        .with_context(|| format!("start the runtime of the embedded {name}"))?;
    let (stopping, stop) = oneshot::channel();
    // Clients that never finish their request are not waited for.
    let drained = async {
        let _ = order.await;
        let _ = stopping.send(());
        tokio::time::sleep(DRAIN_LIMIT).await;
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            ended = serve(Door { bound, stop }) => ended,
            () = drained => Ok(()),
        }
    });
    runtime.shutdown_background();
    outcome
}
