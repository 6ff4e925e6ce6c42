//! Limits of Lambda on executions: how many run, how many start per second, and how fast environments are added.

use std::collections::VecDeque;

use super::bottleneck::LimitKind;
use crate::limits::{INVOCATIONS_PER_EXECUTION, SCALING_ENVIRONMENTS, SCALING_INTERVAL_S};

const SECOND_US: f64 = 1e6;
/// Minutes for which an idle environment is kept: AWS promises none, and keeps them for several.
const IDLE_MINUTES: usize = 10;

/// Executions of the function, and its environments.
pub(super) struct Executions {
    /// Concurrent executions that the account has for the function.
    most: f64,
    running: u32,
    /// Environments that exist, running ones included.
    environments: u32,
    /// Environments that may be added now.
    addable: f64,
    /// Invocations that may start now.
    startable: f64,
    refilled_us: f64,
    /// Most executions of each of the last minutes, the current one at the end.
    peaks: VecDeque<u32>,
    pub(super) highest: u32,
}

/// Start of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Started {
    /// An environment was idle.
    Warm,
    /// An environment was added.
    Cold,
}

impl Executions {
    pub(super) fn new(most: f64) -> Self {
        let startable = most * INVOCATIONS_PER_EXECUTION;
        let peaks = VecDeque::from([0]);
        Self {
            most,
            running: 0,
            environments: 0,
            addable: SCALING_ENVIRONMENTS,
            startable,
            refilled_us: 0.0,
            peaks,
            highest: 0,
        }
    }

    /// Starts an execution, or says which limit is in the way.
    pub(super) fn start(&mut self, now_us: f64) -> Result<Started, LimitKind> {
        self.refill(now_us);
        if f64::from(self.running) + 1.0 > self.most {
            return Err(LimitKind::ConcurrentExecutions);
        }
        if self.startable < 1.0 {
            return Err(LimitKind::InvocationsPerSecond);
        }
        let started = if self.running < self.environments {
            Started::Warm
        } else if self.addable >= 1.0 {
            self.addable -= 1.0;
            self.environments += 1;
            Started::Cold
        } else {
            return Err(LimitKind::ScalingRate);
        };
        self.startable -= 1.0;
        self.running += 1;
        self.highest = self.highest.max(self.running);
        if let Some(peak) = self.peaks.back_mut() {
            *peak = self.running.max(*peak);
        }
        Ok(started)
    }

    /// Ends an execution, and keeps its environment.
    pub(super) fn end(&mut self) {
        self.running -= 1;
    }

    /// Begins another minute: environments that none of the last ones needed are gone.
    pub(super) fn next_minute(&mut self) {
        let needed = self.peaks.iter().copied().max().unwrap_or_default();
        self.environments = self.environments.min(needed).max(self.running);
        self.peaks.push_back(self.running);
        if self.peaks.len() > IDLE_MINUTES {
            self.peaks.pop_front();
        }
    }

    fn refill(&mut self, now_us: f64) {
        let seconds = (now_us - self.refilled_us) / SECOND_US;
        self.refilled_us = now_us;
        let rate = SCALING_ENVIRONMENTS / SCALING_INTERVAL_S;
        self.addable = seconds.mul_add(rate, self.addable).min(SCALING_ENVIRONMENTS);
        let rate = self.most * INVOCATIONS_PER_EXECUTION;
        self.startable = seconds.mul_add(rate, self.startable).min(rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_gets_a_thousand_environments_and_then_a_hundred_per_second() {
        let mut executions = Executions::new(5_000.0);
        for _ in 0..1_000 {
            assert_eq!(executions.start(0.0), Ok(Started::Cold));
        }
        assert_eq!(executions.start(0.0), Err(LimitKind::ScalingRate));
        let second: Vec<_> = (0..150).map(|_| executions.start(SECOND_US)).collect();
        assert_eq!(second.iter().filter(|started| started.is_ok()).count(), 100);
        executions.end();
        assert_eq!(executions.start(SECOND_US), Ok(Started::Warm));
    }

    #[test]
    fn an_account_runs_so_many_and_starts_ten_times_as_many_per_second() {
        let mut executions = Executions::new(2.0);
        assert!(executions.start(0.0).is_ok() && executions.start(0.0).is_ok());
        assert_eq!(executions.start(0.0), Err(LimitKind::ConcurrentExecutions));
        for _ in 2..20 {
            executions.end();
            assert_eq!(executions.start(0.0), Ok(Started::Warm));
        }
        executions.end();
        assert_eq!(executions.start(0.0), Err(LimitKind::InvocationsPerSecond));
        assert_eq!(executions.start(SECOND_US / 10.0), Ok(Started::Warm));
        assert_eq!(executions.highest, 2);
    }

    #[test]
    fn idle_environments_are_gone_after_some_minutes() {
        let mut executions = Executions::new(10.0);
        (0..4).for_each(|_| assert!(executions.start(0.0).is_ok()));
        (0..4).for_each(|_| executions.end());
        (0..5).for_each(|_| executions.next_minute());
        assert_eq!(executions.start(0.0), Ok(Started::Warm));
        executions.end();
        (0..15).for_each(|_| executions.next_minute());
        assert_eq!(executions.start(0.0), Ok(Started::Cold));
    }
}
