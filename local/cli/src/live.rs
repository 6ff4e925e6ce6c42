//! Page of `local replicate`: the same figures as its line, and the troubles that a table of the user's can bear.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use driftless_display::console;
use driftless_harness::freshness::Freshness;
use driftless_harness::function::FunctionConfig;
use driftless_harness::list_dead_letters::queue_at;
use driftless_harness::mapping::{EventSourceMapping, MappingFaults};
use driftless_harness::outcomes::Tally;
use driftless_harness::services::SQS_ENDPOINT;
use driftless_harness::slices::verify::{OrphanSearch, Verification, VerifySummary};
use driftless_page::{
    OrderBook, PageArgs, PageDesk, PageJournal, PageSources, PageSubject, SubjectFigures, Trouble, until,
};
use opensearch::OpenSearch;
use opensearch::http::transport::Transport;
use serde_json::json;
use tokio::sync::Mutex;

use crate::pair::Pair;

/// Timeout of an invocation of verify.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(150);
/// Segments of a verify.
const SEGMENTS: u32 = 2;
/// Least time between two looks at what differs.
const SETTLE_MS: u64 = 1_000;
/// Runs of verify: changes that come meanwhile look like differences to one of them.
const VERIFY_RUNS: u32 = 3;
/// Longest wait for a change, and for those that wait.
const LIMIT: Duration = Duration::from_secs(60);
const OWN_TABLE: &str = "the table is yours; `cargo demo --page` has one for this";
const OWN_ENGINE: &str = "this command has not started OpenSearch; `cargo demo --page` does";
const READ_ONLY: &str = "the table is in an AWS account, and the proof after a trouble would read all of it";

/// Faults that the page's buttons ask for.
pub(crate) const FAULTS: MappingFaults = MappingFaults {
    redeliver_every: None,
    redelivered_batches: 10,
    kill_during_every: None,
    kill_after: Duration::from_micros(500),
    lose_answer_every: None,
};

/// Page of a replication, and the function that proves.
pub(crate) struct LiveReplication {
    desk: PageDesk,
    orders: Mutex<OrderBook>,
    verify: FunctionConfig,
}

/// Replication that a page shows.
struct Replicated<'r> {
    mapping: &'r EventSourceMapping,
    freshness: &'r Freshness,
    verify: &'r FunctionConfig,
}

impl LiveReplication {
    /// Opens the page, and says where it is.
    ///
    /// # Errors
    /// Where verify cannot be built, or the port is not free.
    pub(crate) async fn open(
        args: &PageArgs,
        pair: &Pair,
        queue: Option<&str>,
        freshness: &Arc<Freshness>,
        tally: &Tally,
    ) -> Result<Self> {
        let verify = pair.other_function("verify", VERIFY_TIMEOUT)?;
        let endpoint = pair.variables().get(SQS_ENDPOINT).cloned();
        let transport = Transport::single_node(pair.engine()).context("read the engine's URL")?;
        let sources = PageSources {
            tables: pair.tables.clone(),
            table: pair.facts.name.clone(),
            estimates: pair.is_in_an_account(),
            engine: OpenSearch::new(transport),
            index: pair.index.clone(),
            queue: queue.map(|url| Arc::new(queue_at(endpoint.as_deref(), url))),
            freshness: Arc::clone(freshness),
            tally: tally.clone(),
            queue_use: Arc::default(),
        };
        let journal = PageJournal::new(|line| console::note(format!("page: {line}")));
        let (desk, orders) = PageDesk::open(args, "cargo local replicate --page", sources, journal).await?;
        desk.rule_out(Trouble::Poison, OWN_TABLE);
        desk.rule_out(Trouble::Stream, OWN_TABLE);
        desk.rule_out(Trouble::Engine, OWN_ENGINE);
        if pair.is_in_an_account() {
            [Trouble::Kill, Trouble::Again].into_iter().for_each(|trouble| desk.rule_out(trouble, READ_ONLY));
        }
        console::note(format!("the page is at {}", desk.url()));
        Ok(Self { desk, orders: Mutex::new(orders), verify })
    }

    /// Serves until somebody at the page ends the replication.
    pub(crate) async fn serve(&self, mapping: &EventSourceMapping, freshness: &Freshness) {
        let replicated = Replicated { mapping, freshness, verify: &self.verify };
        let mut orders = self.orders.lock().await;
        tokio::select! {
            () = self.desk.take_orders(&mut orders, "replicating", &replicated) => {}
            never = self.desk.refresh(&replicated) => match never {},
        }
    }

    /// Shows the result of the whole replication.
    pub(crate) async fn conclude(&self, text: &str, mapping: &EventSourceMapping, freshness: &Freshness) {
        let replicated = Replicated { mapping, freshness, verify: &self.verify };
        self.desk.conclude(true, text, &replicated).await;
    }
}

impl Replicated<'_> {
    async fn fault(&self, ask: impl FnOnce(&EventSourceMapping), happened: impl Fn() -> bool) -> Result<()> {
        ask(self.mapping);
        let waited = until("a change of the table", LIMIT, happened).await;
        self.mapping.withdraw_faults();
        waited
    }
}

impl PageSubject for Replicated<'_> {
    fn figures(&self) -> SubjectFigures {
        SubjectFigures { mapping: self.mapping.stats(), written: None }
    }

    async fn inject(&self, trouble: Trouble, journal: &PageJournal) -> Result<()> {
        let stats = || self.mapping.stats();
        let before = stats();
        journal.note("it happens at the next change of the table");
        match trouble {
            Trouble::Kill => {
                self.fault(EventSourceMapping::kill_next, || stats().faults > before.faults).await?;
                journal.note("a process was killed in the middle of an invocation, and its batch is delivered again");
            }
            Trouble::Again => {
                let again = || stats().redelivered_batches > before.redelivered_batches;
                self.fault(EventSourceMapping::deliver_again, again).await?;
                journal.note("the last batches are delivered once more");
            }
            Trouble::Poison | Trouble::Engine | Trouble::Stream => bail!("a replication has no such trouble"),
        }
        Ok(())
    }

    /// The table's writers go on meanwhile: what changes from look to look stays undecided.
    async fn prove(&self, _after: Trouble, journal: &PageJournal) -> Result<VerifySummary> {
        until("the stream's end", LIMIT, || self.freshness.waiting().changes == 0).await?;
        journal.note("every change is done; verify compares");
        let request = json!({"settle_ms": SETTLE_MS});
        let (function, orphans) = (self.verify.clone(), OrphanSearch::Proof);
        let verification = Verification { function, request, segments: Some(SEGMENTS), orphans };
        let mut runs = 0;
        loop {
            let summary =
                verification.run(&mut verification.begin(), |_| ()).await.context("verify table and index")?;
            runs += 1;
            if summary.differences() == 0 && summary.pending == 0 {
                return Ok(summary);
            }
            if runs == VERIFY_RUNS {
                ensure!(summary.pending == 0, "{}", summary.behind.unwrap_or_default());
                return Ok(summary);
            }
        }
    }
}
