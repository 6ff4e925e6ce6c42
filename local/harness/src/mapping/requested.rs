//! Faults that are asked for while a mapping runs. Each happens once, at the next opportunity of any lane.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Faults that were asked for and have not happened.
#[derive(Debug, Default)]
pub(super) struct RequestedFaults {
    kills: AtomicU64,
    redeliveries: AtomicU64,
}

impl RequestedFaults {
    pub(super) fn ask_for_kill(&self) {
        self.kills.fetch_add(1, Relaxed);
    }

    pub(super) fn ask_for_redelivery(&self) {
        self.redeliveries.fetch_add(1, Relaxed);
    }

    pub(super) fn withdraw(&self) {
        self.kills.store(0, Relaxed);
        self.redeliveries.store(0, Relaxed);
    }

    pub(super) fn take_kill(&self) -> bool {
        take(&self.kills)
    }

    pub(super) fn take_redelivery(&self) -> bool {
        take(&self.redeliveries)
    }
}

/// Takes one, if there is any.
fn take(count: &AtomicU64) -> bool {
    count.try_update(Relaxed, Relaxed, |count| count.checked_sub(1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_met_once() {
        let requested = RequestedFaults::default();
        assert!(!requested.take_kill());
        requested.ask_for_kill();
        requested.ask_for_kill();
        assert!(requested.take_kill() && !requested.take_redelivery());
        assert!(requested.take_kill() && !requested.take_kill());
        requested.ask_for_redelivery();
        requested.withdraw();
        assert!(!requested.take_redelivery());
    }
}
