//! The execution environments of one mapping: lanes borrow one each, and idle ones are used again, as Lambda does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use anyhow::Result;
use futures::future::{join_all, try_join_all};

use crate::function::{Invoke, Launch};

/// Place for the environment of one lane, locked while it is invoked.
pub(super) type LaneEnvironment = Arc<LaneSlot>;

type LaneSlot = tokio::sync::Mutex<Option<Box<dyn Invoke>>>;

/// Idle environments, those of the lanes, and the means to make more.
pub(super) struct Environments {
    launcher: Arc<dyn Launch>,
    idle: Mutex<Vec<Box<dyn Invoke>>>,
    slots: Mutex<Vec<Weak<LaneSlot>>>,
}

impl Environments {
    pub(super) fn new(launcher: Arc<dyn Launch>) -> Self {
        Self { launcher, idle: Mutex::default(), slots: Mutex::default() }
    }

    pub(super) fn function_arn(&self) -> &str {
        self.launcher.function_arn()
    }

    /// Starts environments, all at the same time, until `count` are idle.
    pub(super) async fn warm_up(&self, count: usize) -> Result<()> {
        let idle = self.idle().len();
        let starts = (idle..count).map(|_| async {
            let mut environment = self.launcher.launch().await?;
            environment.warm_up().await?;
            Ok::<_, anyhow::Error>(environment)
        });
        let started = try_join_all(starts).await?;
        self.idle().extend(started);
        Ok(())
    }

    /// Makes the place for the environment of a lane.
    pub(super) fn slot(&self) -> LaneEnvironment {
        let slot = LaneEnvironment::default();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.strong_count() > 0);
        slots.push(Arc::downgrade(&slot));
        slot
    }

    pub(super) async fn borrow(&self) -> Result<Box<dyn Invoke>> {
        let idle = self.idle().pop();
        match idle {
            Some(environment) => Ok(environment),
            None => self.launcher.launch().await,
        }
    }

    pub(super) fn give_back(&self, environment: Box<dyn Invoke>) {
        self.idle().push(environment);
    }

    /// Ends those that are idle, all at the same time: also those of lanes that have nothing to deliver.
    pub(super) async fn end_idle(&self) {
        let mut idle = std::mem::take(&mut *self.idle());
        for slot in self.held_by_lanes() {
            // One that is locked is at work.
            idle.extend(slot.try_lock().ok().and_then(|mut environment| environment.take()));
        }
        join_all(idle.into_iter().map(|mut environment| async move { environment.end().await })).await;
    }

    /// Returns the places of all lanes. Whoever holds them keeps their environments alive when the lanes end.
    pub(super) fn held_by_lanes(&self) -> Vec<LaneEnvironment> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().filter_map(Weak::upgrade).collect()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Box<dyn Invoke>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
