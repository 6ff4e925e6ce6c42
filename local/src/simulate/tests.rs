//! What the simulation promises of itself.

use std::sync::atomic::AtomicU64;

use clap::ValueEnum as _;

use super::*;

fn run(schedules: u64, seed: u64, missing: Missing) -> Summary {
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Run { schedules, seed, missing, jobs }.play(&AtomicU64::new(0))
}

#[test]
fn ten_thousand_schedules_keep_every_promise() {
    let summary = run(10_000, 1, Missing::default());
    assert_eq!(summary.broken, None);
    assert_eq!(summary.played, 10_000);
    // A model in which nothing goes wrong promises nothing.
    for what in ["conflicts", "late requests", "letters with a range", "letters with a record", "purged tombstones"] {
        assert!(summary.counts.0.get(what).is_some_and(|number| *number > 100), "{what}: {:?}", summary.counts);
    }
}

#[test]
fn guards_needed() {
    for guard in Guard::value_variants() {
        let summary = run(3_000, 1, [*guard].into_iter().collect());
        eprintln!("{guard:?} {:?}", summary.broken);
    }
}
