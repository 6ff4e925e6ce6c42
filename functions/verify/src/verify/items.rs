//! The comparison from the table's side: pages of items are read while those before are compared.

use std::pin::pin;

use driftless::change::RecordError;
use driftless::document_id::DocumentId;
use driftless::function::FunctionError;
use driftless::table::reader::{ItemReader, Pace, ReadPage};
use driftless::table::selection::Cursor;
use driftless::table::{Consistency, Key, Table};
use driftless::target::{Documents, StoredDocument};
use futures::future::{join, try_join_all};
use futures::{TryStreamExt as _, stream};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::{Verify, is_live, is_sampled};
use crate::run::{Lag, VerifyRun, longest_lag};
use crate::suspects::Look;

/// Number of documents of one request for a page. The requests of a page are under way together.
const READ_TOGETHER: usize = 500;
/// Number of pages that are compared together, so that each side always has something to do.
const PAGES_TOGETHER: usize = 3;

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
        let first = Some(run.report.cursor.clone());
        let pages = stream::try_unfold((reader, first), |(mut reader, from)| async move {
            let Some(from) = from else { return Ok(None) };
            let page = reader.read(from.as_ref(), stop, deadline).await?;
            Ok::<_, FunctionError>(page.map(|page| {
                let next = page.next.clone().filter(|_| Instant::now() < stop);
                (page, (reader, next.map(Some)))
            }))
        });
        let compared = pages.map_ok(|page| self.compare_page(page, sample, deadline));
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
        page: ReadPage,
        sample: f64,
        deadline: Instant,
    ) -> Result<ComparedPage, FunctionError> {
        let begun = Instant::now();
        let (read, rcu, next) = (page.items.len() as u64, page.capacity, page.next);
        let items = page.items.into_iter().filter(|_| is_sampled(sample)).map(|(key, item)| (key, Some(item)));
        let absent = page.absent.into_iter().map(|key| (key, None));
        let (mut ids, mut keys, mut items_of) = (Vec::new(), Vec::new(), Vec::new());
        let mut unshaped = Vec::new();
        for (key, item) in items.chain(absent) {
            match self.read_options.document_id(key.attributes()) {
                // Its entity has another index.
                Ok(id) if !self.read_options.replication.owns(&id) => {}
                Ok(id) => {
                    ids.push(id);
                    keys.push(key);
                    items_of.push(item);
                }
                Err(RecordError::Configuration(error)) => return Err(error.into()),
                Err(error) => unshaped.push(error),
            }
        }
        let wanted: Vec<&DocumentId> = ids.iter().collect();
        let read_all = try_join_all(wanted.chunks(READ_TOGETHER).map(|part| self.read_documents(part, deadline)));
        let convert = async {
            // The requests are sent first, so that the engine works meanwhile.
            yield_now().await;
            ids.iter().zip(&items_of).map(|(id, item)| self.expected(id, item.as_ref())).collect::<Vec<_>>()
        };
        let (stored, documents) = join(read_all, convert).await;
        let stored: Vec<Option<StoredDocument>> = stored?.into_iter().flatten().collect();
        let states = stored.iter().flatten().map(|stored| &stored.state);
        let mut compared = ComparedPage {
            next,
            read,
            items: documents.iter().filter(|document| matches!(document, Ok(Some(_)))).count() as u64,
            documents: stored.iter().filter(|stored| is_live(stored.as_ref())).count() as u64,
            rcu,
            lag: longest_lag(states, (self.now)()),
            begun,
            differing: Vec::new(),
            unshaped,
        };
        for (((id, key), document), stored) in ids.into_iter().zip(keys).zip(documents).zip(stored) {
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
