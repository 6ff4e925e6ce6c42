//! The function's process is killed, at each step of an invocation and at any time.
//!
//! Whatever Lambda delivers again, table and index end equal.

use std::time::Duration;

use driftless_harness::function::{InvocationOutcome, Invoke as _, ProcessFault};
use driftless_harness::proxy::{Proxy, ProxyFault};

use super::{CountedProcess, binary, eventually, proxy, settings};
use crate::support::{Index, documents, insert, modify, remove};

const NEVER: Duration = Duration::from_secs(3_600);

/// A process that has served an invocation, its index with one document, and the proxy between them.
async fn warm() -> (Index, Proxy, CountedProcess) {
    let (index, proxy) = (Index::new("killed"), proxy().await);
    let mut process = CountedProcess::new(binary(settings(&index, &proxy, 10_000)));
    assert_eq!(process.invoke(&[insert("a", 1), insert("b", 2)], None).await.expect("answered"), [""; 0]);
    (index, proxy, process)
}

fn batch() -> [String; 4] {
    [modify("a", 3), remove("b", 4), insert("c", 5), modify("d", 6)]
}

/// Kills the process as soon as `is_there` says that it is where it is to die.
async fn killed_where(process: &mut CountedProcess, is_there: impl AsyncFnMut() -> bool) {
    let batch = batch();
    // Dropping the invocation leaves the process where it is.
    tokio::select! {
        ended = process.invoke(&batch, None) => panic!("it ended before it was killed: {ended:?}"),
        () = eventually("the process is there", is_there) => {}
    }
    process.process.kill().await;
}

/// Another process than the one that was told of the writes confirms each of them: `confirmed` is 1 then, else 0.
async fn ends_as_one(index: &Index, process: &mut CountedProcess, confirmed: u64) {
    assert_eq!(process.invoke(&batch(), None).await.expect("answered"), [""; 0]);
    let expected = [("a", r#"{"n":3}"#), ("b", ""), ("c", r#"{"n":5}"#), ("d", r#"{"n":6}"#)];
    assert_eq!(index.all().await, documents(&expected));
    for (id, writes) in [("a", 2), ("b", 2), ("c", 1), ("d", 1)] {
        assert_eq!(index.writes(id).await, writes + confirmed, "{id}");
    }
}

#[tokio::test]
async fn a_function_killed_before_the_write_is_as_if_it_had_not_been_invoked() {
    let (index, proxy, mut process) = warm().await;
    for step in ["/_mget", "/_bulk"] {
        let before = proxy.requests(step);
        proxy.on(step, ProxyFault::Swallow);
        killed_where(&mut process, async || proxy.requests(step) > before).await;
        assert_eq!(index.visible().await, documents(&[("a", r#"{"n":1}"#), ("b", r#"{"n":2}"#)]));
    }
    proxy.pass();
    ends_as_one(&index, &mut process, 0).await;
    assert_eq!(process.counts(6).await.applied, 6);
}

#[tokio::test]
async fn a_function_killed_between_write_and_answer_leaves_duplicates() {
    let (index, proxy, mut process) = warm().await;
    let before = proxy.answers("/_bulk");
    proxy.on("/_bulk", ProxyFault::DelayAnswer(NEVER));
    killed_where(&mut process, async || proxy.answers("/_bulk") > before).await;
    assert_eq!(index.visible().await.len(), 3, "the write was done");
    proxy.pass();
    ends_as_one(&index, &mut process, 1).await;
    let counts = process.counts(6).await;
    assert_eq!((counts.applied, counts.duplicate), (2, 4));
}

#[tokio::test]
async fn a_function_killed_after_its_answer_leaves_duplicates() {
    let (index, _proxy, mut process) = warm().await;
    let lost = process.invoke(&batch(), Some(ProcessFault::LoseAnswer)).await;
    assert_eq!(lost.expect_err("lost"), InvocationOutcome::Exited(None));
    ends_as_one(&index, &mut process, 1).await;
    process.process.end().await;
    eventually("all four are counted as duplicates", async || process.tally.counts().duplicate == 4).await;
    // What the killed process had counted is told after its answer: perhaps it came to that.
    let applied = process.tally.counts().applied;
    assert!([2, 6].contains(&applied), "{applied}");
}

#[tokio::test]
async fn a_process_that_lambda_ends_has_told_of_every_invocation() {
    let index = Index::new("told");
    let mut process = CountedProcess::new(binary(index.settings()));
    for nth in 1..=30 {
        assert_eq!(process.invoke(&[insert(&format!("k{nth}"), nth)], None).await.expect("answered"), [""; 0]);
    }
    assert_eq!(process.counts(30).await.applied, 30);
}

#[tokio::test]
async fn a_function_killed_at_any_time_loses_nothing_and_does_nothing_twice() {
    const KILLS: u64 = 16;
    let (index, proxy) = (Index::new("killed"), proxy().await);
    let mut process = CountedProcess::new(binary(settings(&index, &proxy, 10_000)));
    // So that most of the times lie within the work.
    proxy.every(ProxyFault::DelayRequest(Duration::from_millis(3)));
    assert_eq!(process.invoke(&[insert("a", 1)], None).await.expect("answered"), [""; 0]);
    for nth in 0..KILLS {
        let (modified, other) = (10 * nth + 11, format!("k{nth}"));
        let batch = [modify("a", modified), insert(&other, modified + 1), remove(&format!("gone{nth}"), modified + 2)];
        let before = index.writes("a").await;
        let kill = ProcessFault::KillAfter(Duration::from_millis(nth));
        let _ = process.invoke(&batch, Some(kill)).await;
        assert_eq!(process.invoke(&batch, None).await.expect("answered"), [""; 0]);
        let found = index.all().await;
        assert_eq!(found["a"], format!(r#"{{"n":{modified}}}"#));
        assert_eq!(found.len() as u64, 1 + 2 * (nth + 1));
        // Written once, and confirmed once where the killed process had come to its write.
        let writes = [index.writes("a").await - before, index.writes(&other).await];
        assert!(writes.iter().all(|writes| (1..=2).contains(writes)), "killed after {nth} ms: {writes:?}");
    }
}
