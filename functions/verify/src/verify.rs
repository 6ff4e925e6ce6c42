//! The comparison, page by page, from the table's side or from the index's.
//!
//! Neither side stands still while it is read. So what differs is looked at again after a settling time, the item
//! consistently. It counts as a difference only if neither the item nor the document's version has changed from one
//! look to the next. What keeps changing is in motion.
//!
//! # Layout
//! - `items`: from the table's side; `listing`: from the index's side.
//! - `settle`: the further looks at what differs, and the repair; `reads`: reads of both sides.

mod items;
mod listing;
mod reads;
mod settle;

use driftless::attribute::Item;
use driftless::change::{Content, ReadOptions, RecordError};
use driftless::document::Document;
use driftless::document_id::DocumentId;
use driftless::function::{FunctionError, Slice, retry};
use driftless::table::{KeySchema, Table};
use driftless::target::{Call, Documents, Holder, Listed, StoredBody, StoredDocument};
use driftless::time::Timestamp;
use driftless::writer::Writer;
use tokio::time::Instant;

use crate::compare::DifferenceKind;
use crate::report::VerifyReport;
use crate::request::{Orphans, VerifyRequest};
use crate::run::{VerifyRun, longest_lag};
use crate::suspects::Look;

/// Number of documents and items that are looked at together, each of which may have 400 KB.
const LOOKED_AT: usize = 100;
/// Number of documents, of those written last, that are asked for the lag.
const ASKED_FOR_LAG: usize = 100;
/// Later than any expiry: the end of the year 9999.
const END_OF_TIME_MS: u64 = 253_402_300_800_000;
/// Length of ids that are hashed, and do not show their keys.
const HASHED_BYTES: usize = 512;

/// Parts of the function.
#[derive(Debug, Clone, Copy)]
pub struct Verify<'f, T, B> {
    /// Settings for making ids.
    pub read_options: &'f ReadOptions,
    /// Writer on the index.
    pub writer: &'f Writer<T>,
    /// Table with the items.
    pub table: &'f B,
    /// Keys of the table.
    pub schema: &'f KeySchema,
    /// The clock that the function reads.
    pub now: fn() -> Timestamp,
}

impl<T: Documents, B: Table> Verify<'_, T, B> {
    /// Compares until everything was looked at or the slice is over, and repairs if the request says so.
    ///
    /// # Errors
    /// Fails if the request or the deployment is wrong, or a side cannot be read. The same request may be sent again.
    pub async fn run(&self, request: &VerifyRequest, slice: Slice) -> Result<VerifyReport, FunctionError> {
        let mut run = VerifyRun::new(request, slice)?;
        run.report.hidden_keys = !self.read_options.replication.shows_keys();
        if request.orphans == Orphans::Full && run.report.hidden_keys {
            return Err(FunctionError::Request(
                "orphans: full looks documents up by the keys in their ids, and REPLICATION makes ids that do not show \
                 them: use orphans: count, and a re-index where the counts differ"
                    .to_owned(),
            ));
        }
        self.measure_lag(&mut run).await;
        match request.orphans {
            // Their number is all that can be known, and this side has no items to compare it with.
            Orphans::Possible if run.report.hidden_keys => run.report.done = true,
            Orphans::Full | Orphans::Possible => self.compare_documents(&mut run).await?,
            Orphans::None | Orphans::Count => self.compare_items(&mut run).await?,
        }
        self.settle_all(&mut run).await?;
        if run.has_found() {
            self.measure_lag(&mut run).await;
        }
        if request.orphans == Orphans::Count && run.report.done {
            run.report.documents_in_index = Some(self.count(self.counted(), run.deadline).await?);
            if self.keeps_expired() {
                let all = Listed::ExpiredBefore(Timestamp::from_millis(END_OF_TIME_MS));
                run.report.expired_in_index = Some(self.count(all, run.deadline).await?);
            }
        }
        Ok(run.conclude())
    }

    fn keeps_expired(&self) -> bool {
        self.read_options.replication.keeps_expired()
    }

    /// Returns the documents that are to be as many as the items.
    fn counted(&self) -> Listed {
        if self.keeps_expired() { Listed::OfItems } else { Listed::Live }
    }

    async fn count(&self, counted: Listed, deadline: Instant) -> Result<u64, FunctionError> {
        retry(deadline, async || self.writer.target().count(counted, deadline).await).await
    }

    /// Compares an item's document with what is stored; `None` if both are equal. The document of an expired item may
    /// stay without an item.
    fn compared(&self, id: &DocumentId, expected: Option<&Document>, stored: Option<&StoredDocument>) -> Option<Look> {
        if stored.is_some_and(|stored| stored.state.holder(id) == Holder::Other) {
            // Without an item of its own, nothing of this id is to be there.
            return expected.map(|_| Look::of(DifferenceKind::OtherItem, expected, stored));
        }
        let is_expired = stored.is_some_and(|stored| stored.state.expired_at.is_some());
        if expected.is_none() && is_expired && self.keeps_expired() {
            return None;
        }
        Look::at(expected, stored)
    }

    /// Measures the lag of the whole index: a segment, or the items of some keys, may show none. A search that fails
    /// shows nothing; the documents that are compared show the lag, too.
    async fn measure_lag(&self, run: &mut VerifyRun<'_>) {
        let target = self.writer.target();
        let Ok(latest) = target.latest(ASKED_FOR_LAG, run.deadline).await else { return };
        let ids: Vec<&DocumentId> = latest.iter().collect();
        let states = target.read(&ids, Call::until(run.deadline)).await;
        run.note_lag(longest_lag(states.iter().flatten().flatten(), (self.now)()));
    }

    /// Returns the document that an item is to have in this index; `None` if there is to be none.
    fn expected(&self, id: &DocumentId, item: Option<&Item<'_>>) -> Result<Option<Document>, RecordError> {
        let Some(item) = item.filter(|_| self.read_options.replication.owns(id)) else { return Ok(None) };
        Ok(match self.read_options.replication.content(item)? {
            Content::Document(document) | Content::Expired { document, .. } => Some(document),
            Content::Tombstone => None,
        })
    }
}

fn is_sampled(share: f64) -> bool {
    share >= 1.0 || fastrand::f64() < share
}

fn is_hashed(id: &DocumentId) -> bool {
    id.as_str().len() == HASHED_BYTES
}

fn is_live(stored: Option<&StoredDocument>) -> bool {
    stored.is_some_and(|stored| stored.body != StoredBody::Tombstone)
}
