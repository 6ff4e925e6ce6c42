//! A run of the demo: what was asked for, its stage and load, and what its troubles have left to count.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use driftless_harness::load::Meter;
use driftless_harness::services::Services;

use crate::args::Args;
use crate::first_load::DemoItems;
use crate::recovery::{self, Recovery};
use crate::stage::DemoStage;

/// A run, with all that its parts share.
pub(crate) struct DemoRun<'r> {
    pub(crate) args: &'r Args,
    pub(crate) stage: &'r DemoStage,
    pub(crate) services: &'r Services,
    pub(crate) items: Arc<DemoItems>,
    pub(crate) meter: Arc<Meter>,
    /// Held by who receives from the dead-letter queue: two readers would hide messages from each other.
    pub(crate) queue_use: Arc<tokio::sync::Mutex<()>>,
    /// Consequences of troubles, for the summary.
    troubles: Mutex<TroubleCounts>,
}

/// Counts of what the page's troubles did.
#[derive(Clone, Copy, Debug, Default)]
struct TroubleCounts {
    recovery: Recovery,
    outage: Duration,
    poison: u64,
}

impl<'r> DemoRun<'r> {
    pub(crate) fn new(args: &'r Args, stage: &'r DemoStage, services: &'r Services) -> Self {
        let (items, meter, troubles) = (DemoItems::new(args.poison), Arc::default(), Mutex::default());
        Self { args, stage, services, items, meter, queue_use: Arc::default(), troubles }
    }

    /// Adds dead letters that a trouble left and a redrive took off the queue.
    pub(crate) fn add_recovery(&self, recovery: Recovery) {
        self.change(|troubles| troubles.recovery = troubles.recovery.and(recovery));
    }

    /// Adds a time in which the engine was away.
    pub(crate) fn add_outage(&self, outage: Duration) {
        self.change(|troubles| troubles.outage += outage);
    }

    /// Takes the number of the next poison item that a trouble writes.
    pub(crate) fn next_poison(&self) -> u64 {
        let mut number = 0;
        self.change(|troubles| {
            number = troubles.poison;
            troubles.poison += 1;
        });
        number
    }

    /// Redrives what is in the queue, and adds it to what the troubles left there before.
    ///
    /// # Errors
    /// As [`recovery::redrive`].
    pub(crate) async fn redrive_all(&self) -> Result<Recovery> {
        let last = self.redrive().await?;
        Ok(self.counts().recovery.and(last))
    }

    /// Redrives what is in the queue.
    ///
    /// # Errors
    /// As [`recovery::redrive`].
    pub(crate) async fn redrive(&self) -> Result<Recovery> {
        let _use = self.queue_use.lock().await;
        recovery::redrive(self.stage).await
    }

    /// Seconds in which the engine was away on purpose.
    pub(crate) fn outage_seconds(&self) -> f64 {
        self.args.outage + self.counts().outage.as_secs_f64()
    }

    /// Number of poison changes that were written.
    pub(crate) fn poison_written(&self) -> u64 {
        self.items.poison_written() + self.counts().poison
    }

    fn change(&self, change: impl FnOnce(&mut TroubleCounts)) {
        change(&mut self.troubles.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn counts(&self) -> TroubleCounts {
        *self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
