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

/// The same of the guards that only the way through Kinesis has, and of those that it shares.
const KINESIS_GUARDS: [(Guard, u64); 16] = [
    (Guard::ChangeTime, 100),
    (Guard::TimeUnit, 500),
    (Guard::PrecisionMargin, 5_000),
    (Guard::EventId, 500),
    (Guard::ConsistentItem, 500),
    (Guard::VersionCompare, 100),
    (Guard::AtomicWrite, 500),
    (Guard::Tombstone, 500),
    (Guard::FoldOrder, 1_000),
    (Guard::FoldFallback, 500),
    (Guard::Generation, 500),
    (Guard::FailureReport, 100),
    (Guard::LowestFailure, 500),
    (Guard::OnFailureMessage, 500),
    (Guard::DeadLetterBeforeSuccess, 500),
    (Guard::MessageDelete, 1_000),
];

fn run(source: SimulatedSource, schedules: u64, missing: Missing, jobs: usize) -> RunSummary {
    SimulationRun { schedules, seed: 1, source, missing, jobs }.play(&AtomicU64::new(0))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[test]
fn ten_thousand_schedules_keep_every_promise() {
    let summary = run(SimulatedSource::Streams, 10_000, Missing::default(), cores());
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
fn ten_thousand_schedules_through_kinesis_keep_every_promise() {
    let summary = run(SimulatedSource::Kinesis, 10_000, Missing::default(), cores());
    assert_eq!(summary.broken, None);
    for what in ["late records", "repeated records", "switches of the source", "items read to decide", "dead letters"] {
        assert!(summary.counts.0.get(what).is_some_and(|number| *number > 500), "{what}: {:?}", summary.counts);
    }
}

fn not_missed(source: SimulatedSource, guards: &[(Guard, u64)]) -> Vec<Guard> {
    let kept = |(guard, schedules): &&(Guard, u64)| {
        run(source, *schedules, [*guard].into_iter().collect(), cores()).broken.is_none()
    };
    guards.iter().filter(kept).map(|(guard, _)| *guard).collect()
}

#[test]
fn without_any_single_guard_a_promise_is_broken() {
    let listed = |guard: &Guard| GUARDS.iter().chain(&KINESIS_GUARDS).any(|(listed, _)| listed == guard);
    assert_eq!(Guard::value_variants().iter().find(|guard| !listed(guard)), None);
    assert_eq!(not_missed(SimulatedSource::Streams, &GUARDS), []);
}

#[test]
fn without_any_single_guard_a_promise_is_broken_through_kinesis() {
    assert_eq!(not_missed(SimulatedSource::Kinesis, &KINESIS_GUARDS), []);
}

#[test]
fn the_same_seed_plays_the_same_whatever_the_number_of_threads() {
    for source in [SimulatedSource::Streams, SimulatedSource::Kinesis] {
        let (one, two) = (run(source, 60, Missing::default(), 1), run(source, 60, Missing::default(), 2));
        assert_eq!((one.trace, one.counts), (two.trace, two.counts));
    }
}

#[test]
fn a_failing_schedule_is_shrunk_and_still_fails_when_it_is_read_again() {
    let missing: Missing = [Guard::Tombstone].into_iter().collect();
    let (seed, _) = run(SimulatedSource::Streams, 100, missing, cores()).broken.expect("a broken promise");
    let schedule = generate(seed, SimulatedSource::Streams);
    let small = shrunk(schedule.clone(), missing);
    assert!(small.steps.len() <= 6 && small.steps.len() < schedule.steps.len(), "{small:?}");
    let json = serde_json::to_string(&small).expect("JSON");
    let read: Schedule = serde_json::from_str(&json).expect("a schedule");
    assert!(replay(&read, missing).broken.is_some());
    assert_eq!(replay(&read, Missing::default()).broken, None);
}
