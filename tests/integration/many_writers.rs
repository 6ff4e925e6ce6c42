//! Writers of the same documents at the same time, whatever their source: what the newest change says must stand.

use std::sync::atomic::{AtomicBool, Ordering};

use driftless::change::ChangeKind;
use driftless_harness::function::{FunctionProcess, InvocationOutcome, Invoke as _};
use futures::future::{join, join_all};
use serde_json::{Value, json};

use crate::backfill::disturb;
use crate::loading::{Scene, run_in};
use crate::support::{Index, documents};

/// Items that are changed and repaired at the same time.
const RACED: u64 = 40;
/// Comparisons during the race, each of all these items.
const COMPARISONS: usize = 15;
const CHANGES_PER_SECOND: u64 = 150;

/// Processes of one function, and how the records of its source are made.
pub(crate) struct ManyWriters<'w> {
    pub(crate) index: &'w Index,
    /// Process that writes to an index.
    pub(crate) process: fn(&Index) -> FunctionProcess,
    /// Record of a change; the newest has the highest number, and its document is `{"n": number}`.
    pub(crate) record: fn(ChangeKind, &str, u64) -> String,
}

impl ManyWriters<'_> {
    /// Lets ten processes write the same key.
    pub(crate) async fn write_one_key(&self) {
        let writing = (0..10).map(|writer| async move {
            let mut process = (self.process)(self.index);
            for round in 0..20 {
                let number = 1 + round * 10 + writer;
                succeed(&mut process, &[(self.record)(ChangeKind::Modify, "hot", number)]).await;
            }
            process.kill().await;
        });
        join_all(writing).await;
        assert_eq!(self.index.visible().await, documents(&[("hot", r#"{"n":200}"#)]));
    }

    /// Delivers the same records to six processes: to each in other pieces and from another record on, so that nobody's
    /// batches or orders meet.
    pub(crate) async fn write_one_batch(&self) {
        let key = |number: u64| format!("k{}", number % 7);
        let kind = |number: u64| match number % 4 {
            0 => ChangeKind::Remove,
            1 => ChangeKind::Insert,
            _ => ChangeKind::Modify,
        };
        let batch: Vec<String> = (1..=200).map(|number| (self.record)(kind(number), &key(number), number)).collect();
        let writing = (0..6).map(|at| {
            let mut batch = batch.clone();
            batch.rotate_left(33 * at);
            async move {
                let mut process = (self.process)(self.index);
                for piece in batch.chunks(11 + at) {
                    succeed(&mut process, piece).await;
                }
                process.kill().await;
            }
        });
        join_all(writing).await;
        let newest = (194..=200).filter(|&number| kind(number) != ChangeKind::Remove);
        let expect = newest.map(|number| (key(number), format!(r#"{{"n":{number}}}"#)));
        assert_eq!(self.index.visible().await, expect.collect());
    }
}

/// Hands records to a process, all of which must be done.
async fn succeed(process: &mut FunctionProcess, records: &[String]) {
    let event = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    let outcome = process.invoke(event.into(), None).await.expect("invoked").outcome;
    let InvocationOutcome::Response(answer) = outcome else { panic!("{outcome:?}") };
    assert_eq!(answer, r#"{"batchItemFailures":[]}"#);
}

/// Repairs items again and again, while they are changed and their stream is delivered.
pub(crate) async fn repair_under_changes(scene: &Scene) {
    let keys: Vec<Value> = (0..RACED).map(|n| json!({"pk": {"S": "p0"}, "sk": {"S": format!("s{n:06}")}})).collect();
    // Looked at without a pause, so that what is on its way is repaired, too.
    let request = json!({"keys": keys, "settle_ms": 0, "repair": true});
    let stop = AtomicBool::new(false);
    let repair = async {
        let mut process = FunctionProcess::new(scene.verify());
        for _ in 0..COMPARISONS {
            run_in(&mut process, request.clone(), None).await;
        }
        process.kill().await;
        stop.store(true, Ordering::Relaxed);
    };
    join(repair, disturb(scene, RACED, &stop, CHANGES_PER_SECOND)).await;
}
