//! Random numbers that a seed repeats.

use fastrand::Rng;

/// Mean above which a normal distribution stands for the Poisson distribution.
const LARGE: f64 = 50.0;

/// Source of random numbers.
pub(super) struct RandomCounts(Rng);

impl RandomCounts {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// Number of independent events where this many are expected.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of one poll")]
    pub(super) fn poisson(&mut self, mean: f64) -> u32 {
        if mean >= LARGE {
            return mean.sqrt().mul_add(self.normal(), mean).round().max(0.0) as u32;
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.0.f64(), 0);
        while product > limit {
            product *= self.0.f64();
            count += 1;
        }
        count
    }

    /// Random index that is below `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        self.0.usize(..count)
    }

    /// Random share from 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        self.0.f64()
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = (-2.0 * (1.0 - self.0.f64()).ln(), std::f64::consts::TAU * self.0.f64());
        radius.sqrt() * angle.cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_the_mean_and_the_spread_of_a_poisson_distribution() {
        let mut random = RandomCounts::new(1);
        for mean in [0.2, 3.0, 49.0, 200.0] {
            let counts: Vec<f64> = (0..20_000).map(|_| f64::from(random.poisson(mean))).collect();
            let average = counts.iter().sum::<f64>() / 20_000.0;
            let variance = counts.iter().map(|count| (count - average).powi(2)).sum::<f64>() / 20_000.0;
            assert!((average / mean - 1.0).abs() < 0.03, "{mean}: {average}");
            assert!((variance / mean - 1.0).abs() < 0.06, "{mean}: {variance}");
        }
        assert_eq!(random.poisson(0.0), 0);
    }
}
