//! Stage of the demo: a table with its stream, the real function behind the event source mapping, an index, a queue.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use aws_sdk_dynamodb::Client as Tables;
use aws_sdk_sqs::Client as Queues;
use driftless::queue::sqs::SqsQueue;
use driftless_display::console::{self, ProgressLine};
use driftless_display::style;
use driftless_harness::activity::{self, INDEX_DEFINITION, PARTITION_KEY, TABLE};
use driftless_harness::freshness::Freshness;
use driftless_harness::function::{BuildProfile, FunctionConfig, build_functions};
use driftless_harness::load::Meter;
use driftless_harness::mapping::{DynamoDbStream, MappingConfig, MappingFaults, RetryBackoff, StartingPosition};
use driftless_harness::outcomes::{FunctionCounts, Tally};
use driftless_harness::services::{
    DYNAMODB_ENDPOINT, SQS_ENDPOINT, STREAMS_ENDPOINT, Services, client_error, dynamodb_client, sqs_client,
    streams_client,
};
use driftless_harness::words::counted;
use opensearch::OpenSearch;
use opensearch::http::transport::Transport;
use tempfile::TempDir;

use crate::current_mapping::{CurrentMapping, MappingParts};
use crate::first_load::HeldItems;
use crate::warm_up;

/// Longest start of the event source mapping.
const START_LIMIT: Duration = Duration::from_secs(30);
/// A change that waits longer than this is worth a remark: the poll, and DynamoDB's times to the second, account for
/// less.
pub(crate) const LONG_WAIT: Duration = Duration::from_secs(3);

/// Timeout of the functions that no stream invokes.
const WORK_TIMEOUT: Duration = Duration::from_secs(150);
/// The functions that are built.
const NAMES: [&str; 5] = ["replicate", "redrive", "backfill", "verify", "reindex"];

/// Functions and settings of a run.
#[derive(Debug)]
pub struct StagePlan {
    /// Binaries of the functions.
    pub functions: Functions,
    /// Settings of the mapping that feeds `replicate`.
    pub mapping: MappingConfig,
    /// Timeout of the function `replicate`.
    pub timeout: Duration,
    /// Items that the table holds before it is replicated.
    pub held: HeldItems,
}

/// The binaries of the functions that the demo runs.
#[derive(Clone, Debug)]
pub struct Functions {
    /// Binary of `replicate`, for the stream's records.
    pub replicate: PathBuf,
    /// Binary of `redrive`, for the dead letters.
    pub redrive: PathBuf,
    /// Binary of `backfill`, for the items from before the load.
    pub backfill: PathBuf,
    /// Binary of `verify`, for the proof at the end.
    pub verify: PathBuf,
    /// Binary of `reindex`, for the move to a new index.
    pub reindex: PathBuf,
}

/// The stage, set up.
pub struct DemoStage {
    /// Client of the table's DynamoDB.
    pub tables: Tables,
    /// Name of the table.
    pub table: String,
    /// Client of the search engine.
    pub engine: OpenSearch,
    /// The index's public name.
    pub index: String,
    /// The event source mapping.
    pub mapping: CurrentMapping,
    /// Lag of the changes that are done, and age of those that wait.
    pub freshness: Arc<Freshness>,
    /// Outcomes that the function has counted.
    pub tally: Tally,
    /// Client of the dead-letter queue.
    pub queue: Arc<SqsQueue>,
    /// URL of the dead-letter queue.
    pub queue_url: String,
    /// The function that redrives, in the same environment.
    pub redrive: FunctionConfig,
    /// The function that loads the table, in the same environment.
    pub backfill: FunctionConfig,
    /// The function that compares table and index, in the same environment.
    pub verify: FunctionConfig,
    /// The function that re-indexes, in the same environment.
    pub reindex: FunctionConfig,
    /// Items that the table held before it was replicated.
    pub held: HeldItems,
    /// Holds the index definition for the function's processes.
    _files: TempDir,
}

/// Builds the functions: in the profile of the tool, whose dependencies are compiled by then, or as they are deployed.
///
/// # Errors
/// Where cargo cannot build them.
pub async fn build(profile: BuildProfile) -> Result<Functions> {
    let built = tokio::task::spawn_blocking(move || build_functions(&NAMES, profile));
    let [replicate, redrive, backfill, verify, reindex] =
        <[PathBuf; NAMES.len()]>::try_from(built.await.context("wait for cargo")??)
            .map_err(|built| anyhow!("cargo built {} binaries instead of {}", built.len(), NAMES.len()))?;
    Ok(Functions { replicate, redrive, backfill, verify, reindex })
}

/// Redeliveries, kills in the middle of an invocation and lost answers, each a few times in this many invocations.
#[must_use]
pub fn faults(invocations: u64) -> MappingFaults {
    let times = |count: u64| NonZeroU64::new((invocations / (count + 1)).max(2));
    MappingFaults {
        redeliver_every: times(20),
        redelivered_batches: 3,
        kill_during_every: times(2),
        kill_after: Duration::from_micros(500),
        lose_answer_every: NonZeroU64::new((invocations / 2).max(3) | 1),
    }
}

impl DemoStage {
    /// Creates table and queue, warms everything up, fills the table, and starts the event source mapping behind that.
    /// The function creates its index.
    ///
    /// # Errors
    /// Where a service refuses, or the function does not start.
    pub async fn set_up(services: &Services, plan: StagePlan) -> Result<Self> {
        let tables = dynamodb_client(services.dynamodb_endpoint());
        let table = create_table(&tables).await?;
        let (queues, queue_url) = create_queue(services, &table).await?;
        let queue = Arc::new(SqsQueue::with_client(queues, queue_url.clone()));
        let endpoint = services.opensearch_endpoint().context("find the engine")?;
        let engine = OpenSearch::new(Transport::single_node(endpoint).context("read the engine's URL")?);
        let files = tempfile::tempdir().context("create a folder for the index definition")?;
        let definition = files.path().join("index.json");
        std::fs::write(&definition, INDEX_DEFINITION).context("write the index definition")?;
        let mut function = FunctionConfig::new("replicate", plan.functions.replicate)
            .env(SQS_ENDPOINT, services.sqs_endpoint().context("find the queues")?)
            .env(STREAMS_ENDPOINT, services.dynamodb_endpoint())
            .env("DEAD_LETTER_QUEUE_URL", &queue_url)
            .env("OPENSEARCH_ENDPOINT", endpoint)
            .env("OPENSEARCH_AUTH", "none")
            .env("INDEX", &table)
            .env("INDEX_DEFINITION", definition.to_string_lossy())
            .env("PARTITION_KEY", PARTITION_KEY);
        let beside = |name: &str, binary: PathBuf| {
            let mut config = FunctionConfig::new(name, binary);
            config.environment.clone_from(&function.environment);
            config.timeout = WORK_TIMEOUT;
            config
        };
        let of_table = |name: &str, binary: PathBuf| {
            beside(name, binary).env("TABLE_NAME", &table).env(DYNAMODB_ENDPOINT, services.dynamodb_endpoint())
        };
        let redrive = beside("redrive", plan.functions.redrive);
        let backfill = of_table("backfill", plan.functions.backfill);
        let verify = of_table("verify", plan.functions.verify);
        let reindex = of_table("reindex", plan.functions.reindex);
        function.timeout = plan.timeout;
        let streams = streams_client(services.dynamodb_endpoint());
        let stream = Arc::new(DynamoDbStream::of_table(&tables, streams, &table).await?);
        // Lambda does not document its back-off; this one is short, so that a killed process costs little.
        let retry_backoff = RetryBackoff { initial: Duration::from_millis(50), ..RetryBackoff::default() };
        let config = MappingConfig { retry_backoff, ..plan.mapping };
        {
            let _progress = ProgressLine::spinner("warming up OpenSearch: its Java code is compiled as it runs");
            warm_up::engine(&engine, &table).await?;
            let mapping = MappingConfig { faults: MappingFaults::default(), ..config.clone() };
            let launcher = Arc::new(function.clone());
            warm_up::function((&tables, &table), &queue, (mapping, Arc::clone(&stream) as _, launcher)).await?;
        }
        // The stream has these items, too, and the mapping never delivers them: it begins behind them.
        plan.held.put(&tables, &table).await?;
        let (freshness, tally) = (Arc::new(Freshness::default()), Tally::default());
        function.stdout_lines = Some(tally.lines());
        // Nothing of the warm-up counts: this mapping begins behind it.
        let config = MappingConfig { starting_position: StartingPosition::Latest, ..config };
        let (queue_of_mapping, observer) = (Arc::clone(&queue), Arc::clone(&freshness));
        let function = Arc::new(function);
        let parts = MappingParts { config, function, queue: queue_of_mapping, freshness: observer };
        let mapping = CurrentMapping::start(parts, stream).await?;
        // It stands at the end of the stream once it has read that there is nothing more.
        mapping.wait_until_drained(START_LIMIT).await.context("start the event source mapping")?;
        Ok(Self {
            tables,
            index: table.clone(),
            table,
            engine,
            mapping,
            freshness,
            tally,
            queue,
            queue_url,
            redrive,
            backfill,
            verify,
            reindex,
            held: plan.held,
            _files: files,
        })
    }

    /// Counts all records of the run, by outcome. The processes end for that, as they keep the counts of up to a
    /// second.
    pub async fn counts(&self) -> FunctionCounts {
        self.mapping.end_idle().await;
        self.tally.settled().await
    }

    /// Prints one line: writes, applied changes, those that wait, and the lag so far.
    pub fn report_progress(&self, meter: &Meter, elapsed: Duration) {
        let (counts, stats, lag) = (self.tally.counts(), self.mapping.stats(), &self.freshness.lag);
        let ms = |lag: Option<f64>| lag.map_or_else(|| "-".to_owned(), |lag| format!("{lag:.0} ms"));
        let waiting = self.freshness.waiting();
        let mut line = format!(
            "{:5.1} s  written {:6}  applied {:6}  waiting {:5}",
            elapsed.as_secs_f64(),
            meter.done(),
            counts.applied,
            waiting.changes,
        );
        if waiting.oldest > LONG_WAIT {
            let oldest = format!(", the oldest for {} s", waiting.oldest.as_secs());
            line.push_str(&style::warning(oldest));
        }
        console::note(format!(
            "{line}  lag p50 {:>6} p99 {:>6}  on purpose: {} again, {} killed",
            ms(lag.quantile_ms(0.5)),
            ms(lag.quantile_ms(0.99)),
            counted(stats.redelivered_batches, "batch"),
            stats.faults,
        ));
    }

    /// Stops the mapping and its processes.
    pub async fn take_down(self) {
        self.mapping.end().await;
    }
}

/// A service that was there before may have the demo's table from an earlier run: then the name gets the time.
async fn create_table(tables: &Tables) -> Result<String> {
    let existing = tables.list_tables().send().await.map_err(client_error).context("list the tables")?;
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
    let url = created
        .map_err(client_error)
        .context("create the dead-letter queue")?
        .queue_url
        .context("read the queue's URL")?;
    Ok((client, url))
}
