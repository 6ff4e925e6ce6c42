//! The generation of letters that do not say theirs: Lambda's, and ours about records that could not be read.
//!
//! Once `GENERATION` was raised, nobody knows in which generation such a letter was sent. Taken for one of the new generation,
//! old content would beat whatever stands in the index; taken for one of the old, the newest content might be lost. So
//! without a generation in the request, such a letter changes only documents that were written in the function's own
//! generation: there, both readings give the same order. All other documents are undecided, those that do not exist
//! included: an index may have been made anew with the raise, and know nothing of what was removed before.

use std::collections::BTreeSet;

use driftless::change::Change;
use driftless::document_id::DocumentId;
use driftless::outcome::{ConfigurationError, Problem};
use driftless::queue::Queue;
use driftless::stream::range::Ranges;
use driftless::target::{Call, Stored, Target};
use driftless::version::Generation;

use crate::redrive::Redrive;
use crate::run::{End, Run};

impl<T: Target, Q: Queue, R: Ranges> Redrive<'_, T, Q, R> {
    /// Returns the generation of letters that do not say theirs.
    pub(crate) fn generation(&self, run: &Run<'_>) -> Generation {
        run.request.generation.map_or(self.reading.generation, Generation)
    }

    /// Returns the documents for which it is not known whether the changes are newer. None where the request names a
    /// generation, or the function's own was never raised. `Ok(Err)`: the documents could not be read for now.
    ///
    /// # Errors
    /// Where the deployment is wrong.
    pub(crate) async fn undecided(
        &self,
        changes: &[Change],
        run: &Run<'_>,
    ) -> Result<Result<BTreeSet<DocumentId>, Problem>, ConfigurationError> {
        let own = self.reading.generation;
        if run.request.generation.is_some() || own <= Generation::default() || changes.is_empty() {
            return Ok(Ok(BTreeSet::new()));
        }
        let ids: BTreeSet<&DocumentId> = changes.iter().map(|change| &change.id).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let mut undecided = BTreeSet::new();
        for (id, state) in ids.iter().zip(self.writer.target().read(&ids, Call::until(self.limits(run).deadline)).await)
        {
            match state {
                Ok(state) if written_in(state.as_ref()) >= Some(own) => {}
                Ok(_) => {
                    undecided.insert((*id).clone());
                }
                Err(problem) => return problem.unless_configuration().map(Err),
            }
        }
        Ok(Ok(undecided))
    }

    /// Returns the end of a letter with such documents.
    pub(crate) fn undecided_end(&self) -> End {
        let own = self.reading.generation.0;
        End::keep(
            "generation",
            format!(
                "GENERATION is {own}, the letter does not say in which generation it was sent, and a document of it was last \
                 written in an older one, or never: redrive it with {{\"generation\": N}}, N being the value of GENERATION \
                 when the letter was sent, {own} if that was after it was raised"
            ),
        )
    }
}

fn written_in(state: Option<&Stored>) -> Option<Generation> {
    state?.version.as_ref()?.generation()
}
