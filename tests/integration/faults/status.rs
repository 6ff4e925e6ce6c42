//! An engine, or a gateway before it, that refuses.
//!
//! What may pass is retried, and an error of the deployment is reported as one.

use std::iter::repeat_n;
use std::time::{Duration, Instant};

use driftless_harness::proxy::ProxyFault;

use super::{function, proxy};
use crate::support::{HELD, Index, documents, insert, modify, remove};

const TIMEOUT: Duration = Duration::from_secs(4);

#[tokio::test]
async fn an_engine_that_answers_429_or_5xx_fails_the_records_in_time() {
    for status in [429, 502, 503] {
        let (index, proxy) = (Index::new("busy"), proxy().await);
        index.function().succeed(&[insert("before", 1)]).await;
        let function = function(&index, &proxy, 3_000).timeout(TIMEOUT);
        function.succeed(&[insert("warm", 1)]).await;
        proxy.on("/_bulk", ProxyFault::Answer(status));
        let started = Instant::now();
        let failed = function.invoke(&[insert("a", 2), insert("b", 3)]).await.expect("handled");
        assert!(started.elapsed() < TIMEOUT, "{status}: answered after {:?}", started.elapsed());
        assert_eq!(failed, ["200000000000000000000", "300000000000000000000"], "{status}");
        assert_eq!(index.visible().await.len(), 2, "{status}");
    }
}

#[tokio::test]
async fn a_429_storm_is_retried_with_growing_pauses_and_keeps_the_order() {
    const REFUSALS: usize = 7;
    let (index, proxy) = (Index::new("storm"), proxy().await);
    let function = function(&index, &proxy, 3_000);
    function.succeed(&[insert("a", 1)]).await;
    let (before, started) = (proxy.requests("/_bulk"), Instant::now());
    proxy.next("/_bulk", repeat_n(ProxyFault::Answer(429), REFUSALS));
    function.succeed(&[modify("a", 2), insert("b", 3), modify("a", 4), remove("b", 5), insert("c", 6)]).await;
    let (requests, elapsed) = (proxy.requests("/_bulk") - before, started.elapsed());
    assert_eq!(requests, REFUSALS + 1);
    // Half of 40, 80, … 2,000 ms is what jitter leaves at least.
    assert!(elapsed >= Duration::from_millis(2_200), "{requests} requests in {elapsed:?}");
    assert_eq!(index.all().await, documents(&[("a", r#"{"n":4}"#), ("b", ""), ("c", r#"{"n":6}"#)]));
}

#[tokio::test]
async fn processes_that_were_refused_together_do_not_come_back_together() {
    const REFUSALS: usize = 5;
    let (index, proxy) = (Index::new("jitter"), proxy().await);
    let one = async |key: &str| {
        let function = function(&index, &proxy, 3_000);
        function.succeed(&[insert(key, 1)]).await;
        function
    };
    let functions = [one("a").await, one("b").await, one("c").await, one("d").await];
    proxy.next("/_bulk", repeat_n(ProxyFault::Answer(429), functions.len() * REFUSALS));
    let ended = futures::future::join_all(functions.iter().zip(["a", "b", "c", "d"]).map(async |(function, key)| {
        let started = Instant::now();
        function.succeed(&[modify(key, 2)]).await;
        started.elapsed()
    }));
    let mut ended = ended.await;
    ended.sort();
    // Five pauses of 40 to 640 ms, each cut by up to a half at random: one run in a thousand would differ by less.
    assert!(ended[3] - ended[0] > Duration::from_millis(40), "{ended:?}");
    assert_eq!(index.visible().await.into_values().collect::<Vec<_>>(), [r#"{"n":2}"#; 4]);
}

#[tokio::test]
async fn credentials_that_are_refused_are_a_configuration_error_at_every_step() {
    for status in [401, 403] {
        for step in ["aliases", "/_mget", "/_bulk"] {
            let (index, proxy) = (Index::new("refused"), proxy().await);
            index.function().succeed(&[insert("a", 1)]).await;
            let function = function(&index, &proxy, 3_000).timeout(HELD);
            proxy.on(step, ProxyFault::Answer(status));
            let error = function.invoke(&[modify("a", 2), insert("b", 3)]).await.expect_err("refused").to_string();
            assert!(error.contains("OPENSEARCH_AUTH") && error.contains(&status.to_string()), "{step}: {error}");
            assert_eq!(index.visible().await, documents(&[("a", r#"{"n":1}"#)]), "{step}");
            proxy.pass();
            function.succeed(&[modify("a", 2), insert("b", 3)]).await;
            assert_eq!(index.visible().await, documents(&[("a", r#"{"n":2}"#), ("b", r#"{"n":3}"#)]), "{step}");
        }
    }
}
