//! The way to the engine is cut, slow or silent.

use std::time::{Duration, Instant};

use driftless_harness::proxy::ProxyFault;

use super::{eventually, function, proxy};
use crate::support::{Index, documents, insert, modify, remove, with_image};

/// The function's time-out where the engine stays away.
const TIMEOUT: Duration = Duration::from_secs(6);
/// For a request; more than the engine ever takes, also on a machine that is busy.
const REQUEST_MS: u64 = 3_000;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test]
async fn a_connection_cut_before_the_write_costs_a_retry() {
    let (index, proxy) = (Index::new("cut"), proxy().await);
    let function = function(&index, &proxy, REQUEST_MS);
    proxy.next("/_bulk", [ProxyFault::CutRequest(0), ProxyFault::CutRequest(150), ProxyFault::CutRequest(400)]);
    proxy.next("/_mget", [ProxyFault::CutRequest(0), ProxyFault::CutAnswer(30)]);
    function.succeed(&[insert("a", 1), modify("b", 2), remove("c", 3)]).await;
    assert_eq!(index.all().await, documents(&[("a", r#"{"n":1}"#), ("b", r#"{"n":2}"#), ("c", "")]));
    for id in ["a", "b", "c"] {
        assert_eq!(index.writes(id).await, 1, "{id}");
    }
    assert!(proxy.requests("/_bulk") >= 4 && proxy.answers("/_bulk") < proxy.requests("/_bulk"));
}

#[tokio::test]
async fn lost_response_does_not_duplicate() {
    let (index, proxy) = (Index::new("lost"), proxy().await);
    let function = function(&index, &proxy, REQUEST_MS);
    function.succeed(&[insert("warm", 1)]).await;
    for (nth, record) in [insert("a", 1), modify("a", 2), remove("a", 3), insert("a", 4)].into_iter().enumerate() {
        // Nothing of the answer, its head, a part of its body.
        for (more, bytes) in [0, 20, 200].into_iter().enumerate() {
            proxy.next("/_bulk", [ProxyFault::CutAnswer(bytes)]);
            let other = insert(&format!("{nth}-{bytes}"), (10 + 3 * nth + more) as u64);
            function.succeed(&[record.clone(), other]).await;
        }
        assert_eq!(index.writes("a").await, 2 * (nth as u64 + 1), "written once, and confirmed once");
    }
    assert_eq!(index.visible().await["a"], r#"{"n":4}"#);
    assert_eq!(index.visible().await.len(), 14);
    for id in index.all().await.keys().filter(|id| !["a", "warm"].contains(&id.as_str())) {
        assert_eq!(index.writes(id).await, 2, "{id}: written, and confirmed");
    }
}

#[tokio::test]
async fn a_truncated_answer_says_nothing_about_the_write() {
    let (index, proxy) = (Index::new("truncated"), proxy().await);
    let function = function(&index, &proxy, REQUEST_MS);
    // At the cold start: the check of the index, then its creation.
    proxy.next("", [ProxyFault::Truncate(5), ProxyFault::CutAnswer(0), ProxyFault::CutRequest(0)]);
    proxy.next("/_mget", [ProxyFault::Truncate(0), ProxyFault::Truncate(25)]);
    proxy.next("/_bulk", [ProxyFault::Truncate(0), ProxyFault::Truncate(40)]);
    function.succeed(&[insert("a", 1), modify("b", 2)]).await;
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":1}"#), ("b", r#"{"n":2}"#)]));
    assert_eq!([index.writes("a").await, index.writes("b").await], [1, 1]);
}

#[tokio::test]
async fn a_slow_engine_is_waited_for() {
    let (index, proxy) = (Index::new("slow"), proxy().await);
    let function = function(&index, &proxy, REQUEST_MS);
    function.succeed(&[insert("before", 1)]).await;
    let before = proxy.requests("/_bulk");
    let (slow, started) = (ms(300), Instant::now());
    proxy.next("/_bulk", [ProxyFault::DelayRequest(slow), ProxyFault::DelayAnswer(slow)]);
    function.succeed(&[insert("a", 2)]).await;
    function.succeed(&[insert("b", 3)]).await;
    assert!(started.elapsed() >= 2 * slow);
    assert_eq!(proxy.requests("/_bulk") - before, 2, "within the request's time-out nothing is asked twice");
    assert_eq!(index.visible().await.len(), 3);
}

#[tokio::test]
async fn an_answer_after_the_request_timeout_is_a_duplicate_when_asked_again() {
    let (index, proxy) = (Index::new("late"), proxy().await);
    index.function().succeed(&[insert("a", 1)]).await;
    let function = function(&index, &proxy, 1_000);
    function.succeed(&[insert("warm", 1)]).await;
    for (sequence, delay) in [(2, ms(1_500)), (3, ms(3_000))] {
        proxy.next("/_bulk", [ProxyFault::DelayAnswer(delay)]);
        function.succeed(&[modify("a", sequence)]).await;
        assert_eq!(index.writes("a").await, 2 * sequence - 1, "written once, and confirmed once");
    }
    assert_eq!(index.visible().await["a"], r#"{"n":3}"#);
}

#[tokio::test]
async fn a_request_that_arrives_after_its_retry_overwrites_nothing() {
    let (index, proxy) = (Index::new("overtaken"), proxy().await);
    index.function().succeed(&[insert("a", 1)]).await;
    let function = function(&index, &proxy, 1_000);
    proxy.next("/_bulk", [ProxyFault::DelayRequest(ms(4_000))]);
    // The second one has no state to compare with: the guard of a `create` is that the document is not there.
    function.succeed(&[modify("a", 2), insert("b", 3)]).await;
    function.succeed(&[modify("a", 4), remove("b", 5)]).await;
    let writes = proxy.requests("/_bulk");
    assert!(proxy.answers("/_bulk") < writes, "one is still on its way");
    eventually("the late request has arrived", async || proxy.answers("/_bulk") == writes).await;
    assert_eq!(index.all().await, documents(&[("a", r#"{"n":4}"#), ("b", "")]));
    assert_eq!([index.writes("a").await, index.writes("b").await], [3, 2]);
}

/// An image that makes a bulk of 5 MiB too small for two of them.
fn large(key: &str, sequence: u64) -> String {
    with_image(key, sequence, &format!(r#"{{"n":{{"N":"{sequence}"}},"text":{{"S":"{}"}}}}"#, "x".repeat(3 << 20)))
}

#[tokio::test]
async fn a_silent_engine_fails_exactly_the_unapplied_records_before_the_deadline() {
    let (index, proxy) = (Index::new("silent"), proxy().await);
    index.function().succeed(&[insert("before", 1)]).await;
    let function = function(&index, &proxy, REQUEST_MS).timeout(TIMEOUT);
    function.succeed(&[insert("warm", 1)]).await;
    proxy.on("/_bulk", ProxyFault::Swallow);
    proxy.next("/_bulk", [ProxyFault::Pass]);
    let (records, started) = ([large("a", 2), large("b", 3), insert("c", 4)], Instant::now());
    let failed = function.invoke(&records).await.expect("handled");
    assert!(started.elapsed() < TIMEOUT, "answered after {:?}", started.elapsed());
    assert_eq!(failed, ["300000000000000000000", "400000000000000000000"]);
    assert_eq!(index.visible().await.into_keys().collect::<Vec<_>>(), ["a", "before", "warm"]);
    proxy.pass();
    function.succeed(&records[1..]).await;
    assert_eq!(index.visible().await.into_keys().collect::<Vec<_>>(), ["a", "b", "before", "c", "warm"]);
    assert_eq!([index.writes("a").await, index.writes("b").await], [1, 1]);
}

#[tokio::test]
async fn an_engine_that_is_away_at_the_cold_start_is_reported_in_time_with_the_variable() {
    let (index, proxy) = (Index::new("cold"), proxy().await);
    let function = function(&index, &proxy, REQUEST_MS).timeout(TIMEOUT);
    for silent in [true, false] {
        if silent {
            proxy.every(ProxyFault::Swallow);
        } else {
            proxy.refuse().await;
        }
        let started = Instant::now();
        let error = function.invoke(&[insert("a", 1)]).await.expect_err("unreachable").to_string();
        assert!(started.elapsed() < TIMEOUT, "answered after {:?}", started.elapsed());
        assert!(error.contains("OPENSEARCH_ENDPOINT"), "{error}");
    }
    proxy.pass();
    proxy.accept().await.expect("listens");
    function.succeed(&[insert("a", 1)]).await;
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":1}"#)]));
}

#[tokio::test]
async fn a_short_outage_is_waited_out_within_the_invocation() {
    let (index, proxy) = (Index::new("outage"), proxy().await);
    let function = function(&index, &proxy, REQUEST_MS);
    function.succeed(&[insert("a", 1)]).await;
    proxy.refuse().await;
    let records = [modify("a", 2), insert("b", 3)];
    let outage = async {
        tokio::time::sleep(ms(1_500)).await;
        assert_eq!(index.visible().await.len(), 1, "nothing can be written in an outage");
        proxy.accept().await.expect("listens");
    };
    tokio::join!(function.succeed(&records), outage);
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":2}"#), ("b", r#"{"n":3}"#)]));
}
