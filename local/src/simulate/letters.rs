//! The dead-letter queue and its redrive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use driftless::change::Record;
use driftless::outcome::Outcome;
use driftless::time::Timestamp;
use driftless::writer::Limits;
use tokio::time::Instant;

use super::index::Index;
use super::ledger::Ordinal;
use super::world::World;
use crate::mapping::record::StreamRecord;

const DEADLINE: Duration = Duration::from_millis(1_800);

#[derive(Default)]
pub(super) struct Letters {
    letters: BTreeMap<u64, Vec<StreamRecord>>,
    sent: u64,
}

impl Letters {
    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    pub(super) fn names(&self, change: Ordinal, ordinal: impl Fn(&StreamRecord) -> Option<Ordinal>) -> bool {
        self.letters.values().flatten().any(|record| ordinal(record) == Some(change))
    }
}

impl<I: Index> World<I> {
    pub(super) fn send_range(&self, _: (usize, usize), records: &[StreamRecord]) {
        let ordinals = self.ordinals(records);
        let mut state = self.state();
        state.letters.sent += 1;
        let number = state.letters.sent;
        state.letters.letters.insert(number, records.to_vec());
        state.ledger.lettered(ordinals);
    }

    pub(super) async fn redrive(self: Arc<Self>) {
        let letters: Vec<_> = self.state().letters.letters.clone().into_iter().rev().collect();
        let process = self.start_process(false);
        let reading = self.reading();
        for (number, records) in letters {
            let changes: Vec<_> = records
                .iter()
                .rev()
                .filter_map(|record| Record::read(std::str::from_utf8(record.json()).ok()?, &reading).change.ok())
                .collect();
            let limits =
                Limits { deadline: Instant::now() + DEADLINE, written_at: Timestamp::from_millis(self.now_ms()) };
            let report = tokio::select! {
                biased;
                () = process.killed.notified() => return,
                report = process.writer.apply(&changes, limits) => report,
            };
            let Ok(report) = report else { continue };
            if report.outcomes.iter().all(|end| !matches!(end, Outcome::Failed(_) | Outcome::Rejected(_))) {
                self.check_out(&self.ordinals(&records), false, "and its letter was deleted");
                self.count("redriven letters", 1);
                self.state().letters.letters.remove(&number);
            }
        }
    }
}
