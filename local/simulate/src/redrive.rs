//! The redrive function in the model: the real one, and what it reads of the stream.

use std::sync::Arc;
use std::time::Duration;

use driftless::dead_letter::range::BatchInfo;
use driftless::stream::range::{RangeError, RangePage, Ranges};
use driftless_harness::mapping::on_failure::{self, Condition, FailureMessage, RequestContext};
use driftless_harness::mapping::record::{SequenceNumber, StreamRecord};
use redrive::redrive::Redrive;
use redrive::request::Request;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use crate::guard::Guard;
use crate::index::Index;
use crate::letters::Mailbox;
use crate::process::{FUNCTION_VERSION, INDEX};
use crate::world::World;

/// The time of one redrive; the function keeps two seconds of it for closing.
const TIME: Duration = Duration::from_millis(4_500);
/// How long one letter is tried.
const PATIENCE: Duration = Duration::from_secs(15);
/// Records that one read of a range gives.
const PAGE: usize = 2;

impl<I: Index> World<I> {
    /// Sends the mapping's letter about records of a shard.
    pub(crate) fn send_range(&self, (stream, shard): (usize, usize), records: &[StreamRecord], expired: bool) {
        // Whatever the order was in which they came.
        let numbers = || records.iter().map(StreamRecord::sequence_number);
        let (Some(first), Some(last)) = (numbers().min(), numbers().max()) else { return };
        let condition = if expired { Condition::RecordAgeExceeded } else { Condition::RetryAttemptsExhausted };
        let message = FailureMessage {
            request_context: RequestContext {
                request_id: "request".to_owned(),
                function_arn: "function".to_owned(),
                condition,
                approximate_invoke_count: 1,
            },
            response_context: None,
            version: "1.0",
            timestamp: String::new(),
            batch: on_failure::BatchInfo {
                shard_id: shard.to_string(),
                start_sequence_number: first.to_string(),
                end_sequence_number: last.to_string(),
                approximate_arrival_of_first_record: String::new(),
                approximate_arrival_of_last_record: String::new(),
                batch_size: records.len(),
                stream_arn: self.state().table.streams[stream].arn.clone(),
            },
        };
        let body = serde_json::to_string(&message).expect("a message is JSON");
        self.store_letter(body, self.ordinals(records), false);
    }

    /// Invokes the redrive function once. An operator who takes care names the generation in which the letters were sent that do
    /// not say it: ranges are redriven before it is raised, so it is the present one.
    pub(crate) async fn redrive(self: Arc<Self>, is_named: bool) {
        let process = self.start_process(!self.stands(Guard::RedriveGuard));
        let mailbox = Mailbox::new(Arc::clone(&self), Arc::clone(&process.killed));
        let reading = self.reading();
        let redrive = Redrive {
            reading: &reading,
            writer: &process.writer,
            queue: &mailbox,
            ranges: &Records(&self),
            index: INDEX,
            table: None,
            patience: PATIENCE,
            version: FUNCTION_VERSION,
        };
        let request = Request { generation: is_named.then_some(reading.generation.0), ..Request::default() };
        let ended = tokio::select! {
            biased;
            () = process.killed.notified() => "killed",
            report = redrive.run(&request, Instant::now() + TIME) => if report.is_ok() { "done" } else { "refused" },
        };
        self.count("redrives", 1);
        self.note(format_args!("redrive {ended}"));
    }
}

/// The model's streams, as the redrive function reads them again.
struct Records<'w, I>(&'w World<I>);

/// What is left of a range.
struct Cursor {
    stream: usize,
    shard: usize,
    next: usize,
    last: SequenceNumber,
    pages: u64,
}

impl<I: Index> Ranges for Records<'_, I> {
    type Cursor = Cursor;

    async fn open(&self, range: &BatchInfo, _: Instant) -> Result<Cursor, RangeError> {
        let state = self.0.state();
        let stream = state.table.streams.iter().position(|stream| stream.arn == range.stream_arn);
        let (Some(stream), Ok(shard)) = (stream, range.shard_id.parse::<usize>()) else {
            return Err(RangeError::Malformed("no such shard".to_owned()));
        };
        let first = SequenceNumber::new(&range.start_sequence_number);
        let records = &state.table.streams[stream].shards[shard].records;
        let next = records.iter().position(|record| *record.sequence_number() >= first).unwrap_or(records.len());
        Ok(Cursor { stream, shard, next, last: SequenceNumber::new(&range.end_sequence_number), pages: 0 })
    }

    async fn next(&self, cursor: &mut Cursor, _: Instant) -> Result<RangePage, RangeError> {
        cursor.pages += 1;
        sleep(Duration::from_millis(self.0.chance(6_000 + cursor.next as u64, cursor.pages, 20))).await;
        let mut state = self.0.state();
        if state.armed.unreadable_ranges > 0 {
            state.armed.unreadable_ranges -= 1;
            state.counts.add("unreadable ranges", 1);
            return Err(RangeError::Unavailable("cannot be reached".to_owned()));
        }
        let records = &state.table.streams[cursor.stream].shards[cursor.shard].records;
        let rest = records[cursor.next..].iter().take_while(|record| *record.sequence_number() <= cursor.last);
        let page: Vec<Box<RawValue>> = rest.take(PAGE).map(raw).collect();
        cursor.next += page.len();
        let last = records.get(cursor.next).is_none_or(|record| *record.sequence_number() > cursor.last);
        Ok(RangePage { records: page, last })
    }

    fn is_trimmed(&self, _: &Cursor) -> bool {
        false
    }
}

fn raw(record: &StreamRecord) -> Box<RawValue> {
    serde_json::from_slice(record.json()).expect("the model's records are records")
}
