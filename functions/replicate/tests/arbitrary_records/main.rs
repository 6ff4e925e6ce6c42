//! Arbitrary and damaged records, by the thousand or the million. No record causes a panic, and each has one outcome.
//! Each that cannot be applied becomes a dead letter with a reason, and the valid ones among them are applied.
//!
//!     cargo test -p replicate --test arbitrary_records
//!     ARBITRARY_RECORDS=1000000 cargo test --release -p replicate --test arbitrary_records -- --nocapture
//!
//! `ARBITRARY_SEED` starts elsewhere. A failure names its round, which `ARBITRARY_ROUND` plays alone.

mod json;
mod judge;
mod records;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::json::Json;
use crate::judge::{Ends, Judge};

const DEFAULT_RECORDS: u64 = 10_000;
/// Records that share one index: enough for changes of one item to meet, few enough to look through.
const RECORDS_PER_ROUND: u64 = 2_000;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is to be a whole number")))
}

/// Returns a record's JSON, and `true` if bytes of it were flipped: then text may have become a name.
fn record(samples: &[Json], rng: &mut StdRng) -> (String, bool) {
    let kind = rng.random_range(0..100);
    let mut record = match kind {
        0..25 => records::right(rng),
        25..35 => records::arbitrary(rng, 5),
        _ if rng.random() => records::right(rng),
        _ => samples[rng.random_range(0..samples.len())].clone(),
    };
    if (35..85).contains(&kind) {
        for _ in 0..rng.random_range(1..4) {
            records::damage(&mut record, samples, rng);
        }
    }
    let mut text = String::new();
    record.write(&mut text);
    if kind < 85 { (text, false) } else { (records::flip(&text, rng), true) }
}

async fn round(samples: &[Json], seed: u64, round: u64) -> Ends {
    // Far apart for neighbouring rounds, because the generator spreads its seed.
    let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(round));
    let mut judge = Judge::new();
    let mut left = RECORDS_PER_ROUND;
    while left > 0 {
        let size = rng.random_range(1..=50).min(left);
        left -= size;
        judge.batch((0..size).map(|_| record(samples, &mut rng)).collect()).await;
    }
    judge.verdict();
    judge.ends
}

/// Plays rounds until none are left. Returns the number of records by outcome.
fn play(samples: &[Json], seed: u64, next: &AtomicU64, end: u64) -> Ends {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut total = Ends::default();
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= end {
            return total;
        }
        let ends = catch_unwind(AssertUnwindSafe(|| runtime.block_on(round(samples, seed, at))));
        let ends = ends.unwrap_or_else(|_| panic!("replay with ARBITRARY_SEED={seed} ARBITRARY_ROUND={at}"));
        total.changes += ends.changes;
        total.malformed += ends.malformed;
        total.configuration += ends.configuration;
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "a run of a million says what it did and how long it took")]
fn arbitrary_records_have_one_outcome_each_and_the_right_ones_are_applied() {
    let (records, seed) =
        (setting("ARBITRARY_RECORDS").unwrap_or(DEFAULT_RECORDS), setting("ARBITRARY_SEED").unwrap_or(1));
    let rounds = match setting("ARBITRARY_ROUND") {
        Some(round) => round..round + 1,
        None => 0..records.div_ceil(RECORDS_PER_ROUND),
    };
    let samples = records::samples();
    let (started, next) = (Instant::now(), AtomicU64::new(rounds.start));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let ends: Vec<Ends> = std::thread::scope(|scope| {
        let players: Vec<_> = (0..threads).map(|_| scope.spawn(|| play(&samples, seed, &next, rounds.end))).collect();
        players
            .into_iter()
            .map(|player| player.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let sum = |of: fn(&Ends) -> u64| ends.iter().map(of).sum::<u64>();
    let (changes, malformed) = (sum(|ends| ends.changes), sum(|ends| ends.malformed));
    let configuration = sum(|ends| ends.configuration);
    let total = changes + malformed + configuration;
    assert_eq!(total, (rounds.end - rounds.start) * RECORDS_PER_ROUND);
    println!(
        "{total} records in {:.1} s (seed {seed}): {changes} changes, {malformed} malformed, {configuration} of a wrong deployment",
        started.elapsed().as_secs_f64()
    );
    // The run would prove little if nearly all records were of one kind.
    for (kind, count) in [("changes", changes), ("malformed", malformed)] {
        assert!(count * 5 > total, "{count} {kind} of {total}");
    }
}
