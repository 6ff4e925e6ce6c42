//! Troubles that the page can inject: what operators fear.

use std::fmt;

use serde::Serialize;

/// A trouble, as the page's buttons name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trouble {
    /// A function's process dies in the middle of an invocation.
    Kill,
    /// Batches that succeeded are delivered once more.
    Again,
    /// Items whose documents OpenSearch refuses.
    Poison,
    /// OpenSearch dies, and comes back.
    Engine,
    /// The table's stream is disabled, and a new one enabled.
    Stream,
}

impl Trouble {
    /// Every trouble, in the order of the buttons.
    pub const ALL: [Self; 5] = [Self::Kill, Self::Again, Self::Poison, Self::Engine, Self::Stream];

    /// Returns the name that addresses have.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Again => "again",
            Self::Poison => "poison",
            Self::Engine => "engine",
            Self::Stream => "stream",
        }
    }

    /// Finds a trouble by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trouble| trouble.name() == name)
    }

    /// Returns the text of its button.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Kill => "Kill a function",
            Self::Again => "Deliver twice",
            Self::Poison => "Write poison",
            Self::Engine => "Stop OpenSearch",
            Self::Stream => "Re-create the stream",
        }
    }

    /// Says what happens, and what puts it right.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Kill => "Its process dies in the middle of an invocation. Lambda delivers the batch again.",
            Self::Again => "The last batches that succeeded are delivered once more. The guard refuses duplicates.",
            Self::Poison => {
                "Items with a text where the index expects a date. They become dead letters, the mapping is mended, \
                 and redrive writes them."
            }
            Self::Engine => "It is killed, as a crash would, and started again. The function retries meanwhile.",
            Self::Stream => {
                "The table's stream is disabled and a new one enabled. Changes in between are in neither: verify \
                 finds and repairs them."
            }
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_troubles_and_are_those_of_the_json() {
        for trouble in Trouble::ALL {
            assert_eq!(Trouble::named(trouble.name()), Some(trouble));
            assert_eq!(serde_json::to_value(trouble).expect("JSON"), trouble.name());
        }
        assert_eq!(Trouble::named("KILL"), None);
    }
}
