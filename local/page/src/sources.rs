//! Places where the page's figures are counted: table, index, queue, and the observers of the run.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::Client as Tables;
use driftless::queue::Queue as _;
use driftless::queue::sqs::SqsQueue;
use driftless_harness::freshness::Freshness;
use driftless_harness::lag::LagClock;
use driftless_harness::list_dead_letters::{causes, peek};
use driftless_harness::outcomes::Tally;
use driftless_harness::table::TableFacts;
use opensearch::{CountParts, OpenSearch};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::clock::epoch_seconds;
use crate::view::{LagView, LettersView, SidesView, WaitingView};

/// Longest wait for a count; a service that is away is shown as such.
const LIMIT: Duration = Duration::from_secs(1);
/// Seconds of the lag's curve.
const WINDOW: u64 = 120;
/// Dead letters whose causes are counted.
const READ: usize = 1_000;

/// Table, index and queue of a run, and who observes it.
pub struct PageSources {
    /// Client of the table's DynamoDB.
    pub tables: Tables,
    /// Name of the table.
    pub table: String,
    /// True if the table's DynamoDB only estimates the number of its items.
    pub estimates: bool,
    /// Client of the search engine.
    pub engine: OpenSearch,
    /// The index's public name.
    pub index: String,
    /// Dead-letter queue of the run.
    pub queue: Option<Arc<SqsQueue>>,
    /// Lag, and the changes that wait.
    pub freshness: Arc<Freshness>,
    /// Outcomes that the function has counted.
    pub tally: Tally,
    /// Held by who receives from the queue: two readers would hide messages from each other.
    pub queue_use: Arc<Mutex<()>>,
}

impl PageSources {
    pub(crate) fn lag(&self) -> LagView {
        let lag = &self.freshness.lag;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time after 1970")]
        let since = (epoch_seconds() as u64).saturating_sub(WINDOW);
        let points = lag.each_second_ms(since, [0.5, 0.99]).into_iter();
        LagView {
            p50_ms: lag.quantile_ms(0.5),
            p99_ms: lag.quantile_ms(0.99),
            max_ms: lag.max_ms(),
            whole_seconds: lag.clock() == LagClock::Stream,
            window: WINDOW,
            points: points.map(|(second, [p50, p99])| (second, p50, p99)).collect(),
        }
    }

    pub(crate) fn waiting(&self) -> WaitingView {
        let waiting = self.freshness.waiting();
        WaitingView { changes: waiting.changes, oldest: waiting.oldest.as_secs() }
    }

    /// Counts items and documents. A side that does not answer has no count.
    pub(crate) async fn sides(&self) -> SidesView {
        let (items, documents) = tokio::join!(timeout(LIMIT, self.items()), timeout(LIMIT, self.documents()));
        let counted = |count: Result<Result<u64>, _>| count.ok().and_then(Result::ok);
        SidesView { items: counted(items), estimated: self.estimates, documents: counted(documents) }
    }

    async fn items(&self) -> Result<u64> {
        Ok(TableFacts::of(&self.tables, &self.table).await?.items)
    }

    async fn documents(&self) -> Result<u64> {
        let counted = self.engine.count(CountParts::Index(&[&self.index])).send().await.context("count documents")?;
        let answer: Value = counted.error_for_status_code().context("count documents")?.json().await?;
        answer["count"].as_u64().context("find the count in the answer")
    }

    /// Counts the dead letters, and their causes where their number is not that of `before`.
    pub(crate) async fn letters(&self, before: &LettersView) -> Option<LettersView> {
        let queue = self.queue.as_ref()?;
        // Who redrives has them all: then the last count stands.
        let Ok(_use) = self.queue_use.try_lock() else { return Some(before.clone()) };
        let Ok(waiting) = queue.waiting(Instant::now() + LIMIT).await else { return Some(before.clone()) };
        if waiting == before.waiting {
            return Some(before.clone());
        }
        let causes = match waiting {
            0 => Vec::new(),
            _ => peek(queue, READ).await.map(|entries| causes(&entries)).unwrap_or_default(),
        };
        Some(LettersView { waiting, causes })
    }
}
