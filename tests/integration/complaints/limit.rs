//! Requests above a size limit. Managed domains refuse them in front of the engine, and so does what stands there here;
//! everything else reaches the real engine.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::stage::Stage;
use crate::support::{engine_url, insert, with_image};

const LIMIT: usize = 100_000;
const REFUSAL: &[u8] = b"HTTP/1.1 413 Request Entity Too Large\r\ncontent-length: 0\r\n\r\n";

async fn limited() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client));
        }
    });
    format!("http://{address}")
}

/// Requests come one after the other, so that the engine's answers and refusals cannot mix. Ends with either side.
async fn serve(client: TcpStream) -> Option<()> {
    let engine = engine_url().trim_start_matches("http://").trim_end_matches('/');
    let (mut from_engine, mut to_engine) = TcpStream::connect(engine).await.ok()?.into_split();
    let (mut from_client, to_client) = client.into_split();
    let to_client = Arc::new(Mutex::new(to_client));
    let answers = Arc::clone(&to_client);
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_engine.read(&mut buffer).await {
            answers.lock().await.write_all(&buffer[..count]).await.ok()?;
        }
        Some(())
    });
    let mut unread = Vec::new();
    loop {
        let (request, body) = request(&mut from_client, &mut unread).await?;
        if body > LIMIT {
            to_client.lock().await.write_all(REFUSAL).await.ok()?;
        } else {
            to_engine.write_all(&request).await.ok()?;
        }
    }
}

/// The next request as it came, and the length of its body.
async fn request(client: &mut OwnedReadHalf, unread: &mut Vec<u8>) -> Option<(Vec<u8>, usize)> {
    let head = loop {
        if let Some(at) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        more(client, unread).await?;
    };
    let headers = String::from_utf8_lossy(&unread[..head]).to_lowercase();
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length:")).map(str::trim);
    let body = length.map_or(0, |length| length.parse().expect("a length"));
    while unread.len() < head + body {
        more(client, unread).await?;
    }
    Some((unread.drain(..head + body).collect(), body))
}

async fn more(client: &mut OwnedReadHalf, unread: &mut Vec<u8>) -> Option<()> {
    match client.read_buf(unread).await {
        Ok(1..) => Some(()),
        _ => None,
    }
}

#[tokio::test]
async fn a_request_over_the_size_limit_is_split_down_to_the_one_document_that_is_too_large() {
    is_kept_by_splitting_down_to_the_one_that_is_too_large(&limited().await, LIMIT).await;
}

/// On whatever refuses requests of `limit` bytes: all documents but the one that is larger are applied.
pub(crate) async fn is_kept_by_splitting_down_to_the_one_that_is_too_large(endpoint: &str, limit: usize) {
    let stage = Stage::through("size-limit", endpoint).await;
    let sized = |key: &str, sequence, bytes: usize| {
        with_image(key, sequence, &format!(r#"{{"s":{{"S":"{}"}}}}"#, "x".repeat(bytes)))
    };
    let mut batch: Vec<String> = (1..=30)
        .map(|sequence| sized(&format!("k{sequence}"), sequence, limit / 5 + sequence as usize * limit / 100))
        .collect();
    batch.insert(11, sized("too-large", 31, limit));
    batch.push(insert("small", 32));
    let (letters, metrics) = stage.handle(&batch).await;
    assert_eq!(metrics["Applied"].as_u64(), Some(31), "{metrics}");
    let ends: Vec<_> = letters.iter().map(|letter| (letter.document_id.as_deref(), letter.rejected.status)).collect();
    assert_eq!(ends, [(Some("too-large"), Some(413))]);
    assert_eq!(letters[0].rejected.reason, "OpenSearch refused the document with 413");
    let visible = stage.index.visible().await;
    assert_eq!((visible.len(), visible.contains_key("too-large")), (31, false));
}
