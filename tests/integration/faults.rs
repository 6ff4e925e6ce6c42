//! An engine that cannot be reached, is slow, or answers 429 or 503: reported before the time-out, nothing as done.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Function, Index, engine_url, insert};

const TIMEOUT: Duration = Duration::from_secs(3);

/// What stands between function and engine.
#[derive(Clone)]
enum Between {
    /// Accepts, and never answers.
    Silence,
    /// Answers every bulk with a status, and leaves all other requests to the engine.
    Status(&'static str),
    /// Leaves every request to the engine, this much later.
    Delay(Duration),
}

/// Listens on a port of its own until the test ends.
async fn stand(between: Between) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, between.clone()));
        }
    });
    format!("http://{address}")
}

async fn serve(mut client: TcpStream, between: Between) {
    let engine = engine_url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut engine = TcpStream::connect(engine).await.expect("the engine");
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let (mut to_engine, mut from_engine) = (vec![0; 64 * 1024], 0);
        tokio::select! {
            read = client.read(&mut buffer) => {
                let Ok(count @ 1..) = read else { return };
                let bulk = buffer[..count].windows(6).any(|window| window == b"/_bulk");
                match &between {
                    Between::Silence => continue,
                    Between::Status(status) if bulk => {
                        let answer = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}");
                        if client.write_all(answer.as_bytes()).await.is_err() { return }
                        continue;
                    }
                    Between::Status(_) => {}
                    Between::Delay(delay) => tokio::time::sleep(*delay).await,
                }
                if engine.write_all(&buffer[..count]).await.is_err() { return }
            }
            read = engine.read(&mut to_engine) => {
                let Ok(count @ 1..) = read else { return };
                from_engine += count;
                if client.write_all(&to_engine[..from_engine]).await.is_err() { return }
            }
        }
    }
}

/// A function whose index exists, then writes through `endpoint`.
async fn failing(endpoint: &str, between: &str) -> (Index, Result<Vec<String>, String>) {
    let index = Index::new("fault");
    index.function().succeed(&[insert("before", 1)]).await;
    let function = Function::new(index.settings_at(endpoint)).timeout(TIMEOUT);
    let started = Instant::now();
    let result = function.invoke(&[insert("a", 2), insert("b", 3)]).await.map_err(|error| error.to_string());
    assert!(started.elapsed() < TIMEOUT, "{between}: answered after {:?}", started.elapsed());
    (index, result)
}

#[tokio::test]
async fn an_engine_that_refuses_connections_is_reported_in_time_with_the_variable() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let (index, result) = failing(&format!("http://{closed}"), "closed").await;
    let error = result.expect_err("unreachable");
    assert!(error.contains("OPENSEARCH_ENDPOINT"), "{error}");
    assert_eq!(index.visible().await.len(), 1);
}

#[tokio::test]
async fn an_engine_that_never_answers_is_reported_in_time() {
    let (index, result) = failing(&stand(Between::Silence).await, "silence").await;
    assert!(result.expect_err("unreachable").contains("OPENSEARCH_ENDPOINT"));
    assert_eq!(index.visible().await.len(), 1);
}

#[tokio::test]
async fn an_engine_that_answers_429_or_503_fails_the_records_in_time() {
    for status in ["429 Too Many Requests", "503 Service Unavailable", "502 Bad Gateway"] {
        let (index, result) = failing(&stand(Between::Status(status)).await, status).await;
        assert_eq!(result.expect("handled"), ["200000000000000000000", "300000000000000000000"], "{status}");
        assert_eq!(index.visible().await.len(), 1, "{status}");
    }
}

#[tokio::test]
async fn credentials_that_are_refused_are_a_configuration_error() {
    let (index, result) = failing(&stand(Between::Status("403 Forbidden")).await, "403").await;
    assert!(result.expect_err("refused").contains("OPENSEARCH_AUTH"));
    assert_eq!(index.visible().await.len(), 1);
}

#[tokio::test]
async fn a_slow_engine_is_waited_for() {
    let (index, result) = failing(&stand(Between::Delay(Duration::from_millis(300))).await, "slow").await;
    assert_eq!(result.expect("handled"), [""; 0]);
    assert_eq!(index.visible().await.len(), 3);
}
