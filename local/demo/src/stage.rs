//! What the demo plays on: a table with its stream, the real function behind the event source mapping, an index, a queue.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use aws_sdk_dynamodb::Client as Tables;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::Client as Queues;
use driftless::queue::Queue as _;
use driftless::queue::sqs::SqsQueue;
use driftless_display::console::{self, Progress};
use driftless_harness::activity::{self, INDEX_DEFINITION, PARTITION_KEY, POISON, TABLE};
use driftless_harness::function::{FunctionConfig, build_functions};
use driftless_harness::lag::Lag;
use driftless_harness::load::Meter;
use driftless_harness::mapping::{Backoff, DynamoDbStream, EventSourceMapping, Faults, MappingConfig};
use driftless_harness::outcomes::{Counts, Tally};
use driftless_harness::services::{
    SQS_ENDPOINT, STREAMS_ENDPOINT, Services, dynamodb_client, sqs_client, streams_client,
};
use opensearch::http::transport::Transport;
use opensearch::indices::IndicesDeleteParts;
use opensearch::{BulkParts, OpenSearch};
use tempfile::TempDir;

/// Single writes after which a fresh engine answers as fast as it will, and how long they may take.
const WARM_UP_WRITES: u32 = 6_000;
const WARM_UP_LIMIT: Duration = Duration::from_secs(20);
/// Items that come and go before the first second counts.
const WARM_UP_ITEMS: u32 = 100;

/// How long one redrive may take.
const REDRIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// What is played.
#[derive(Debug)]
pub struct Plan {
    /// The functions.
    pub functions: Functions,
    /// How `replicate` is fed.
    pub mapping: MappingConfig,
    /// How long one invocation of it may take.
    pub timeout: Duration,
}

/// The binaries of the functions that the demo runs.
#[derive(Clone, Debug)]
pub struct Functions {
    /// `replicate`.
    pub replicate: PathBuf,
    /// `redrive`.
    pub redrive: PathBuf,
}

/// The stage, set up.
pub struct Stage {
    /// The table's client.
    pub tables: Tables,
    /// The table's name.
    pub table: String,
    /// The engine's client.
    pub engine: OpenSearch,
    /// The index's public name.
    pub index: String,
    /// The event source mapping.
    pub mapping: EventSourceMapping,
    /// Freshness.
    pub lag: Arc<Lag>,
    /// What the function says.
    pub tally: Tally,
    /// The dead-letter queue.
    pub queue: Arc<SqsQueue>,
    /// The function that redrives, in the same environment.
    pub redrive: FunctionConfig,
    /// Holds the index definition for the function's processes.
    _files: TempDir,
}

/// Builds the functions as they are deployed.
///
/// # Errors
/// Where cargo cannot build them.
pub async fn build() -> Result<Functions> {
    console::note("building the functions `replicate` and `redrive` (release)");
    let built = tokio::task::spawn_blocking(|| build_functions(&["replicate", "redrive"]));
    let [replicate, redrive] = <[PathBuf; 2]>::try_from(built.await.context("wait for cargo")??)
        .map_err(|built| anyhow!("cargo built {} binaries instead of 2", built.len()))?;
    Ok(Functions { replicate, redrive })
}

/// Redeliveries, kills in the middle of an invocation and lost answers, each a few times in this many invocations.
#[must_use]
pub fn faults(invocations: u64) -> Faults {
    let times = |count: u64| NonZeroU64::new((invocations / (count + 1)).max(2));
    Faults {
        redeliver_every: times(20),
        redelivered_batches: 3,
        kill_during_every: times(2),
        kill_after: Duration::from_micros(500),
        lose_answer_every: NonZeroU64::new((invocations / 2).max(3) | 1),
    }
}

impl Stage {
    /// Creates table, queue and mapping; the function creates its index.
    ///
    /// # Errors
    /// Where a service refuses, or the function does not start.
    pub async fn set_up(services: &Services, plan: Plan) -> Result<Self> {
        let _progress = Progress::spinner("creating the table and its event source mapping");
        let tables = dynamodb_client(services.dynamodb_endpoint());
        let table = create_table(&tables).await?;
        let (queues, queue_url) = create_queue(services, &table).await?;
        let endpoint = services.opensearch_endpoint().context("find the engine")?;
        let engine = OpenSearch::new(Transport::single_node(endpoint).context("read the engine's URL")?);
        let files = tempfile::tempdir().context("create a folder for the index definition")?;
        let definition = files.path().join("index.json");
        std::fs::write(&definition, INDEX_DEFINITION).context("write the index definition")?;
        let (lag, tally) = (Arc::new(Lag::default()), Tally::default());
        let mut function = FunctionConfig::new("replicate", plan.functions.replicate)
            .env(SQS_ENDPOINT, services.sqs_endpoint().context("find the queues")?)
            .env(STREAMS_ENDPOINT, services.dynamodb_endpoint())
            .env("DEAD_LETTER_QUEUE_URL", &queue_url)
            .env("OPENSEARCH_ENDPOINT", endpoint)
            .env("OPENSEARCH_AUTH", "none")
            .env("INDEX", &table)
            .env("INDEX_DEFINITION", definition.to_string_lossy())
            .env("PARTITION_KEY", PARTITION_KEY);
        let mut redrive = FunctionConfig::new("redrive", plan.functions.redrive);
        redrive.environment.clone_from(&function.environment);
        redrive.timeout = REDRIVE_TIMEOUT;
        function.stdout_lines = Some(tally.lines());
        function.timeout = plan.timeout;
        let streams = streams_client(services.dynamodb_endpoint());
        let stream = DynamoDbStream::of_table(&tables, streams, &table).await?;
        // Lambda does not document its back-off; this one is short, so that a killed process costs little.
        let retry_backoff = Backoff { initial: Duration::from_millis(50), ..Backoff::default() };
        let config = MappingConfig { retry_backoff, ..plan.mapping };
        let queue = Arc::new(SqsQueue::with_client(queues, queue_url));
        let observer = Some(Arc::clone(&lag) as _);
        let mapping = EventSourceMapping::start_observed(
            config,
            Arc::new(stream),
            Arc::new(function),
            Some(Arc::clone(&queue) as _),
            observer,
        )
        .await?;
        Ok(Self { tables, index: table.clone(), table, engine, mapping, lag, tally, queue, redrive, _files: files })
    }

    /// Brings everything to the state in which a production system is: the engine's code compiled, by writing to another
    /// index, and the function's index and clients made, by replicating items that come and go.
    ///
    /// # Errors
    /// Where a service refuses, or the items are not replicated.
    pub async fn warm_up(&self) -> Result<()> {
        let _progress = Progress::spinner("warming up the engine: its Java code is compiled as it runs");
        let scratch = format!("{}-warm-up", self.index);
        let started = Instant::now();
        for number in 0..WARM_UP_WRITES {
            let operations = vec![format!(r#"{{"create":{{"_id":"{number}"}}}}"#), format!(r#"{{"n":{number}}}"#)];
            let written = self.engine.bulk(BulkParts::Index(&scratch)).body(operations).send().await;
            written.context("warm the engine up")?.error_for_status_code().context("warm the engine up")?;
            if started.elapsed() > WARM_UP_LIMIT {
                break;
            }
        }
        let deleted = self.engine.indices().delete(IndicesDeleteParts::Index(&[&scratch])).send().await;
        deleted.context("delete the warm-up's index")?.error_for_status_code().context("delete the warm-up's index")?;
        self.warm_up_function().await
    }

    /// Lets items come and go, so that the function has made its index, and its way to the queue: they are poison. Their
    /// letters are taken off the queue again.
    async fn warm_up_function(&self) -> Result<()> {
        let key = |number: u32| {
            [(PARTITION_KEY, format!("warm-up-{number}")), ("sk", "warm-up".to_owned())]
                .map(|(name, value)| (name.to_owned(), AttributeValue::S(value)))
        };
        for number in 0..WARM_UP_ITEMS {
            let mut item = HashMap::from(key(number));
            item.insert("follow_up".to_owned(), AttributeValue::S(POISON.to_owned()));
            let put = self.tables.put_item().table_name(&self.table).set_item(Some(item)).send();
            put.await.context("put an item")?;
            let deleted = self.tables.delete_item().table_name(&self.table).set_key(Some(key(number).into())).send();
            deleted.await.context("delete it")?;
        }
        self.mapping.wait_until_drained(WARM_UP_LIMIT * 3).await.context("replicate the first items")?;
        let deadline = tokio::time::Instant::now() + WARM_UP_LIMIT;
        loop {
            let letters = self.queue.receive(deadline).await.context("read the queue")?;
            if letters.is_empty() {
                return Ok(());
            }
            for letter in &letters {
                self.queue.delete(letter, deadline).await.context("delete a letter")?;
            }
        }
    }

    /// What the function says of all records. Its processes end for that, as they keep the counts of up to a second.
    pub async fn counts(&self) -> Counts {
        self.mapping.end_idle().await;
        self.tally.settled().await
    }

    /// One line: writes, applied, lag and duplicates so far.
    pub fn report_progress(&self, meter: &Meter, elapsed: Duration) {
        let (counts, stats) = (self.tally.counts(), self.mapping.stats());
        let ms = |lag: Option<f64>| lag.map_or_else(|| "-".to_owned(), |lag| format!("{lag:.0} ms"));
        console::note(format!(
            "{:5.1} s  written {:6}  applied {:6}  lag p50 {:>7} p99 {:>7}  duplicates {:4}  redelivered {:3}  killed {:2}",
            elapsed.as_secs_f64(),
            meter.done(),
            counts.applied,
            ms(self.lag.quantile_ms(0.5)),
            ms(self.lag.quantile_ms(0.99)),
            counts.duplicate,
            stats.redelivered_batches,
            stats.sabotaged,
        ));
    }

    /// Stops the mapping and its processes.
    pub async fn take_down(self) {
        self.mapping.shutdown().await;
    }
}

/// A service that was there before may have the demo's table from an earlier run: then the name gets the time.
async fn create_table(tables: &Tables) -> Result<String> {
    let existing = tables.list_tables().send().await.context("list the tables")?;
    let mut name = TABLE.to_owned();
    if existing.table_names().contains(&name) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        name = format!("{TABLE}-{}", now.as_secs());
    }
    activity::create_table(tables, &name).await?;
    Ok(name)
}

async fn create_queue(services: &Services, table: &str) -> Result<(Queues, String)> {
    let client = sqs_client(services.sqs_endpoint().context("find the queues")?);
    let created = client.create_queue().queue_name(format!("{table}-dead-letters")).send().await;
    let url = created.context("create the dead-letter queue")?.queue_url.context("read the queue's URL")?;
    Ok((client, url))
}
