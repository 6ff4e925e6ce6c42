//! Pages of a selection, within a budget of read capacity, each with the time at which it was read.

use std::time::Duration;

use futures::{Stream, stream};
use tokio::time::{Instant, sleep_until};

use super::key::{Key, KeySchema};
use super::selection::{Cursor, Selection};
use super::{Consistency, MOST_KEYS, PageRequest, Table, TableError};
use crate::attribute::Item;
use crate::backoff::Backoff;
use crate::time::Timestamp;

/// Maximum number of items in a page. A page has 1 MB at most, which may be ten thousand small items.
const PAGE_ITEMS: u32 = 2_000;
/// Time that an eventually consistent read may be behind. AWS names a second as usual, and no limit. A large allowance
/// costs nothing: changes within it apply by their versions, as without a read.
const EVENTUAL_MS: u64 = 10 * 60 * 1_000;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Budget of read capacity units per second.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    per_second: Option<f64>,
    free_at: Option<Instant>,
}

impl Pace {
    /// Creates a budget; without a number, it has no limit.
    #[must_use]
    pub fn new(per_second: Option<f64>) -> Self {
        Self { per_second, free_at: None }
    }

    /// Waits until what was spent is earned. Returns `false` if that is after the deadline.
    pub async fn wait_before(&self, deadline: Instant) -> bool {
        match self.free_at {
            Some(free_at) if free_at >= deadline => false,
            Some(free_at) => {
                sleep_until(free_at).await;
                true
            }
            None => true,
        }
    }

    /// Spends read capacity units.
    pub fn spend(&mut self, capacity: f64) {
        let Some(per_second) = self.per_second else { return };
        let seconds = Duration::try_from_secs_f64(capacity / per_second).unwrap_or(Duration::MAX);
        let now = Instant::now();
        let free_at = self.free_at.unwrap_or(now).max(now);
        self.free_at = Some(free_at.checked_add(seconds).unwrap_or(free_at));
    }
}

/// One page of a selection.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadPage<M> {
    /// Results of `make` for the items.
    pub items: Vec<M>,
    /// Keys that were asked for and have no item.
    pub absent: Vec<Key>,
    /// Time before which every change is part of the items.
    pub read_at: Timestamp,
    /// Consumed read capacity units.
    pub capacity: f64,
    /// Cursor behind this page; absent after the last one.
    pub next: Option<Cursor>,
}

/// Reader of a selection, page by page.
#[derive(Debug)]
pub struct ItemReader<'t, B> {
    table: &'t B,
    schema: &'t KeySchema,
    selection: &'t Selection,
    consistency: Consistency,
    now: fn() -> Timestamp,
    pace: Pace,
}

impl<'t, B: Table> ItemReader<'t, B> {
    /// Creates a reader. `now` is the function's clock.
    #[must_use]
    pub fn new(
        table: &'t B,
        schema: &'t KeySchema,
        selection: &'t Selection,
        consistency: Consistency,
        now: fn() -> Timestamp,
    ) -> Self {
        Self { table, schema, selection, consistency, now, pace: Pace::default() }
    }

    /// Limits the read capacity.
    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// Reads the page behind a cursor, or the first one, and hands each item with its key to `make`. Retries what may
    /// pass. `Ok(None)` if the budget allows no page before `stop`.
    ///
    /// # Errors
    /// Fails if the page cannot be read by the deadline, or the cursor is of another selection.
    pub async fn read<M: Send>(
        &mut self,
        cursor: Option<&Cursor>,
        make: impl Fn(Key, &Item<'_>) -> M + Send + Sync,
        stop: Instant,
        deadline: Instant,
    ) -> Result<Option<ReadPage<M>>, TableError> {
        if !self.pace.wait_before(stop).await {
            return Ok(None);
        }
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let before = (self.now)();
            let error = match self.read_once(cursor, &make, deadline).await {
                Ok(page) => {
                    self.pace.spend(page.capacity);
                    let allowance = if self.consistency == Consistency::Strong { 0 } else { EVENTUAL_MS };
                    let read_at = Timestamp::from_millis(before.as_millis().saturating_sub(allowance));
                    return Ok(Some(ReadPage { read_at, ..page }));
                }
                Err(error) => error,
            };
            if !error.may_pass() || !backoff.wait_before(deadline).await {
                return Err(error);
            }
        }
    }

    /// Reads page after page, the first one behind a cursor, until none is left or `stop` is reached. Nothing follows
    /// an error.
    pub fn pages<M: Send>(
        self,
        cursor: Option<Cursor>,
        make: impl Fn(Key, &Item<'_>) -> M + Send + Sync,
        stop: Instant,
        deadline: Instant,
    ) -> impl Stream<Item = Result<ReadPage<M>, TableError>> {
        stream::try_unfold((self, make, Some(cursor)), move |(mut reader, make, from)| async move {
            let Some(from) = from else { return Ok(None) };
            let page = reader.read(from.as_ref(), &make, stop, deadline).await?;
            Ok(page.map(|page| {
                let next = page.next.clone().filter(|_| Instant::now() < stop);
                (page, (reader, make, next.map(Some)))
            }))
        })
    }

    async fn read_once<M: Send>(
        &self,
        cursor: Option<&Cursor>,
        make: impl Fn(Key, &Item<'_>) -> M + Send + Sync,
        deadline: Instant,
    ) -> Result<ReadPage<M>, TableError> {
        let wrong = |error: super::key::NotAKey| TableError::Protocol(format!("the cursor: {error}"));
        match self.selection {
            Selection::Keys(keys) => {
                let nth = cursor.map_or(Ok(0), Cursor::nth).map_err(wrong)?;
                self.read_keys(keys, nth, make, deadline).await
            }
            Selection::Range(range) => {
                let after = cursor.map(Cursor::key).transpose().map_err(wrong)?;
                let request =
                    PageRequest { range, after: after.as_ref(), limit: PAGE_ITEMS, consistency: self.consistency };
                let keyed = |item: &Item<'_>| Key::of(item, self.schema).map(|key| make(key, item));
                let page = self.table.page(request, keyed, deadline).await?;
                let items: Result<_, _> = page.items.into_iter().collect();
                Ok(ReadPage {
                    items: items.map_err(|error| TableError::Protocol(format!("an item without its key: {error}")))?,
                    absent: Vec::new(),
                    read_at: Timestamp::from_millis(0),
                    capacity: page.capacity,
                    next: page.next.map(|key| Cursor::After(key.to_json())),
                })
            }
        }
    }

    async fn read_keys<M>(
        &self,
        keys: &[Key],
        nth: usize,
        make: impl Fn(Key, &Item<'_>) -> M,
        deadline: Instant,
    ) -> Result<ReadPage<M>, TableError> {
        let rest = keys.get(nth..).unwrap_or_default();
        let due = &rest[..rest.len().min(MOST_KEYS)];
        let found = if due.is_empty() {
            super::FoundItems::default()
        } else {
            self.table.get(due, self.consistency, deadline).await?
        };
        let (mut items, mut absent) = (Vec::with_capacity(due.len()), Vec::new());
        for (key, item) in due.iter().cloned().zip(found.items) {
            match item {
                Some(item) => items.push(make(key, &item)),
                None => absent.push(key),
            }
        }
        let next = (due.len() < rest.len()).then_some(Cursor::Nth(nth + due.len()));
        Ok(ReadPage { items, absent, read_at: Timestamp::from_millis(0), capacity: found.capacity, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::memory::{MemoryTable, schema};
    use crate::table::selection::Range;

    fn clock() -> Timestamp {
        Timestamp::from_millis(2_000_000)
    }

    fn whole() -> Selection {
        Selection::Range(Range::Segment { segment: 0, segments: 1 })
    }

    fn key_of(key: Key, _: &Item<'_>) -> Key {
        key
    }

    async fn read_all(table: &MemoryTable, selection: &Selection) -> (Vec<String>, usize) {
        let schema = schema();
        let mut reader = ItemReader::new(table, &schema, selection, Consistency::Strong, clock);
        let (mut ids, mut pages, mut cursor) = (Vec::new(), 0, None);
        loop {
            let deadline = Instant::now() + Duration::from_secs(60);
            let page = reader
                .read(cursor.as_ref(), key_of, deadline, deadline)
                .await
                .expect("read")
                .expect("within the budget");
            pages += 1;
            ids.extend(page.items.iter().map(|key| key.document_id(None).expect("an id").to_string()));
            match page.next {
                Some(next) => cursor = Some(next),
                None => return (ids, pages),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_item_is_on_one_page() {
        let table = MemoryTable::default();
        let expect: Vec<String> = (0..250).map(|n| format!("k{n:03}")).collect();
        expect.iter().for_each(|key| table.put(key, 1));
        table.set_page_size(100);
        assert_eq!(read_all(&table, &whole()).await, (expect.clone(), 3));
        let keys = |ids: &[String]| ids.iter().map(|id| MemoryTable::key(id)).collect();
        assert_eq!(read_all(&table, &Selection::Keys(keys(&expect))).await, (expect, 3));
        let (found, _) = read_all(&table, &Selection::Keys(keys(&["k001".to_owned(), "none".to_owned()]))).await;
        assert_eq!(found, ["k001"]);
        let mut parts = Vec::new();
        for segment in 0..3 {
            parts.extend(read_all(&table, &Selection::Range(Range::Segment { segment, segments: 3 })).await.0);
        }
        parts.sort();
        assert_eq!(parts.len(), 250);
        parts.dedup();
        assert_eq!(parts.len(), 250, "no item is in two segments");
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_read_is_retried_and_a_refused_one_is_not() {
        let table = MemoryTable::default();
        table.put("a", 1);
        table.fail([TableError::Unavailable("is busy".to_owned()), TableError::Unavailable("is busy".to_owned())]);
        assert_eq!(read_all(&table, &whole()).await.0, ["a"]);
        table.fail([TableError::Refused("AccessDeniedException".to_owned())]);
        let (schema, selection) = (schema(), whole());
        let mut reader = ItemReader::new(&table, &schema, &selection, Consistency::Strong, clock);
        let deadline = Instant::now() + Duration::from_secs(60);
        assert!(matches!(reader.read(None, key_of, deadline, deadline).await, Err(TableError::Refused(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn the_read_budget_is_kept() {
        let table = MemoryTable::default();
        (0..100).for_each(|n| table.put(&format!("k{n}"), 1));
        table.set_page_size(10);
        let (schema, selection) = (schema(), whole());
        // Each item costs a unit: ten pages of ten are 100 units, and the last page need not be waited for.
        let reader = ItemReader::new(&table, &schema, &selection, Consistency::Strong, clock);
        let mut reader = reader.with_pace(Pace::new(Some(5.0)));
        let (started, mut cursor, mut spent) = (Instant::now(), None, 0.0);
        let deadline = started + Duration::from_secs(60);
        while let Some(page) = reader.read(cursor.as_ref(), key_of, deadline, deadline).await.expect("read") {
            spent += page.capacity;
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        let elapsed = started.elapsed().as_secs_f64();
        assert!((spent - 100.0).abs() < 1e-9 && (17.9..20.1).contains(&elapsed), "{spent} units in {elapsed} s");
        let soon = Instant::now() + Duration::from_secs(1);
        assert_eq!(
            reader.read(None, key_of, soon, deadline).await,
            Ok(None),
            "the budget allows no further page by then"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_eventually_consistent_read_counts_as_older_than_it_is() {
        let table = MemoryTable::default();
        let (schema, selection) = (schema(), whole());
        let deadline = Instant::now() + Duration::from_secs(60);
        for (consistency, expect) in [(Consistency::Strong, 2_000_000), (Consistency::Eventual, 1_400_000)] {
            let mut reader = ItemReader::new(&table, &schema, &selection, consistency, clock);
            let page = reader.read(None, key_of, deadline, deadline).await.expect("read").expect("a page");
            assert_eq!(page.read_at.as_millis(), expect);
        }
    }
}
