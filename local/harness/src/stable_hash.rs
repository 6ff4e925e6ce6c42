//! A hash that is the same in every build: what a key or a seed decides by it, it decides for ever.
//!
//! The standard library's hasher may change with any release of Rust. This is FNV-1a, its bits mixed as `SplitMix64` does.

const FNV_START: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;

/// Hash of bytes that come one after the other.
#[derive(Clone, Copy, Debug)]
pub struct StableHash(u64);

impl Default for StableHash {
    fn default() -> Self {
        Self(FNV_START)
    }
}

impl StableHash {
    /// Returns the hash of these bytes alone.
    #[must_use]
    pub fn of(bytes: &[u8]) -> u64 {
        let mut hash = Self::default();
        hash.write(bytes);
        hash.finish()
    }

    /// Adds bytes to what is hashed.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME));
    }

    /// Hash of all bytes so far, every bit of which depends on all of them.
    #[must_use]
    pub fn finish(self) -> u64 {
        mix(self.0)
    }
}

/// Mixes the bits of a number; different numbers stay different.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_published_ones() {
        let mut hash = StableHash::default();
        hash.write(b"foo");
        hash.write(b"bar");
        assert_eq!(hash.0, 0x8594_4171_F739_67E8, "FNV-1a of foobar");
        assert_eq!(hash.finish(), StableHash::of(b"foobar"));
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF, "the first number of SplitMix64 from 0");
    }
}
