//! The loop over pages of items: reads one page while it writes the one before.
//!
//! Each item becomes a change of the lowest version of the generation, with the time of its read. So whatever a stream
//! has written or deleted wins, and a dead letter that is older than the read does not come back. A page counts once
//! all of its documents have ended. Until then the cursor stays before it, so that any end of the process repeats it.

use driftless::attribute::Item;
use driftless::change::{Change, ChangeKind, Content, ReadOptions, RecordError};
use driftless::dead_letter::Rejection;
use driftless::document_id::DocumentId;
use driftless::function::{FunctionError, Slice};
use driftless::outcome::{ConfigurationError, Outcome, Problem};
use driftless::table::reader::{ItemReader, Pace};
use driftless::table::selection::Cursor;
use driftless::table::{Consistency, Key, KeySchema, Table, TableError};
use driftless::target::Target;
use driftless::time::Timestamp;
use driftless::version::Version;
use driftless::writer::{ApplyOptions, Writer};
use futures::future::join;

use crate::metrics::BackfillProgress;
use crate::report::{BackfillCounts, BackfillReport};
use crate::request::BackfillRequest;

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

/// Changes of one page of items.
struct ChangePage {
    changes: Result<PageChanges, ConfigurationError>,
    absent: u64,
    rcu: f64,
    next: Option<Cursor>,
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

/// End of one page.
enum PageEnd {
    /// All documents have ended.
    Done,
    /// Some documents may be written later, so the page is repeated.
    Failed(Problem),
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
        let mut reader = reader.with_pace(Pace::new(request.items.rcu_per_second));
        let mut report = BackfillReport { cursor: request.items.cursor.clone(), ..BackfillReport::default() };
        let mut pages = 0;
        let mut fetched = self.fetch(&mut reader, report.cursor.as_ref(), slice).await;
        loop {
            let page = match fetched {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(report),
                // What is done is done: the next invocation goes on behind it.
                Err(TableError::Unavailable(_)) if pages > 0 => return Ok(report),
                Err(error) => return Err(error.into()),
            };
            let next = page.next.clone();
            let fetch_next = async {
                match &next {
                    Some(next) if slice.may_begin() => self.fetch(&mut reader, Some(next), slice).await,
                    _ => Ok(None),
                }
            };
            let (end, read) = join(self.write(page, slice, &mut report), fetch_next).await;
            match end? {
                PageEnd::Done => pages += 1,
                PageEnd::Failed(_) if pages > 0 => return Ok(report),
                PageEnd::Failed(problem) => return Err(FunctionError::Unavailable(problem)),
            }
            progress.note(&report.counts, (self.now)());
            report.done = next.is_none();
            report.cursor = next;
            if report.done {
                return Ok(report);
            }
            fetched = read;
        }
    }

    /// Reads one page, and makes its changes while the engine writes those of the page before.
    async fn fetch(
        &self,
        reader: &mut ItemReader<'_, B>,
        cursor: Option<&Cursor>,
        slice: Slice,
    ) -> Result<Option<ChangePage>, TableError> {
        let page = reader.read(cursor, |key, item| self.shape(&key, item), slice.stop, slice.deadline).await?;
        Ok(page.map(|page| ChangePage {
            changes: self.changes(page.items, page.read_at),
            absent: page.absent.len() as u64,
            rcu: page.capacity,
            next: page.next,
        }))
    }

    /// Writes the documents of one page, and counts them once all have ended.
    async fn write(
        &self,
        page: ChangePage,
        slice: Slice,
        report: &mut BackfillReport,
    ) -> Result<PageEnd, ConfigurationError> {
        let PageChanges { written: changes, left_out, rejected } = page.changes?;
        let options = ApplyOptions { deadline: slice.deadline, written_at: (self.now)() };
        let outcomes = self.writer.apply(&changes, options).await?.outcomes;
        let failed = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Failed(problem) => Some(problem.clone()),
            _ => None,
        });
        if let Some(problem) = failed {
            return Ok(PageEnd::Failed(problem));
        }
        report.counts += BackfillCounts {
            items: changes.len() as u64 + rejected.len() as u64,
            left_out,
            absent: page.absent,
            bytes: changes.iter().map(|change| bytes(&change.content)).sum(),
            rcu: page.rcu,
            ..BackfillCounts::default()
        };
        for (id, error) in rejected {
            let rejection = Rejection::from_record_error(&error);
            tracing::error!(class = rejection.class, reason = rejection.reason, "an item has no document");
            report.note_rejected(id.as_ref(), rejection);
        }
        for (change, outcome) in changes.iter().zip(outcomes) {
            match outcome {
                Outcome::Applied => report.counts.written += 1,
                Outcome::Duplicate
                | Outcome::Stale
                | Outcome::Superseded
                | Outcome::OrderAnomaly
                // The version of an item has an order with every other one.
                | Outcome::Unordered => {
                    report.counts.superseded += 1;
                }
                Outcome::Rejected(problem) => {
                    let (class, status) = (problem.class().to_owned(), problem.status());
                    tracing::error!(class, status, "the engine refused a document");
                    report.note_rejected(Some(&change.id), Rejection::from_problem(&problem));
                }
                // Handled above.
                Outcome::Failed(_) => {}
            }
        }
        Ok(PageEnd::Done)
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

fn bytes(content: &Content) -> u64 {
    content.document().map_or(0, |document| document.as_bytes().len() as u64)
}
