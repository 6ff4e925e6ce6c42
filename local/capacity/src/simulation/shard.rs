//! A shard of the stream: its writes, what is not read yet, and the heat that splits it.

use std::collections::VecDeque;
use std::ops::Range;

use super::chance::RandomCounts;
use super::course::LoadNow;
use super::span::Arrived;

/// Time for which a partition refuses writes until DynamoDB has split it. AWS gives no figure; this is an assumption.
const SPLIT_AFTER_US: f64 = 120e6;

/// Open or closed shard.
pub(super) struct SimulatedShard {
    /// Numbers of its lanes.
    pub(super) lanes: Range<usize>,
    /// Shares of the table's even load, and of the hot tenant's.
    even: f64,
    tenant: f64,
    has_hot_item: bool,
    /// Time until which its writes are drawn.
    written_us: f64,
    unread: VecDeque<(usize, Arrived)>,
    unread_changes: u64,
    refusing_since_us: Option<f64>,
    closed: bool,
    /// Children that wait until it is read to its end.
    pub(super) children: Option<Range<usize>>,
}

impl SimulatedShard {
    pub(super) fn new(lanes: Range<usize>, shards: u64, is_first: bool) -> Self {
        Self {
            lanes,
            even: 1.0 / shards as f64,
            tenant: f64::from(u8::from(is_first)),
            has_hot_item: is_first,
            written_us: 0.0,
            unread: VecDeque::new(),
            unread_changes: 0,
            refusing_since_us: None,
            closed: false,
            children: None,
        }
    }

    /// Draws the writes until now, of which the partition takes `most` per second. Returns the number of refused ones.
    pub(super) fn write(&mut self, load: LoadNow, most: f64, now_us: f64, random: &mut RandomCounts) -> u64 {
        let (from_us, seconds) = (self.written_us, (now_us - self.written_us) / 1e6);
        self.written_us = now_us;
        if self.closed || seconds <= 0.0 {
            return 0;
        }
        let item = if self.has_hot_item { load.item } else { 0.0 };
        let spread = self.even.mul_add(load.even, self.tenant * load.tenant);
        let demand = spread + item;
        let taken = (most / demand).min(1.0);
        match (demand > most * 1.001, self.refusing_since_us) {
            (true, None) => self.refusing_since_us = Some(now_us),
            (false, _) => self.refusing_since_us = None,
            (true, Some(_)) => {}
        }
        let of_lane = spread * taken * seconds / self.lanes.len() as f64;
        for lane in self.lanes.clone() {
            let of_item = if lane == self.lanes.start { item * taken * seconds } else { 0.0 };
            let changes = random.poisson(of_lane + of_item);
            if changes > 0 {
                self.unread.push_back((lane, Arrived { from_us, to_us: now_us, changes }));
                self.unread_changes += u64::from(changes);
            }
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of the writes")]
        let refused = (demand * (1.0 - taken) * seconds) as u64;
        refused
    }

    /// Reads up to `most` changes, with the lane of each span.
    pub(super) fn read(&mut self, most: u64, mut into: impl FnMut(usize, Arrived)) -> u64 {
        let mut rest = most;
        while rest > 0
            && let Some((lane, mut arrived)) = self.unread.pop_front()
        {
            if u64::from(arrived.changes) > rest {
                #[expect(clippy::cast_possible_truncation, reason = "less than the span's")]
                let first = arrived.take(rest as u32);
                self.unread.push_front((lane, arrived));
                arrived = first;
            }
            rest -= u64::from(arrived.changes);
            into(lane, arrived);
        }
        self.unread_changes -= most - rest;
        most - rest
    }

    /// True if DynamoDB splits the shard now.
    pub(super) fn is_hot(&self, now_us: f64) -> bool {
        !self.closed && self.refusing_since_us.is_some_and(|since_us| now_us - since_us >= SPLIT_AFTER_US)
    }

    /// Closes the shard, and makes its two children. The hot item goes to the first one.
    pub(super) fn split(&mut self, first_child: usize, lanes: Range<usize>, now_us: f64) -> [Self; 2] {
        self.closed = true;
        self.children = Some(first_child..first_child + 2);
        let middle = usize::midpoint(lanes.start, lanes.end);
        let child = |lanes, has_hot_item| Self {
            lanes,
            even: self.even / 2.0,
            tenant: self.tenant / 2.0,
            has_hot_item,
            written_us: now_us,
            unread: VecDeque::new(),
            unread_changes: 0,
            refusing_since_us: None,
            closed: false,
            children: None,
        };
        [child(lanes.start..middle, self.has_hot_item), child(middle..lanes.end, false)]
    }

    /// True if all of a closed shard was read.
    pub(super) fn is_read(&self) -> bool {
        self.closed && self.unread_changes == 0
    }

    /// Number of changes that are not read yet.
    pub(super) fn unread(&self) -> u64 {
        self.unread_changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: LoadNow = LoadNow { even: 1_000.0, tenant: 2_000.0, item: 500.0 };

    #[test]
    fn a_partition_refuses_what_it_cannot_take_and_is_split_for_it() {
        let (mut random, mut shard) = (RandomCounts::new(1), SimulatedShard::new(0..2, 10, true));
        let refused = shard.write(LOAD, 1_000.0, 1e6, &mut random);
        assert!((1_500..=1_600).contains(&refused), "2,600 were wanted: {refused}");
        assert!((900..1_100).contains(&shard.unread()), "{}", shard.unread());
        assert!(!shard.is_hot(1e6));
        shard.write(LOAD, 1_000.0, 122e6, &mut random);
        assert!(shard.is_hot(122e6));
        let [first, second] = shard.split(5, 10..14, 122e6);
        assert_eq!((first.lanes, second.lanes, shard.children.clone()), (10..12, 12..14, Some(5..7)));
        assert!(first.has_hot_item && !second.has_hot_item && !shard.is_hot(500e6) && !shard.is_read());
        assert_eq!(shard.write(LOAD, 1_000.0, 123e6, &mut random), 0, "it is closed");
    }

    #[test]
    fn the_hot_item_is_in_one_lane_and_a_page_ends_within_a_span() {
        let (mut random, mut shard) = (RandomCounts::new(1), SimulatedShard::new(4..6, 1, true));
        shard.write(LoadNow { even: 0.0, tenant: 0.0, item: 500.0 }, 1_000.0, 1e6, &mut random);
        let mut read = Vec::new();
        let all = shard.unread();
        assert_eq!(shard.read(100, |lane, arrived| read.push((lane, arrived.changes))), 100);
        assert_eq!((read, shard.unread()), (vec![(4, 100)], all - 100));
    }
}
