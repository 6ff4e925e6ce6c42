//! Chance that follows from a seed, the same for ever: a noted seed replays with any later build.

use driftless_harness::stable_hash::StableHash;

/// A number that follows from the seed, and from who asks for the how manieth time.
pub(crate) fn chance(seed: u64, who: u64, nth: u64) -> u64 {
    let mut hash = StableHash::default();
    for number in [seed, who, nth] {
        hash.write(&number.to_le_bytes());
    }
    hash.finish()
}
