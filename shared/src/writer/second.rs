//! The one outcome of a change that is written to two indexes.

use std::sync::Arc;

use crate::outcome::{Outcome, Problem};

/// Writer on the second index, and what both indexes are called in dead letters.
#[derive(Debug)]
pub(super) struct Beside<W> {
    pub(super) writer: Box<W>,
    pub(super) names: IndexNames,
}

/// Names of a writer's own index and of the second one.
#[derive(Debug, Clone)]
pub(super) struct IndexNames {
    pub(super) own: Arc<str>,
    pub(super) second: Arc<str>,
}

impl IndexNames {
    /// Returns the outcomes of changes that ended so in the two indexes.
    pub(super) fn combined(&self, own: Vec<Outcome>, second: Vec<Outcome>) -> Vec<Outcome> {
        own.into_iter().zip(second).map(|(own, second)| self.both(own, second)).collect()
    }

    /// Returns the outcome of a change that ended so in the two indexes.
    pub(super) fn both(&self, own: Outcome, second: Outcome) -> Outcome {
        let in_one = |index: &Arc<str>, problem| {
            Outcome::Rejected(Problem::OneIndex { index: Arc::clone(index), problem: Box::new(problem) })
        };
        match (own, second) {
            (Outcome::Failed(problem), _) | (_, Outcome::Failed(problem)) => Outcome::Failed(problem),
            (Outcome::Unordered, _) | (_, Outcome::Unordered) => Outcome::Unordered,
            (Outcome::Rejected(problem), Outcome::Rejected(_)) => Outcome::Rejected(problem),
            (Outcome::Rejected(problem), _) => in_one(&self.own, problem),
            (_, Outcome::Rejected(problem)) => in_one(&self.second, problem),
            (Outcome::OrderAnomaly, _) | (_, Outcome::OrderAnomaly) => Outcome::OrderAnomaly,
            (Outcome::Duplicate, Outcome::Applied) => Outcome::Applied,
            (own, _) => own,
        }
    }
}
