//! State of the process: the settings and, after the index was found, the writer.
//!
//! The engine is first called within an invocation. So an outage at the start is retried like any other, and a wrong
//! configuration is the answer of every invocation instead of a crash.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::clock::Deadlines;
use super::error::FunctionError;
use super::retry::Retries;
use super::settings::{CreateIndex, Settings};
use crate::environment::Misconfigured;
use crate::opensearch::{
    AuthError, Drift, Engine, EngineConfig, EnsureError, Identity, IndexDefinition, IndexRequirements,
    OpenSearchTarget, PhysicalIndex, WrittenIndexes, read_hash_key,
};
use crate::outcome::ConfigurationError;
use crate::queue::sqs::SqsQueue;
use crate::replication::config::WhenChanged;
use crate::version::Generation;
use crate::writer::Writer;

/// State of the process, built once per cold start.
#[derive(Debug)]
pub struct Context {
    settings: Result<Settings, Misconfigured>,
    queue: Option<SqsQueue>,
    slot: Mutex<Slot>,
    /// States for the indexes that entities have of their own, by the indexes' names.
    entity_indexes: BTreeMap<Arc<str>, Self>,
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

/// Choice among the indexes that are written: there are two while a re-index lasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexChoice {
    /// All of them: what replication writes to.
    #[default]
    All,
    /// The index that readers see.
    Public,
    /// The index that a re-index fills, or has replaced.
    Other,
}

/// Knowledge of the index.
#[derive(Debug, Default)]
struct Slot {
    /// Writer on the chosen indexes, and the access with which they were found.
    writer: Option<(Access, IndexChoice, Arc<Writer<OpenSearchTarget>>)>,
    /// True once this process has found the index. Creating it anew would then silently lose its documents.
    seen: bool,
    /// Drift of the index from the definition, as it was found last.
    drift: Option<Drift>,
}

impl Context {
    /// Keeps the settings, or their problems. Connects to nothing.
    #[must_use]
    pub fn new(settings: Result<Settings, Misconfigured>) -> Self {
        let url = settings.as_ref().ok().and_then(|settings| settings.dead_letter_queue_url.as_ref());
        let queue = url.map(SqsQueue::new);
        let mut entity_indexes = BTreeMap::new();
        if let Ok(settings) = &settings {
            for index in settings.entity_indexes() {
                let settings = settings.of_index(&index).expect("names in REPLICATION are checked");
                entity_indexes.insert(index, Self::new(Ok(settings)));
            }
        }
        Self { queue, settings, slot: Mutex::default(), entity_indexes }
    }

    /// Returns the states for the indexes that entities have of their own.
    #[must_use]
    pub fn entity_indexes(&self) -> &BTreeMap<Arc<str>, Self> {
        &self.entity_indexes
    }

    /// Takes the member `entity_index` out of a request, and returns the state for the index that it names. Without the
    /// member, that is the index of all other items.
    ///
    /// # Errors
    /// Fails if no entity has such an index.
    pub fn requested(&self, mut request: Value) -> Result<(&Self, Value), FunctionError> {
        let name = request.as_object_mut().and_then(|members| members.remove("entity_index"));
        let context = match name.unwrap_or_default() {
            Value::Null => self,
            name => {
                self.settings()?;
                let context = name.as_str().and_then(|name| self.entity_indexes.get(name));
                context.ok_or_else(|| {
                    let names: Vec<&str> = self.entity_indexes.keys().map(AsRef::as_ref).collect();
                    let error = FunctionError::Request(format!(
                        "entity_index is {name}, and the entities of REPLICATION have these indexes of their own: [{}]",
                        names.join(", ")
                    ));
                    tracing::error!(class = error.kind(), "{error}");
                    error
                })?
            }
        };
        Ok((context, request))
    }

    /// Returns the settings.
    ///
    /// # Errors
    /// Fails if the settings are wrong.
    pub fn settings(&self) -> Result<&Settings, FunctionError> {
        self.settings.as_ref().map_err(|error| FunctionError::Misconfigured(error.clone()))
    }

    /// Reads the key of keyed hashes, if it stands in a secret and was not read yet. Records are read after this.
    ///
    /// # Errors
    /// Fails if the settings are wrong, or the secret cannot be read by the deadline.
    pub async fn read_hash_key(&self, deadline: Instant) -> Result<(), FunctionError> {
        let Some(key) = &self.settings()?.hash_key else { return Ok(()) };
        let Some(arn) = key.unread_secret() else { return Ok(()) };
        // Boxed, as below.
        let read = timeout_at(deadline, Box::pin(read_hash_key(key, arn))).await;
        Ok(read.unwrap_or(Err(AuthError::Unanswered))?)
    }

    /// Computes the deadlines of an invocation from Lambda's.
    ///
    /// # Errors
    /// Fails if the settings are wrong, or leave no time for work.
    pub fn deadlines(&self, deadline_ms: u64) -> Result<Deadlines, FunctionError> {
        let deadlines = Deadlines::new(deadline_ms, self.settings()?.answer_margin);
        deadlines.checked().map_err(FunctionError::Misconfigured)
    }

    /// Returns the dead-letter queue, if one is set.
    #[must_use]
    pub fn queue(&self) -> Option<&SqsQueue> {
        self.queue.as_ref()
    }

    /// Returns the writer on all indexes of this table. Without a table, a missing index is not created.
    ///
    /// # Errors
    /// Fails if the index is not ready by the deadline.
    pub async fn writer(
        &self,
        table: Option<&str>,
        deadline: Instant,
    ) -> Result<Arc<Writer<OpenSearchTarget>>, FunctionError> {
        self.open(Access::Create, IndexChoice::All, table, deadline).await
    }

    /// Returns the writer on the chosen indexes of this table, and on those of entities if all are written, found with
    /// this access or a wider one.
    ///
    /// # Errors
    /// Fails if an index is not ready by the deadline, or there is no second one.
    pub async fn open(
        &self,
        access: Access,
        choice: IndexChoice,
        table: Option<&str>,
        deadline: Instant,
    ) -> Result<Arc<Writer<OpenSearchTarget>>, FunctionError> {
        let mut slot = self.slot.lock().await;
        if let Some((found_with, chosen, writer)) = &slot.writer
            && *found_with >= access
            && *chosen == choice
            && table.is_none_or(|table| table == writer.target().index().table)
        {
            return Ok(Arc::clone(writer));
        }
        self.read_hash_key(deadline).await?;
        let settings = self.settings()?;
        let identity = Identity {
            source: settings.engine.source.clone(),
            table: table.map(str::to_owned),
            partition_key: settings.read_options.partition_key.clone(),
            generation: settings.read_options.generation,
            rules: settings.read_options.replication.fingerprints(),
        };
        let may_create = access == Access::Create && settings.create_index == CreateIndex::IfMissing;
        let creates = may_create && table.is_some() && !slot.seen;
        let wanted = IndexRequirements {
            identity: &identity,
            create: creates.then_some(&settings.definition),
            takes_over: access > Access::Existing,
            keeps_expired: settings.read_options.replication.keeps_expired(),
        };
        // Boxed, because futures that fetch credentials nest deeply, and the compiler's limit for that is near.
        let engine = Arc::new(Box::pin(connect(&settings.engine, deadline)).await?);
        let WrittenIndexes { public, other } = ensure_index(&engine, wanted, deadline).await?;
        let drift = Box::pin(drift(&engine, &settings.definition, &public, other.as_ref(), deadline)).await;
        if slot.drift != drift {
            tell(drift.as_ref());
        }
        let public = On { engine: Arc::clone(&engine), index: public };
        let other = match (&settings.second, other) {
            (None, None) => None,
            (None, Some(index)) => Some(On { engine, index }),
            (Some(second), None) => {
                let engine = Arc::new(Box::pin(connect(second, deadline)).await?);
                let WrittenIndexes { public: index, other } = ensure_index(&engine, wanted, deadline).await?;
                refuse_third(other.as_ref())?;
                Some(On { engine, index })
            }
            (Some(_), Some(index)) => return Err(third(&index)),
        };
        let indexes = std::iter::once(&public.index).chain(other.as_ref().map(|other| &other.index));
        check_rules(settings, &identity, access, &indexes.collect::<Vec<_>>())?;
        let writer = writer(public, other, choice, identity.generation)?;
        let mut entities = BTreeMap::new();
        if access == Access::Create && choice == IndexChoice::All {
            for (index, context) in &self.entity_indexes {
                // Boxed, because a function cannot hold the state of itself.
                let writer = Box::pin(context.open(access, choice, table, deadline)).await?;
                entities.insert(Arc::clone(index), writer);
            }
        }
        let writer = Arc::new(writer.with_entities(entities));
        *slot = Slot { writer: Some((access, choice, Arc::clone(&writer))), seen: true, drift };
        Ok(writer)
    }

    /// Does an invocation's work, and once more if the index's aliases have moved since this process found it. Logs the
    /// error that it ends with. After a configuration error, the next invocation looks at the index again.
    ///
    /// # Errors
    /// Fails as the work does.
    pub async fn invocation<T>(&self, work: impl AsyncFn() -> Result<T, FunctionError>) -> Result<T, FunctionError> {
        // Boxed, as above.
        let mut result = Box::pin(work()).await;
        if result.as_ref().is_err_and(FunctionError::is_index_gone) {
            self.forget_writer().await;
            result = Box::pin(work()).await;
        }
        if let Err(error) = &result {
            tracing::error!(class = error.kind(), "{error}");
            if error.is_configuration() {
                self.forget_writer().await;
            }
        }
        result
    }

    /// Returns the drift of the index from the definition, as it was when the index was found; `None` without one.
    pub async fn drift(&self) -> Option<Drift> {
        self.slot.lock().await.drift.clone()
    }

    /// Forgets the writer after a configuration error. The next call of [`Context::writer`] fetches credentials and
    /// looks at the index again.
    pub async fn forget_writer(&self) {
        self.slot.lock().await.writer = None;
        for context in self.entity_indexes.values() {
            context.slot.lock().await.writer = None;
        }
    }
}

/// An index in its cluster.
struct On {
    engine: Arc<Engine>,
    index: PhysicalIndex,
}

impl On {
    fn writer(self, generation: Generation) -> Writer<OpenSearchTarget> {
        Writer::new(OpenSearchTarget::new(self.engine, self.index), generation)
    }
}

/// Builds a client of an engine, without a call of it.
///
/// # Errors
/// Fails if there are no credentials.
pub async fn connect(config: &EngineConfig, deadline: Instant) -> Result<Engine, FunctionError> {
    let connected = timeout_at(deadline, Engine::connect(config)).await;
    Ok(connected.unwrap_or(Err(AuthError::Unanswered))?)
}

/// Compares the index with the definition, unless that is the default one. While a re-index lasts, it is enough if one
/// of the two indexes has the definition.
async fn drift(
    engine: &Engine,
    definition: &IndexDefinition,
    public: &PhysicalIndex,
    other: Option<&PhysicalIndex>,
    deadline: Instant,
) -> Option<Drift> {
    if *definition == IndexDefinition::default() {
        return None;
    }
    let mut first = None;
    for index in std::iter::once(public).chain(other) {
        match engine.drift(&index.name, definition, deadline).await {
            Ok(drift) if drift.is_none() => return None,
            Ok(drift) => first = first.or(Some(drift)),
            // The work itself meets the same problem, if it lasts.
            Err(error) => {
                tracing::warn!(index = index.name, %error, "the index could not be compared with its definition");
                return None;
            }
        }
    }
    first
}

/// Logs the drift, by paths alone.
fn tell(drift: Option<&Drift>) {
    let Some(Drift { index, applicable, needs_reindex }) = drift else { return };
    tracing::warn!(
        index,
        ?applicable,
        ?needs_reindex,
        "the index differs from INDEX_DEFINITION: reindex's step apply gives it what is applicable, a re-index the rest"
    );
}

/// Builds a writer on the chosen indexes.
fn writer(
    public: On,
    other: Option<On>,
    choice: IndexChoice,
    generation: Generation,
) -> Result<Writer<OpenSearchTarget>, FunctionError> {
    match (choice, other) {
        (IndexChoice::All, Some(other)) => {
            let (own, second) = (public.index.name.clone(), other.index.name.clone());
            // Two clusters may have indexes of one name.
            let second = if second == own { format!("{second} of the second cluster") } else { second };
            Ok(public.writer(generation).beside(&own, &second, other.writer(generation)))
        }
        (IndexChoice::All, None) | (IndexChoice::Public, _) => Ok(public.writer(generation)),
        (IndexChoice::Other, Some(other)) => Ok(other.writer(generation)),
        (IndexChoice::Other, None) => Err(FunctionError::Request(format!(
            "`index` is other, and only `{}` is written: begin a re-index first (step create), or ask for public",
            public.index.name
        ))),
    }
}

/// Compares the rules that made the documents of each index with the function's. A repair may always write, and so may
/// everybody once an index for these rules is there.
fn check_rules(
    settings: &Settings,
    own: &Identity,
    access: Access,
    indexes: &[&PhysicalIndex],
) -> Result<(), FunctionError> {
    let differ = |index: &&&PhysicalIndex| index.rules.documents != own.rules.documents;
    let Some(index) = indexes.iter().find(differ) else { return Ok(()) };
    let refuses = access == Access::Create && settings.read_options.replication.when_changed() == WhenChanged::Refuse;
    let problem = "holds documents that other rules of REPLICATION made, or another HASH_KEY: run verify with repair and \
                   then reindex accept, or begin a re-index";
    if refuses && indexes.iter().all(|index| differ(&index)) {
        let problem = format!("{problem}; or set `changed` to \"continue\"");
        return Err(ConfigurationError::Identity { index: index.name.clone(), problem }.into());
    }
    tracing::warn!(index = index.name, "the index {problem}");
    Ok(())
}

fn refuse_third(index: Option<&PhysicalIndex>) -> Result<(), FunctionError> {
    index.map_or(Ok(()), |index| Err(third(index)))
}

/// Refuses a re-index within a cluster while there is a second cluster.
fn third(index: &PhysicalIndex) -> FunctionError {
    let problem = "is a third index beside those of two clusters: end its re-index (step drop), or remove \
                   SECOND_OPENSEARCH_ENDPOINT";
    ConfigurationError::Index { index: index.name.clone(), problem: problem.to_owned() }.into()
}

/// Retries until the index is ready, for as long as the problem may pass.
async fn ensure_index(
    engine: &Engine,
    wanted: IndexRequirements<'_>,
    deadline: Instant,
) -> Result<WrittenIndexes, FunctionError> {
    let mut retries = Retries::until(deadline);
    loop {
        match engine.ensure_index(wanted, deadline).await {
            Ok(indexes) => return Ok(indexes),
            Err(EnsureError::Configuration(error)) => return Err(error.into()),
            Err(EnsureError::Problem(problem)) => retries.wait_after(problem).await?,
        }
    }
}
