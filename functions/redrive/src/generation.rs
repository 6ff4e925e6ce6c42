//! Generation of messages that do not name one: Lambda's on-failure messages, and our dead letters about unreadable
//! records.
//!
//! After a raise of `GENERATION`, nobody knows in which generation such a message was sent. Read in the new generation,
//! old content would beat the stored one. Read in the old generation, the newest content might be lost. So without a
//! generation in the request, such a message changes only documents written in the function's own generation: there,
//! both readings give the same order. All other documents are undecided. That includes missing documents, because a
//! raise may come with a new index, which does not know what was removed before.

use std::collections::{BTreeMap, BTreeSet};

use driftless::bucket::Bucket;
use driftless::change::Change;
use driftless::document_id::DocumentId;
use driftless::outcome::{ConfigurationError, Problem};
use driftless::queue::Queue;
use driftless::stream::range::RangeReader;
use driftless::table::Table;
use driftless::target::{Call, StoredState, Target};
use driftless::version::Generation;

use crate::redrive::Redrive;
use crate::run::{End, RedriveRun};

impl<T: Target, Q: Queue, R: RangeReader, B: Table, O: Bucket> Redrive<'_, T, Q, R, B, O> {
    /// Returns the generation of messages that do not name one.
    pub(crate) fn assumed_generation(&self, run: &RedriveRun<'_>) -> Generation {
        run.request.generation.map_or(self.read_options.generation, Generation)
    }

    /// Returns the documents of which nobody knows if the changes are newer. Empty if the request names a generation,
    /// or the function's own was never raised. `Ok(Err)` if the documents cannot be read for now.
    ///
    /// # Errors
    /// Fails if the deployment is wrong.
    pub(crate) async fn undecided_documents(
        &self,
        changes: &[Change],
        run: &RedriveRun<'_>,
    ) -> Result<Result<BTreeSet<DocumentId>, Problem>, ConfigurationError> {
        let own = self.read_options.generation;
        if run.request.generation.is_some() || own <= Generation::default() || changes.is_empty() {
            return Ok(Ok(BTreeSet::new()));
        }
        let ids: BTreeSet<&DocumentId> = changes.iter().map(|change| &change.id).collect();
        let mut by_index: BTreeMap<Option<&str>, Vec<&DocumentId>> = BTreeMap::new();
        for id in ids {
            by_index.entry(id.index()).or_default().push(id);
        }
        let mut undecided = BTreeSet::new();
        for ids in by_index.values() {
            let call = Call::until(self.apply_options(run).deadline);
            for (id, state) in ids.iter().zip(self.writer.of(ids[0]).target().read(ids, call).await) {
                match state {
                    Ok(state) if written_in(state.as_ref()) >= Some(own) => {}
                    Ok(_) => {
                        undecided.insert((*id).clone());
                    }
                    Err(problem) => return problem.unless_configuration().map(Err),
                }
            }
        }
        Ok(Ok(undecided))
    }

    /// Returns the end of a dead letter with undecided documents.
    pub(crate) fn undecided_end(&self) -> End {
        let own = self.read_options.generation.0;
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

fn written_in(state: Option<&StoredState>) -> Option<Generation> {
    state?.version.as_ref()?.generation()
}
