//! The lanes of a stream at one rate: how busy they are, and how long a change waits in them.

use crate::limits::POLLS_PER_SECOND;
use crate::scenario::Scenario;
use crate::timing::Timing;

/// Load of each lane, where all lanes share one rate evenly.
pub(crate) struct Lanes {
    pub(crate) invocation_ms: f64,
    pub(crate) records_per_invocation: f64,
    pub(crate) invocations_per_poll: f64,
    /// Share of its time that a lane is busy; above 1, the lag grows without end.
    pub(crate) busy: f64,
}

impl Lanes {
    pub(crate) fn new(scenario: &Scenario, timing: &Timing, rate: f64, lanes: u64, batch_size: u64) -> Self {
        let records_per_poll = rate / POLLS_PER_SECOND / lanes as f64;
        // A poll that returns anything makes at least one invocation.
        // At low rates the share of polls that return something is a Poisson probability.
        let invocations_per_poll = (records_per_poll / batch_size as f64).max(1.0 - (-records_per_poll).exp());
        let records_per_invocation = if records_per_poll > 0.0 { records_per_poll / invocations_per_poll } else { 1.0 };
        let (cpu_ms, engine_ms) = (timing.cpu_ms(records_per_invocation), timing.engine_ms(records_per_invocation));
        let invocation_ms = scenario.overhead_ms + scenario.work_ms(cpu_ms, engine_ms, records_per_invocation);
        let busy = invocations_per_poll * invocation_ms * POLLS_PER_SECOND / 1_000.0;
        Self { invocation_ms, records_per_invocation, invocations_per_poll, busy }
    }

    /// Lag that this share of changes stays within.
    ///
    /// A change waits for the poll, the longer the earlier in the interval it came.
    /// Then it waits for those before it in its lane, the longer the later it came, and last for its own invocation.
    pub(crate) fn lag_ms(&self, share: f64) -> f64 {
        let interval_ms = 1_000.0 / POLLS_PER_SECOND;
        let waits = if self.busy > 1.0 { f64::INFINITY } else { share + (1.0 - share) * self.busy };
        interval_ms * waits + self.invocation_ms
    }
}
