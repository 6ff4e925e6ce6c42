//! Progress through a range: the records that belong to it, and its end. No I/O.
//!
//! An empty page says nothing, because DynamoDB sends such pages in front of records, too. A range ends only at the end
//! of the shard, at a record beyond the range, or because the stream has dropped the place.

use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout_at};

use super::{RangeError, RangePage};
use crate::change::RecordNumber;
use crate::dead_letter::range::BatchInfo;

/// Time for which empty pages may follow each other before a later run must read the range.
const EMPTY_PAGES_PATIENCE: Duration = Duration::from_secs(30);
/// Pause after an empty page: five reads a second, as Lambda's own mapping reads a shard.
const EMPTY_PAGE_PAUSE: Duration = Duration::from_millis(200);

/// Record that a stream's API gives.
pub(super) trait ShardRecord {
    /// Returns the sequence number, which is empty if there is none.
    fn number(&self) -> &str;

    /// Returns the record as Lambda delivers it.
    fn lambda_json(&self, range: &BatchInfo) -> serde_json::Result<String>;
}

/// Progress through a range of a real stream.
#[derive(Debug)]
pub struct RangeCursor {
    pub(super) range: BatchInfo,
    start: RecordNumber,
    end: RecordNumber,
    /// Iterator of the next page; absent after the end of the range.
    pub(super) iterator: Option<String>,
    /// Sequence number of the last record that was read.
    after: Option<String>,
    first_seen: bool,
    end_seen: bool,
    /// Time of the first page in the present series of empty pages.
    empty_since: Option<Instant>,
}

impl RangeCursor {
    /// Creates a cursor in front of the range's first page.
    ///
    /// # Errors
    /// Fails if the message holds no sequence numbers.
    pub(super) fn new(range: &BatchInfo) -> Result<Self, RangeError> {
        let number = |field: &str, text: &str| {
            RecordNumber::parse(text)
                .map_err(|problem| RangeError::Malformed(format!("{}.{field}: {problem}", range.member())))
        };
        Ok(Self {
            range: range.clone(),
            start: number("startSequenceNumber", &range.start_sequence_number)?,
            end: number("endSequenceNumber", &range.end_sequence_number)?,
            iterator: None,
            after: None,
            first_seen: false,
            end_seen: false,
            empty_since: None,
        })
    }

    /// Returns the sequence number after which to read on; `None` if nothing was read.
    pub(super) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Returns `true` if the range ended without its first or its last record.
    pub(super) fn is_trimmed(&self) -> bool {
        !(self.first_seen && self.end_seen)
    }

    /// Takes the iterator of the next page, after the pause that empty pages ask for; `None` behind the last page.
    ///
    /// # Errors
    /// Fails if the pause is longer than the time that is left.
    pub(super) async fn take_iterator(&mut self, deadline: Instant) -> Result<Option<String>, RangeError> {
        let Some(iterator) = self.iterator.take() else { return Ok(None) };
        match timeout_at(deadline, sleep(self.pause())).await {
            Ok(()) => Ok(Some(iterator)),
            Err(_) => Err(RangeError::Unavailable("gave pages without records until the time was up".to_owned())),
        }
    }

    /// Returns the pause before the next page.
    fn pause(&self) -> Duration {
        if self.empty_since.is_some() { EMPTY_PAGE_PAUSE } else { Duration::ZERO }
    }

    /// Takes the range's records from a page that was read at `now`, and notes the end of the range.
    ///
    /// # Errors
    /// Fails if pages have been empty for too long, or hold something that is no record.
    pub(super) fn take(
        &mut self,
        read: &[impl ShardRecord],
        next: Option<String>,
        now: Instant,
    ) -> Result<RangePage, RangeError> {
        self.iterator = next;
        self.count_empty_page(read.is_empty(), now)?;
        let mut page = RangePage::default();
        for record in read {
            let text = record.number();
            let number = RecordNumber::parse(text).map_err(|problem| {
                RangeError::Unavailable(format!("gave a record whose SequenceNumber is wrong: {problem}"))
            })?;
            if number > self.end {
                self.iterator = None;
                break;
            }
            self.after = Some(text.to_owned());
            self.first_seen |= number == self.start;
            self.end_seen |= number == self.end;
            if number < self.start {
                continue;
            }
            let json = record.lambda_json(&self.range).and_then(RawValue::from_string);
            page.records.push(json.map_err(|error| RangeError::Malformed(error.to_string()))?);
        }
        if self.end_seen {
            self.iterator = None;
        }
        page.last = self.iterator.is_none();
        Ok(page)
    }

    fn count_empty_page(&mut self, is_empty: bool, now: Instant) -> Result<(), RangeError> {
        if !is_empty || self.iterator.is_none() {
            self.empty_since = None;
            return Ok(());
        }
        let since = *self.empty_since.get_or_insert(now);
        if now.saturating_duration_since(since) < EMPTY_PAGES_PATIENCE {
            return Ok(());
        }
        let seconds = EMPTY_PAGES_PATIENCE.as_secs();
        Err(RangeError::Unavailable(format!("gave pages without records for {seconds} s, and no end of the shard")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbered(String);

    impl ShardRecord for Numbered {
        fn number(&self) -> &str {
            &self.0
        }

        fn lambda_json(&self, _: &BatchInfo) -> serde_json::Result<String> {
            Ok("{}".to_owned())
        }
    }

    fn cursor(start: u32, end: u32) -> RangeCursor {
        let range = BatchInfo {
            stream_arn: "arn:aws:dynamodb:x:1:table/T/stream/2026-01-15T09:30:00.000".to_owned(),
            shard_id: "s".to_owned(),
            start_sequence_number: start.to_string(),
            end_sequence_number: end.to_string(),
            batch_size: 1,
            approximate_arrival_of_last_record: None,
        };
        RangeCursor::new(&range).expect("a range")
    }

    fn records(numbers: &[u32]) -> Vec<Numbered> {
        numbers.iter().map(|number| Numbered(number.to_string())).collect()
    }

    /// Reads pages in their order, each after the cursor's pause, until one is the last. The shard is closed behind the
    /// pages if `closed`. Returns the number of records.
    fn read(cursor: &mut RangeCursor, pages: &[&[u32]], closed: bool) -> Result<usize, RangeError> {
        let (mut now, mut count) = (Instant::now(), 0);
        for (nth, numbers) in pages.iter().enumerate() {
            now += cursor.pause();
            let next = (!closed || nth + 1 < pages.len()).then(|| nth.to_string());
            let page = cursor.take(&records(numbers), next, now)?;
            count += page.records.len();
            if page.last {
                return Ok(count);
            }
        }
        panic!("the range has not ended")
    }

    #[test]
    fn empty_pages_in_front_of_the_records_are_read_past() {
        let mut pages: Vec<&[u32]> = vec![&[]; 100];
        pages.extend([&[2, 3][..], &[], &[4, 5, 6]]);
        let mut cursor = cursor(2, 5);
        assert_eq!(read(&mut cursor, &pages, false), Ok(4));
        assert!(!cursor.is_trimmed());
    }

    #[test]
    fn empty_pages_without_an_end_leave_the_range_to_a_later_run() {
        let Err(RangeError::Unavailable(why)) = read(&mut cursor(2, 5), &[&[][..]; 1_000], false) else {
            panic!("not trimmed: nothing is known")
        };
        assert!(why.contains("30 s"), "{why}");
    }

    #[test]
    fn the_end_of_the_shard_and_a_record_beyond_the_range_tell_that_it_is_trimmed() {
        let trimmed: [(&[&[u32]], bool, usize); 4] =
            [(&[&[], &[]], true, 0), (&[&[2, 3], &[]], true, 2), (&[&[4, 5]], false, 2), (&[&[], &[6, 7]], false, 0)];
        for (pages, closed, count) in trimmed {
            let mut cursor = cursor(2, 5);
            assert_eq!(read(&mut cursor, pages, closed), Ok(count), "{pages:?}");
            assert!(cursor.is_trimmed(), "{pages:?}");
        }
    }
}
