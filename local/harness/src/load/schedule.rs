//! The plan of a load: which write happens when. Pure, and the same for the same seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Load;
use super::mix::Mix;
use super::population::Population;

/// Effect of a write on its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteKind {
    /// Puts an item where there is none.
    Insert,
    /// Replaces an item that is there.
    Modify,
    /// Deletes an item that is there.
    Remove,
}

/// One write of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// Its place in the plan, from 0.
    pub n: u64,
    /// When it is due, counted from the start.
    pub at: Duration,
    /// Number of its key.
    pub key: u64,
    /// Effect of the write, given that all writes before it succeeded.
    pub kind: WriteKind,
}

/// The writes of a load, in order. It knows which keys are live, so that each write is of the kind that it says.
#[derive(Debug)]
pub struct WriteSchedule {
    mix: Mix,
    interval: f64,
    population: Population,
    rng: StdRng,
    next: u64,
    end: u64,
}

impl WriteSchedule {
    /// The plan of `load`, which must have passed [`Load::check`].
    #[must_use]
    pub fn new(load: &Load) -> Self {
        Self {
            mix: load.mix,
            interval: load.rate.recip(),
            population: Population::new(load.keys, load.skew),
            rng: StdRng::seed_from_u64(load.seed),
            next: 0,
            end: load.writes(),
        }
    }

    /// By weight among the kinds that are possible now. Where only kinds of weight 0 are, it is an insert or a
    /// modification.
    fn kind(&mut self) -> WriteKind {
        let (live, absent) = (self.population.has_live(), self.population.has_absent());
        let insert = if absent { self.mix.insert } else { 0 };
        let (modify, remove) = if live { (self.mix.modify, self.mix.remove) } else { (0, 0) };
        let total = u64::from(insert) + u64::from(modify) + u64::from(remove);
        if total == 0 {
            return if absent { WriteKind::Insert } else { WriteKind::Modify };
        }
        let point = self.rng.random_range(0..total);
        if point < u64::from(insert) {
            WriteKind::Insert
        } else if point < u64::from(insert) + u64::from(modify) {
            WriteKind::Modify
        } else {
            WriteKind::Remove
        }
    }

    fn key(&mut self, kind: WriteKind) -> u64 {
        match kind {
            WriteKind::Insert => {
                let key = self.population.pick_absent(&mut self.rng);
                self.population.insert(key);
                key
            }
            WriteKind::Modify => self.population.pick_live(&mut self.rng),
            WriteKind::Remove => {
                let key = self.population.pick_live(&mut self.rng);
                self.population.remove(key);
                key
            }
        }
    }
}

impl Iterator for WriteSchedule {
    type Item = Write;

    #[expect(clippy::cast_precision_loss, reason = "a schedule of 2^53 writes never ends")]
    fn next(&mut self) -> Option<Write> {
        if self.next == self.end {
            return None;
        }
        let n = self.next;
        self.next += 1;
        let kind = self.kind();
        let key = self.key(kind);
        Some(Write { n, at: Duration::from_secs_f64(n as f64 * self.interval), key, kind })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn load() -> Load {
        Load { rate: 200.0, seconds: 20.0, keys: 100, ..Load::default() }
    }

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        let plan = |seed| WriteSchedule::new(&Load { seed, ..load() }).collect::<Vec<_>>();
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn every_write_is_of_the_kind_that_it_says() {
        let mut live = HashSet::new();
        let mut kinds = HashSet::new();
        for write in WriteSchedule::new(&load()) {
            kinds.insert(write.kind);
            match write.kind {
                WriteKind::Insert => assert!(live.insert(write.key)),
                WriteKind::Modify => assert!(live.contains(&write.key)),
                WriteKind::Remove => assert!(live.remove(&write.key)),
            }
        }
        assert_eq!(kinds.len(), 3);
    }

    #[test]
    fn writes_are_evenly_spaced() {
        let plan: Vec<Write> = WriteSchedule::new(&load()).collect();
        assert_eq!(plan.len(), 4_000);
        assert_eq!(plan[0].at, Duration::ZERO);
        assert_eq!(plan[200].at, Duration::from_secs(1));
    }

    #[test]
    fn a_mix_without_inserts_still_begins_with_them() {
        let mix = Mix { insert: 0, modify: 1, remove: 0 };
        let kinds: Vec<WriteKind> =
            WriteSchedule::new(&Load { mix, keys: 1, ..load() }).map(|write| write.kind).take(3).collect();
        assert_eq!(kinds, [WriteKind::Insert, WriteKind::Modify, WriteKind::Modify]);
    }
}
