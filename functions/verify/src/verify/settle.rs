//! The further looks at what differs, until each suspect is decided; and the repair.

use driftless::document_id::DocumentId;
use driftless::function::FunctionError;
use driftless::outcome::Outcome;
use driftless::table::{Consistency, Key, Table};
use driftless::target::Documents;
use driftless::writer::repair::RepairOptions;
use tokio::time::{Instant, sleep_until};

use super::{LOOKED_AT, Verify, is_hashed};
use crate::compare::paths;
use crate::run::{VerifyRun, longest_lag};
use crate::suspects::{Look, MOST, MOST_LOOKS, Suspect};

impl<T: Documents, B: Table> Verify<'_, T, B> {
    /// Looks at suspects that are due. Waits for some if there are too many.
    pub(super) async fn settle_due(&self, run: &mut VerifyRun<'_>) -> Result<(), FunctionError> {
        loop {
            let due = run.suspects.take_due(LOOKED_AT);
            if due.is_empty() {
                match run.suspects.next_due() {
                    Some(next) if run.suspects.len() >= MOST => sleep_until(next.min(run.deadline)).await,
                    _ => return Ok(()),
                }
                if Instant::now() >= run.deadline {
                    return Ok(());
                }
                continue;
            }
            self.look_again(due, run).await?;
        }
    }

    /// Looks at all suspects until each is decided or the time is up.
    pub(super) async fn settle_all(&self, run: &mut VerifyRun<'_>) -> Result<(), FunctionError> {
        while let Some(next) = run.suspects.next_due() {
            if next >= run.deadline {
                break;
            }
            sleep_until(next).await;
            let due = run.suspects.take_due(LOOKED_AT);
            self.look_again(due, run).await?;
        }
        Ok(())
    }

    /// Looks once more, and decides what is the same as at the look before.
    async fn look_again(&self, due: Vec<Suspect>, run: &mut VerifyRun<'_>) -> Result<(), FunctionError> {
        let documents: Vec<(DocumentId, Option<Key>)> =
            due.iter().map(|suspect| (suspect.id.clone(), suspect.key.clone())).collect();
        let begun = Instant::now();
        let looks = self.look(&documents, run).await?;
        run.note_step(begun);
        let mut differing = Vec::new();
        for (suspect, look) in due.into_iter().zip(looks) {
            // Equal by now: a change was on its way.
            let Some((look, paths)) = look else { continue };
            if look == suspect.look && !run.is_behind() {
                run.report.note(&suspect.id, look.kind, paths);
                differing.push((suspect.id, suspect.key));
            } else if look == suspect.look || suspect.looks >= MOST_LOOKS {
                run.leave_undecided(1);
            } else {
                let due = run.next_look();
                run.suspects.push(Suspect { look, looks: suspect.looks + 1, due, ..suspect });
            }
        }
        if run.request.repair {
            // An item may live under a hashed id that its document no longer explains. The table's side finds it.
            let (nameless, differing): (Vec<_>, Vec<_>) =
                differing.into_iter().partition(|(id, key): &(DocumentId, _)| key.is_none() && is_hashed(id));
            run.report.counts.failed += nameless.len() as u64;
            if !differing.is_empty() {
                self.repair(&differing, run).await?;
            }
        }
        Ok(())
    }

    /// Looks at documents, then at their items, consistently. `None` where both are equal.
    pub(super) async fn look(
        &self,
        documents: &[(DocumentId, Option<Key>)],
        run: &mut VerifyRun<'_>,
    ) -> Result<Vec<Option<(Look, Vec<String>)>>, FunctionError> {
        let ids: Vec<&DocumentId> = documents.iter().map(|(id, _)| id).collect();
        let stored = self.read_documents(&ids, run.deadline).await?;
        let states = stored.iter().flatten().map(|stored| &stored.state);
        run.note_lag(longest_lag(states, (self.now)()));
        let keys: Vec<Key> = documents.iter().filter_map(|(_, key)| key.clone()).collect();
        let found = self.get(&keys, Consistency::Strong, run.deadline).await?;
        run.report.counts.rcu += found.capacity;
        let mut items = found.items.into_iter();
        let looks = documents.iter().zip(stored).map(|((id, key), stored)| {
            let item = key.as_ref().and_then(|_| items.next().flatten());
            // An item that the rules give no document was counted where it was read.
            let document = self.expected(id, item.as_ref()).ok()?;
            let look = self.compared(id, document.as_ref(), stored.as_ref())?;
            Some((look, paths(document.as_ref(), stored.as_ref().map(|stored| &stored.body))))
        });
        Ok(looks.collect())
    }

    async fn repair(
        &self,
        differing: &[(DocumentId, Option<Key>)],
        run: &mut VerifyRun<'_>,
    ) -> Result<(), FunctionError> {
        let replication = &self.read_options.replication;
        let options = RepairOptions { deadline: run.deadline, now: &self.now, replication };
        let report = self.writer.repair(self.table, differing, options).await?;
        let counts = &mut run.report.counts;
        counts.rcu += report.capacity;
        for outcome in report.outcomes {
            match outcome {
                Outcome::Rejected(problem) => {
                    tracing::error!(class = problem.class(), status = problem.status(), "a repair was refused");
                    counts.rejected += 1;
                }
                Outcome::Failed(problem) => {
                    tracing::warn!(class = problem.class(), status = problem.status(), "a repair failed");
                    counts.failed += 1;
                }
                _ => counts.repaired += 1,
            }
        }
        Ok(())
    }
}
