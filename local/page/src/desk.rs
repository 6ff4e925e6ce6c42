//! Desk of a page: collects and publishes figures, and carries out one order after the other.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use driftless_harness::slices::verify::VerifySummary;
use driftless_harness::words::counted;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::args::PageArgs;
use crate::board::{Board, PageOrder};
use crate::clock::epoch_seconds;
use crate::journal::{JournalKind, PageJournal};
use crate::server::PageServer;
use crate::sources::PageSources;
use crate::subject::PageSubject;
use crate::trouble::Trouble;
use crate::view::{LettersView, MappingView, PageView, ProofView, SidesView, TroubleView, VerdictView};

/// Time between two states that are published.
const PUBLISHING: Duration = Duration::from_millis(500);
/// Time between two counts of items, documents and dead letters.
const COUNTING: Duration = Duration::from_secs(1);
/// Longest wait for somebody who fetches the verdict.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// A page that is served, and what it shows.
pub struct PageDesk {
    command: String,
    server: PageServer,
    board: Arc<Board>,
    sources: PageSources,
    journal: PageJournal,
    opened: Instant,
    shown: Mutex<Shown>,
}

/// Orders from the page, each of which is carried out once.
pub struct OrderBook(mpsc::UnboundedReceiver<PageOrder>);

/// Parts of the page that are not counted anew each time.
#[derive(Clone, Debug, Default)]
struct Shown {
    phase: String,
    sides: SidesView,
    letters: Option<LettersView>,
    proof: Option<ProofView>,
    verdict: Option<VerdictView>,
}

impl PageDesk {
    /// Opens the page of `command`. It takes no orders before [`take_orders`](Self::take_orders).
    ///
    /// # Errors
    /// Where the port is not free.
    pub async fn open(
        args: &PageArgs,
        command: &str,
        sources: PageSources,
        journal: PageJournal,
    ) -> Result<(Self, OrderBook)> {
        let (sender, orders) = mpsc::unbounded_channel();
        let board = Arc::new(Board::new(sender));
        let server = PageServer::start(args.page_port, Arc::clone(&board)).await?;
        let (command, opened) = (command.to_owned(), Instant::now());
        let desk = Self { command, server, board, sources, journal, opened, shown: Mutex::default() };
        Ok((desk, OrderBook(orders)))
    }

    /// Address of the page, with the token of its orders.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Says that this run cannot have a trouble.
    pub fn rule_out(&self, trouble: Trouble, reason: &'static str) {
        self.board.offers().impossible.insert(trouble, reason);
    }

    /// Names the state of the run, in which no trouble is taken.
    pub fn close(&self, phase: &str) {
        phase.clone_into(&mut self.shown().phase);
        self.board.offers().closed = Some(phase.to_owned());
    }

    /// Ends the orders as a person at the page does: for Ctrl-C.
    pub fn end(&self) {
        self.board.end();
    }

    /// Counts and publishes until the future is dropped.
    pub async fn refresh(&self, subject: &impl PageSubject) -> Infallible {
        tokio::select! {
            never = self.count() => never,
            never = async {
                loop {
                    self.publish(subject);
                    sleep(PUBLISHING).await;
                }
            } => never,
        }
    }

    async fn count(&self) -> Infallible {
        loop {
            let before = self.shown().letters.clone().unwrap_or_default();
            let (sides, letters) = tokio::join!(self.sources.sides(), self.sources.letters(&before));
            {
                let mut shown = self.shown();
                (shown.sides, shown.letters) = (sides, letters);
            }
            sleep(COUNTING).await;
        }
    }

    /// Carries orders out, one after the other, until one ends the run.
    pub async fn take_orders(&self, book: &mut OrderBook, phase: &str, subject: &impl PageSubject) {
        phase.clone_into(&mut self.shown().phase);
        self.board.offers().closed = None;
        while let Some(PageOrder::Inject(trouble)) = book.0.recv().await {
            self.carry_out(trouble, subject).await;
            self.board.offers().running = None;
        }
    }

    async fn carry_out(&self, trouble: Trouble, subject: &impl PageSubject) {
        let begun = Instant::now();
        self.journal.add(JournalKind::Injected, trouble.label().to_owned());
        let proven = async {
            subject.inject(trouble, &self.journal).await?;
            subject.prove(trouble, &self.journal).await
        };
        match proven.await {
            Ok(summary) => {
                self.shown().proof = Some(ProofView::from(&summary));
                let (kind, text) = conclusion(&summary, begun.elapsed());
                self.journal.add(kind, text);
            }
            Err(error) => {
                // The page says no more: an error may quote an item.
                tracing::error!("{trouble}: {error:#}");
                let text = format!("“{}” was not put right: the terminal says why", trouble.label());
                self.journal.add(JournalKind::Problem, text);
            }
        }
    }

    /// Shows the verdict, and leaves somebody who looks the time to see it.
    pub async fn conclude(&self, good: bool, text: &str, subject: &impl PageSubject) {
        self.close("ended");
        self.shown().verdict = Some(VerdictView { good, text: text.to_owned() });
        self.publish(subject);
        // Nobody needs to look.
        let _ = timeout(LAST_LOOK, self.board.fetched.notified()).await;
    }

    fn publish(&self, subject: &impl PageSubject) {
        match serde_json::to_string(&self.view(subject)) {
            Ok(state) => self.board.publish(state),
            Err(error) => tracing::error!(%error, "the page's state could not be written"),
        }
    }

    fn view(&self, subject: &impl PageSubject) -> PageView {
        let (figures, shown) = (subject.figures(), self.shown().clone());
        let PageSources { table, index, tally, .. } = &self.sources;
        PageView {
            command: self.command.clone(),
            table: table.clone(),
            index: index.clone(),
            now: epoch_seconds(),
            seconds: self.opened.elapsed().as_secs_f64(),
            phase: shown.phase,
            written: figures.written,
            lag: self.sources.lag(),
            waiting: self.sources.waiting(),
            outcomes: tally.counts(),
            mapping: MappingView::from(&figures.mapping),
            sides: shown.sides,
            proof: shown.proof,
            letters: shown.letters,
            troubles: self.troubles(),
            journal: self.journal.entries(),
            verdict: shown.verdict,
        }
    }

    fn troubles(&self) -> Vec<TroubleView> {
        let offers = self.board.offers().clone();
        let button = |name: Trouble| TroubleView {
            name,
            label: name.label(),
            explanation: name.explanation(),
            running: offers.running == Some(name),
            refusal: offers.refusal(name),
        };
        Trouble::ALL.into_iter().map(button).collect()
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Words what a proof says, so long after the trouble began.
fn conclusion(summary: &VerifySummary, after: Duration) -> (JournalKind, String) {
    let (items, seconds) = (counted(summary.items, "item"), after.as_secs_f64());
    match (summary.equal, summary.differences()) {
        (Some(true), _) => (
            JournalKind::Equal,
            format!(
                "table and index are equal again after {seconds:.1} s: {items}, {}, 0 differences",
                counted(summary.documents, "document")
            ),
        ),
        (_, 0) if summary.pending > 0 => (
            JournalKind::Problem,
            format!(
                "not proven after {seconds:.1} s: {} may still wait for a change",
                counted(summary.pending, "document")
            ),
        ),
        (_, 0) => (
            JournalKind::Equal,
            format!(
                "nothing differs after {seconds:.1} s: {items}, of which {} changed while verify looked",
                summary.in_motion
            ),
        ),
        (_, differences) => (
            JournalKind::Problem,
            format!("table and index differ after {seconds:.1} s: {}", counted(differences, "difference")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use driftless_harness::function::FunctionConfig;
    use driftless_harness::slices::verify::{OrphanSearch, Verification};
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_is_said_only_if_verify_has_proven_it() {
        let function = FunctionConfig::new("verify", "/verify");
        let verification =
            Verification { function, request: json!({}), segments: Some(1), orphans: OrphanSearch::Full };
        let summary = verification.summary(&verification.begin()).expect("a summary");
        let check = |equal, missing, pending, expected: &str| {
            let summary = VerifySummary { equal, missing, in_motion: 3, pending, ..summary.clone() };
            let (kind, text) = conclusion(&summary, Duration::from_millis(4_200));
            assert!(text.starts_with(expected), "{text}");
            kind
        };
        assert_eq!(check(Some(true), 0, 0, "table and index are equal again after 4.2 s"), JournalKind::Equal);
        assert_eq!(check(None, 0, 0, "nothing differs after 4.2 s: 0 items, of which 3 changed"), JournalKind::Equal);
        assert_eq!(check(None, 0, 3, "not proven after 4.2 s: 3 documents may"), JournalKind::Problem);
        assert_eq!(check(Some(false), 1, 0, "table and index differ after 4.2 s: 1 difference"), JournalKind::Problem);
    }
}
