//! What all rows stand on: the services, the function under measurement, indices of their own, and the scale of the run.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use driftless::opensearch::{Auth, Engine, EngineConfig, Identity, IndexDefinition, IndexName, Wanted};
use driftless::version::Generation;
use driftless_display::console::{self, Progress};
use driftless_harness::mapping::MemoryStream;
use driftless_harness::services::Services;
use hyper::Method;
use url::Url;

use crate::changes;
use crate::lane::Lane;
use crate::plain::Plain;
use crate::processes::compiler_time;
use crate::subject::Subject;

const ENSURE_LIMIT: Duration = Duration::from_secs(30);
/// The engine is warm once its compilers take less than this share of a processor; looked at after every round.
const COMPILERS_QUIET: f64 = 0.015;
const WARM_UP_ROUND: Duration = Duration::from_secs(3);
/// How long it may take.
const WARM_UP_LIMIT: Duration = Duration::from_secs(120);
const QUICK_WARM_UP_LIMIT: Duration = Duration::from_secs(20);
/// How long merges are waited for.
const MERGE_LIMIT: Duration = Duration::from_secs(90);
/// Changes between two looks at the clock, and how many of them are written alone.
const WARM_UP_CHANGES: u64 = 1_100;
const ALONE: u64 = 100;

/// The bed of a run.
pub(crate) struct Bed {
    pub(crate) services: Services,
    pub(crate) endpoint: String,
    pub(crate) subject: Subject,
    pub(crate) quick: bool,
    pub(crate) seed: u64,
    indices: AtomicU32,
}

impl Bed {
    /// Services and subject, ready.
    pub(crate) fn new(services: Services, subject: Subject, quick: bool, seed: u64) -> Result<Self> {
        let endpoint = services.opensearch_endpoint().context("find the engine")?.to_owned();
        Ok(Self { services, endpoint, subject, quick, seed, indices: AtomicU32::new(0) })
    }

    /// The full size, or the quick one.
    pub(crate) fn scale<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The name of an index that no other part of the run uses.
    pub(crate) fn index(&self, what: &str) -> String {
        let number = self.indices.fetch_add(1, Ordering::Relaxed);
        format!("bench-{}-{number}-{what}", std::process::id())
    }

    /// A connection to an index of its own with the mapping that the function's has, for plain writes.
    pub(crate) async fn plain(&self, what: &str) -> Result<Plain> {
        Plain::connect(&self.endpoint, &self.plain_index(what).await?).await
    }

    /// An index for plain writes; the name to write to.
    pub(crate) async fn plain_index(&self, what: &str) -> Result<String> {
        let index = IndexName::new(&self.index(&format!("{what}-plain"))).map_err(|problem| anyhow!(problem))?;
        let config = EngineConfig {
            endpoint: Url::parse(&self.endpoint).context("read the engine's URL")?,
            auth: Auth::None,
            index: index.clone(),
            request_timeout: ENSURE_LIMIT,
        };
        let engine = Engine::connect(&config).await.context("connect to the engine")?;
        let deadline = tokio::time::Instant::now() + ENSURE_LIMIT;
        let identity = Identity { table: Some("plain".to_owned()), partition_key: None, generation: Generation(1) };
        let wanted = Wanted { identity: &identity, create: Some(&IndexDefinition::default()), takes_over: true };
        let made = engine.ensure_index(wanted, deadline).await.context("create an index")?;
        Ok(made.alias.name().to_owned())
    }

    /// Writes until the engine's code is compiled: a JVM that has just started takes many times as long per write, and its
    /// compilers take the processors from all that is measured. Writes as the rows do: what is not asked for is not compiled.
    pub(crate) async fn warm_up(&self) -> Result<()> {
        let _progress = Progress::spinner("warming up the engine: its Java code is compiled as it runs");
        let index = self.index("warm-up");
        let mut lanes =
            [Lane::start(self.subject.function(&index)).await?, Lane::start(self.subject.function(&index)).await?];
        let mut plain = self.plain("warm-up").await?;
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
                write_as_rows_do(&mut lanes, &mut plain, &stream, first).await?;
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

    /// Lets the indices of this run rest: no refresh until one is asked for.
    pub(crate) async fn pause_refresh(&self) -> Result<()> {
        let mut plain = Plain::connect(&self.endpoint, "_all").await?;
        let path = format!("/bench-{}-*/_settings", std::process::id());
        plain.send(Method::PUT, &path, Bytes::from_static(br#"{"index.refresh_interval":"-1"}"#)).await.map(drop)
    }

    /// Deletes what the row before made, so that no row pays for another's merges.
    pub(crate) async fn drop_indices(&self) -> Result<()> {
        let mut plain = Plain::connect(&self.endpoint, "_all").await?;
        let pattern = format!("bench-{}-*", std::process::id());
        let list = plain.json(&format!("/_cat/indices/{pattern}?format=json&h=index")).await?;
        for index in list.as_array().into_iter().flatten().filter_map(|index| index["index"].as_str()) {
            plain.send(Method::DELETE, &format!("/{index}"), Bytes::new()).await?;
        }
        Ok(())
    }

    /// A connection to an index in which all that was written is searchable.
    async fn refreshed(&self, index: &str) -> Result<Plain> {
        let mut plain = Plain::connect(&self.endpoint, index).await?;
        plain.send(Method::POST, &format!("/{index}/_refresh"), Bytes::new()).await?;
        Ok(plain)
    }

    /// Waits until the engine has merged what was written to this index, so that no row pays for the writing of another.
    pub(crate) async fn merged(&self, index: &str) -> Result<()> {
        let mut plain = self.refreshed(index).await?;
        let started = Instant::now();
        loop {
            let stats = plain.json(&format!("/{index}/_stats/merge")).await?;
            let running = stats["_all"]["total"]["merges"]["current"].as_u64().context("read the merges")?;
            if running == 0 || started.elapsed() > MERGE_LIMIT {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// How many documents readers see in the function's index, once all are searchable.
    pub(crate) async fn visible(&self, index: &str) -> Result<u64> {
        let mut plain = self.refreshed(index).await?;
        let count = plain.json(&format!("/{index}/_count")).await?;
        count["count"].as_u64().context("read a count")
    }

    /// Fails where the function's index does not show so many documents. Other implementations choose their index
    /// themselves, so theirs is not looked at.
    pub(crate) async fn expect_visible(&self, index: &str, expected: u64) -> Result<()> {
        if self.subject.ours {
            let visible = self.visible(index).await?;
            ensure!(visible == expected, "the index shows {visible} documents instead of {expected}");
        }
        Ok(())
    }
}

/// Changes from `first` on: created by one lane, modified by it and then by the other, which has not seen them; one by one,
/// and in batches as large as a backlog's; each through a function and as a plain write.
async fn write_as_rows_do(lanes: &mut [Lane; 2], plain: &mut Plain, stream: &MemoryStream, first: u64) -> Result<()> {
    for (revision, lane) in [(0, 0), (1, 0), (2, 1)] {
        let lane = &mut lanes[lane];
        let alone = changes::push(stream, (first..first + ALONE).map(|key| changes::put(key, revision, key))).await?;
        for one in alone.chunks(1) {
            lane.deliver(one).await?;
            plain.read(&changes::document_ids(one)?).await?;
            plain.bulk(changes::plain_operations(one)?).await?;
        }
        let together = first + ALONE..first + WARM_UP_CHANGES;
        let together = changes::push(stream, together.map(|key| changes::put(key, revision, key))).await?;
        lane.deliver(&together).await?;
        plain.bulk(changes::plain_operations(&together)?).await?;
    }
    Ok(())
}
