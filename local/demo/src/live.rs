//! Demo with a page: it goes on until Ctrl-C, with the troubles that somebody at the page injects.

use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use driftless_display::console;
use driftless_harness::slices::verify::{OrphanSearch, VerifySummary};
use driftless_harness::words::counted;
use driftless_page::{OrderBook, PageDesk, PageJournal, PageSources, PageSubject, SubjectFigures, Trouble, until};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::proof;
use crate::recovery::OWN_ENGINE;
use crate::run::DemoRun;
use crate::troubles;

/// Longest time that the stream takes to drain after a trouble.
const DRAIN_LIMIT: Duration = Duration::from_secs(120);
/// Longest time of a write to the table.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// Tries of a verify that takes the stream to be behind.
const PROOFS: u32 = 5;
/// Time between two of them: such a look lasts half a minute.
const BEHIND: Duration = Duration::from_secs(10);
/// Exit code of a process that SIGINT ends.
const INTERRUPTED: i32 = 130;

/// Page of a run, with the orders that come from it.
pub(crate) struct LiveDemo {
    pub(crate) desk: Arc<PageDesk>,
    orders: Mutex<OrderBook>,
}

impl LiveDemo {
    /// Opens the page, and says where it is.
    pub(crate) async fn open(run: &DemoRun<'_>) -> Result<Self> {
        let stage = run.stage;
        let sources = PageSources {
            tables: stage.tables.clone(),
            table: stage.table.clone(),
            estimates: false,
            engine: stage.engine.clone(),
            index: stage.index.clone(),
            queue: Some(Arc::clone(&stage.queue)),
            freshness: Arc::clone(&stage.freshness),
            tally: stage.tally.clone(),
            queue_use: Arc::clone(&run.queue_use),
        };
        let journal = PageJournal::new(|line| console::note(format!("page: {line}")));
        let (desk, orders) = PageDesk::open(&run.args.page, "cargo demo --page", sources, journal).await?;
        if run.services.opensearch().is_none() {
            desk.rule_out(Trouble::Engine, OWN_ENGINE);
        }
        console::note(format!("the page is at {}", desk.url()));
        Ok(Self { desk: Arc::new(desk), orders: Mutex::new(orders) })
    }

    /// Carries the page's orders out until somebody ends them, there or with Ctrl-C.
    pub(crate) async fn take_orders(&self, run: &DemoRun<'_>) -> Result<()> {
        console::note(format!("the buttons of the page are live: {}; Ctrl-C ends the run", self.desk.url()));
        // It goes on to the end of the process, so that the second Ctrl-C is heard whatever the first has ended.
        tokio::spawn(end_on_interrupt(Arc::downgrade(&self.desk)));
        self.desk.take_orders(&mut *self.orders.lock().await, "replicating", run).await;
        Ok(())
    }
}

/// Ends the orders at the first Ctrl-C, after the trouble that is at work; the second ends the process.
async fn end_on_interrupt(desk: Weak<PageDesk>) {
    if tokio::signal::ctrl_c().await.is_err() {
        return;
    }
    console::note("ending: the stream drains, and verify compares; Ctrl-C again ends at once");
    if let Some(desk) = desk.upgrade() {
        desk.end();
    }
    if tokio::signal::ctrl_c().await.is_ok() {
        std::process::exit(INTERRUPTED);
    }
}

impl PageSubject for DemoRun<'_> {
    fn figures(&self) -> SubjectFigures {
        SubjectFigures { mapping: self.stage.mapping.stats(), written: Some(self.meter.done()) }
    }

    async fn inject(&self, trouble: Trouble, journal: &PageJournal) -> Result<()> {
        match trouble {
            Trouble::Kill => troubles::kill(self, journal).await,
            Trouble::Again => troubles::deliver_again(self, journal).await,
            Trouble::Poison => troubles::poison(self, journal).await,
            Trouble::Engine => troubles::stop_engine(self, journal).await,
            Trouble::Stream => troubles::recreate_stream(self, journal).await,
        }
    }

    async fn prove(&self, after: Trouble, journal: &PageJournal) -> Result<VerifySummary> {
        if after == Trouble::Stream {
            self.repair(journal).await?;
        }
        for _ in 1..PROOFS {
            let verify = self.verify_at_rest(journal).await?;
            if verify.pending == 0 {
                return Ok(verify);
            }
            sleep(BEHIND).await;
        }
        self.verify_at_rest(journal).await
    }
}

impl DemoRun<'_> {
    /// Repairs what no stream carries, while the load goes on. Where the lag has grown meanwhile, verify takes the
    /// stream to be behind, and repairs nothing.
    async fn repair(&self, journal: &PageJournal) -> Result<()> {
        for _ in 0..PROOFS {
            let request = json!({"repair": true, "settle_ms": proof::settle_after_lag_ms(self.stage)});
            let repair = proof::verify(self.stage, request, OrphanSearch::Full).await?;
            if repair.pending == 0 {
                let found = counted(repair.differences(), "change");
                journal.note(format!("verify found {found} that no stream carried, and repaired {}", repair.repaired));
                return Ok(());
            }
            journal.note("verify looks again: changes came too late to tell them from those that no stream carries");
            sleep(BEHIND).await;
        }
        bail!("verify takes the stream to be behind, {PROOFS} times in a row");
    }

    /// Compares both sides while the load is held: nothing is equal while it changes.
    async fn verify_at_rest(&self, journal: &PageJournal) -> Result<VerifySummary> {
        let _held = self.meter.hold().await;
        until("the table's answer", WRITE_LIMIT, || self.meter.done() >= self.meter.due()).await?;
        self.stage.mapping.wait_until_drained(DRAIN_LIMIT).await.context("wait until the stream has drained")?;
        journal.note("every change is done; the load pauses for the proof");
        proof::verify(self.stage, json!({}), OrphanSearch::Full).await
    }
}
