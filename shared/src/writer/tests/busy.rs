//! A target with a faster writer: each write is preceded by somebody else's.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::options;
use crate::change::Change;
use crate::document_id::DocumentId;
use crate::memory::MemoryTarget;
use crate::outcome::Problem;
use crate::target::{Call, ConditionalWrite, StoredState, Target, Written};
use crate::version::Generation;
use crate::writer::{Instant, Writer};

/// Target before each of whose writes one of these changes is applied.
#[derive(Default)]
pub(in crate::writer) struct Busy {
    pub(in crate::writer) target: MemoryTarget,
    others: Mutex<VecDeque<Change>>,
}

impl Busy {
    /// Schedules changes of the other writer, one per write.
    pub(in crate::writer) fn precede(&self, others: impl IntoIterator<Item = Change>) {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).extend(others);
    }
}

impl Target for Busy {
    async fn read(&self, ids: &[&DocumentId], call: Call) -> Vec<Result<Option<StoredState>, Problem>> {
        self.target.read(ids, call).await
    }

    async fn write(&self, writes: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
        let other = self.others.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if let Some(other) = other {
            let writer = Writer::new(self.target.clone(), Generation::default());
            writer.apply(&[other], options()).await.expect("configured");
        }
        self.target.write(writes, call).await
    }

    async fn probe_beside(&self, beside: &DocumentId, deadline: Instant) -> Result<(), Problem> {
        self.target.probe_beside(beside, deadline).await
    }
}
