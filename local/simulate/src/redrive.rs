//! The real redrive function, and its reader for ranges of the model's streams.

use std::sync::Arc;
use std::time::Duration;

use driftless::bucket::memory::MemoryBucket;
use driftless::dead_letter::range::BatchInfo;
use driftless::stream::range::{RangeError, RangePage, RangeReader};
use driftless::testing::TABLE_ARN;
use driftless_harness::mapping::record::{StreamRecord, StreamSequence};
use redrive::redrive::Redrive;
use redrive::request::RedriveRequest;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use crate::guard::Guard;
use crate::index::SimulatedIndex;
use crate::items::ModelItems;
use crate::mailbox::Mailbox;
use crate::process::{Processes, SENDER};
use crate::shown::shown;
use crate::world::World;

/// Time of one redrive. The function keeps two seconds of it for its end.
const TIME: Duration = Duration::from_millis(4_500);
/// Time to try one dead letter.
const PATIENCE: Duration = Duration::from_secs(15);
/// Number of records in one read of a range.
const PAGE: usize = 2;

/// Invokes the redrive function once. A careful operator names the generation of messages that do not say it. That is
/// the present one, because ranges are redriven before it is raised.
pub(crate) async fn redrive<I: SimulatedIndex>(processes: Arc<Processes<I>>, is_named: bool) {
    let world = processes.world();
    let process = processes.start(!world.stands(Guard::RedriveGuard));
    let mailbox = Mailbox::new(Arc::clone(world), Arc::clone(&process.killed));
    let reading = world.reading();
    let redrive = Redrive {
        read_options: &reading,
        writer: &process.writer,
        queue: &mailbox,
        bucket: None::<&MemoryBucket>,
        ranges: &ModelRanges(world),
        items: Some(&ModelItems::deciding(world, process.number)),
        sender: SENDER,
        table: Some(TABLE_ARN),
        patience: PATIENCE,
    };
    let request = RedriveRequest { generation: is_named.then_some(reading.generation.0), ..RedriveRequest::default() };
    let ended = tokio::select! {
        biased;
        () = process.killed.notified() => "killed",
        report = redrive.run(&request, Instant::now() + TIME) => if report.is_ok() { "done" } else { "refused" },
    };
    world.count("redrives", 1);
    world.note(format_args!("redrive {ended}"));
}

/// Reader of the model's streams for the redrive function.
struct ModelRanges<'w, I>(&'w World<I>);

/// Rest of a range.
struct RangeRest {
    stream: usize,
    shard: usize,
    next: usize,
    last: StreamSequence,
    pages: u64,
}

impl<I: SimulatedIndex> RangeReader for ModelRanges<'_, I> {
    type Cursor = RangeRest;

    async fn open(&self, range: &BatchInfo, _: Instant) -> Result<RangeRest, RangeError> {
        let table = self.0.table();
        let stream = table.streams.iter().position(|stream| stream.arn == range.stream_arn);
        let (Some(stream), Ok(shard)) = (stream, range.shard_id.parse::<usize>()) else {
            return Err(RangeError::Malformed("no such shard".to_owned()));
        };
        let first = StreamSequence::new(&range.start_sequence_number);
        let records = &table.streams[stream].shards[shard].records;
        let next = records.iter().position(|record| *record.sequence_number() >= first).unwrap_or(records.len());
        Ok(RangeRest { stream, shard, next, last: StreamSequence::new(&range.end_sequence_number), pages: 0 })
    }

    async fn next(&self, cursor: &mut RangeRest, _: Instant) -> Result<RangePage, RangeError> {
        cursor.pages += 1;
        sleep(Duration::from_millis(self.0.chance(6_000 + cursor.next as u64, cursor.pages, 20))).await;
        if self.0.faults.is_range_unreadable() {
            self.0.count("unreadable ranges", 1);
            return Err(RangeError::Unavailable("cannot be reached".to_owned()));
        }
        let table = self.0.table();
        let records = &table.streams[cursor.stream].shards[cursor.shard].records;
        let rest = records[cursor.next..].iter().take_while(|record| *record.sequence_number() <= cursor.last);
        let page: Vec<_> = rest.take(PAGE).map(|record| raw(&shown(self.0, record))).collect();
        cursor.next += page.len();
        let last = records.get(cursor.next).is_none_or(|record| *record.sequence_number() > cursor.last);
        Ok(RangePage { records: page, last })
    }

    fn is_trimmed(&self, _: &RangeRest) -> bool {
        false
    }
}

fn raw(record: &StreamRecord) -> Box<RawValue> {
    serde_json::from_slice(record.json()).expect("the model's records are records")
}
