//! Lambda libraries and functions: dynamodb-stream-elasticsearch, FHIR Works, Webiny, Powertools, the clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::{TcpListener, TcpStream};

use crate::stage::Stage;
use crate::support::{Index, ReplicateFunction, documents, engine_url, insert, modify, remove};

/// Passes everything on to the engine, and counts connections.
async fn counting() -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let engine = engine_url().trim_start_matches("http://").trim_end_matches('/');
                let mut engine = TcpStream::connect(engine).await.expect("the engine");
                // Whichever side closes: the other one notices.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
            });
        }
    });
    (format!("http://{address}"), count)
}

#[tokio::test]
async fn one_connection_serves_hundreds_of_invocations() {
    let (endpoint, connections) = counting().await;
    let index = Index::new("connections");
    let function = ReplicateFunction::new(index.settings_at(&endpoint));
    for sequence in 1..=300 {
        function.succeed(&[modify(&format!("k{}", sequence % 7), sequence)]).await;
    }
    assert_eq!(index.visible().await.len(), 7);
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn changes_of_one_key_in_one_batch_end_as_the_last_in_either_order() {
    let stage = Stage::new("either-order").await;
    stage.succeed(&[insert("a", 1), insert("b", 2)]).await;
    stage
        .succeed(&[remove("a", 3), insert("a", 4), insert("c", 5), remove("c", 6), modify("b", 7), remove("b", 8)])
        .await;
    assert_eq!(stage.index.visible().await, documents(&[("a", r#"{"n":4}"#)]));
}
