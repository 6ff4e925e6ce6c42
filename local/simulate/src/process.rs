//! Processes of the function: real handler and real writer, one invocation at a time, gone when they are killed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use driftless::dead_letter::Sender;
use driftless::function::Deadlines;
use driftless::function::replicate::{DynamoDbStreams, Function, Metrics, StreamEvent, Trigger};
use driftless::source::RecordSource;
use driftless::testing::TABLE_ARN;
use driftless::writer::Writer;
use driftless_harness::function::InvocationOutcome;
use driftless_harness::mapping::record::{StreamRecord, payload};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::client::Client;
use crate::guard::Guard;
use crate::index::SimulatedIndex;
use crate::items::ModelItems;
use crate::mailbox::Mailbox;
use crate::shown::ShownBatch;
use crate::world::World;

/// Time-out of an invocation.
const TIMEOUT: Duration = Duration::from_millis(2_000);
/// Time that the function keeps for its answer.
const MARGIN: Duration = Duration::from_millis(200);

/// Sender of the function's dead letters.
pub(crate) const SENDER: Sender<'_> = Sender { index: "i", function_version: "simulated" };

/// An execution environment of Lambda.
pub(crate) struct Process<I> {
    pub(crate) number: u64,
    pub(crate) writer: Writer<Client<I>>,
    mailbox: Mailbox<I>,
    /// Notified when the process is killed at work.
    pub(crate) killed: Arc<Notify>,
}

/// Processes of the function. Idle ones wait for the next invocation.
pub(crate) struct Processes<I> {
    world: Arc<World<I>>,
    idle: Mutex<Vec<Process<I>>>,
    started: AtomicU64,
}

impl<I: SimulatedIndex> Processes<I> {
    pub(crate) fn new(world: Arc<World<I>>) -> Arc<Self> {
        Arc::new(Self { world, idle: Mutex::default(), started: AtomicU64::new(0) })
    }

    /// World that the processes write to.
    pub(crate) fn world(&self) -> &Arc<World<I>> {
        &self.world
    }

    /// Starts a process, which remembers nothing. A `forced` one ignores the states of documents.
    pub(crate) fn start(&self, forced: bool) -> Process<I> {
        let number = 1 + self.started.fetch_add(1, Ordering::Relaxed);
        let killed = Arc::new(Notify::new());
        let client = Client::new(Arc::clone(&self.world), number, Arc::clone(&killed), forced);
        let mailbox = Mailbox::new(Arc::clone(&self.world), Arc::clone(&killed));
        Process { number, writer: Writer::new(client, self.world.generation()), mailbox, killed }
    }

    /// Ends the idle processes, as a new deployment does.
    pub(crate) fn end_idle(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Process<I>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Process<I> {
        let idle = self.idle().pop();
        idle.unwrap_or_else(|| self.start(false))
    }

    /// Invokes the function with a batch, in an idle process or a new one.
    pub(crate) async fn invoke(&self, records: &[StreamRecord]) -> InvocationOutcome {
        let process = self.take_idle();
        self.world.count("invocations", 1);
        self.world.count("deliveries", records.len() as u64);
        let killed = Arc::clone(&process.killed);
        let ended = tokio::select! {
            biased;
            () = killed.notified() => InvocationOutcome::Exited(None),
            ended = timeout(TIMEOUT, self.run_handler(&process, records)) => ended.unwrap_or(InvocationOutcome::TimedOut),
        };
        let ended = if self.loses_answer() { InvocationOutcome::Exited(None) } else { ended };
        self.world.note(format_args!("p{} {ended}, {} records", process.number, records.len()));
        // A time-out or an exit ends the process, and what it remembered with it.
        if matches!(ended, InvocationOutcome::Response(_) | InvocationOutcome::FunctionError { .. }) {
            self.idle().push(process);
        }
        ended
    }

    /// Runs the handler, as Lambda's runtime does.
    async fn run_handler(&self, process: &Process<I>, records: &[StreamRecord]) -> InvocationOutcome {
        let batch = ShownBatch::new(&self.world, records);
        let event = payload(&batch.records);
        let event: StreamEvent = serde_json::from_slice(&event).expect("the model's records are records");
        process.mailbox.send_unsent();
        process.mailbox.begin_batch(&self.world.ordinals(records));
        let deadlines = Deadlines::before(Instant::now() + TIMEOUT, MARGIN);
        let mut metrics = Metrics::new(records.len());
        let function = Function {
            source: source_of(records),
            items: Some(&ModelItems::deciding(&self.world, process.number)),
            read_options: &self.world.reading(),
            writer: Some(&process.writer),
            queue: Some(&process.mailbox),
            sender: SENDER,
        };
        match function.handle(&event.records, deadlines, &mut metrics).await {
            Ok(failures) => {
                let mut failures: Vec<_> = failures.into_iter().map(|number| batch.number_in_stream(number)).collect();
                if !self.world.stands(Guard::FailureReport) {
                    failures.clear();
                }
                if !self.world.stands(Guard::LowestFailure) && failures.len() > 1 {
                    failures.drain(..failures.len() - 1);
                }
                // Travel time of the answer.
                sleep(Duration::from_millis(self.world.chance(process.number, u64::MAX - 1, 5))).await;
                let response = DynamoDbStreams::response(failures);
                InvocationOutcome::Response(Bytes::from(serde_json::to_vec(&response).expect("a response is JSON")))
            }
            Err(error) => {
                InvocationOutcome::FunctionError { kind: error.kind().to_owned(), message: error.to_string() }
            }
        }
    }

    fn loses_answer(&self) -> bool {
        let loses = self.world.faults.loses_answer();
        if loses {
            self.world.count("lost answers of the function", 1);
        }
        loses
    }
}

/// Returns the source of the function that takes these records.
fn source_of(records: &[StreamRecord]) -> RecordSource<'static> {
    let source = records.first().and_then(|record| std::str::from_utf8(record.json()).ok());
    let source = source.and_then(|json| RecordSource::of(json, Some(TABLE_ARN)));
    source.unwrap_or(RecordSource::DynamoDbStreams)
}
