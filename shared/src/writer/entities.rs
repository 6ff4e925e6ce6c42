//! Writers on the indexes that entities have of their own. Each change goes to the index of its id, and keeps its place
//! among the outcomes.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;

use super::repair::{RepairError, RepairOptions, RepairReport, RepairRequest};
use super::{ApplyOptions, ApplyReport, Writer};
use crate::change::Change;
use crate::document_id::DocumentId;
use crate::outcome::{ConfigurationError, Outcome};
use crate::table::Table;
use crate::target::Target;

/// Places in a batch by the index of their ids; `None` is the writer's own.
pub(super) type PlacesByIndex<'w> = BTreeMap<Option<&'w Arc<str>>, Vec<usize>>;

impl<T: Target> Writer<T> {
    /// Adds the writers on the indexes that entities have of their own, by the indexes' names.
    #[must_use]
    pub fn with_entities(self, entities: BTreeMap<Arc<str>, Arc<Self>>) -> Self {
        Self { entities, ..self }
    }

    /// Returns the writer on the index of a document.
    #[must_use]
    pub fn of(&self, id: &DocumentId) -> &Self {
        let entity = id.index().and_then(|index| self.entities.get(index));
        entity.map_or(self, |writer| writer)
    }

    /// Returns the places by index; `None` if all are the writer's own.
    pub(super) fn by_index<'c>(&self, ids: impl Iterator<Item = &'c DocumentId>) -> Option<PlacesByIndex<'_>> {
        if self.entities.is_empty() {
            return None;
        }
        let mut places = PlacesByIndex::new();
        for (place, id) in ids.enumerate() {
            let entity = id.index().and_then(|index| self.entities.get_key_value(index));
            places.entry(entity.map(|(index, _)| index)).or_default().push(place);
        }
        places.keys().any(Option::is_some).then_some(places)
    }

    fn named(&self, index: Option<&Arc<str>>) -> &Self {
        index.and_then(|index| self.entities.get(index)).map_or(self, |writer| writer)
    }

    /// Applies each part of a batch to its own index.
    pub(super) async fn apply_by_index(
        &self,
        changes: &[Change],
        places: PlacesByIndex<'_>,
        options: ApplyOptions,
    ) -> Result<ApplyReport, ConfigurationError> {
        let parts = places.iter().map(|(index, places)| async {
            let part: Vec<Change> = places.iter().map(|&place| changes[place].clone()).collect();
            Box::pin(self.named(*index).apply(&part, options)).await
        });
        let mut whole = ApplyReport::default();
        let mut outcomes = Vec::with_capacity(places.len());
        // Not `try_join_all`: it would drop what is still under way to another index.
        for report in join_all(parts).await {
            let report = report?;
            whole.engine_time = whole.engine_time.max(report.engine_time);
            whole.round_trips = whole.round_trips.max(report.round_trips);
            outcomes.push(report.outcomes);
        }
        whole.outcomes = in_order(&places, outcomes, changes.len());
        Ok(whole)
    }

    /// Previews each part of a batch on its own index.
    pub(super) async fn preview_by_index(
        &self,
        changes: &[Change],
        places: PlacesByIndex<'_>,
        options: ApplyOptions,
    ) -> Result<Vec<Outcome>, ConfigurationError> {
        let mut outcomes = Vec::with_capacity(places.len());
        for (index, places) in &places {
            let part: Vec<Change> = places.iter().map(|&place| changes[place].clone()).collect();
            outcomes.push(Box::pin(self.named(*index).preview(&part, options)).await?);
        }
        Ok(in_order(&places, outcomes, changes.len()))
    }

    /// Repairs the documents of each index by the rules as that index sees them.
    pub(super) async fn repair_by_index<B: Table>(
        &self,
        table: &B,
        requests: &[RepairRequest<'_>],
        places: PlacesByIndex<'_>,
        options: RepairOptions<'_>,
    ) -> Result<RepairReport, RepairError> {
        let mut whole = RepairReport::default();
        let mut outcomes = Vec::with_capacity(places.len());
        for (index, places) in &places {
            let part: Vec<_> = places.iter().map(|&place| requests[place]).collect();
            let replication = index.map(|index| options.replication.of_index(index));
            let replication = replication.as_ref().unwrap_or(options.replication);
            let options = RepairOptions { replication, ..options };
            let report = Box::pin(self.named(*index).repair_both(table, &part, options)).await?;
            whole.capacity += report.capacity;
            outcomes.push(report.outcomes);
        }
        whole.outcomes = in_order(&places, outcomes, requests.len());
        Ok(whole)
    }
}

/// Puts the outcomes of all parts in the order of the batch.
fn in_order(places: &PlacesByIndex<'_>, outcomes: Vec<Vec<Outcome>>, count: usize) -> Vec<Outcome> {
    let mut ordered: Vec<Option<Outcome>> = vec![None; count];
    for (&place, outcome) in places.values().flatten().zip(outcomes.into_iter().flatten()) {
        ordered[place] = Some(outcome);
    }
    ordered.into_iter().map(|outcome| outcome.expect("every place is in one part")).collect()
}
