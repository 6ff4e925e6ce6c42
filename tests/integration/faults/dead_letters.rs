//! The function's own dead letters on the real queue, also during an outage of the queue.
//!
//! No rejected record is ever reported as done without a dead letter that holds all of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use driftless::dead_letter::message::Message;
use driftless::dead_letter::{DeadLetter, DeadLetterMessage};
use driftless::queue::sqs::SqsQueue;
use driftless::queue::{Queue as _, QueueError};
use driftless_harness::function::FunctionConfig;
use driftless_harness::mapping::{EventSourceMapping, MappingConfig, MemoryChange, MemoryStream};
use driftless_harness::proxy::{Proxy, ProxyFault};
use driftless_harness::services::sqs_client;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::on_failure::{TestQueue, body, redrive_as, services, template};
use super::{CountedProcess, LIMIT, binary};
use crate::support::{Index, insert, modify, with_image};

const TIMEOUT: Duration = Duration::from_secs(8);

/// The real binary with an index and a dead-letter queue of its own, and a proxy before the queue.
struct Desk {
    index: Index,
    queue: TestQueue,
    proxy: Proxy,
    config: FunctionConfig,
}

impl Desk {
    async fn set_up(name: &str) -> Self {
        let (index, queue) = (Index::new(name), TestQueue::new(name).await);
        let proxy = Proxy::start(services().sqs_endpoint().expect("queues are wanted")).await.expect("a proxy");
        let mut config = binary(index.settings())
            .env("DEAD_LETTER_QUEUE_URL", &queue.url)
            .env("AWS_ENDPOINT_URL_SQS", proxy.endpoint());
        config.timeout = TIMEOUT;
        // A first document, after which `n` is a number.
        index.function().succeed(&[insert("first", 1)]).await;
        Self { index, queue, proxy, config }
    }

    /// The dead letters in the queue.
    async fn letters(&self) -> Vec<DeadLetter> {
        let messages = self.queue.messages().await;
        let letters = messages.iter().map(|message| match DeadLetterMessage::read(message.body().expect("a body")) {
            Ok(DeadLetterMessage::Record(letter)) => *letter,
            other => panic!("{other:?}"),
        });
        letters.collect()
    }
}

/// Refused for good: `n` is a number, and this is an object.
fn poison(key: &str, sequence: u64) -> String {
    with_image(key, sequence, r#"{"n":{"M":{"deep":{"S":"er"}}}}"#)
}

const POISON: &str = "300000000000000000000";

fn batch() -> [String; 3] {
    [insert("a", 2), poison("bad", 3), insert("c", 4)]
}

#[tokio::test]
async fn a_letter_holds_the_whole_record_and_why() {
    let desk = Desk::set_up("letter").await;
    let mut process = CountedProcess::new(desk.config.clone());
    assert_eq!(process.invoke(&batch(), None).await.expect("answered"), [""; 0]);
    let message = &desk.queue.messages().await[0];
    let attributes = message.message_attributes().expect("attributes");
    let attributes: BTreeMap<&str, &str> =
        attributes.iter().map(|(name, value)| (name.as_str(), value.string_value().expect("a text"))).collect();
    assert_eq!(
        [attributes["status"], attributes["document_id"], attributes["index"], attributes["event_name"]],
        ["400", "bad", &desk.index.name, "INSERT"]
    );
    let letters = desk.letters().await;
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(letter.record.get(), batch()[1], "byte for byte as it came");
    assert_eq!((letter.rejected.status, letter.document_id.as_deref()), (Some(400), Some("bad")));
    assert_eq!((letter.event_id.as_deref(), letter.table.as_deref()), (Some("e3"), Some("T")));
    assert!(letter.rejected.reason.contains("[n]"), "the reason names the field: {}", letter.rejected.reason);
    assert!(letter.version.as_deref().is_some_and(|version| version.ends_with(POISON)), "{:?}", letter.version);
    assert_eq!(desk.index.visible().await.into_keys().collect::<Vec<_>>(), ["a", "c", "first"]);
}

#[tokio::test]
async fn while_the_queue_is_away_a_rejected_record_is_a_failure_and_no_success() {
    let faults = [None, Some(ProxyFault::Swallow), Some(ProxyFault::CutRequest(60)), Some(ProxyFault::Answer(403))];
    futures::future::join_all(faults.into_iter().map(the_queue_is_away)).await;
}

/// Checks a batch with poison while the queue has this fault, and after it. With `None`, nobody listens.
async fn the_queue_is_away(fault: Option<ProxyFault>) {
    let desk = Desk::set_up("away").await;
    let mut process = CountedProcess::new(desk.config.clone());
    match &fault {
        None => desk.proxy.refuse().await,
        Some(fault) => desk.proxy.every(fault.clone()),
    }
    let failed = process.invoke(&batch(), None).await;
    assert_eq!(failed.expect("in time"), [POISON], "{fault:?}");
    assert_eq!(desk.index.visible().await.len(), 3, "{fault:?}: the others are not held up");
    assert_eq!(desk.queue.messages().await.len(), 0, "{fault:?}");
    desk.proxy.pass();
    desk.proxy.accept().await.expect("listens");
    // As Lambda does: from the failed record on.
    assert_eq!(process.invoke(&batch()[1..], None).await.expect("answered"), [""; 0], "{fault:?}");
    let letters = desk.letters().await;
    assert_eq!(letters.len(), 1, "{fault:?}");
    assert_eq!(letters[0].record.get(), batch()[1]);
    let counts = process.counts(5).await;
    assert_eq!((counts.applied, counts.duplicate), (2, 1), "{fault:?}: {counts:?}");
}

#[tokio::test]
async fn a_lost_answer_of_the_queue_leaves_no_record_without_a_letter() {
    let desk = Desk::set_up("echo").await;
    let mut process = CountedProcess::new(desk.config.clone());
    desk.proxy.next("", [ProxyFault::CutAnswer(0)]);
    assert_eq!(process.invoke(&batch(), None).await.expect("answered"), [""; 0]);
    let letters = desk.letters().await;
    // The letter that was stored before its answer was lost may be there twice: a redrive finds out.
    assert!((1..=2).contains(&letters.len()), "{letters:?}");
    assert!(letters.iter().all(|letter| letter.record.get() == batch()[1]));
    desk.proxy.every(ProxyFault::CutAnswer(0));
    let next = [modify("a", 5), poison("worse", 6)];
    assert_eq!(process.invoke(&next, None).await.expect("in time"), ["600000000000000000000"]);
    desk.proxy.pass();
    assert_eq!(process.invoke(&next[1..], None).await.expect("answered"), [""; 0]);
    assert!(desk.letters().await.iter().any(|letter| letter.record.get() == next[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_whose_order_is_in_doubt_is_applied_only_when_somebody_asks_for_it() {
    let desk = Desk::set_up("doubt").await;
    let mut process = CountedProcess::new(desk.config.clone());
    // Ten seconds newer than what has the higher sequence number.
    let doubtful = modify("a", 5).replace("1768469467", "1768469477");
    for record in [insert("a", 9), doubtful] {
        assert_eq!(process.invoke(&[record], None).await.expect("answered"), [""; 0]);
    }
    assert_eq!(desk.letters().await[0].rejected.class, "order_anomaly");
    let redrive = async |request| redrive_as(&desk.queue, desk.index.settings(), request).await;
    let report = redrive(json!({})).await;
    assert_eq!(
        (&report["letters"]["kept"], &report["kept"][0]["class"]),
        (&json!(1), &json!("order_anomaly")),
        "{report}"
    );
    assert_eq!(desk.index.visible().await["a"], r#"{"n":9}"#);
    let report = redrive(json!({"apply_order_anomalies": true})).await;
    assert_eq!((&report["changes"]["applied"], &report["left"]), (&json!(1), &json!(0)), "{report}");
    assert_eq!(desk.index.visible().await["a"], r#"{"n":5}"#);
    // The version that was stored still stands: what is older than it stays out, what is newer comes in.
    for (sequence, content) in [(8, r#"{"n":5}"#), (10, r#"{"n":10}"#)] {
        assert_eq!(process.invoke(&[modify("a", sequence)], None).await.expect("answered"), [""; 0]);
        assert_eq!(desk.index.visible().await["a"], content);
    }
    assert_eq!(desk.queue.messages().await.len(), 0);
}

#[tokio::test]
async fn what_the_queue_refuses_for_good_is_told_from_a_queue_that_is_gone() {
    let queue = TestQueue::new("refuses").await;
    let deadline = tokio::time::Instant::now() + LIMIT;
    let refused = [("too large", "x".repeat(2 * 1024 * 1024)), ("not XML's characters", "\u{1}".to_owned())];
    for (why, body) in refused {
        let sent = queue.on_failure().send(&Message { body, attributes: Vec::new() }, deadline).await;
        assert!(matches!(sent, Err(QueueError::Message(_))), "{why}: {sent:?}");
    }
    let gone =
        SqsQueue::with_client(sqs_client(services().sqs_endpoint().expect("a queue")), format!("{}-gone", queue.url));
    let sent = gone.send(&Message { body: "x".to_owned(), attributes: Vec::new() }, deadline).await;
    assert!(matches!(sent, Err(QueueError::Refused(_))), "{sent:?}");
}

#[tokio::test]
async fn a_record_of_the_largest_item_gets_a_letter_that_the_queue_takes() {
    let desk = Desk::set_up("large").await;
    let mut process = CountedProcess::new(desk.config.clone());
    let image = json!({"n": {"M": {}}, "text": {"S": "many words ".repeat(37_000)}});
    let record = with_image("bad", 3, &image.to_string());
    assert!(record.len() > 400_000);
    let records = [insert("a", 2), record.clone(), insert("c", 4)];
    assert_eq!(process.invoke(&records, None).await.expect("answered"), [""; 0]);
    let message = &desk.queue.messages().await[0];
    assert!(message.body().expect("a body").len() < 64 * 1024, "it is compressed");
    assert_eq!(desk.letters().await[0].record.get(), record);
    assert_eq!(desk.index.visible().await.len(), 3);
}

/// An item of 400 KB whose bytes nothing compresses.
fn random_item(key: &str, n: Value) -> driftless_harness::mapping::JsonItem {
    use base64::Engine as _;
    let mut bytes = vec![0; 399 * 1024];
    rand::rngs::StdRng::seed_from_u64(7).fill(&mut bytes[..]);
    let blob = base64::engine::general_purpose::STANDARD.encode(bytes);
    let item = json!({"pk": {"S": key}, "n": n, "blob": {"B": blob}});
    item.as_object().expect("an object").clone()
}

#[tokio::test]
async fn a_letter_too_large_even_compressed_leaves_the_record_to_lambdas_own_failure_path() {
    let desk = Desk::set_up("huge").await;
    // The table of the records that the index was made for.
    let stream = Arc::new(MemoryStream::new("T", "pk"));
    let small = |key: &str| json!({"pk": {"S": key}, "n": {"N": "1"}}).as_object().expect("an object").clone();
    let keys = |key: &str| json!({"pk": {"S": key}}).as_object().expect("an object").clone();
    let put = |key: &str, new, old| {
        let event_name = if old { "MODIFY" } else { "INSERT" };
        let old_image = old.then(|| random_item(key, json!({"N": "2"})));
        let change = MemoryChange { event_name, keys: keys(key), new_image: Some(new), old_image, expired: false };
        stream.push(&change).expect("pushed")
    };
    put("a", small("a"), false);
    // Its letter fits without the old image, and does not with it.
    put("large", random_item("large", json!({"M": {}})), false);
    let given_up = put("huge", random_item("huge", json!({"M": {}})), true);
    put("b", small("b"), false);
    let (function, on_failure) = (Arc::new(desk.config.clone()), Arc::new(desk.queue.on_failure()));
    // One more attempt is as good as three.
    let config = MappingConfig { maximum_retry_attempts: Some(1), ..template(5) };
    let mapping = EventSourceMapping::start(config, Arc::clone(&stream) as _, function, Some(on_failure));
    let mapping = mapping.await.expect("the function starts");
    mapping.wait_until_drained(LIMIT).await.expect("drained");
    mapping.shutdown().await;
    let (mut records, mut ranges) = (Vec::new(), Vec::new());
    for message in desk.queue.messages().await {
        match DeadLetterMessage::read(message.body().expect("a body")).expect("a letter") {
            DeadLetterMessage::Record(letter) => records.push(letter.document_id.clone().expect("an id")),
            DeadLetterMessage::Range(_) => ranges.push(body(&message)["DDBStreamBatchInfo"].clone()),
        }
    }
    assert_eq!((records, ranges.len()), (vec!["large".to_owned()], 1));
    // What came behind it in its batch may be named, too, though it is applied: a redrive finds duplicates.
    assert_eq!(ranges[0]["startSequenceNumber"], json!(given_up.to_string()), "{}", ranges[0]);
    assert!(ranges[0]["batchSize"].as_u64() <= Some(2), "{}", ranges[0]);
    assert_eq!(desk.index.visible().await.into_keys().collect::<Vec<_>>(), ["a", "b", "first"]);
}
