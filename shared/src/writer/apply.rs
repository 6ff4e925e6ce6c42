//! Application of a batch: folds it, splits it into concurrent parts, and combines their outcomes.

use futures::future::try_join_all;

use super::part::{Part, PartOutcomes};
use super::{ApplyOptions, ApplyReport, Writer};
use crate::change::Change;
use crate::fold::{Folded, fold};
use crate::outcome::{ConfigurationError, Outcome};
use crate::target::Target;

/// Minimum number of documents in a part.
const MIN_DOCUMENTS: usize = 40;

impl<T: Target> Writer<T> {
    /// Applies a batch to this writer's own index only.
    pub(super) async fn apply_alone(
        &self,
        changes: &[Change],
        options: ApplyOptions,
    ) -> Result<ApplyReport, ConfigurationError> {
        let parts = parts(fold(changes), options.max_parts);
        let parts = parts.into_iter().enumerate().map(|(nth, documents)| async move {
            if nth > 0 {
                // The previous part sends its request before this one prepares its own.
                tokio::task::yield_now().await;
            }
            Part::new(documents, changes, self, options).apply().await
        });
        Ok(ApplyReport::of(try_join_all(parts).await?))
    }

    /// Previews a batch for this writer's own index only.
    pub(super) async fn preview_alone(
        &self,
        changes: &[Change],
        options: ApplyOptions,
    ) -> Result<Vec<Outcome>, ConfigurationError> {
        let ended = Part::new(fold(changes), changes, self, options).preview().await?;
        Ok(ApplyReport::of(vec![ended]).outcomes)
    }
}

impl ApplyReport {
    /// Combines the parts of a batch, which ran concurrently.
    fn of(parts: Vec<PartOutcomes>) -> Self {
        let engine_time = parts.iter().map(|part| part.engine_time).max().unwrap_or_default();
        let round_trips = parts.iter().map(|part| part.round_trips).max().unwrap_or_default();
        let together = parts.into_iter().reduce(|mut all, part| {
            all.outcomes.iter_mut().zip(part.outcomes).for_each(|(one, other)| *one = one.take().or(other));
            all
        });
        let outcomes = together.unwrap_or_default().outcomes.into_iter();
        let outcomes = outcomes.map(|outcome| outcome.expect("every change has ended")).collect();
        Self { outcomes, engine_time, round_trips }
    }
}

/// Splits the documents of a batch into parts of about equal numbers.
fn parts(mut documents: Vec<Folded<'_>>, most: usize) -> Vec<Vec<Folded<'_>>> {
    let count = (documents.len() / MIN_DOCUMENTS).min(most).max(1);
    let mut parts = Vec::with_capacity(count);
    for left in (1..count).rev() {
        let rest = documents.split_off(documents.len() / (left + 1));
        parts.push(std::mem::replace(&mut documents, rest));
    }
    parts.push(documents);
    parts
}
