//! Runs a Lambda function's real binary on this machine, as Lambda's execution environments do.
//!
//! A [`FunctionProcess`] is one execution environment: one process of the binary, one Runtime API endpoint on
//! loopback, one invocation at a time. It knows nothing of streams; the event source mapping and `replay` drive it
//! through the [`Invoke`] trait, which tests replace by a scripted double.
//!
//! Deliberately absent: events for extensions, response streaming, SnapStart, freezing between invocations, memory
//! limits.

use std::{
    fmt,
    process::ExitStatus,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use serde::de::DeserializeOwned;

mod build;
mod environment;
mod output;
mod process;
mod runtime_api;

pub use build::{BuildProfile, build_example, build_function, build_functions};
pub use environment::FunctionConfig;
pub use process::FunctionProcess;

/// The largest payload of a synchronous invocation, and of its answer: 6 MB ("Lambda quotas").
pub const PAYLOAD_LIMIT_BYTES: usize = 6 * 1024 * 1024;

/// End of one invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvocationOutcome {
    /// An answer of the function.
    Response(Bytes),
    /// The function, or its initialisation, reported an error.
    FunctionError {
        /// The error's type, as the runtime names it.
        kind: String,
        /// Message of the runtime about it.
        message: String,
    },
    /// The function did not answer within its time-out; its process was killed.
    TimedOut,
    /// The process ended before it answered, or its answer was thrown away by a [`ProcessFault`].
    Exited(Option<ExitStatus>),
}

impl InvocationOutcome {
    /// Returns `true` if Lambda would call this a function error.
    #[must_use]
    pub fn is_function_error(&self) -> bool {
        !matches!(self, Self::Response(_))
    }

    /// Parses the answer of the function with this name.
    ///
    /// # Errors
    /// Fails if there is no answer, or if it has another form.
    pub fn answer<A: DeserializeOwned>(self, function: &str) -> Result<A> {
        match self {
            Self::Response(body) => {
                serde_json::from_slice(&body).with_context(|| format!("read the answer of the function {function}"))
            }
            end => bail!("the function {function} failed: {end}"),
        }
    }
}

impl fmt::Display for InvocationOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(_) => f.write_str("answered"),
            Self::FunctionError { kind, message } => write!(f, "{kind}: {message}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Exited(Some(status)) => write!(f, "the process ended with {status}"),
            Self::Exited(None) => f.write_str("the process was killed"),
        }
    }
}

/// A finished invocation, with its duration.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The id that the function saw, too.
    pub request_id: String,
    /// End of the invocation.
    pub outcome: InvocationOutcome,
    /// From the hand-over of the event to the end.
    pub duration: Duration,
}

/// A fault that is done to one invocation on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessFault {
    /// The process is killed so long after it was given the event; an answer that came before is thrown away.
    KillAfter(Duration),
    /// The function does its work and answers, then the answer is thrown away and the process is killed.
    LoseAnswer,
}

/// Something to invoke: a real process, or a scripted double in tests.
#[async_trait]
pub trait Invoke: Send + Sync {
    /// Starts the function and waits until it asks for its first event.
    ///
    /// # Errors
    /// When the function cannot be started, or its initialisation fails.
    async fn warm_up(&mut self) -> Result<()>;

    /// Invokes the function once with `payload`.
    ///
    /// # Errors
    /// When the function could not be invoked at all; what the function did wrong is an [`InvocationOutcome`].
    async fn invoke(&mut self, payload: Bytes, fault: Option<ProcessFault>) -> Result<Invocation>;

    /// Ends the function immediately, as `SIGKILL` does. The next invocation starts it again.
    async fn kill(&mut self);

    /// Ends the function as Lambda ends an idle environment: it may still tell what it has kept.
    async fn end(&mut self) {
        self.kill().await;
    }
}

/// Creates execution environments of one function.
#[async_trait]
pub trait Launch: Send + Sync {
    /// The function's ARN, as on-failure messages and invocations name it.
    fn function_arn(&self) -> &str;

    /// Creates one environment.
    ///
    /// # Errors
    /// When it cannot be created.
    async fn launch(&self) -> Result<Box<dyn Invoke>>;
}

/// A new request id in Lambda's form, a random UUID.
#[must_use]
pub fn new_request_id() -> String {
    uuid(rand::random())
}

/// Returns a UUID of version 4 with these bits, as far as the version leaves them free.
#[must_use]
pub(crate) fn uuid(bits: u128) -> String {
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Milliseconds since the epoch, now.
#[must_use]
pub(crate) fn epoch_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_version_4_uuid() {
        let id = new_request_id();
        let parts: Vec<_> = id.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(parts[2].starts_with('4'), "{id}");
        assert!(parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
        assert_ne!(id, new_request_id());
    }
}
