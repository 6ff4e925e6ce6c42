//! A target in memory with OpenSearch's conditional writes and scripted faults: the double for tests and simulation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::change::Content;
use crate::document_id::DocumentId;
use crate::outcome::{Problem, Refusal, Treatment};
use crate::target::{Call, ConditionalWrite, Position, StoredState, Target, WriteCondition, Written};
use crate::time::Timestamp;
use crate::version::Version;

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

/// A document or a tombstone in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryDocument {
    /// Content as it was written.
    pub content: Content,
    /// Version as it was written; absent for a foreign document.
    pub version: Option<Version>,
    event_time: Option<Timestamp>,
    written_at: Option<Timestamp>,
    seq_no: u64,
}

impl MemoryDocument {
    /// Returns its sequence number: the number of writes before it.
    #[must_use]
    pub fn seq_no(&self) -> u64 {
        self.seq_no
    }
}

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<DocumentId, MemoryDocument>,
    next_seq_no: u64,
    read_faults: VecDeque<Fault>,
    write_faults: VecDeque<Fault>,
    probe_faults: VecDeque<Problem>,
    refused: BTreeMap<Vec<u8>, u16>,
    slow: BTreeSet<Vec<u8>>,
    sizes: Vec<usize>,
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

    /// Adds a document that driftless did not write.
    pub fn put_foreign(&self, id: &str) {
        let mut state = self.state();
        let seq_no = state.next_seq_no();
        let document =
            MemoryDocument { content: Content::Tombstone, version: None, event_time: None, written_at: None, seq_no };
        state.documents.insert(DocumentId::from_stored(id.to_owned()), document);
    }

    /// Returns all documents in the index, tombstones included.
    #[must_use]
    pub fn documents(&self) -> BTreeMap<DocumentId, MemoryDocument> {
        self.state().documents.clone()
    }

    /// Returns the search results of a reader: the JSON of live documents by id.
    #[must_use]
    pub fn visible(&self) -> BTreeMap<String, String> {
        let live = |(id, document): (&DocumentId, &MemoryDocument)| match &document.content {
            Content::Document(json) => Some((id.to_string(), String::from_utf8_lossy(json.as_bytes()).into_owned())),
            Content::Tombstone => None,
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
        self.probe_faults.pop_front().map_or(Ok(()), Err)
    }

    fn next_seq_no(&mut self) -> u64 {
        self.next_seq_no += 1;
        self.next_seq_no
    }

    fn stored(&self, id: &DocumentId) -> Option<StoredState> {
        self.documents.get(id).map(|document| StoredState {
            version: document.version.clone(),
            event_time: document.event_time,
            written_at: document.written_at,
            position: position(document.seq_no),
        })
    }

    fn write(&mut self, write: &ConditionalWrite<'_>) -> Result<Written, Problem> {
        if let Content::Document(document) = write.content
            && let Some(&status) = self.refused.get(document.as_bytes())
        {
            return Err(item(status));
        }
        let current = self.documents.get(write.id).map(|document| position(document.seq_no));
        let holds = match write.condition {
            WriteCondition::IfAbsent => current.is_none(),
            WriteCondition::IfUnchanged(position) => current == Some(position),
        };
        if !holds {
            return Ok(Written::Conflict);
        }
        let seq_no = self.next_seq_no();
        let document = MemoryDocument {
            content: write.content.clone(),
            version: Some(write.version.clone()),
            event_time: write.event_time,
            written_at: Some(write.written_at),
            seq_no,
        };
        self.documents.insert(write.id.clone(), document);
        Ok(Written::Done(position(seq_no)))
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
            None => ids.iter().map(|id| Ok(self.state().stored(id))).collect(),
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
                let _ = state.write(write);
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

impl MemoryTarget {
    /// Sends one bulk request. A slow document costs all documents of the request their answer.
    async fn request(&self, part: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
        let (slow, answers): (bool, Vec<_>) = {
            let mut state = self.state();
            state.sizes.push(part.len());
            let is_slow = |state: &State, write: &ConditionalWrite<'_>| match write.content {
                Content::Document(document) => state.slow.contains(document.as_bytes()),
                Content::Tombstone => false,
            };
            let slow = part.iter().any(|write| is_slow(&state, write));
            let fast: Vec<_> = part.iter().filter(|write| !is_slow(&state, write)).collect();
            let probed = if call.with_probe { state.probe() } else { Ok(()) };
            let refusal = |problem: Problem| match &probed {
                Err(shown) if problem.treatment() == Treatment::Reject => shown.clone(),
                _ => problem,
            };
            (slow, fast.into_iter().map(|write| state.write(write).map_err(refusal)).collect())
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

fn position(seq_no: u64) -> Position {
    Position { seq_no, primary_term: 1 }
}
