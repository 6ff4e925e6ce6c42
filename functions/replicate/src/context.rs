//! What lives as long as the process: the settings and, once the index was seen, the writer.
//!
//! The engine is first asked within an invocation, so that an outage at start is waited out like any other, and a
//! wrong configuration is the answer of every invocation instead of a process that dies.

use std::sync::Arc;

use driftless::environment::Misconfigured;
use driftless::opensearch::{Engine, EnsureError, OpenSearchTarget};
use driftless::writer::Writer;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::ReplicateConfig;
use crate::error::HandlerError;

/// Pause between tries to reach the engine at start.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// Built once per cold start.
#[derive(Debug)]
pub struct Context {
    config: Result<ReplicateConfig, Misconfigured>,
    writer: Mutex<Option<Arc<Writer<OpenSearchTarget>>>>,
}

impl Context {
    /// Keeps the settings, or what is wrong with them; talks to nobody.
    #[must_use]
    pub fn new(config: Result<ReplicateConfig, Misconfigured>) -> Self {
        Self { config, writer: Mutex::new(None) }
    }

    /// The settings.
    ///
    /// # Errors
    /// Where they are wrong.
    pub fn config(&self) -> Result<&ReplicateConfig, HandlerError> {
        self.config.as_ref().map_err(|error| HandlerError::Misconfigured(error.clone()))
    }

    /// The writer on an index that was seen to be ours.
    ///
    /// # Errors
    /// Where the index is not ready by the deadline.
    pub async fn writer(&self, deadline: Instant) -> Result<Arc<Writer<OpenSearchTarget>>, HandlerError> {
        let mut slot = self.writer.lock().await;
        if let Some(writer) = &*slot {
            return Ok(Arc::clone(writer));
        }
        let config = self.config()?;
        let engine = Engine::connect(&config.engine).await?;
        while let Err(error) = engine.ensure_index(&config.definition, deadline).await {
            let problem = match error {
                EnsureError::Configuration(error) => return Err(error.into()),
                EnsureError::Problem(problem) => problem,
            };
            if Instant::now() + PAUSE >= deadline {
                return Err(HandlerError::Unavailable(problem));
            }
            tokio::time::sleep(PAUSE).await;
        }
        let writer = Arc::new(Writer::new(OpenSearchTarget::new(Arc::new(engine))));
        *slot = Some(Arc::clone(&writer));
        Ok(writer)
    }

    /// After a configuration error: the next invocation fetches credentials and looks at the index anew.
    pub async fn forget_writer(&self) {
        *self.writer.lock().await = None;
    }
}
