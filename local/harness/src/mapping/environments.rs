//! The execution environments of one mapping: lanes borrow one each, and idle ones are used again, as Lambda does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use futures::future::{join_all, try_join_all};

use crate::function::{Invoke, Launch};

/// Idle environments, and the means to make more.
pub(super) struct Environments {
    launcher: Arc<dyn Launch>,
    idle: Mutex<Vec<Box<dyn Invoke>>>,
}

impl Environments {
    pub(super) fn new(launcher: Arc<dyn Launch>) -> Self {
        Self { launcher, idle: Mutex::default() }
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

    /// Ends those that are idle, all at the same time.
    pub(super) async fn end_idle(&self) {
        let idle = std::mem::take(&mut *self.idle());
        join_all(idle.into_iter().map(|mut environment| async move { environment.end().await })).await;
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Box<dyn Invoke>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
