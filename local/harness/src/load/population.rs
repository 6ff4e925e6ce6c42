//! Keys that exist, and the choice of one for a write.

use rand::Rng;
use rand::rngs::StdRng;

/// Limit for repetitions of the skewed choice until it hits a key in the wanted state.
const ATTEMPTS: u32 = 32;

/// All keys, each live or not.
#[derive(Debug)]
pub(super) struct Population {
    /// The live keys first.
    order: Vec<u64>,
    /// Place of each key in `order`.
    place: Vec<usize>,
    live: usize,
    popularity: Popularity,
}

impl Population {
    /// Keys from 0 to `keys`, none of them live; the lower ones are the more popular, as `skew` says.
    #[expect(clippy::cast_possible_truncation, reason = "the number of keys is limited to what fits into memory")]
    pub(super) fn new(keys: u64, skew: f64) -> Self {
        let order = (0..keys).collect();
        Self { order, place: (0..keys as usize).collect(), live: 0, popularity: Popularity::new(keys, skew) }
    }

    pub(super) fn has_live(&self) -> bool {
        self.live > 0
    }

    pub(super) fn has_absent(&self) -> bool {
        self.live < self.order.len()
    }

    /// A live key, the popular ones more often; a uniform choice where those are rarely live.
    pub(super) fn pick_live(&self, rng: &mut StdRng) -> u64 {
        self.pick(rng, true, 0..self.live)
    }

    /// A key that is not live.
    pub(super) fn pick_absent(&self, rng: &mut StdRng) -> u64 {
        self.pick(rng, false, self.live..self.order.len())
    }

    pub(super) fn insert(&mut self, key: u64) {
        let place = self.place_of(key);
        debug_assert!(place >= self.live, "an insert is of a key that is not live");
        self.swap(place, self.live);
        self.live += 1;
    }

    pub(super) fn remove(&mut self, key: u64) {
        let place = self.place_of(key);
        debug_assert!(place < self.live, "a remove is of a live key");
        self.live -= 1;
        self.swap(place, self.live);
    }

    fn pick(&self, rng: &mut StdRng, live: bool, places: std::ops::Range<usize>) -> u64 {
        for _ in 0..ATTEMPTS {
            let key = self.popularity.pick(rng);
            if (self.place_of(key) < self.live) == live {
                return key;
            }
        }
        self.order[rng.random_range(places)]
    }

    #[expect(clippy::cast_possible_truncation, reason = "keys are indexes")]
    fn place_of(&self, key: u64) -> usize {
        self.place[key as usize]
    }

    #[expect(clippy::cast_possible_truncation, reason = "keys are indexes")]
    fn swap(&mut self, one: usize, other: usize) {
        self.order.swap(one, other);
        self.place[self.order[one] as usize] = one;
        self.place[self.order[other] as usize] = other;
    }
}

/// Zipf's law: the key of rank r is chosen in proportion to 1 / r^skew.
#[derive(Debug)]
struct Popularity {
    /// The sum of the weights up to each key.
    cumulative: Vec<f64>,
}

impl Popularity {
    #[expect(clippy::cast_precision_loss, reason = "a weight need not be exact")]
    fn new(keys: u64, skew: f64) -> Self {
        let weights = (1..=keys).map(|rank| (rank as f64).powf(-skew));
        let cumulative = weights
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        Self { cumulative }
    }

    fn pick(&self, rng: &mut StdRng) -> u64 {
        let total = self.cumulative.last().copied().unwrap_or_default();
        let point = rng.random::<f64>() * total;
        let index = self.cumulative.partition_point(|sum| *sum <= point);
        // Rounding may put the point on the very end.
        index.min(self.cumulative.len() - 1) as u64
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn share_of_first(skew: f64) -> f64 {
        let popularity = Popularity::new(1_000, skew);
        let mut rng = StdRng::seed_from_u64(1);
        let hits = (0..20_000).filter(|_| popularity.pick(&mut rng) == 0).count();
        f64::from(u32::try_from(hits).unwrap()) / 20_000.0
    }

    #[test]
    fn skew_decides_the_share_of_the_hottest_key() {
        assert!(share_of_first(0.0) < 0.01);
        let zipf = share_of_first(1.0);
        assert!((0.12..0.15).contains(&zipf), "{zipf}");
    }

    #[test]
    fn picks_are_in_the_wanted_state() {
        let mut population = Population::new(50, 1.0);
        let mut rng = StdRng::seed_from_u64(2);
        let mut live = std::collections::BTreeSet::new();
        for step in 0..2_000 {
            if population.has_absent() && (step % 3 != 0 || !population.has_live()) {
                let key = population.pick_absent(&mut rng);
                assert!(live.insert(key));
                population.insert(key);
            } else {
                let key = population.pick_live(&mut rng);
                assert!(live.remove(&key));
                population.remove(key);
            }
            assert_eq!(population.has_live(), !live.is_empty());
        }
    }
}
