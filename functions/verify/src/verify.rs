//! The comparison, page by page, from the table's side or from the index's. One page of items is read while the one
//! before is compared.
//!
//! Neither side stands still while it is read. So what differs is looked at again after a settling time, the item
//! consistently. It counts as a difference only if neither the item nor the document's version has changed from one
//! look to the next. What keeps changing is in motion.

use std::time::Duration;

use driftless::attribute::Item;
use driftless::backoff::Backoff;
use driftless::change::ReadOptions;
use driftless::document::Document;
use driftless::document_id::{DocumentId, KeyError};
use driftless::function::{FunctionError, Slice};
use driftless::outcome::{ConfigurationError, Outcome, Problem};
use driftless::table::reader::{ItemReader, Pace, ReadPage};
use driftless::table::selection::Cursor;
use driftless::table::{Consistency, FoundItems, Key, KeySchema, Table, TableError};
use driftless::target::{Call, Documents, Listed, StoredBody, StoredDocument};
use driftless::time::Timestamp;
use driftless::writer::Writer;
use driftless::writer::repair::RepairOptions;
use futures::future::{join, try_join_all};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::compare::paths;
use crate::report::VerifyReport;
use crate::request::{Orphans, VerifyRequest};
use crate::run::VerifyRun;
use crate::suspects::{Look, MOST, MOST_LOOKS, Suspect};

/// Number of documents and items that are looked at together, each of which may have 400 KB.
const LOOKED_AT: usize = 100;
/// Number of documents of one request for a page. The requests of a page are under way together.
const READ_TOGETHER: usize = 500;
/// Number of items that are looked up together.
const LOOKED_UP: usize = 400;
/// Number of documents, of those written last, that are asked for the lag.
const ASKED_FOR_LAG: usize = 100;
/// Length of ids that are hashed, and do not show their keys.
const HASHED_BYTES: usize = 512;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

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
    /// The function's clock.
    pub now: fn() -> Timestamp,
}

impl<T: Documents, B: Table> Verify<'_, T, B> {
    /// Compares until everything was looked at or the slice is over, and repairs if the request says so.
    ///
    /// # Errors
    /// Fails if the request or the deployment is wrong, or a side cannot be read. The same request may be sent again.
    pub async fn run(&self, request: &VerifyRequest, slice: Slice) -> Result<VerifyReport, FunctionError> {
        let mut run = VerifyRun::new(request, slice)?;
        self.measure_lag(&mut run).await;
        match request.orphans {
            Orphans::Full => self.compare_documents(&mut run).await?,
            Orphans::None | Orphans::Count => self.compare_items(&mut run).await?,
        }
        self.settle_all(&mut run).await?;
        if run.has_found() {
            self.measure_lag(&mut run).await;
        }
        if request.orphans == Orphans::Count && run.report.done {
            let count = retry(run.deadline, async || self.writer.target().count(run.deadline).await).await?;
            run.report.documents_in_index = Some(count);
        }
        Ok(run.conclude())
    }

    /// Measures the lag of the whole index: a segment, or the items of some keys, may show none. A search that fails
    /// shows nothing; the documents that are compared show the lag, too.
    async fn measure_lag(&self, run: &mut VerifyRun<'_>) {
        let target = self.writer.target();
        let Ok(latest) = target.latest(ASKED_FOR_LAG, run.deadline).await else { return };
        let ids: Vec<&DocumentId> = latest.iter().collect();
        let states = target.read(&ids, Call::until(run.deadline)).await;
        run.note_lag(states.iter().flatten().flatten(), (self.now)());
    }

    /// Compares the items of the selection with their documents.
    async fn compare_items(&self, run: &mut VerifyRun<'_>) -> Result<(), FunctionError> {
        let selection = run.request.selection().select(self.schema);
        let selection = selection.map_err(|error| FunctionError::Request(error.to_string()))?;
        let reader = ItemReader::new(self.table, self.schema, &selection, Consistency::Eventual, self.now);
        let mut reader = reader.with_pace(Pace::new(run.request.rcu_per_second));
        let mut fetched = reader.read(run.report.cursor.as_ref(), run.stop(), run.deadline).await?;
        while let Some(page) = fetched {
            let (next, stop, deadline) = (page.next.clone(), run.stop(), run.deadline);
            let begins = run.may_begin();
            let read_next = async {
                match &next {
                    Some(next) if begins => reader.read(Some(next), stop, deadline).await,
                    _ => Ok(None),
                }
            };
            let (looked, read) = join(self.look_at_page(&page, run), read_next).await;
            looked?;
            run.report.counts.rcu += page.capacity;
            run.report.done = next.is_none();
            run.report.cursor = next;
            self.settle_due(run).await?;
            // What was settled may have taken the rest of the time.
            fetched = if run.may_begin() { read? } else { None };
        }
        Ok(())
    }

    /// Compares the items of one page.
    async fn look_at_page(&self, page: &ReadPage, run: &mut VerifyRun<'_>) -> Result<(), FunctionError> {
        let mut compared: Vec<(DocumentId, &Key, Option<&Item<'_>>)> = Vec::with_capacity(page.items.len());
        for (key, item) in &page.items {
            run.report.counts.read += 1;
            if is_sampled(run.request.sample) {
                compared.push((self.id(key)?, key, Some(item)));
            }
        }
        for key in &page.absent {
            compared.push((self.id(key)?, key, None));
        }
        let ids: Vec<&DocumentId> = compared.iter().map(|(id, ..)| id).collect();
        let read = try_join_all(ids.chunks(READ_TOGETHER).map(|part| self.read_documents(part, run.deadline)));
        let convert = async {
            // The requests are sent first, so that the engine works meanwhile.
            yield_now().await;
            compared.iter().map(|(.., item)| item.map(Document::from_item)).collect::<Vec<_>>()
        };
        let (stored, documents) = join(read, convert).await;
        let stored: Vec<_> = stored?.into_iter().flatten().collect();
        run.note_lag(stored.iter().flatten().map(|stored| &stored.state), (self.now)());
        for (((id, key, _), document), stored) in compared.into_iter().zip(documents).zip(stored) {
            run.report.counts.items += u64::from(document.is_some());
            run.report.counts.documents += u64::from(is_live(stored.as_ref()));
            if let Some(look) = Look::at(document.as_ref(), stored.as_ref()) {
                run.suspect(id, Some(key.clone()), look);
            }
        }
        Ok(())
    }

    /// Looks up the documents of the index in the table.
    async fn compare_documents(&self, run: &mut VerifyRun<'_>) -> Result<(), FunctionError> {
        let mut pace = Pace::new(run.request.rcu_per_second);
        while !run.report.done && run.may_begin() {
            if !pace.wait_before(run.stop()).await {
                return Ok(());
            }
            let from = match run.report.cursor {
                Some(Cursor::SeqNo(from)) => from,
                _ => 0,
            };
            let deadline = run.deadline;
            let list = async || self.writer.target().list(Listed::Live, from, deadline).await;
            let page = retry(deadline, list).await?;
            let ids: Vec<DocumentId> = page.found.into_iter().map(|found| found.id).collect();
            let before = run.report.counts.rcu;
            self.look_at_documents(ids, run).await?;
            pace.spend(run.report.counts.rcu - before);
            run.report.done = page.next.is_none();
            run.report.cursor = page.next.map(Cursor::SeqNo);
            self.settle_due(run).await?;
        }
        Ok(())
    }

    /// Looks up one page of documents. Those without an item are read as a whole.
    async fn look_at_documents(&self, ids: Vec<DocumentId>, run: &mut VerifyRun<'_>) -> Result<(), FunctionError> {
        run.report.counts.read += ids.len() as u64;
        let ids: Vec<DocumentId> = ids.into_iter().filter(|_| is_sampled(run.request.sample)).collect();
        run.report.counts.documents += ids.len() as u64;
        let keys = self.keys(&ids, run.deadline).await?;
        let mut suspicious: Vec<(DocumentId, Option<Key>)> = Vec::new();
        let mut sought: Vec<(DocumentId, Key)> = Vec::with_capacity(ids.len());
        for (id, key) in ids.into_iter().zip(keys) {
            match key {
                Some(key) => sought.push((id, key)),
                None => suspicious.push((id, None)),
            }
        }
        for part in sought.chunks(LOOKED_UP) {
            let wanted: Vec<Key> = part.iter().map(|(_, key)| key.clone()).collect();
            let found = self.get(&wanted, Consistency::Eventual, run.deadline).await?;
            run.report.counts.rcu += found.capacity;
            for ((id, key), item) in part.iter().zip(found.items) {
                match item {
                    Some(_) => run.report.counts.items += 1,
                    None => suspicious.push((id.clone(), Some(key.clone()))),
                }
            }
        }
        for part in suspicious.chunks(LOOKED_AT) {
            let looks = self.look(part, run).await?;
            for ((id, key), look) in part.iter().zip(looks) {
                if let Some((look, _)) = look {
                    run.suspect(id.clone(), key.clone(), look);
                }
            }
        }
        Ok(())
    }

    /// Returns the keys of documents, from their ids or, of hashed ids, from their fields. `None` if no item can have
    /// the document.
    async fn keys(&self, ids: &[DocumentId], deadline: Instant) -> Result<Vec<Option<Key>>, FunctionError> {
        let partition_key = self.read_options.partition_key.as_deref();
        let of_id = |id: &DocumentId| Key::from_document_id(id, self.schema, partition_key);
        let mut keys: Vec<Option<Key>> = ids.iter().map(of_id).collect();
        let hashed: Vec<usize> = (0..ids.len()).filter(|&at| keys[at].is_none() && is_hashed(&ids[at])).collect();
        let whole: Vec<&DocumentId> = hashed.iter().map(|&at| &ids[at]).collect();
        for (places, whole) in hashed.chunks(LOOKED_AT).zip(whole.chunks(LOOKED_AT)) {
            for (&at, stored) in places.iter().zip(self.read_documents(whole, deadline).await?) {
                let body = stored.map(|stored| stored.body);
                let Some(StoredBody::Document(json) | StoredBody::Foreign(json)) = body else { continue };
                let key = Key::from_document(&json, self.schema);
                keys[at] = key.filter(|key| key.document_id(partition_key).as_ref() == Ok(&ids[at]));
            }
        }
        Ok(keys)
    }

    /// Looks at suspects that are due. Waits for some if there are too many.
    async fn settle_due(&self, run: &mut VerifyRun<'_>) -> Result<(), FunctionError> {
        loop {
            let due = run.suspects.take_due(LOOKED_AT);
            if due.is_empty() {
                match run.suspects.next_due() {
                    Some(next) if run.suspects.len() >= MOST => sleep_until(next.min(run.deadline)).await,
                    _ => return Ok(()),
                }
                if Instant::now() >= run.deadline {
                    return Ok(());
                }
                continue;
            }
            self.look_again(due, run).await?;
        }
    }

    /// Looks at all suspects until each is decided or the time is up.
    async fn settle_all(&self, run: &mut VerifyRun<'_>) -> Result<(), FunctionError> {
        while let Some(next) = run.suspects.next_due() {
            if next >= run.deadline {
                break;
            }
            sleep_until(next).await;
            let due = run.suspects.take_due(LOOKED_AT);
            self.look_again(due, run).await?;
        }
        Ok(())
    }

    /// Looks once more, and decides what is the same as at the look before.
    async fn look_again(&self, due: Vec<Suspect>, run: &mut VerifyRun<'_>) -> Result<(), FunctionError> {
        let documents: Vec<(DocumentId, Option<Key>)> =
            due.iter().map(|suspect| (suspect.id.clone(), suspect.key.clone())).collect();
        let looks = self.look(&documents, run).await?;
        let mut differing = Vec::new();
        for (suspect, look) in due.into_iter().zip(looks) {
            // Equal by now: a change was on its way.
            let Some((look, paths)) = look else { continue };
            if look == suspect.look && !run.is_behind() {
                run.report.note(&suspect.id, look.kind, paths);
                differing.push((suspect.id, suspect.key));
            } else if look == suspect.look || suspect.looks >= MOST_LOOKS {
                run.leave_undecided(1);
            } else {
                let due = run.next_look();
                run.suspects.push(Suspect { look, looks: suspect.looks + 1, due, ..suspect });
            }
        }
        if run.request.repair {
            // An item may live under a hashed id that its document no longer explains. The table's side finds it.
            let (nameless, differing): (Vec<_>, Vec<_>) =
                differing.into_iter().partition(|(id, key): &(DocumentId, _)| key.is_none() && is_hashed(id));
            run.report.counts.failed += nameless.len() as u64;
            if !differing.is_empty() {
                self.repair(&differing, run).await?;
            }
        }
        Ok(())
    }

    /// Looks at documents, then at their items, consistently. `None` where both are equal.
    async fn look(
        &self,
        documents: &[(DocumentId, Option<Key>)],
        run: &mut VerifyRun<'_>,
    ) -> Result<Vec<Option<(Look, Vec<String>)>>, FunctionError> {
        let ids: Vec<&DocumentId> = documents.iter().map(|(id, _)| id).collect();
        let stored = self.read_documents(&ids, run.deadline).await?;
        run.note_lag(stored.iter().flatten().map(|stored| &stored.state), (self.now)());
        let keys: Vec<Key> = documents.iter().filter_map(|(_, key)| key.clone()).collect();
        let found = self.get(&keys, Consistency::Strong, run.deadline).await?;
        run.report.counts.rcu += found.capacity;
        let mut items = found.items.into_iter();
        let looks = documents.iter().zip(stored).map(|((_, key), stored)| {
            let item = key.as_ref().and_then(|_| items.next().flatten());
            let document = item.as_ref().map(Document::from_item);
            let look = Look::at(document.as_ref(), stored.as_ref())?;
            Some((look, paths(document.as_ref(), stored.as_ref().map(|stored| &stored.body))))
        });
        Ok(looks.collect())
    }

    async fn repair(
        &self,
        differing: &[(DocumentId, Option<Key>)],
        run: &mut VerifyRun<'_>,
    ) -> Result<(), FunctionError> {
        let options = RepairOptions { deadline: run.deadline, now: &self.now };
        let report = self.writer.repair(self.table, differing, options).await?;
        let counts = &mut run.report.counts;
        counts.rcu += report.capacity;
        for outcome in report.outcomes {
            match outcome {
                Outcome::Rejected(problem) => {
                    tracing::error!(class = problem.class(), status = problem.status(), "a repair was refused");
                    counts.rejected += 1;
                }
                Outcome::Failed(problem) => {
                    tracing::warn!(class = problem.class(), status = problem.status(), "a repair failed");
                    counts.failed += 1;
                }
                _ => counts.repaired += 1,
            }
        }
        Ok(())
    }

    /// Reads whole documents, and again those whose read failed.
    async fn read_documents(
        &self,
        ids: &[&DocumentId],
        deadline: Instant,
    ) -> Result<Vec<Option<StoredDocument>>, FunctionError> {
        let mut found: Vec<Option<StoredDocument>> = vec![None; ids.len()];
        let mut open: Vec<usize> = (0..ids.len()).collect();
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while !open.is_empty() {
            let due: Vec<&DocumentId> = open.iter().map(|&at| ids[at]).collect();
            let answers = self.writer.target().read_documents(&due, Call::until(deadline)).await;
            let mut last = None;
            let mut left = Vec::new();
            for (at, answer) in open.into_iter().zip(answers) {
                match answer {
                    Ok(document) => found[at] = document,
                    Err(problem) => {
                        last = Some(problem.unless_configuration()?);
                        left.push(at);
                    }
                }
            }
            open = left;
            if let Some(problem) = last
                && !backoff.wait_before(deadline).await
            {
                return Err(FunctionError::Unavailable(problem));
            }
        }
        Ok(found)
    }

    /// Reads items, and again while the table may answer later.
    async fn get(&self, keys: &[Key], consistency: Consistency, deadline: Instant) -> Result<FoundItems, TableError> {
        if keys.is_empty() {
            return Ok(FoundItems::default());
        }
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            match self.table.get(keys, consistency, deadline).await {
                Err(error) if error.may_pass() && backoff.wait_before(deadline).await => {}
                answer => return answer,
            }
        }
    }

    fn id(&self, key: &Key) -> Result<DocumentId, ConfigurationError> {
        key.document_id(self.read_options.partition_key.as_deref()).map_err(|error| ConfigurationError::PartitionKey {
            name: match error {
                KeyError::NoPartitionKey(name) => name,
                error => error.to_string(),
            },
        })
    }
}

/// Retries a call of the engine while its problem may pass.
async fn retry<V>(deadline: Instant, call: impl AsyncFn() -> Result<V, Problem>) -> Result<V, FunctionError> {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let problem = match call().await {
            Ok(value) => return Ok(value),
            Err(problem) => problem.unless_configuration()?,
        };
        if !backoff.wait_before(deadline).await {
            return Err(FunctionError::Unavailable(problem));
        }
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
