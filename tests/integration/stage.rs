//! The function over the real engine, with a queue in memory: its answer, dead letters and counts.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use driftless::change::{Change, ReadOptions};
use driftless::dead_letter::Sender;
use driftless::dead_letter::{DeadLetter, DeadLetterMessage};
use driftless::environment::Environment;
use driftless::function::clock::now;
use driftless::function::replicate::{Function, Metrics};
use driftless::function::{Deadlines, FunctionError};
use driftless::opensearch::{Engine, EngineConfig, IndexDefinition, IndexRequirements, OpenSearchTarget};
use driftless::outcome::Outcome;
use driftless::queue::memory::MemoryQueue;
use driftless::source::RecordSource;
use driftless::version::Generation;
use driftless::writer::{ApplyOptions, Writer};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::support::{Index, identity};

/// Longer than a busy engine takes for the largest items.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An index on the real engine, and a process that writes to it.
pub(crate) struct Stage {
    pub(crate) index: Index,
    writer: Writer<OpenSearchTarget>,
}

/// Result of an invocation, with the records that failed.
pub(crate) struct InvocationResult {
    /// Numbers of the failed records.
    pub(crate) answer: Result<Vec<String>, FunctionError>,
    pub(crate) letters: Vec<DeadLetter>,
    pub(crate) metrics: Value,
    /// The lines of metrics behind the first one: problems by class.
    pub(crate) problems: Vec<Value>,
}

impl Stage {
    pub(crate) async fn new(name: &str) -> Self {
        Self::defined(name, &IndexDefinition::default()).await
    }

    /// With an index definition of the user's own.
    pub(crate) async fn defined(name: &str, definition: &IndexDefinition) -> Self {
        let index = Index::new(name);
        let writer = writer(index.settings(), definition, TIMEOUT).await;
        Self { index, writer }
    }

    /// With the engine behind another URL.
    pub(crate) async fn through(name: &str, endpoint: &str) -> Self {
        let index = Index::at(endpoint, name);
        let writer = writer(index.settings_at(endpoint), &IndexDefinition::default(), TIMEOUT).await;
        Self { index, writer }
    }

    /// With the engine at another URL, a definition of the user's own, and this much time for a request.
    pub(crate) async fn impatient(name: &str, endpoint: &str, definition: &IndexDefinition, request: Duration) -> Self {
        let index = Index::at(endpoint, name);
        let writer = writer(index.settings_at(endpoint), definition, request).await;
        Self { index, writer }
    }

    /// As if the process had ended and another one begun, which remembers nothing.
    pub(crate) async fn restart(&mut self) {
        self.writer = writer(self.index.settings(), &IndexDefinition::default(), TIMEOUT).await;
    }

    /// Hands the function a batch.
    pub(crate) async fn invoke(&self, records: &[String]) -> InvocationResult {
        let raw: Vec<_> = records.iter().map(|json| RawValue::from_string(json.clone()).expect("JSON")).collect();
        let (reading, queue) = (ReadOptions::default(), MemoryQueue::default());
        let function = Function {
            source: RecordSource::DynamoDbStreams,
            items: None::<&Infallible>,
            read_options: &reading,
            writer: Some(&self.writer),
            queue: Some(&queue),
            sender: Sender { index: &self.index.name, function_version: "test" },
        };
        let mut metrics = Metrics::new(raw.len());
        let deadlines = Deadlines::before(Instant::now() + 2 * TIMEOUT, TIMEOUT);
        let answer = function.handle(&raw, deadlines, &mut metrics).await;
        let letter = |body: String| match DeadLetterMessage::read(&body).expect("a letter") {
            DeadLetterMessage::Record(letter) => *letter,
            DeadLetterMessage::Range(range) => panic!("{range:?}"),
        };
        let letters = queue.bodies().into_iter().map(letter).collect();
        let lines = metrics.lines(&self.index.name);
        let mut lines =
            serde_json::Deserializer::from_slice(&lines).into_iter().map(|line| line.expect("lines of JSON"));
        InvocationResult { answer, letters, metrics: lines.next().expect("a line"), problems: lines.collect() }
    }

    /// Says how changes would end, by version.
    pub(crate) async fn preview(&self, changes: &[Change]) -> Vec<Outcome> {
        let options = ApplyOptions::new(Instant::now() + TIMEOUT, now());
        self.writer.preview(changes, options).await.expect("configured")
    }

    /// Hands it a batch that it must answer without a failure; gives its dead letters and metrics.
    pub(crate) async fn handle(&self, records: &[String]) -> (Vec<DeadLetter>, Value) {
        let InvocationResult { answer, letters, metrics, .. } = self.invoke(records).await;
        assert_eq!(answer.expect("handled"), [""; 0], "the stream goes on");
        (letters, metrics)
    }

    /// Hands it a batch, every record of which must be applied or needless.
    pub(crate) async fn succeed(&self, records: &[String]) -> Value {
        let (letters, metrics) = self.handle(records).await;
        assert!(letters.is_empty(), "{:?}", letters[0].rejected);
        metrics
    }
}

async fn writer(
    settings: Vec<(String, String)>,
    definition: &IndexDefinition,
    request_timeout: Duration,
) -> Writer<OpenSearchTarget> {
    let lookup = |name: &str| settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let mut config = EngineConfig::from_env(&mut Environment::new(&lookup)).expect("settings");
    config.request_timeout = TIMEOUT;
    let engine = Engine::connect(&config).await.expect("a client");
    let wanted =
        IndexRequirements { identity: &identity(), create: Some(definition), takes_over: true, keeps_expired: false };
    let made = engine.ensure_index(wanted, Instant::now() + TIMEOUT).await.expect("an index");
    config.request_timeout = request_timeout;
    let engine = Engine::connect(&config).await.expect("a client");
    Writer::new(OpenSearchTarget::new(Arc::new(engine), made.public), Generation(1))
}
