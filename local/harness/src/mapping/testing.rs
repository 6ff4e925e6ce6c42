//! A scripted double of a Lambda function, and records for tests.

use std::{
    collections::HashSet,
    fmt::Display,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};

use super::{
    EventSourceMapping, JsonItem, MappingConfig, MemoryChange, MemoryMessages, MemoryStream, OnFailure, RetryBackoff,
    record::StreamRecord, stream::ChangeStream,
};
use crate::function::{Invocation, InvocationOutcome, Invoke, Launch, ProcessFault, new_request_id};

/// When all test records were written, in seconds since the epoch.
pub(super) const ARRIVAL_S: i64 = 1_700_000_000;

/// A record with the sequence number `number` and the partition key `key`.
pub(super) fn record(number: impl Display, key: &str) -> StreamRecord {
    let json = json!({"dynamodb": {
        "ApproximateCreationDateTime": ARRIVAL_S, "Keys": {"pk": {"S": key}}, "SequenceNumber": number.to_string(),
    }});
    StreamRecord::from_json(Bytes::from(json.to_string()), "pk").unwrap()
}

/// A change of the item `key`.
pub(super) fn change(key: &str) -> MemoryChange {
    let item: JsonItem = [("pk".to_owned(), json!({"S": key}))].into_iter().collect();
    MemoryChange { event_name: "INSERT", keys: item.clone(), new_image: Some(item), ..MemoryChange::default() }
}

/// Lambda's settings, but in a hurry.
pub(super) fn quick_config() -> MappingConfig {
    let (initial, maximum) = (Duration::from_millis(1), Duration::from_millis(4));
    MappingConfig {
        poll_interval: Duration::from_millis(2),
        retry_backoff: RetryBackoff { initial, maximum },
        ..MappingConfig::default()
    }
}

/// Records that the function saw in one invocation, and what it did.
#[derive(Clone, Debug)]
pub(super) struct SeenInvocation {
    pub(super) environment: usize,
    pub(super) numbers: Vec<String>,
    pub(super) keys: Vec<String>,
    pub(super) outcome: InvocationOutcome,
    pub(super) start: Instant,
    pub(super) end: Instant,
}

impl SeenInvocation {
    fn new(environment: usize, payload: &[u8]) -> Self {
        let event: Value = serde_json::from_slice(payload).unwrap();
        let records = event["Records"].as_array().unwrap();
        let text = |record: &Value, path: &str| record.pointer(path).unwrap().as_str().unwrap().to_owned();
        Self {
            environment,
            numbers: records.iter().map(|record| text(record, "/dynamodb/SequenceNumber")).collect(),
            keys: records.iter().map(|record| text(record, "/dynamodb/Keys/pk/S")).collect(),
            outcome: InvocationOutcome::TimedOut,
            start: Instant::now(),
            end: Instant::now(),
        }
    }

    /// The answer that reports these records as failed.
    pub(super) fn failures<'a>(numbers: impl IntoIterator<Item = &'a String>) -> InvocationOutcome {
        let failures: Vec<_> = numbers.into_iter().map(|number| json!({"itemIdentifier": number})).collect();
        InvocationOutcome::Response(json!({"batchItemFailures": failures}).to_string().into())
    }
}

type Script = Box<dyn Fn(&SeenInvocation) -> InvocationOutcome + Send + Sync>;

/// A function whose answers are a script.
pub(super) struct ScriptedFunction {
    script: Script,
    work: Duration,
    calls: Mutex<Vec<SeenInvocation>>,
    environments: AtomicUsize,
    /// So many launches fail first.
    pub(super) failing_launches: AtomicUsize,
}

/// An answer that reports no failure.
pub(super) fn success() -> InvocationOutcome {
    InvocationOutcome::Response(Bytes::from_static(b"{\"batchItemFailures\":[]}"))
}

/// Returns a function error of some kind.
pub(super) fn function_error() -> InvocationOutcome {
    InvocationOutcome::FunctionError { kind: "Scripted".into(), message: "as the script says".into() }
}

impl ScriptedFunction {
    /// A function that takes a millisecond for a batch.
    pub(super) fn new(script: impl Fn(&SeenInvocation) -> InvocationOutcome + Send + Sync + 'static) -> Arc<Self> {
        Self::taking(Duration::from_millis(1), script)
    }

    /// A function that takes no time.
    pub(super) fn instant(script: impl Fn(&SeenInvocation) -> InvocationOutcome + Send + Sync + 'static) -> Arc<Self> {
        Self::taking(Duration::ZERO, script)
    }

    fn taking(
        work: Duration,
        script: impl Fn(&SeenInvocation) -> InvocationOutcome + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            work,
            calls: Mutex::default(),
            environments: AtomicUsize::new(0),
            failing_launches: AtomicUsize::new(0),
        })
    }

    /// A function that fails on every batch with one of `keys` in it.
    pub(super) fn failing_on(keys: &[&str]) -> Arc<Self> {
        let keys: HashSet<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        Self::new(move |call| if call.keys.iter().any(|key| keys.contains(key)) { function_error() } else { success() })
    }

    pub(super) fn calls(&self) -> Vec<SeenInvocation> {
        self.calls.lock().unwrap().clone()
    }

    /// The keys of each call.
    pub(super) fn deliveries(&self) -> Vec<String> {
        self.calls().iter().map(|call| call.keys.join(" ")).collect()
    }
}

struct ScriptedEnvironment(usize, Arc<ScriptedFunction>);

/// Launches the same scripted function, however many environments there are.
pub(super) struct Launcher(pub(super) Arc<ScriptedFunction>);

#[async_trait]
impl Launch for Launcher {
    fn function_arn(&self) -> &str {
        "arn:aws:lambda:us-east-1:000000000000:function:scripted"
    }

    async fn launch(&self) -> Result<Box<dyn Invoke>> {
        Ok(Box::new(ScriptedEnvironment(self.0.environments.fetch_add(1, SeqCst), Arc::clone(&self.0))))
    }
}

#[async_trait]
impl Invoke for ScriptedEnvironment {
    async fn warm_up(&mut self) -> Result<()> {
        Ok(())
    }

    async fn invoke(&mut self, payload: Bytes, fault: Option<ProcessFault>) -> Result<Invocation> {
        if self.1.failing_launches.try_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            bail!("the script lets this launch fail");
        }
        let mut call = SeenInvocation::new(self.0, &payload);
        match self.1.work {
            Duration::ZERO => yield_now().await,
            work => sleep(work).await,
        }
        let outcome = (self.1.script)(&call);
        (call.end, call.outcome) = (Instant::now(), fault.map_or(outcome, |_| InvocationOutcome::Exited(None)));
        self.1.calls.lock().unwrap().push(call.clone());
        Ok(Invocation { request_id: new_request_id(), outcome: call.outcome, duration: call.end - call.start })
    }

    async fn kill(&mut self) {}
}

/// A mapping of a memory stream to a scripted function.
pub(super) struct Bench {
    pub(super) stream: Arc<MemoryStream>,
    pub(super) function: Arc<ScriptedFunction>,
    pub(super) messages: Arc<MemoryMessages>,
}

impl Bench {
    pub(super) fn new(function: Arc<ScriptedFunction>) -> Self {
        let stream = Arc::new(MemoryStream::new("table", "pk"));
        Self { stream, function, messages: Arc::default() }
    }

    pub(super) fn push(&self, keys: &str) {
        keys.split_whitespace().for_each(|key| {
            self.stream.push(&change(key)).unwrap();
        });
    }

    pub(super) async fn start(&self, config: MappingConfig) -> EventSourceMapping {
        self.start_with(config, Some(Arc::clone(&self.messages) as Arc<dyn OnFailure>)).await
    }

    pub(super) async fn start_with(
        &self,
        config: MappingConfig,
        on_failure: Option<Arc<dyn OnFailure>>,
    ) -> EventSourceMapping {
        let stream = Arc::clone(&self.stream) as Arc<dyn ChangeStream>;
        let launcher = Arc::new(Launcher(Arc::clone(&self.function)));
        EventSourceMapping::start(config, stream, launcher, on_failure).await.unwrap()
    }

    /// Starts a mapping, waits until it is drained, and shuts it down.
    pub(super) async fn drain(&self, config: MappingConfig) -> super::MappingStats {
        let mapping = self.start(config).await;
        mapping.wait_until_drained(Duration::from_secs(60)).await.unwrap();
        assert!(mapping.drained());
        mapping.shutdown().await
    }
}
