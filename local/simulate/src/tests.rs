//! Guarantees of the simulation itself.

use std::sync::atomic::AtomicU64;

use clap::ValueEnum as _;

use super::*;

/// Guards, each with the number of schedules from seed 1 on within which its absence must show. That is about five
/// times as many as it takes.
const GUARDS: [(Guard, u64); 24] = [
    (Guard::VersionCompare, 100),
    (Guard::AtomicWrite, 100),
    (Guard::Tombstone, 100),
    (Guard::FoldOrder, 1_000),
    (Guard::FoldFallback, 100),
    (Guard::SequencePadding, 100),
    (Guard::StreamLabel, 100),
    (Guard::Generation, 100),
    (Guard::ConfirmedDuplicate, 2_000),
    (Guard::ReadBeforeReject, 500),
    (Guard::Probe, 300),
    (Guard::FailureReport, 100),
    (Guard::LowestFailure, 100),
    (Guard::OnFailureMessage, 100),
    (Guard::DeadLetterBeforeSuccess, 100),
    (Guard::RefusedDeadLetter, 1_200),
    (Guard::MessageDelete, 300),
    (Guard::DeadLetterVersion, 300),
    (Guard::RedriveGuard, 100),
    (Guard::BackfillCreate, 100),
    (Guard::BackfillVersion, 100),
    (Guard::ReadAt, 2_000),
    (Guard::PurgeAge, 10_000),
    (Guard::PurgeAtomic, 2_000),
];

fn run(schedules: u64, missing: Missing, jobs: usize) -> RunSummary {
    SimulationRun { schedules, seed: 1, missing, jobs }.play(&AtomicU64::new(0))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[test]
fn ten_thousand_schedules_keep_every_promise() {
    let summary = run(10_000, Missing::default(), cores());
    assert_eq!(summary.broken, None);
    assert_eq!(summary.played, 10_000);
    // A model in which nothing goes wrong promises nothing.
    for what in [
        "conflicts",
        "late requests",
        "on-failure messages",
        "dead letters",
        "purged tombstones",
        "failovers",
        "closed indices",
        "discarded messages",
        "repairs",
    ] {
        assert!(summary.counts.0.get(what).is_some_and(|number| *number > 100), "{what}: {:?}", summary.counts);
    }
}

#[test]
fn without_any_single_guard_a_promise_is_broken() {
    let listed: Vec<Guard> = GUARDS.iter().map(|(guard, _)| *guard).collect();
    assert_eq!(listed, Guard::value_variants());
    let not_missed = GUARDS
        .iter()
        .filter(|(guard, schedules)| run(*schedules, [*guard].into_iter().collect(), cores()).broken.is_none());
    assert_eq!(not_missed.collect::<Vec<_>>(), Vec::<&(Guard, u64)>::new());
}

#[test]
fn the_same_seed_plays_the_same_whatever_the_number_of_threads() {
    let (one, two) = (run(60, Missing::default(), 1), run(60, Missing::default(), 2));
    assert_eq!((one.trace, one.counts), (two.trace, two.counts));
}

#[test]
fn a_failing_schedule_is_shrunk_and_still_fails_when_it_is_read_again() {
    let missing: Missing = [Guard::Tombstone].into_iter().collect();
    let (seed, _) = run(100, missing, cores()).broken.expect("a broken promise");
    let schedule = generate(seed);
    let small = shrunk(schedule.clone(), missing);
    assert!(small.steps.len() <= 6 && small.steps.len() < schedule.steps.len(), "{small:?}");
    let json = serde_json::to_string(&small).expect("JSON");
    let read: Schedule = serde_json::from_str(&json).expect("a schedule");
    assert!(replay(&read, missing).broken.is_some());
    assert_eq!(replay(&read, Missing::default()).broken, None);
}
