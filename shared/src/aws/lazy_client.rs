//! A client of the AWS SDK that its first call builds, under that call's deadline.

use std::fmt;
use std::future::Future;

use aws_config::{ConfigLoader, SdkConfig};
use aws_sdk_secretsmanager::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

/// A client `C` of one service, with the environment's credentials and region.
#[derive(Debug)]
pub(crate) struct LazyClient<C> {
    build: fn(&SdkConfig) -> C,
    settings: fn() -> ConfigLoader,
    client: OnceCell<C>,
}

/// Reason why a call gave no answer.
#[derive(Debug)]
pub(crate) enum CallError<E, R> {
    /// Error of the service or of the way to it.
    Sdk(SdkError<E, R>),
    /// No answer before the deadline.
    OutOfTime,
}

impl<C> LazyClient<C> {
    /// Creates the client with the service's constructor. Connects to nothing yet.
    pub(crate) fn new(build: fn(&SdkConfig) -> C) -> Self {
        Self { build, settings: super::settings, client: OnceCell::new() }
    }

    /// Replaces the client to build by an existing one.
    pub(crate) fn with_client(self, client: C) -> Self {
        Self { client: OnceCell::new_with(Some(client)), ..self }
    }

    /// Replaces the source of the settings.
    #[cfg(test)]
    pub(crate) fn with_settings(self, settings: fn() -> ConfigLoader) -> Self {
        Self { settings, ..self }
    }

    /// Makes one call under the deadline, building the client included.
    pub(crate) async fn call<T, E, R, F>(
        &self,
        deadline: Instant,
        send: impl FnOnce(&C) -> F,
    ) -> Result<T, CallError<E, R>>
    where
        F: Future<Output = Result<T, SdkError<E, R>>>,
    {
        let build = || async { (self.build)(&(self.settings)().load().await) };
        let sent = async { send(self.client.get_or_init(build).await).await };
        match timeout_at(deadline, sent).await {
            Ok(answer) => answer.map_err(CallError::Sdk),
            Err(_) => Err(CallError::OutOfTime),
        }
    }
}

#[cfg(feature = "stream")]
impl<E, R> CallError<E, R> {
    /// Returns the service's own error, if there is one.
    pub(crate) fn service(&self) -> Option<&E> {
        match self {
            Self::Sdk(error) => error.as_service_error(),
            Self::OutOfTime => None,
        }
    }
}

impl<E: ProvideErrorMetadata, R> CallError<E, R> {
    /// Returns the code with which the service refused; `None` if it gave no answer.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Sdk(error) => error.code(),
            Self::OutOfTime => None,
        }
    }
}

/// Describes an error without a code. The request is not quoted.
impl<E, R> fmt::Display for CallError<E, R>
where
    E: std::error::Error + 'static,
    R: fmt::Debug,
{
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sdk(error) => write!(out, "cannot be reached: {}", DisplayErrorContext(error)),
            Self::OutOfTime => out.write_str("did not answer in time"),
        }
    }
}
