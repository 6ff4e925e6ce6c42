//! The loop over pages of items: reads one page while it writes the one before.
//!
//! Each item becomes a change of the lowest version of the generation, with the time of its read. So whatever a stream
//! has written or deleted wins, and a dead letter that is older than the read does not come back. A page counts once
//! all of its documents have ended. Until then the cursor stays before it, so that any end of the process repeats it.

use std::pin::pin;

use driftless::attribute::Item;
use driftless::change::{Change, ChangeKind, Content, ReadOptions, RecordError};
use driftless::dead_letter::Rejection;
use driftless::document_id::DocumentId;
use driftless::function::{FunctionError, Slice};
use driftless::outcome::{ConfigurationError, Outcome};
use driftless::table::reader::{ItemReader, Pace, ReadPage};
use driftless::table::selection::Cursor;
use driftless::table::{Consistency, Key, KeySchema, Table, TableError};
use driftless::target::Target;
use driftless::time::Timestamp;
use driftless::version::Version;
use driftless::writer::{ApplyOptions, Writer};
use futures::StreamExt as _;
use futures::future::try_join_all;
use tokio::sync::Semaphore;

use crate::metrics::BackfillProgress;
use crate::report::{BackfillCounts, BackfillReport};
use crate::request::BackfillRequest;

/// Pages under way: one is written, and the next one is read, or its first requests follow without a pause.
const PAGES: usize = 2;
/// Concurrent requests. The engine has work at any time, and none that waits where it has two processors.
const REQUESTS: usize = 2;
/// Maximum number of documents in a request. A change of the stream waits until one is done.
const REQUEST_DOCUMENTS: usize = 500;

/// Parts of the function.
#[derive(Debug, Clone, Copy)]
pub struct Backfill<'f, T, B> {
    /// Settings for making changes.
    pub read_options: &'f ReadOptions,
    /// Writer on the index.
    pub writer: &'f Writer<T>,
    /// Table with the items.
    pub table: &'f B,
    /// Keys of the table.
    pub schema: &'f KeySchema,
    /// Clock of the function, for what is measured and written.
    pub now: fn() -> Timestamp,
}

/// Items of one page, by what `REPLICATION` makes of them.
#[derive(Default)]
struct PageChanges {
    written: Vec<Change>,
    /// Number of items that are to have no document.
    left_out: u64,
    /// Items that the rules give no document.
    rejected: Vec<(Option<DocumentId>, RecordError)>,
}

/// Result of the rules of `REPLICATION` for one item.
enum ShapedItem {
    Document(DocumentId, Content),
    /// No document in this index.
    LeftOut,
    /// No document; the id as far as it is known.
    Rejected(Option<DocumentId>, RecordError),
}

/// A page whose documents have all ended.
struct WrittenPage {
    changes: PageChanges,
    /// One per written change.
    outcomes: Vec<Outcome>,
    absent: u64,
    rcu: f64,
    next: Option<Cursor>,
}

/// Reason why a page is not done.
enum PageError {
    /// It may pass: the page is repeated.
    Unavailable(FunctionError),
    Other(FunctionError),
}

impl From<TableError> for PageError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Unavailable(_) => Self::Unavailable(error.into()),
            error => Self::Other(error.into()),
        }
    }
}

impl From<ConfigurationError> for PageError {
    fn from(error: ConfigurationError) -> Self {
        Self::Other(error.into())
    }
}

impl<T: Target, B: Table> Backfill<'_, T, B> {
    /// Writes items until all are done or the slice is over.
    ///
    /// # Errors
    /// Fails if the request or the deployment is wrong, or not one page could be done.
    pub async fn run(
        &self,
        request: &BackfillRequest,
        slice: Slice,
        progress: &mut BackfillProgress<'_>,
    ) -> Result<BackfillReport, FunctionError> {
        let selection = request.items.selection().select(self.schema);
        let selection = selection.map_err(|error| FunctionError::Request(error.to_string()))?;
        let consistency = if request.consistent { Consistency::Strong } else { Consistency::Eventual };
        let reader = ItemReader::new(self.table, self.schema, &selection, consistency, self.now);
        let reader = reader.with_pace(Pace::new(request.items.rcu_per_second));
        let mut report = BackfillReport { cursor: request.items.cursor.clone(), ..BackfillReport::default() };
        let slots = Semaphore::new(REQUESTS);
        let shaped = |key, item: &Item<'_>| self.shape(&key, item);
        let pages = reader.pages(report.cursor.clone(), shaped, slice.stop, slice.deadline);
        let written = pages.map(|page| self.write(page, &slots, slice)).buffered(PAGES);
        let mut written = pin!(written);
        let mut pages = 0;
        while let Some(page) = written.next().await {
            match page {
                Ok(page) => report.add(page),
                // What is done is done: the next invocation goes on behind it.
                Err(PageError::Unavailable(_)) if pages > 0 => return Ok(report),
                Err(PageError::Unavailable(error) | PageError::Other(error)) => return Err(error),
            }
            pages += 1;
            progress.note(&report.counts, (self.now)());
        }
        Ok(report)
    }

    /// Writes the documents of one page, each request in its turn.
    async fn write(
        &self,
        page: Result<ReadPage<ShapedItem>, TableError>,
        slots: &Semaphore,
        slice: Slice,
    ) -> Result<WrittenPage, PageError> {
        let page = page?;
        let changes = self.changes(page.items, page.read_at)?;
        let requests = changes.written.chunks(REQUEST_DOCUMENTS).map(|documents| async move {
            let _slot = slots.acquire().await.expect("never closed");
            self.write_together(documents, slice).await
        });
        let outcomes = try_join_all(requests).await?.concat();
        let absent = page.absent.len() as u64;
        Ok(WrittenPage { changes, outcomes, absent, rcu: page.capacity, next: page.next })
    }

    /// Writes the documents of one request until each has ended.
    async fn write_together(&self, changes: &[Change], slice: Slice) -> Result<Vec<Outcome>, PageError> {
        let options = ApplyOptions { max_parts: 1, ..ApplyOptions::new(slice.deadline, (self.now)()) };
        let outcomes = self.writer.apply(changes, options).await?.outcomes;
        let failed = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Failed(problem) => Some(problem.clone()),
            _ => None,
        });
        match failed {
            Some(problem) => Err(PageError::Unavailable(FunctionError::Unavailable(problem))),
            None => Ok(outcomes),
        }
    }

    /// Makes the document of one item.
    fn shape(&self, key: &Key, item: &Item<'_>) -> ShapedItem {
        let id = match self.read_options.document_id(key.attributes()) {
            Ok(id) if self.read_options.replication.owns(&id) => id,
            // An entity of it has an index of its own.
            Ok(_) => return ShapedItem::LeftOut,
            Err(error) => return ShapedItem::Rejected(None, error),
        };
        match self.read_options.replication.content(item) {
            // Nothing is to be there, and a backfill replaces nothing.
            Ok(Content::Tombstone) => ShapedItem::LeftOut,
            Ok(content) => ShapedItem::Document(id, content),
            Err(error) => ShapedItem::Rejected(Some(id), error.into()),
        }
    }

    fn changes(&self, page: Vec<ShapedItem>, read_at: Timestamp) -> Result<PageChanges, ConfigurationError> {
        let version = Version::lowest(self.read_options.generation);
        let mut changes = PageChanges { written: Vec::with_capacity(page.len()), ..PageChanges::default() };
        for item in page {
            match item {
                ShapedItem::LeftOut => changes.left_out += 1,
                ShapedItem::Document(id, content) => changes.written.push(Change {
                    id,
                    version: version.clone(),
                    event_time: None,
                    read_at: Some(read_at),
                    kind: ChangeKind::Insert,
                    content,
                }),
                ShapedItem::Rejected(_, RecordError::Configuration(error)) => return Err(error),
                ShapedItem::Rejected(id, error) => changes.rejected.push((id, error)),
            }
        }
        Ok(changes)
    }
}

impl BackfillReport {
    /// Counts a page, and goes on behind it.
    fn add(&mut self, page: WrittenPage) {
        let WrittenPage { changes: PageChanges { written: changes, left_out, rejected }, outcomes, absent, rcu, next } =
            page;
        self.counts += BackfillCounts {
            items: changes.len() as u64 + rejected.len() as u64,
            left_out,
            absent,
            bytes: changes.iter().map(|change| bytes(&change.content)).sum(),
            rcu,
            ..BackfillCounts::default()
        };
        for (id, error) in rejected {
            let rejection = Rejection::from_record_error(&error);
            tracing::error!(class = rejection.class, reason = rejection.reason, "an item has no document");
            self.note_rejected(id.as_ref(), rejection);
        }
        for (change, outcome) in changes.iter().zip(outcomes) {
            match outcome {
                Outcome::Applied => self.counts.written += 1,
                Outcome::Duplicate
                | Outcome::Stale
                | Outcome::Superseded
                | Outcome::OrderAnomaly
                // The version of an item has an order with every other one.
                | Outcome::Unordered => {
                    self.counts.superseded += 1;
                }
                Outcome::Rejected(problem) => {
                    let (class, status) = (problem.class().to_owned(), problem.status());
                    tracing::error!(class, status, "the engine refused a document");
                    self.note_rejected(Some(&change.id), Rejection::from_problem(&problem));
                }
                // Such a page is not done.
                Outcome::Failed(_) => {}
            }
        }
        self.done = next.is_none();
        self.cursor = next;
    }
}

fn bytes(content: &Content) -> u64 {
    content.document().map_or(0, |document| document.as_bytes().len() as u64)
}
