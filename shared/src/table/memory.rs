//! A table in memory: pages, segments, eventually consistent reads, and scripted faults.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::key::{Key, KeyAttribute, KeySchema, KeyType};
use super::selection::Range;
use super::{Consistency, FoundItems, ItemPage, PageRequest, Table, TableError};
use crate::attribute::{AttributeValue, Item};
use crate::number::Number;
use crate::testing::STREAM_ARN;

#[derive(Debug, Default)]
struct State {
    items: BTreeMap<String, Item<'static>>,
    /// Items as an eventually consistent read shows them; absent if it shows the present ones.
    before: Option<BTreeMap<String, Item<'static>>>,
    faults: VecDeque<TableError>,
    page_size: Option<usize>,
    reads: u32,
}

/// A table with the partition key `pk`. Clones share one table.
#[derive(Debug, Clone, Default)]
pub struct MemoryTable(Arc<Mutex<State>>);

/// Returns the schema of every table in memory.
#[must_use]
pub fn schema() -> KeySchema {
    let (table_arn, _) = STREAM_ARN.split_once("/stream/").expect("invariant: it is the ARN of a stream");
    let partition = KeyAttribute { name: "pk".to_owned(), kind: KeyType::String };
    KeySchema { table_arn: table_arn.to_owned(), partition, sort: None }
}

impl MemoryTable {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the key with this value.
    #[must_use]
    pub fn key(value: &str) -> Key {
        Key::of(&item(value, 0), &schema()).expect("invariant: the item has the key")
    }

    /// Puts the item `{"pk": key, "n": number}`.
    pub fn put(&self, key: &str, number: u64) {
        self.state().items.insert(key.to_owned(), item(key, number));
    }

    /// Puts an item under this key.
    pub fn put_item(&self, key: &str, item: Item<'static>) {
        self.state().items.insert(key.to_owned(), item);
    }

    /// Deletes the item of this key.
    pub fn delete(&self, key: &str) {
        self.state().items.remove(key);
    }

    /// Lets eventually consistent reads show the present state from now on, whatever is written.
    pub fn lag(&self) {
        let mut state = self.state();
        state.before = Some(state.items.clone());
    }

    /// Ends [`Self::lag`]: reads show the present again.
    pub fn catch_up(&self) {
        self.state().before = None;
    }

    /// Sets the maximum number of items per page.
    pub fn set_page_size(&self, items: usize) {
        self.state().page_size = Some(items);
    }

    /// Schedules faults for the next reads.
    pub fn fail(&self, faults: impl IntoIterator<Item = TableError>) {
        self.state().faults.extend(faults);
    }

    /// Returns the number of reads so far.
    #[must_use]
    pub fn reads(&self) -> u32 {
        self.state().reads
    }

    /// Returns the keys of all items.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.state().items.keys().cloned().collect()
    }
}

impl State {
    fn begin(&mut self) -> Result<(), TableError> {
        self.reads += 1;
        self.faults.pop_front().map_or(Ok(()), Err)
    }

    fn shown(&self, consistency: Consistency) -> &BTreeMap<String, Item<'static>> {
        match (&self.before, consistency) {
            (Some(before), Consistency::Eventual) => before,
            _ => &self.items,
        }
    }
}

fn item(key: &str, number: u64) -> Item<'static> {
    let number = Number::parse(&number.to_string()).expect("invariant: digits are a number");
    Item(BTreeMap::from([
        (Cow::Borrowed("n"), AttributeValue::Number(number)),
        (Cow::Borrowed("pk"), AttributeValue::String(Cow::Owned(key.to_owned()))),
    ]))
}

fn text(key: &Key) -> String {
    match key.attributes().0.get("pk") {
        Some(AttributeValue::String(text)) => text.clone().into_owned(),
        _ => String::new(),
    }
}

/// Segment that a key belongs to.
fn segment_of(key: &str, segments: u32) -> u32 {
    key.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % segments
}

impl Table for MemoryTable {
    async fn describe(&self, _: Instant) -> Result<KeySchema, TableError> {
        self.state().begin()?;
        Ok(schema())
    }

    async fn page<M: Send>(
        &self,
        request: PageRequest<'_>,
        make: impl Fn(&Item<'_>) -> M + Send + Sync,
        _: Instant,
    ) -> Result<ItemPage<M>, TableError> {
        // Lets others act between a read and what follows from it.
        tokio::task::yield_now().await;
        let mut state = self.state();
        state.begin()?;
        let after = request.after.map(text);
        let is_in = |key: &str| match request.range {
            Range::Segment { segment, segments } => segment_of(key, *segments) == *segment,
            range @ Range::Prefix { .. } => range.holds(&Self::key(key)),
        };
        let size = state.page_size.unwrap_or(usize::MAX).min(usize::try_from(request.limit).unwrap_or(usize::MAX));
        let rest = state.shown(request.consistency).iter();
        let rest = rest.filter(|(key, _)| is_in(key) && after.as_ref().is_none_or(|after| *key > after));
        let mut rest = rest.peekable();
        let page: Vec<_> = rest.by_ref().take(size).collect();
        let next = rest.peek().and_then(|_| page.last()).map(|(key, _)| Self::key(key));
        #[expect(clippy::cast_precision_loss, reason = "tables in memory are small")]
        let capacity = page.len() as f64;
        Ok(ItemPage { items: page.into_iter().map(|(_, item)| make(item)).collect(), next, capacity })
    }

    async fn get(&self, keys: &[Key], consistency: Consistency, _: Instant) -> Result<FoundItems, TableError> {
        tokio::task::yield_now().await;
        let mut state = self.state();
        state.begin()?;
        let shown = state.shown(consistency);
        #[expect(clippy::cast_precision_loss, reason = "tables in memory are small")]
        let capacity = keys.len() as f64;
        Ok(FoundItems { items: keys.iter().map(|key| shown.get(&text(key)).cloned()).collect(), capacity })
    }
}
