//! The test bed of all rows: the services, the subject, indices of their own, and the scale of the run.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use driftless::opensearch::{Auth, Engine, EngineConfig, Identity, IndexDefinition, IndexName, IndexRequirements};
use driftless::replication::Fingerprints;
use driftless::version::Generation;
use driftless_display::console::{self, ProgressLine};
use driftless_harness::function::FunctionConfig;
use driftless_harness::mapping::MemoryStream;
use driftless_harness::services::Services;
use hyper::Method;
use tokio::sync::OnceCell;
use url::Url;

use crate::args::Args;
use crate::baseline::BaselineClient;
use crate::changes;
use crate::loaded_table::LoadedTable;
use crate::processes::compiler_time;
use crate::slices::{self, SliceFunctions};
use crate::subject::Subject;
use crate::timed_process::TimedProcess;

const ENSURE_LIMIT: Duration = Duration::from_secs(30);
/// OpenSearch is warm once its compilers take less than this share of a processor in a round.
const COMPILERS_QUIET: f64 = 0.015;
const WARM_UP_ROUND: Duration = Duration::from_secs(3);
/// Longest warm-up of a whole run.
const WARM_UP_LIMIT: Duration = Duration::from_secs(120);
const QUICK_WARM_UP_LIMIT: Duration = Duration::from_secs(20);
/// Longest wait for merges.
const MERGE_LIMIT: Duration = Duration::from_secs(90);
/// Changes between two looks at the clock.
const WARM_UP_CHANGES: u64 = 1_100;
/// Changes of them that are written one by one.
const ALONE: u64 = 100;

/// Services, subject and scale of a run.
pub(crate) struct TestBed {
    pub(crate) services: Services,
    pub(crate) endpoint: String,
    pub(crate) subject: Subject,
    pub(crate) quick: bool,
    items: u64,
    pub(crate) seed: u64,
    slices: Option<SliceFunctions>,
    table: OnceCell<LoadedTable>,
    indices: AtomicU32,
}

impl TestBed {
    /// Test bed on services and a subject that are ready.
    pub(crate) fn new(
        services: Services,
        subject: Subject,
        slices: Option<SliceFunctions>,
        args: &Args,
    ) -> Result<Self> {
        let endpoint = services.opensearch_endpoint().context("find the engine")?.to_owned();
        let (table, indices) = (OnceCell::new(), AtomicU32::new(0));
        let (quick, items, seed) = (args.quick, args.items, args.seed);
        Ok(Self { services, endpoint, subject, quick, items, seed, slices, table, indices })
    }

    /// Returns the full size, or the quick one.
    pub(crate) fn scale<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Name of an index that no other part of the run uses.
    pub(crate) fn index(&self, what: &str) -> String {
        let number = self.indices.fetch_add(1, Ordering::Relaxed);
        format!("bench-{}-{number}-{what}", std::process::id())
    }

    /// Function that writes to `index`.
    pub(crate) fn function(&self, index: &str) -> FunctionConfig {
        self.subject.function(&self.endpoint, index)
    }

    /// The function behind Kinesis, writing to `index`.
    pub(crate) fn kinesis_function(&self, index: &str) -> Result<FunctionConfig> {
        self.subject.kinesis_function(&self.endpoint, index)
    }

    /// Function that does nothing but answer.
    pub(crate) fn no_op(&self) -> FunctionConfig {
        self.subject.no_op()
    }

    /// Table of many items, which the first row that wants it fills.
    pub(crate) async fn loaded_table(&self) -> Result<&LoadedTable> {
        let fill = || LoadedTable::fill(&self.services, self.index("table"), self.items);
        self.table.get_or_try_init(fill).await
    }

    /// Function that loads this table into `index`.
    pub(crate) fn backfill(&self, table: &LoadedTable, index: &str) -> Result<FunctionConfig> {
        self.slice_function(table, index, |functions| &functions.backfill)
    }

    /// Function that compares this table with `index`.
    pub(crate) fn verify(&self, table: &LoadedTable, index: &str) -> Result<FunctionConfig> {
        self.slice_function(table, index, |functions| &functions.verify)
    }

    /// Function that removes the tombstones of `index`.
    pub(crate) fn purge(&self, table: &LoadedTable, index: &str) -> Result<FunctionConfig> {
        self.slice_function(table, index, |functions| &functions.purge)
    }

    /// Function that re-indexes `index`.
    pub(crate) fn reindex(&self, table: &LoadedTable, index: &str) -> Result<FunctionConfig> {
        self.slice_function(table, index, |functions| &functions.reindex)
    }

    fn slice_function(
        &self,
        table: &LoadedTable,
        index: &str,
        pick: fn(&SliceFunctions) -> &PathBuf,
    ) -> Result<FunctionConfig> {
        let functions = self.slices.as_ref().context("find the functions that work in slices")?;
        Ok(slices::configured(&self.services, pick(functions), &table.name, index))
    }

    /// Connection to an index of its own for baseline writes, with the mapping of the function's.
    pub(crate) async fn baseline(&self, what: &str) -> Result<BaselineClient> {
        BaselineClient::connect(&self.endpoint, &self.baseline_index(what).await?).await
    }

    /// Creates an index for baseline writes, and returns the name to write to.
    pub(crate) async fn baseline_index(&self, what: &str) -> Result<String> {
        let index = IndexName::new(&self.index(&format!("{what}-baseline"))).map_err(|problem| anyhow!(problem))?;
        let config = EngineConfig {
            endpoint: Url::parse(&self.endpoint).context("read the engine's URL")?,
            auth: Auth::None,
            authorities: None,
            index: index.clone(),
            source: None,
            request_timeout: ENSURE_LIMIT,
        };
        let engine = Engine::connect(&config).await.context("connect to the engine")?;
        let deadline = tokio::time::Instant::now() + ENSURE_LIMIT;
        let identity = Identity {
            source: None,
            table: Some("baseline".to_owned()),
            partition_key: None,
            generation: Generation(1),
            rules: Fingerprints::default(),
        };
        let wanted = IndexRequirements {
            identity: &identity,
            create: Some(&IndexDefinition::default()),
            takes_over: true,
            keeps_expired: false,
        };
        let made = engine.ensure_index(wanted, deadline).await.context("create an index")?;
        Ok(made.public.alias.name().to_owned())
    }

    /// Writes, as the rows do, until the code of OpenSearch is compiled.
    ///
    /// A JVM that has just started takes many times as long per write.
    /// Its compilers take the processors from all that is measured.
    pub(crate) async fn warm_up(&self) -> Result<()> {
        let _progress = ProgressLine::spinner("warming up the engine: its Java code is compiled as it runs");
        let index = self.index("warm-up");
        let mut lanes =
            [TimedProcess::start(self.function(&index)).await?, TimedProcess::start(self.function(&index)).await?];
        let mut baseline = self.baseline("warm-up").await?;
        let stream = MemoryStream::new("warm-up", changes::KEY);
        let limit = self.scale(WARM_UP_LIMIT, QUICK_WARM_UP_LIMIT);
        let engine = match self.services.opensearch() {
            Some(engine) => engine.pid().await,
            None => None,
        };
        let (started, mut first) = (Instant::now(), 0);
        loop {
            let (round, before) = (Instant::now(), engine.and_then(compiler_time));
            while round.elapsed() < WARM_UP_ROUND {
                write_as_rows_do(&mut lanes, &mut baseline, &stream, first).await?;
                first += WARM_UP_CHANGES;
            }
            let spent = engine.and_then(compiler_time).zip(before).map(|(after, before)| after.saturating_sub(before));
            let quiet =
                spent.is_some_and(|spent| spent.as_secs_f64() < COMPILERS_QUIET * round.elapsed().as_secs_f64());
            if quiet || started.elapsed() > limit {
                break;
            }
        }
        console::note(format!("the engine is warm after {:.0} s", started.elapsed().as_secs_f64()));
        self.drop_indices().await
    }

    /// Switches the automatic refresh of this run's indices off.
    pub(crate) async fn pause_refresh(&self) -> Result<()> {
        let mut baseline = BaselineClient::connect(&self.endpoint, "_all").await?;
        let path = format!("/bench-{}-*/_settings", std::process::id());
        baseline.send(Method::PUT, &path, Bytes::from_static(br#"{"index.refresh_interval":"-1"}"#)).await.map(drop)
    }

    /// Deletes the indices of the row before, so that no row pays for another's merges.
    pub(crate) async fn drop_indices(&self) -> Result<()> {
        let mut baseline = BaselineClient::connect(&self.endpoint, "_all").await?;
        let pattern = format!("bench-{}-*", std::process::id());
        let list = baseline.json(&format!("/_cat/indices/{pattern}?format=json&h=index")).await?;
        for index in list.as_array().into_iter().flatten().filter_map(|index| index["index"].as_str()) {
            baseline.send(Method::DELETE, &format!("/{index}"), Bytes::new()).await?;
        }
        Ok(())
    }

    /// Refreshes an index, and returns a connection to it.
    async fn refreshed(&self, index: &str) -> Result<BaselineClient> {
        let mut baseline = BaselineClient::connect(&self.endpoint, index).await?;
        baseline.send(Method::POST, &format!("/{index}/_refresh"), Bytes::new()).await?;
        Ok(baseline)
    }

    /// Makes every write to an index visible to searches.
    pub(crate) async fn refresh(&self, index: &str) -> Result<()> {
        self.refreshed(index).await.map(drop)
    }

    /// Waits until OpenSearch has merged this index, so that no row pays for the writes of another.
    pub(crate) async fn merged(&self, index: &str) -> Result<()> {
        let mut baseline = self.refreshed(index).await?;
        let started = Instant::now();
        loop {
            let stats = baseline.json(&format!("/{index}/_stats/merge")).await?;
            let running = stats["_all"]["total"]["merges"]["current"].as_u64().context("read the merges")?;
            if running == 0 || started.elapsed() > MERGE_LIMIT {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Number of documents that readers see in the function's index after a refresh.
    pub(crate) async fn visible(&self, index: &str) -> Result<u64> {
        let mut baseline = self.refreshed(index).await?;
        let count = baseline.json(&format!("/{index}/_count")).await?;
        count["count"].as_u64().context("read a count")
    }

    /// Fails unless the function's index shows this many documents.
    /// Other implementations choose their index themselves, so theirs is not checked.
    pub(crate) async fn expect_visible(&self, index: &str, expected: u64) -> Result<()> {
        if self.subject.ours {
            let visible = self.visible(index).await?;
            ensure!(visible == expected, "the index shows {visible} documents instead of {expected}");
        }
        Ok(())
    }
}

/// Writes changes from `first` on, through functions and as baseline writes, one by one and in large batches.
/// One lane creates and modifies the documents, then the other one, which has not seen them, modifies them.
async fn write_as_rows_do(
    lanes: &mut [TimedProcess; 2],
    baseline: &mut BaselineClient,
    stream: &MemoryStream,
    first: u64,
) -> Result<()> {
    for (revision, lane) in [(0, 0), (1, 0), (2, 1)] {
        let lane = &mut lanes[lane];
        let alone = changes::push(stream, (first..first + ALONE).map(|key| changes::put(key, revision, key))).await?;
        for one in alone.chunks(1) {
            lane.deliver(one).await?;
            baseline.read(&changes::document_ids(one)?).await?;
            baseline.bulk(changes::baseline_operations(one)?).await?;
        }
        let together = first + ALONE..first + WARM_UP_CHANGES;
        let together = changes::push(stream, together.map(|key| changes::put(key, revision, key))).await?;
        lane.deliver(&together).await?;
        baseline.bulk(changes::baseline_operations(&together)?).await?;
    }
    Ok(())
}
