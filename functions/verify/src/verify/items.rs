//! The comparison from the table's side: pages of items are read while those before are compared.

use std::pin::pin;

use driftless::attribute::Item;
use driftless::change::RecordError;
use driftless::document::Document;
use driftless::document_id::DocumentId;
use driftless::function::FunctionError;
use driftless::table::reader::{ItemReader, Pace, ReadPage};
use driftless::table::selection::Cursor;
use driftless::table::{Consistency, Key, Table};
use driftless::target::Documents;
use futures::TryStreamExt as _;
use tokio::time::Instant;

use super::{Verify, is_live, is_sampled};
use crate::run::{Lag, VerifyRun, longest_lag};
use crate::suspects::Look;

/// Number of pages that are read or compared together, so that each side always has something to do. A page's documents
/// are one request: smaller ones take more of the engine's time, and a page has 1 MB at most.
const PAGES_TOGETHER: usize = 4;

/// Document that an item is to have in the index.
struct Expected {
    id: DocumentId,
    key: Key,
    document: Result<Option<Document>, RecordError>,
}

/// The same, or the reason why its id is not known; `Ok(None)` if its entity has another index.
type ExpectedItem = Result<Option<Expected>, RecordError>;

/// A page that was compared.
struct ComparedPage {
    next: Option<Cursor>,
    read: u64,
    items: u64,
    documents: u64,
    rcu: f64,
    lag: Option<Lag>,
    begun: Instant,
    differing: Vec<(DocumentId, Key, Look)>,
    /// Items that the rules give no document.
    unshaped: Vec<RecordError>,
}

impl<T: Documents, B: Table> Verify<'_, T, B> {
    /// Compares the items of the selection with their documents.
    pub(super) async fn compare_items(&self, run: &mut VerifyRun<'_>) -> Result<(), FunctionError> {
        let selection = run.request.items.selection().select(self.schema);
        let selection = selection.map_err(|error| FunctionError::Request(error.to_string()))?;
        let reader = ItemReader::new(self.table, self.schema, &selection, Consistency::Eventual, self.now);
        let reader = reader.with_pace(Pace::new(run.request.items.rcu_per_second));
        let (stop, deadline, sample) = (run.stop(), run.deadline, run.request.sample);
        let expected = |key, item: &Item<'_>| is_sampled(sample).then(|| self.expect_item(key, Some(item)));
        let pages = reader.pages(run.report.cursor.clone(), expected, stop, deadline).map_err(FunctionError::from);
        let compared = pages.map_ok(|page| self.compare_page(page, deadline));
        let mut compared = pin!(compared.try_buffered(PAGES_TOGETHER));
        while let Some(page) = compared.try_next().await? {
            run.note_page(page);
            self.settle_due(run).await?;
            // What was settled may have taken the rest of the time. The pages that were read meanwhile are read again.
            if !run.may_begin() {
                break;
            }
        }
        Ok(())
    }

    /// Compares the items of one page.
    async fn compare_page(
        &self,
        page: ReadPage<Option<ExpectedItem>>,
        deadline: Instant,
    ) -> Result<ComparedPage, FunctionError> {
        let begun = Instant::now();
        let (read, rcu, next) = (page.items.len() as u64, page.capacity, page.next);
        let absent = page.absent.into_iter().map(|key| self.expect_item(key, None));
        let (mut expected, mut unshaped) = (Vec::new(), Vec::new());
        for item in page.items.into_iter().flatten().chain(absent) {
            match item {
                Ok(item) => expected.extend(item),
                Err(RecordError::Configuration(error)) => return Err(error.into()),
                Err(error) => unshaped.push(error),
            }
        }
        let wanted: Vec<&DocumentId> = expected.iter().map(|expected| &expected.id).collect();
        let stored = self.read_documents(&wanted, deadline).await?;
        let states = stored.iter().flatten().map(|stored| &stored.state);
        let mut compared = ComparedPage {
            next,
            read,
            items: expected.iter().filter(|expected| matches!(expected.document, Ok(Some(_)))).count() as u64,
            documents: stored.iter().filter(|stored| is_live(stored.as_ref())).count() as u64,
            rcu,
            lag: longest_lag(states, (self.now)()),
            begun,
            differing: Vec::new(),
            unshaped,
        };
        for (Expected { id, key, document }, stored) in expected.into_iter().zip(stored) {
            match document {
                Ok(document) => {
                    let look = self.compared(&id, document.as_ref(), stored.as_ref());
                    compared.differing.extend(look.map(|look| (id, key, look)));
                }
                Err(error) => compared.unshaped.push(error),
            }
        }
        Ok(compared)
    }

    /// Returns what an item, or its absence, is to have in this index.
    fn expect_item(&self, key: Key, item: Option<&Item<'_>>) -> ExpectedItem {
        let id = self.read_options.document_id(key.attributes())?;
        if !self.read_options.replication.owns(&id) {
            return Ok(None);
        }
        let document = self.expected(&id, item);
        Ok(Some(Expected { id, key, document }))
    }
}

impl VerifyRun<'_> {
    /// Counts a page, and moves the cursor behind it.
    fn note_page(&mut self, page: ComparedPage) {
        let counts = &mut self.report.counts;
        counts.read += page.read;
        counts.items += page.items;
        counts.documents += page.documents;
        counts.rcu += page.rcu;
        self.report.done = page.next.is_none();
        self.report.cursor = page.next;
        self.note_step(page.begun);
        self.note_lag(page.lag);
        if let Some(error) = page.unshaped.first() {
            self.report.note_unshaped(page.unshaped.len() as u64, error);
        }
        for (id, key, look) in page.differing {
            self.suspect(id, Some(key), look);
        }
    }
}
