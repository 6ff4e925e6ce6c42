//! A service, and one that is started only where the environment gives none.

use std::sync::Arc;

use anyhow::Result;

/// Something that runs and can be reached.
pub trait Service: Send + Sized {
    /// Its URL, without a trailing slash.
    fn endpoint(&self) -> &str;

    /// Stops it and waits until it is gone.
    fn stop(self) -> impl Future<Output = Result<()>> + Send;
}

/// A service of our own, or one that was there before.
#[derive(Debug)]
pub enum Provided<S> {
    /// Started by us, stopped with us.
    Started(S),
    /// Its URL was given; it is never stopped.
    Existing(String),
}

impl<S: Service> Service for Provided<S> {
    fn endpoint(&self) -> &str {
        match self {
            Self::Started(service) => service.endpoint(),
            Self::Existing(endpoint) => endpoint,
        }
    }

    async fn stop(self) -> Result<()> {
        match self {
            Self::Started(service) => service.stop().await,
            Self::Existing(_) => Ok(()),
        }
    }
}

/// The service at `existing`, or else a started one.
pub(super) async fn provide<S>(
    existing: Option<&str>,
    start: impl AsyncFnOnce() -> Result<S>,
) -> Result<Arc<Provided<S>>> {
    let service = match existing {
        Some(endpoint) => Provided::Existing(endpoint.to_owned()),
        // Boxed: the futures of the AWS clients are nested more deeply than the compiler likes.
        None => Provided::Started(Box::pin(start()).await?),
    };
    Ok(Arc::new(service))
}
