//! Limits of one run of a filter, and the way in which a run that reaches one ends.
//!
//! A run counts its steps and the memory that its values take, on its thread. The counts depend on the item and the
//! filter alone; only the time depends on the machine. A run that reaches a limit unwinds to [`run`], so that no
//! `try` in the filter can go on. `resume_unwind` calls no panic hook, and leaves no trace in the log.
//!
//! The recursion of a filter is the recursion of jaq: each step compares the address of a local with that of the start.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// Time of one run, by the clock.
pub(super) const TIME: Duration = Duration::from_millis(100);
/// Steps between two looks at the clock.
const STEPS_PER_LOOK: u32 = 256;
/// Steps of one run: evaluated terms, and the elements that built-in loops pass.
const STEPS: u32 = 1_000_000;
/// Memory that all values of a run take together, freed or not.
const BYTES: usize = 64 << 20;
/// Stack below the start of a run. Threads have 2 MiB or more, and start a run near their base.
const STACK_BYTES: usize = 1 << 20;
/// Slices in paths, each of which makes a path longer and its value no shallower.
const SLICES: u32 = 1_000;

/// Limit that a run has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// The run took too long, twice.
    #[error("it runs for more than 100 ms")]
    Time,
    /// The run evaluated too many terms.
    #[error("it takes more than 1,000,000 steps")]
    Steps,
    /// The filter's calls nest too deep for the stack.
    #[error("its calls nest too deep")]
    Stack,
    /// A value nests too deep.
    #[error("a value nests deeper than 128 levels")]
    Depth,
    /// A value is too large.
    #[error("a value is larger than 16 MiB")]
    Size,
    /// All values of the run together are too large.
    #[error("its values take more than 64 MiB")]
    Memory,
    /// A path is too long.
    #[error("a path is longer than 1,000 steps")]
    Path,
    /// An integer is too long.
    #[error("a number has more than 1,200 digits")]
    Digits,
}

/// End of a run that gave no result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Limit(Limit),
    /// A panic of the jq implementation. Its message may hold values, so it goes no further.
    Panic,
}

struct Meter {
    running: Cell<bool>,
    steps: Cell<u32>,
    bytes: Cell<usize>,
    slices: Cell<u32>,
    comparisons: Cell<u32>,
    stack_start: Cell<usize>,
    deadline: Cell<Option<Instant>>,
}

thread_local! {
    static METER: Meter = const {
        Meter {
            running: Cell::new(false),
            steps: Cell::new(0),
            bytes: Cell::new(0),
            slices: Cell::new(0),
            comparisons: Cell::new(0),
            stack_start: Cell::new(0),
            deadline: Cell::new(None),
        }
    };
}

impl Meter {
    fn start(&self, stack_start: usize, time: Duration) {
        self.running.set(true);
        self.steps.set(0);
        self.bytes.set(0);
        self.slices.set(0);
        self.stack_start.set(stack_start);
        self.deadline.set(Some(Instant::now() + time));
    }

    fn add_steps(&self, count: u32) {
        let before = self.steps.get();
        let steps = before.saturating_add(count);
        self.steps.set(steps);
        if steps / STEPS_PER_LOOK != before / STEPS_PER_LOOK && self.running.get() {
            if steps > STEPS {
                stop(Limit::Steps);
            }
            self.look_at_clock();
        }
    }

    fn look_at_clock(&self) {
        if self.deadline.get().is_some_and(|deadline| Instant::now() > deadline) {
            stop(Limit::Time);
        }
    }
}

/// Runs `work` for this time at most, and under the other limits.
pub(super) fn run<T>(time: Duration, work: impl FnOnce() -> T) -> Result<T, Stop> {
    METER.with(|meter| meter.start(stack_address(), time));
    let result = catch_unwind(AssertUnwindSafe(work));
    METER.with(|meter| meter.running.set(false));
    result.map_err(|payload| payload.downcast_ref().map_or(Stop::Panic, |limit| Stop::Limit(*limit)))
}

/// Ends the run that reached this limit.
#[cold]
pub(super) fn stop(limit: Limit) -> ! {
    resume_unwind(Box::new(limit))
}

/// Counts an evaluated term, and looks at the stack.
pub(super) fn count_term() {
    METER.with(|meter| {
        meter.add_steps(1);
        if meter.running.get() && stack_address().abs_diff(meter.stack_start.get()) > STACK_BYTES {
            stop(Limit::Stack);
        }
    });
}

/// Counts the work of a loop outside of terms.
pub(super) fn count_steps(count: usize) {
    METER.with(|meter| meter.add_steps(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// Counts a comparison of two values, which is faster than a step and takes no memory.
pub(super) fn count_comparison() {
    METER.with(|meter| {
        let comparisons = meter.comparisons.get().wrapping_add(1);
        meter.comparisons.set(comparisons);
        if comparisons.is_multiple_of(STEPS_PER_LOOK) && meter.running.get() {
            meter.look_at_clock();
        }
    });
}

/// Counts memory before it is taken.
pub(super) fn count_bytes(count: usize) {
    METER.with(|meter| {
        let bytes = meter.bytes.get().saturating_add(count);
        meter.bytes.set(bytes);
        if bytes > BYTES && meter.running.get() {
            stop(Limit::Memory);
        }
    });
}

/// Counts a slice in a path.
pub(super) fn count_slice() {
    METER.with(|meter| {
        meter.slices.set(meter.slices.get() + 1);
        if meter.slices.get() > SLICES && meter.running.get() {
            stop(Limit::Path);
        }
    });
}

fn stack_address() -> usize {
    let local = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&local)).addr()
}
