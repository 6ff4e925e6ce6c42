//! Changes that wait: spans of them, each with the time in which its changes came evenly.

use std::collections::VecDeque;

/// Changes that came evenly between two times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arrived {
    /// Begin of the span, in microseconds.
    pub(super) from_us: f64,
    /// End of the span, in microseconds.
    pub(super) to_us: f64,
    pub(super) changes: u32,
}

impl Arrived {
    /// Time at which the nth change of the span came.
    pub(super) fn at_us(&self, nth: f64) -> f64 {
        (self.to_us - self.from_us).mul_add((nth + 0.5) / f64::from(self.changes), self.from_us)
    }

    /// Takes the first changes off the span.
    pub(super) fn take(&mut self, changes: u32) -> Self {
        let border = (self.to_us - self.from_us).mul_add(f64::from(changes) / f64::from(self.changes), self.from_us);
        let taken = Self { to_us: border, changes, ..*self };
        self.from_us = border;
        self.changes -= changes;
        taken
    }
}

/// Changes that wait in order.
#[derive(Debug, Default)]
pub(super) struct WaitingChanges {
    spans: VecDeque<Arrived>,
    count: u64,
}

impl WaitingChanges {
    pub(super) fn push(&mut self, arrived: Arrived) {
        if arrived.changes > 0 {
            self.count += u64::from(arrived.changes);
            self.spans.push_back(arrived);
        }
    }

    /// Moves the first changes, as many as there are and `most` at the most, into `taken`. Returns their number.
    pub(super) fn take(&mut self, most: u32, taken: &mut Vec<Arrived>) -> u32 {
        let mut rest = most;
        while rest > 0
            && let Some(first) = self.spans.front_mut()
        {
            if first.changes <= rest {
                rest -= first.changes;
                taken.extend(self.spans.pop_front());
            } else {
                taken.push(first.take(rest));
                rest = 0;
            }
        }
        self.count -= u64::from(most - rest);
        most - rest
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Time at which the first change came.
    pub(super) fn oldest_us(&self) -> Option<f64> {
        self.spans.front().map(|span| span.from_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_leave_in_the_order_and_at_the_times_in_which_they_came() {
        let mut waiting = WaitingChanges::default();
        waiting.push(Arrived { from_us: 0.0, to_us: 100.0, changes: 4 });
        waiting.push(Arrived { from_us: 100.0, to_us: 200.0, changes: 0 });
        waiting.push(Arrived { from_us: 200.0, to_us: 300.0, changes: 2 });
        let mut taken = Vec::new();
        assert_eq!(waiting.take(3, &mut taken), 3);
        assert_eq!(taken, [Arrived { from_us: 0.0, to_us: 75.0, changes: 3 }]);
        assert_eq!((0..3).map(|nth| taken[0].at_us(f64::from(nth))).collect::<Vec<_>>(), [12.5, 37.5, 62.5]);
        assert_eq!((waiting.count(), waiting.oldest_us()), (3, Some(75.0)));
        taken.clear();
        assert_eq!(waiting.take(10, &mut taken), 3);
        let expected = [(75.0, 100.0, 1), (200.0, 300.0, 2)];
        assert_eq!(taken, expected.map(|(from_us, to_us, changes)| Arrived { from_us, to_us, changes }));
        assert_eq!((waiting.count(), waiting.oldest_us()), (0, None));
    }
}
