//! A target in memory with OpenSearch's conditional writes and scripted faults: the double for tests and simulation.

mod documents;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::change::Content;
use crate::document_id::DocumentId;
use crate::outcome::{Problem, Refusal, Treatment};
use crate::target::{
    Call, ConditionalWrite, Deleted, DocumentPage, Listed, ListedDocument, Position, StoredDocument, StoredState,
    Target, Written,
};

use documents::{Reach, StoredDocuments};

pub use documents::MemoryDocument;

/// Fault of one call.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// No fault: the call succeeds.
    None,
    /// The request does not arrive.
    Unreachable,
    /// The request is carried out, and its answer is lost.
    AnswerLost,
    /// Every item is refused with this status.
    Status(u16),
    /// No answer comes before the deadline.
    Hang,
    /// No answer comes before the request's time-out ([`REQUEST_TIMEOUT`], doubled as the call says).
    TimedOut,
}

/// Time-out of one request.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct State {
    documents: StoredDocuments,
    is_closed: bool,
    read_faults: VecDeque<Fault>,
    write_faults: VecDeque<Fault>,
    probe_faults: VecDeque<Problem>,
    refused: BTreeMap<Vec<u8>, u16>,
    refused_fields: BTreeSet<String>,
    slow: BTreeSet<Vec<u8>>,
    sizes: Vec<usize>,
    page_size: Option<usize>,
    probes: u32,
    reads: u32,
    writes: u32,
}

/// An index in memory. Clones share one index.
#[derive(Debug, Clone, Default)]
pub struct MemoryTarget(Arc<Mutex<State>>);

impl MemoryTarget {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Schedules faults for the next reads, one per call.
    pub fn fail_reads(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().read_faults.extend(faults);
    }

    /// Schedules faults for the next writes, one per call.
    pub fn fail_writes(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().write_faults.extend(faults);
    }

    /// Schedules problems for the next probes, one per probe.
    pub fn fail_probes(&self, problems: impl IntoIterator<Item = Problem>) {
        self.state().probe_faults.extend(problems);
    }

    /// Delays every document with these bytes beyond any request's time-out.
    pub fn slow_down(&self, document: &[u8]) {
        self.state().slow.insert(document.to_vec());
    }

    /// Refuses every document with these bytes, as for a mapping conflict.
    pub fn refuse(&self, document: &[u8], status: u16) {
        self.state().refused.insert(document.to_vec(), status);
    }

    /// Accepts documents with these bytes again, as after a fix of the mapping.
    pub fn accept(&self, document: &[u8]) {
        self.state().refused.remove(document);
    }

    /// Refuses every document with this field, as for a mapping conflict.
    pub fn refuse_field(&self, name: &str) {
        self.state().refused_fields.insert(name.to_owned());
    }

    /// Accepts documents with this field again.
    pub fn accept_field(&self, name: &str) {
        self.state().refused_fields.remove(name);
    }

    /// Closes the index, which then refuses every document and every probe; or opens it again.
    pub fn set_closed(&self, is_closed: bool) {
        self.state().is_closed = is_closed;
    }

    /// Adds a document that driftless did not write.
    pub fn put_foreign(&self, id: &str) {
        self.state().documents.put_foreign(DocumentId::from_stored(id.to_owned()));
    }

    /// Replaces a document's source and keeps its version, as a foreign writer's partial update does.
    pub fn disfigure(&self, id: &DocumentId, source: &[u8]) {
        self.state().documents.disfigure(id, source);
    }

    /// Sets the maximum number of documents per page of a listing.
    pub fn set_page_size(&self, documents: usize) {
        self.state().page_size = Some(documents);
    }

    /// Deletes a document, tombstone and all, if it is in this state.
    pub fn delete(&self, id: &DocumentId, state: Position) {
        self.state().documents.delete(id, state);
    }

    /// Reads the states before the last writes, as from a copy that lags behind.
    #[must_use]
    pub fn read_outdated(&self, ids: &[&DocumentId]) -> Vec<Option<StoredState>> {
        let state = self.state();
        ids.iter().map(|id| state.documents.stored_before(id)).collect()
    }

    /// Writes to the primary only. The copies get the writes by [`Self::replicate`], or lose them by
    /// [`Self::fail_over`].
    pub fn write_to_primary(&self, writes: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
        self.state().request(writes.iter(), call, Reach::Primary)
    }

    /// Brings the copies up to the primary for one document, if it is still in this state.
    pub fn replicate(&self, id: &DocumentId, state: Position) {
        self.state().documents.replicate(id, state);
    }

    /// Promotes a copy to primary. Writes that it lacks are lost.
    pub fn fail_over(&self) {
        self.state().documents.fail_over();
    }

    /// Returns all documents in the index, tombstones included.
    #[must_use]
    pub fn documents(&self) -> BTreeMap<DocumentId, MemoryDocument> {
        self.state().documents.iter().map(|(id, document)| (id.clone(), document.clone())).collect()
    }

    /// Returns the search results of a reader: the JSON of live documents by id.
    #[must_use]
    pub fn visible(&self) -> BTreeMap<String, String> {
        let live = |(id, stored): (&DocumentId, &MemoryDocument)| {
            let json = stored.content.document()?;
            Some((id.to_string(), String::from_utf8_lossy(json.as_bytes()).into_owned()))
        };
        self.state().documents.iter().filter_map(live).collect()
    }

    /// Returns the number of probes so far.
    #[must_use]
    pub fn probes(&self) -> u32 {
        self.state().probes
    }

    /// Returns the number of documents in each request so far.
    #[must_use]
    pub fn request_sizes(&self) -> Vec<usize> {
        self.state().sizes.clone()
    }

    /// Returns the numbers of read and write calls so far.
    #[must_use]
    pub fn calls(&self) -> (u32, u32) {
        let state = self.state();
        (state.reads, state.writes)
    }
}

impl State {
    fn probe(&mut self) -> Result<(), Problem> {
        self.probes += 1;
        match self.probe_faults.pop_front() {
            Some(problem) => Err(problem),
            None if self.is_closed => Err(Problem::Probe("the index is closed".into())),
            None => Ok(()),
        }
    }

    /// Carries out one bulk request. If the index refuses the request's probe, no refusal is due to a document.
    fn request<'w>(
        &mut self,
        writes: impl Iterator<Item = &'w ConditionalWrite<'w>>,
        call: Call,
        reach: Reach,
    ) -> Vec<Result<Written, Problem>> {
        let probed = if call.with_probe { self.probe() } else { Ok(()) };
        let refusal = |problem: Problem| match &probed {
            Err(shown) if problem.treatment() == Treatment::Reject => shown.clone(),
            _ => problem,
        };
        writes.map(|write| self.write(write, reach).map_err(refusal)).collect()
    }

    fn write(&mut self, write: &ConditionalWrite<'_>, reach: Reach) -> Result<Written, Problem> {
        match self.refusal(write.content) {
            Some(status) => Err(item(status)),
            None => Ok(self.documents.write(write, reach)),
        }
    }

    /// Returns the status with which the index refuses a document, whatever its condition.
    fn refusal(&self, content: &Content) -> Option<u16> {
        if self.is_closed {
            return Some(400);
        }
        let document = content.document()?;
        let has_field = |name: &String| {
            let name = format!("\"{name}\":");
            document.as_bytes().windows(name.len()).any(|bytes| bytes == name.as_bytes())
        };
        let status = self.refused.get(document.as_bytes()).copied();
        status.or_else(|| self.refused_fields.iter().any(has_field).then_some(400))
    }

    fn is_slow(&self, write: &ConditionalWrite<'_>) -> bool {
        write.content.document().is_some_and(|document| self.slow.contains(document.as_bytes()))
    }
}

impl Target for MemoryTarget {
    async fn read(&self, ids: &[&DocumentId], call: Call) -> Vec<Result<Option<StoredState>, Problem>> {
        let fault = {
            let mut state = self.state();
            state.reads += 1;
            state.read_faults.pop_front().unwrap_or(Fault::None)
        };
        match refuse(&fault, call).await {
            Some(problem) => vec![Err(problem); ids.len()],
            None => ids.iter().map(|id| Ok(self.state().documents.stored(id))).collect(),
        }
    }

    async fn write(&self, writes: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
        let fault = {
            let mut state = self.state();
            state.writes += 1;
            state.write_faults.pop_front().unwrap_or(Fault::None)
        };
        if fault == Fault::AnswerLost {
            let mut state = self.state();
            for write in writes {
                // The fault: the write happens, and its answer is lost.
                let _ = state.write(write, Reach::AllCopies);
            }
        }
        if let Some(problem) = refuse(&fault, call).await {
            return vec![Err(problem); writes.len()];
        }
        let mut answers = Vec::with_capacity(writes.len());
        for part in writes.chunks(call.max_documents) {
            answers.extend(self.request(part, call).await);
        }
        answers
    }

    async fn probe_beside(&self, _: &DocumentId, _: Instant) -> Result<(), Problem> {
        self.state().probe()
    }
}

impl crate::target::Documents for MemoryTarget {
    async fn read_documents(&self, ids: &[&DocumentId], call: Call) -> Vec<Result<Option<StoredDocument>, Problem>> {
        let fault = {
            let mut state = self.state();
            state.reads += 1;
            state.read_faults.pop_front().unwrap_or(Fault::None)
        };
        if let Some(problem) = refuse(&fault, call).await {
            return vec![Err(problem); ids.len()];
        }
        // Lets others write between a read and what follows from it.
        tokio::task::yield_now().await;
        let state = self.state();
        let whole = |id: &DocumentId| {
            state.documents.iter().find(|(other, _)| other.as_str() == id.as_str()).map(|(_, one)| one.whole())
        };
        ids.iter().map(|id| Ok(whole(id))).collect()
    }

    async fn count(&self, counted: Listed, _: Instant) -> Result<u64, Problem> {
        Ok(self.state().documents.iter().filter(|(_, document)| document.is_listed(counted)).count() as u64)
    }

    async fn list(&self, listed: Listed, from: u64, _: Instant) -> Result<DocumentPage, Problem> {
        tokio::task::yield_now().await;
        let state = self.state();
        let is_listed = |document: &MemoryDocument| document.is_listed(listed) && document.seq_no() >= from;
        let all = state.documents.iter().filter(|(_, document)| is_listed(document));
        let mut found: Vec<_> =
            all.map(|(id, one)| ListedDocument { id: id.clone(), position: one.position }).collect();
        found.sort_by_key(|one| one.position.seq_no);
        let size = state.page_size.unwrap_or(usize::MAX);
        let next = found.get(size).map(|one| one.position.seq_no);
        found.truncate(size);
        Ok(DocumentPage { found, next })
    }

    async fn latest(&self, most: usize, _: Instant) -> Result<Vec<DocumentId>, Problem> {
        let state = self.state();
        let mut all: Vec<_> = state.documents.iter().collect();
        all.sort_by_key(|(_, document)| Reverse(document.seq_no()));
        Ok(all.into_iter().take(most).map(|(id, _)| id.clone()).collect())
    }

    async fn delete(&self, found: &[ListedDocument], call: Call) -> Vec<Result<Deleted, Problem>> {
        let fault = {
            let mut state = self.state();
            state.writes += 1;
            state.write_faults.pop_front().unwrap_or(Fault::None)
        };
        if let Some(problem) = refuse(&fault, call).await {
            return vec![Err(problem); found.len()];
        }
        let mut state = self.state();
        let mut deleted = |one: &ListedDocument| match state.documents.delete(&one.id, one.position) {
            true => Deleted::Done,
            false => Deleted::Moved,
        };
        found.iter().map(|one| Ok(deleted(one))).collect()
    }
}

impl MemoryTarget {
    /// Sends one bulk request. A slow document costs all documents of the request their answer.
    async fn request(&self, part: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
        let (slow, answers) = {
            let mut state = self.state();
            state.sizes.push(part.len());
            let fast: Vec<_> = part.iter().filter(|write| !state.is_slow(write)).collect();
            (fast.len() < part.len(), state.request(fast.into_iter(), call, Reach::AllCopies))
        };
        if slow { vec![Err(time_out(call).await); part.len()] } else { answers }
    }
}

async fn time_out(call: Call) -> Problem {
    let started = Instant::now();
    tokio::time::sleep_until(call.deadline.min(started + REQUEST_TIMEOUT * (1 << call.doublings))).await;
    Problem::TimedOut(started.elapsed())
}

async fn refuse(fault: &Fault, call: Call) -> Option<Problem> {
    match fault {
        Fault::None => None,
        Fault::Unreachable => Some(Problem::Unreachable("connection refused".into())),
        Fault::AnswerLost => Some(Problem::Unreachable("connection closed before the answer".into())),
        Fault::Status(status) => Some(item(*status)),
        Fault::TimedOut => Some(time_out(call).await),
        Fault::Hang => {
            tokio::time::sleep_until(call.deadline).await;
            Some(Problem::Unreachable("timed out".into()))
        }
    }
}

fn item(status: u16) -> Problem {
    Problem::Item(Refusal { status, kind: "scripted".into(), reason: "scripted".into() })
}
