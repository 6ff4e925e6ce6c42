//! Chance that follows from a seed.

use std::hash::{DefaultHasher, Hasher};

/// A number that follows from the seed, and from who asks for the how manieth time.
pub(crate) fn chance(seed: u64, who: u64, nth: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(seed);
    hasher.write_u64(who);
    hasher.write_u64(nth);
    hasher.finish()
}
