//! The mix of a load: how many of its writes insert, modify and remove.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail};

/// Weights of the kinds of writes, written `insert/modify/remove`, as in `30/60/10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// The weight of inserts.
    pub insert: u32,
    /// The weight of modifications.
    pub modify: u32,
    /// The weight of removals.
    pub remove: u32,
}

impl Mix {
    /// The sum of the weights.
    #[must_use]
    pub fn total(&self) -> u64 {
        u64::from(self.insert) + u64::from(self.modify) + u64::from(self.remove)
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self { insert: 30, modify: 60, remove: 10 }
    }
}

impl FromStr for Mix {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let weights: Result<Vec<u32>, _> = text.split('/').map(|weight| weight.trim().parse()).collect();
        let weights = weights.with_context(|| format!("`{text}` is not insert/modify/remove, as in 30/60/10"))?;
        let [insert, modify, remove] = weights[..] else {
            bail!("`{text}` has {} weights, not insert/modify/remove, as in 30/60/10", weights.len());
        };
        Ok(Self { insert, modify, remove })
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.insert, self.modify, self.remove)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_read_as_it_is_written() {
        assert_eq!("30/60/10".parse::<Mix>().unwrap(), Mix::default());
        assert_eq!(Mix::default().to_string(), "30/60/10");
        assert!("30/60".parse::<Mix>().is_err());
        assert!("a/b/c".parse::<Mix>().is_err());
    }
}
