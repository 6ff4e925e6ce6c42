//! State of the process: the settings and, after the index was found, the writer.
//!
//! The engine is first called within an invocation. So an outage at the start is retried like any other, and a wrong
//! configuration is the answer of every invocation instead of a crash.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::error::FunctionError;
use super::settings::{CreateIndex, Settings};
use crate::backoff::Backoff;
use crate::environment::Misconfigured;
use crate::opensearch::{AuthError, Engine, EnsureError, Identity, OpenSearchTarget, PhysicalIndex, Wanted};
use crate::queue::sqs::SqsQueue;
use crate::writer::Writer;

/// Backoff while the engine cannot be reached at the start.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// State of the process, built once per cold start.
#[derive(Debug)]
pub struct Context {
    settings: Result<Settings, Misconfigured>,
    queue: Option<SqsQueue>,
    slot: Mutex<Slot>,
}

/// Access of a function to its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Changes nothing about the index: it must exist, and keeps its generation.
    Existing,
    /// The index must exist, and a raised generation takes it over.
    Repair,
    /// A missing index is created, if the settings allow it.
    Create,
}

/// Knowledge of the index.
#[derive(Debug, Default)]
struct Slot {
    /// Writer on the index, and the access with which it was found.
    writer: Option<(Access, Arc<Writer<OpenSearchTarget>>)>,
    /// True once this process has found the index. Creating it anew would then silently lose its documents.
    seen: bool,
}

impl Context {
    /// Keeps the settings, or their problems. Connects to nothing.
    #[must_use]
    pub fn new(settings: Result<Settings, Misconfigured>) -> Self {
        let url = settings.as_ref().ok().and_then(|settings| settings.dead_letter_queue_url.as_ref());
        Self { queue: url.map(SqsQueue::new), settings, slot: Mutex::default() }
    }

    /// Returns the settings.
    ///
    /// # Errors
    /// Fails if the settings are wrong.
    pub fn settings(&self) -> Result<&Settings, FunctionError> {
        self.settings.as_ref().map_err(|error| FunctionError::Misconfigured(error.clone()))
    }

    /// Returns the dead-letter queue, if one is set.
    #[must_use]
    pub fn queue(&self) -> Option<&SqsQueue> {
        self.queue.as_ref()
    }

    /// Returns the writer on the index of this table. Without a table, a missing index is not created.
    ///
    /// # Errors
    /// Fails if the index is not ready by the deadline.
    pub async fn writer(
        &self,
        table: Option<&str>,
        deadline: Instant,
    ) -> Result<Arc<Writer<OpenSearchTarget>>, FunctionError> {
        self.open(Access::Create, table, deadline).await
    }

    /// Returns the writer on the index of this table, found with this access or a wider one.
    ///
    /// # Errors
    /// Fails if the index is not ready by the deadline.
    pub async fn open(
        &self,
        access: Access,
        table: Option<&str>,
        deadline: Instant,
    ) -> Result<Arc<Writer<OpenSearchTarget>>, FunctionError> {
        let mut slot = self.slot.lock().await;
        if let Some((found_with, writer)) = &slot.writer
            && *found_with >= access
            && table.is_none_or(|table| table == writer.target().index().table)
        {
            return Ok(Arc::clone(writer));
        }
        let settings = self.settings()?;
        let identity = Identity {
            table: table.map(str::to_owned),
            partition_key: settings.read_options.partition_key.clone(),
            generation: settings.read_options.generation,
        };
        let may_create = access == Access::Create && settings.create_index == CreateIndex::IfMissing;
        let creates = may_create && table.is_some() && !slot.seen;
        let wanted = Wanted {
            identity: &identity,
            create: creates.then_some(&settings.definition),
            takes_over: access > Access::Existing,
        };
        let connected = timeout_at(deadline, Engine::connect(&settings.engine)).await;
        let engine = connected.unwrap_or(Err(AuthError::Unanswered))?;
        let index = ensure_index(&engine, wanted, deadline).await?;
        let writer = Arc::new(Writer::new(OpenSearchTarget::new(Arc::new(engine), index), identity.generation));
        *slot = Slot { writer: Some((access, Arc::clone(&writer))), seen: true };
        Ok(writer)
    }

    /// Forgets the writer after a configuration error. The next call of [`Context::writer`] fetches credentials and
    /// looks at the index again.
    pub async fn forget_writer(&self) {
        self.slot.lock().await.writer = None;
    }
}

/// Retries until the index is ready, for as long as the problem may pass.
async fn ensure_index(engine: &Engine, wanted: Wanted<'_>, deadline: Instant) -> Result<PhysicalIndex, FunctionError> {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let problem = match engine.ensure_index(wanted, deadline).await {
            Ok(index) => return Ok(index),
            Err(EnsureError::Configuration(error)) => return Err(error.into()),
            Err(EnsureError::Problem(problem)) => problem,
        };
        if !backoff.wait_before(deadline).await {
            return Err(FunctionError::Unavailable(problem));
        }
    }
}
