//! Chance that follows from a seed. It stays the same, so a noted seed replays with any later build.

use driftless_harness::stable_hash::StableHash;

/// Returns a pseudo-random number, from the seed, the caller and its number of calls.
pub(crate) fn chance(seed: u64, who: u64, nth: u64) -> u64 {
    let mut hash = StableHash::default();
    for number in [seed, who, nth] {
        hash.write(&number.to_le_bytes());
    }
    hash.finish()
}
