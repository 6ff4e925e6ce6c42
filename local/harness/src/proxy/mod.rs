//! A TCP proxy between a function and a service that goes wrong on purpose, while both run.
//!
//! It stands on a loopback port of its own and knows as much of HTTP/1.1 as faults need: where a request begins and
//! ends, and its path. So a fault can be put on every request, on those whose path contains a text, or on the next few
//! of them, and in the exact place: before the service sees the request, or after it did the work and before the client
//! hears of it. Connections are kept alive as the client wants; what is changed holds from the next request on.
//! Deliberately absent: TLS, requests whose body is chunked, pipelining, and faults of bandwidth.
//!
//! # Layout
//! - `fault`: what can go wrong, and the rules that say when.
//! - `relay`: one connection, request by request; `message`: the heads of HTTP/1.1 messages.

mod fault;
mod message;
mod relay;
#[cfg(test)]
mod tests;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::{JoinHandle, JoinSet},
};

pub use fault::ProxyFault;

use fault::Rules;
use relay::Relay;

use crate::services::PortLease;

/// Below the ports that outgoing connections get, so that a port whose listener is closed stays free for it.
const PORTS: std::ops::RangeInclusive<u16> = 22_000..=22_499;
/// Pause of a listener that cannot accept for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A running proxy. It ends when this is dropped, and its connections with it.
#[derive(Debug)]
pub struct Proxy {
    endpoint: String,
    address: SocketAddr,
    /// Host and port of the service.
    service: Arc<str>,
    rules: Arc<Rules>,
    /// `None` while connections are refused.
    listening: Mutex<Option<JoinHandle<()>>>,
    _port: PortLease,
}

impl Proxy {
    /// Starts a proxy before the service at `endpoint` (`http://HOST:PORT`), which need not run yet. It passes
    /// everything.
    ///
    /// # Errors
    /// When the endpoint is not plain HTTP, or no port is free.
    pub async fn start(endpoint: &str) -> Result<Self> {
        let service = endpoint.strip_prefix("http://").context("stand before a service without http://")?;
        let service = service.split('/').next().unwrap_or_default().into();
        let port = PortLease::from(PORTS)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.port()));
        let (endpoint, rules) = (format!("http://{address}"), Arc::default());
        let proxy = Self { endpoint, address, service, rules, listening: Mutex::default(), _port: port };
        proxy.accept().await?;
        Ok(proxy)
    }

    /// Its URL, without a trailing slash.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Every request suffers `fault` from now on, in place of all that was set before.
    pub fn every(&self, fault: ProxyFault) {
        self.rules.every("", fault);
    }

    /// Every request whose path contains `part` suffers `fault` from now on, in place of all that was set before.
    pub fn on(&self, part: &str, fault: ProxyFault) {
        self.rules.every(part, fault);
    }

    /// The next requests whose path contains `part` suffer these, one each; those after them what was set for every
    /// one.
    pub fn next(&self, part: &str, faults: impl IntoIterator<Item = ProxyFault>) {
        self.rules.next(part, faults.into_iter().collect());
    }

    /// Everything passes from now on; faults that have begun go on.
    pub fn pass(&self) {
        self.every(ProxyFault::Pass);
    }

    /// Closes the listener and every connection, as a process does that ends: who connects is refused.
    pub async fn refuse(&self) {
        if let Some(listening) = self.listening.lock().await.take() {
            listening.abort();
            // Cancelled, as asked; its socket is closed when it is over.
            let _ = listening.await;
        }
    }

    /// Listens again after [`refuse`](Self::refuse), on the same port.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn accept(&self) -> Result<()> {
        let mut listening = self.listening.lock().await;
        if listening.is_none() {
            let listener = TcpListener::bind(self.address).await;
            let listener = listener.with_context(|| format!("listen on {}", self.address))?;
            *listening = Some(tokio::spawn(listen(listener, Arc::clone(&self.service), Arc::clone(&self.rules))));
        }
        Ok(())
    }

    /// Returns the number of requests whose path contains `part`, those with faults included.
    #[must_use]
    pub fn requests(&self, part: &str) -> usize {
        self.rules.requests(part)
    }

    /// Returns the number of those that the service has answered, even if the client did not hear of it.
    #[must_use]
    pub fn answers(&self, part: &str) -> usize {
        self.rules.answers(part)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.get_mut() {
            listening.abort();
        }
    }
}

/// Accepts until it is aborted; its connections end with it.
async fn listen(listener: TcpListener, service: Arc<str>, rules: Arc<Rules>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(connection(client, Arc::clone(&service), Arc::clone(&rules)));
                }
                Err(error) => {
                    tracing::warn!(%error, "the proxy could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves a client until one side ends, or a fault does. Whatever ends it, both sides see their connection closed.
async fn connection(client: TcpStream, service: Arc<str>, rules: Arc<Rules>) {
    if let Err(error) = Relay::new(client, service, rules).run().await {
        tracing::debug!(%error, "a connection through the proxy ended");
    }
}
