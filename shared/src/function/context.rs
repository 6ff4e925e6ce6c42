//! What lives as long as the process: the settings and, once the index was seen, the writer.
//!
//! The engine is first asked within an invocation, so that an outage at start is waited out like any other, and a
//! wrong configuration is the answer of every invocation instead of a process that dies.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::FunctionError;
use super::settings::Settings;
use crate::environment::Misconfigured;
use crate::opensearch::{Engine, EnsureError, OpenSearchTarget};
use crate::queue::sqs::SqsQueue;
use crate::writer::Writer;

/// Pause between tries to reach the engine at start.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// Built once per cold start.
#[derive(Debug)]
pub struct Context {
    settings: Result<Settings, Misconfigured>,
    queue: Option<SqsQueue>,
    writer: Mutex<Option<Arc<Writer<OpenSearchTarget>>>>,
}

impl Context {
    /// Keeps the settings, or what is wrong with them; talks to nobody.
    #[must_use]
    pub fn new(settings: Result<Settings, Misconfigured>) -> Self {
        let url = settings.as_ref().ok().and_then(|settings| settings.dead_letter_queue_url.as_ref());
        Self { queue: url.map(SqsQueue::new), settings, writer: Mutex::new(None) }
    }

    /// The settings.
    ///
    /// # Errors
    /// Where they are wrong.
    pub fn settings(&self) -> Result<&Settings, FunctionError> {
        self.settings.as_ref().map_err(|error| FunctionError::Misconfigured(error.clone()))
    }

    /// The dead-letter queue, where one is set.
    #[must_use]
    pub fn queue(&self) -> Option<&SqsQueue> {
        self.queue.as_ref()
    }

    /// The writer on an index that was seen to be ours.
    ///
    /// # Errors
    /// Where the index is not ready by the deadline.
    pub async fn writer(&self, deadline: Instant) -> Result<Arc<Writer<OpenSearchTarget>>, FunctionError> {
        let mut slot = self.writer.lock().await;
        if let Some(writer) = &*slot {
            return Ok(Arc::clone(writer));
        }
        let settings = self.settings()?;
        let engine = Engine::connect(&settings.engine).await?;
        let alias = loop {
            let problem = match engine.ensure_index(&settings.definition, deadline).await {
                Ok(alias) => break alias,
                Err(EnsureError::Configuration(error)) => return Err(error.into()),
                Err(EnsureError::Problem(problem)) => problem,
            };
            if Instant::now() + PAUSE >= deadline {
                return Err(FunctionError::Unavailable(problem));
            }
            tokio::time::sleep(PAUSE).await;
        };
        let writer = Arc::new(Writer::new(OpenSearchTarget::new(Arc::new(engine), alias)));
        *slot = Some(Arc::clone(&writer));
        Ok(writer)
    }

    /// After a configuration error: the next invocation fetches credentials and looks at the index anew.
    pub async fn forget_writer(&self) {
        *self.writer.lock().await = None;
    }
}
