//! What the simulation promises of itself.

use super::*;

#[test]
fn early() {
    let start = std::time::Instant::now();
    let mut counts = Counts::default();
    for seed in 0..300 {
        let schedule = generate(seed);
        let played = play(&schedule, Missing::default(), false);
        counts.merge(&played.counts);
        if let Some(broken) = played.broken {
            let small = shrink(schedule, Missing::default());
            let again = play(&small, Missing::default(), true);
            panic!("{seed}: {broken}\n{small:#?}\n{}\n{:?}", again.lines.join("\n"), again.broken);
        }
    }
    eprintln!("{counts:#?} {:?}", start.elapsed());
}
