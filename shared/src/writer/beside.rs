//! A second index that gets the same changes, while a re-index lasts.
//!
//! Each index guards itself: its documents have states of their own, and a change may be new to one index and known to
//! the other. A change has one outcome all the same. It is done when both indexes have ended it, and refused when
//! either refuses it for good.

use futures::future::join;

use super::repair::{RepairError, RepairOptions, RepairReport, RepairRequest};
use super::second::{Beside, IndexNames};
use super::{ApplyOptions, ApplyReport, Writer};
use crate::change::Change;
use crate::document_id::DocumentId;
use crate::outcome::{ConfigurationError, Outcome};
use crate::table::{Key, Table};
use crate::target::Target;

impl<T: Target> Writer<T> {
    /// Adds a second index that gets the same changes. The names tell a person which of the two refused a change.
    #[must_use]
    pub fn beside(self, own: &str, second: &str, writer: Self) -> Self {
        let names = IndexNames { own: own.into(), second: second.into() };
        Self { beside: Some(Beside { writer: Box::new(writer), names }), ..self }
    }

    /// Returns the writer on the second index, if there is one.
    #[must_use]
    pub fn second(&self) -> Option<&Self> {
        self.beside.as_ref().map(|beside| &*beside.writer)
    }

    /// Applies a batch. Answers by the deadline if the target keeps it.
    ///
    /// # Errors
    /// Fails if the deployment is wrong. Some changes may have been applied, and none has been rejected for it.
    pub async fn apply(&self, changes: &[Change], options: ApplyOptions) -> Result<ApplyReport, ConfigurationError> {
        let Some(Beside { writer, names }) = &self.beside else { return self.apply_alone(changes, options).await };
        // Not `try_join`: it would drop what is still under way to the other index.
        let (own, second) = join(self.apply_alone(changes, options), writer.apply_alone(changes, options)).await;
        let (own, second) = (own?, second?);
        Ok(ApplyReport {
            outcomes: names.combined(own.outcomes, second.outcomes),
            engine_time: own.engine_time.max(second.engine_time),
            round_trips: own.round_trips.max(second.round_trips),
        })
    }

    /// Returns the outcomes that versions suggest, and writes nothing. A change that would be written counts as
    /// applied, although the engine might refuse it.
    ///
    /// # Errors
    /// As for [`Writer::apply`].
    pub async fn preview(&self, changes: &[Change], options: ApplyOptions) -> Result<Vec<Outcome>, ConfigurationError> {
        let Some(Beside { writer, names }) = &self.beside else { return self.preview_alone(changes, options).await };
        let (own, second) = join(self.preview_alone(changes, options), writer.preview_alone(changes, options)).await;
        Ok(names.combined(own?, second?))
    }

    /// Overwrites a document to which the change is an order anomaly. If the document has changed and it is none, the
    /// change is applied like any other. A problem is not retried.
    ///
    /// # Errors
    /// Fails if the deployment is wrong.
    pub async fn overrule(&self, change: &Change, options: ApplyOptions) -> Result<Outcome, ConfigurationError> {
        let own = self.overrule_alone(change, options).await?;
        let Some(Beside { writer, names }) = &self.beside else { return Ok(own) };
        Ok(names.both(own, writer.overrule_alone(change, options).await?))
    }

    /// Makes documents equal to the items of their keys, and leaves a tombstone where there is no item. Without a key,
    /// no item can have the document. Each document may occur once.
    ///
    /// # Errors
    /// Fails if the deployment is wrong, or the table cannot be read. Some documents may have been repaired.
    pub async fn repair<B: Table>(
        &self,
        table: &B,
        documents: &[(DocumentId, Option<Key>)],
        options: RepairOptions<'_>,
    ) -> Result<RepairReport, RepairError> {
        let requests = documents.iter().map(|(id, key)| RepairRequest { id, key: key.as_ref(), included: None });
        self.repair_both(table, &requests.collect::<Vec<_>>(), options).await
    }

    /// Repairs documents in both indexes.
    pub(super) async fn repair_both<B: Table>(
        &self,
        table: &B,
        requests: &[RepairRequest<'_>],
        options: RepairOptions<'_>,
    ) -> Result<RepairReport, RepairError> {
        let own = self.repair_alone(table, requests, options).await?;
        let Some(Beside { writer, names }) = &self.beside else { return Ok(own) };
        let second = writer.repair_alone(table, requests, options).await?;
        Ok(RepairReport {
            outcomes: names.combined(own.outcomes, second.outcomes),
            capacity: own.capacity + second.capacity,
        })
    }
}
