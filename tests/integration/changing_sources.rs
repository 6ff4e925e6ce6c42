//! `docs/switching-sources.md`, walked through command by command, while somebody writes and somebody reads.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use driftless_harness::compare::compare;
use driftless_harness::list_dead_letters::peek;
use driftless_harness::list_dead_letters::queue_at;
use driftless_harness::services::{create_queue, dynamodb_client};
use driftless_harness::table::create;
use opensearch::http::Method;
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::task::JoinHandle;

use crate::commands::services;
use crate::readme::{Shell, interrupt};
use crate::support::{Index, unique};

const GUIDE: &str = include_str!("../../docs/switching-sources.md");
/// Items that are written all the time.
const ITEMS: usize = 30;
/// Longest wait for what was written to arrive.
const ARRIVAL: Duration = Duration::from_secs(120);

/// Commands of a section's blocks.
fn commands(heading: &str) -> Vec<&'static str> {
    let (_, rest) = GUIDE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    let section = rest.split_once("\n## ").map_or(rest, |(section, _)| section);
    section.lines().filter(|line| line.starts_with("    ")).map(str::trim).collect()
}

/// Somebody who writes, and somebody who reads, all the time.
struct Traffic {
    stop: Arc<AtomicBool>,
    /// True while items are compared: what changes all the time cannot be.
    slow: Arc<AtomicBool>,
    /// Number that was written last of each item; zero once it was deleted.
    written: Arc<Vec<AtomicU64>>,
    /// Number of documents that went back since the last look at this.
    went_back: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

fn item_key(item: usize) -> HashMap<String, AttributeValue> {
    HashMap::from([("id".to_owned(), AttributeValue::S(format!("i{item}")))])
}

impl Traffic {
    fn start(tables: &Client, table: &str, index: &Arc<Index>) -> Self {
        let (stop, slow) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let written: Arc<Vec<AtomicU64>> = Arc::new((0..ITEMS).map(|_| AtomicU64::new(0)).collect());
        let went_back = Arc::new(AtomicU64::new(0));
        let pace = (Arc::clone(&stop), Arc::clone(&slow));
        let writer = write(tables.clone(), table.to_owned(), Arc::clone(&written), pace);
        let reader = read(Arc::clone(index), Arc::clone(&went_back), Arc::clone(&stop));
        let tasks = vec![tokio::spawn(writer), tokio::spawn(reader)];
        Self { stop, slow, written, went_back, tasks }
    }

    async fn end(self) -> Arc<Vec<AtomicU64>> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no panic");
        }
        self.written
    }

    /// Waits until everything that is written now is in the index.
    async fn arrived(&self, index: &Index) {
        let written: Vec<u64> = self.written.iter().map(|number| number.load(Ordering::Relaxed)).collect();
        let start = Instant::now();
        loop {
            let shown = numbers(index).await;
            let late = written.iter().zip(&shown).filter(|(written, shown)| shown < written).count();
            if late == 0 {
                return;
            }
            assert!(start.elapsed() < ARRIVAL, "{late} documents are late: {written:?}, {shown:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Puts items with growing numbers, hot ones most of the time, and lets others come and go.
async fn write(
    tables: Client,
    table: String,
    written: Arc<Vec<AtomicU64>>,
    (stop, slow): (Arc<AtomicBool>, Arc<AtomicBool>),
) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let is_slow = slow.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(if is_slow { 700 } else { 10 })).await;
        number += 1;
        let item = usize::try_from(number * 7 % 60).expect("small") % ITEMS;
        let item = if number % 2 == 0 { item % 3 } else { item };
        let mut content = item_key(item);
        content.insert("n".to_owned(), AttributeValue::N(number.to_string()));
        tables.put_item().table_name(&table).set_item(Some(content)).send().await.expect("put");
        written[item].store(number, Ordering::Relaxed);
        if number % 10 == 0 && !is_slow {
            // Items beyond the counted ones come and go.
            let key = Some(item_key(ITEMS + item));
            match number % 20 {
                0 => drop(tables.delete_item().table_name(&table).set_key(key).send().await.expect("deleted")),
                _ => drop(tables.put_item().table_name(&table).set_item(key).send().await.expect("put")),
            }
        }
    }
}

/// Looks at all documents again and again, and counts those that show an earlier number than before.
async fn read(index: Arc<Index>, went_back: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let mut last = vec![0; ITEMS];
    while !stop.load(Ordering::Relaxed) {
        for (last, shown) in last.iter_mut().zip(numbers(&index).await) {
            if shown < *last {
                went_back.fetch_add(1, Ordering::Relaxed);
            }
            *last = shown;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Numbers that the documents show now; zero without one.
async fn numbers(index: &Index) -> Vec<u64> {
    let ids: Vec<String> = (0..ITEMS).map(|item| format!("i{item}")).collect();
    let path = format!("/{}/_mget", index.name);
    let (_, body) = index.send(Method::Post, &path, Some(json!({"ids": ids}))).await;
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    let documents = answer["docs"].as_array().cloned().unwrap_or_default();
    let mut numbers: Vec<u64> =
        documents.iter().map(|document| document["_source"]["n"].as_u64().unwrap_or_default()).collect();
    numbers.resize(ITEMS, 0);
    numbers
}

/// Walk through the guide, as far as it has come.
struct Walk {
    shell: Shell,
    table: String,
    restored: String,
    index: Arc<Index>,
    replicate: Option<Child>,
    /// Number of commands that were run.
    run: usize,
}

impl Walk {
    fn named(&self, line: &str) -> String {
        let line = line.replace("--table orders-restored", &format!("--table {}", self.restored));
        let line = line.replace("--table orders ", &format!("--table {} ", self.table));
        line.replace("--index orders", &format!("--index {}", self.index.name))
            .replace("/orders/", &format!("/{}/", self.index.name))
    }

    /// Runs the commands of a section. The mapping that runs is stopped where the next one is started.
    async fn section(&mut self, heading: &str, traffic: Option<&Traffic>) {
        for line in commands(heading) {
            self.run += 1;
            let line = self.named(line);
            let assignment = line.strip_prefix("export ").unwrap_or(&line);
            if let Some((name, value)) = assignment.split_once('=').filter(|(name, _)| !name.contains(' ')) {
                let value = self.shell.run(&format!("echo {value}")).await.trim().to_owned();
                self.shell.environment.insert(name.to_owned(), value);
            } else if line.starts_with("cargo local replicate") {
                if let Some(old) = self.replicate.take() {
                    interrupt(old).await;
                }
                self.replicate = Some(self.shell.start(&line, "replicating the table").await);
                if let Some(traffic) = traffic {
                    traffic.arrived(&self.index).await;
                }
            } else {
                self.check(&line, traffic).await;
            }
        }
    }

    async fn check(&self, line: &str, traffic: Option<&Traffic>) {
        if line.contains("cargo local verify") {
            return self.verify(line, traffic).await;
        }
        let printed = self.shell.run(line).await;
        if line.starts_with("curl ") {
            let generation = &self.shell.environment["GENERATION"];
            assert!(printed.contains(&format!("\"generation\":{generation}")), "{line}\n{printed}");
            // From here on the new source has caught up.
            if let Some(traffic) = traffic {
                traffic.went_back.store(0, Ordering::Relaxed);
            }
        } else {
            assert_eq!(printed, "", "{line}");
        }
    }
}

impl Walk {
    async fn verify(&self, line: &str, traffic: Option<&Traffic>) {
        let pace = |slow| traffic.iter().for_each(|traffic| traffic.slow.store(slow, Ordering::Relaxed));
        pace(true);
        let mut verdict = self.shell.output(line).await;
        // What is in motion at all looks is compared again, as the command says.
        for _ in 0..3 {
            if !verdict.2.contains("run it again") {
                break;
            }
            verdict = self.shell.output(line).await;
        }
        pace(false);
        let (succeeded, printed, error) = verdict;
        let repaired = line.contains("--repair") && error.contains("repaired");
        assert!(repaired || (succeeded && printed.starts_with("equal")), "{line}\n{printed}\n{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_source_is_switched_both_ways_under_load_and_no_change_is_lost() {
    let tables = dynamodb_client(services().dynamodb_endpoint());
    let (table, restored) = (unique("switched"), unique("restored"));
    create(&tables, &table).await.expect("a table");
    let index = Arc::new(Index::new("switched"));
    let queue = create_queue(services().sqs_endpoint().expect("queues"), &unique("switched")).await.expect("a queue");
    let mut shell = Shell::new(&table).await;
    shell.environment.insert("DEAD_LETTER_QUEUE_URL".to_owned(), queue.clone());
    let mut walk = Walk { shell, table, restored, index, replicate: None, run: 0 };
    let first = walk.named("cargo local replicate --table orders --index orders");
    walk.replicate = Some(walk.shell.start(&first, "replicating the table").await);
    let traffic = Traffic::start(&tables, &walk.table, &walk.index);
    tokio::time::sleep(Duration::from_secs(2)).await;
    traffic.arrived(&walk.index).await;
    traffic.went_back.store(0, Ordering::Relaxed);

    walk.section("Before you begin", Some(&traffic)).await;
    assert_eq!(traffic.went_back.load(Ordering::Relaxed), 0, "before any switch");
    for heading in ["From streams to Kinesis", "From Kinesis to streams"] {
        walk.section(heading, Some(&traffic)).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(traffic.went_back.load(Ordering::Relaxed), 0, "documents went back after: {heading}");
    }
    let written = {
        traffic.arrived(&walk.index).await;
        let written = Arc::clone(&traffic.written);
        traffic.end().await;
        written
    };
    let last: Vec<u64> = written.iter().map(|number| number.load(Ordering::Relaxed)).collect();
    assert!(last.iter().sum::<u64>() > 1_000, "there was load: {last:?}");
    walk.section("A re-created stream", None).await;
    restore(&tables, &walk).await;
    let before: BTreeMap<String, String> = walk.index.visible().await;
    walk.section("Another table: restored, or imported", None).await;
    let after = walk.index.visible().await;
    assert!(before != after && !after.contains_key("i0"), "{after:?}");
    interrupt(walk.replicate.take().expect("it runs")).await;
    let comparison = compare(&tables, &walk.restored, walk.index.client(), &walk.index.name, None).await;
    let comparison = comparison.expect("compared");
    assert_eq!(comparison.differences(), 0, "{}", comparison.describe());
    let waiting = peek(&queue_at(services().sqs_endpoint(), &queue), 10).await.expect("a look");
    assert!(waiting.is_empty(), "{} dead letters", waiting.len());
    assert!(walk.run >= 22, "{} commands", walk.run);
}

/// Makes the table of a restore: it lacks the first items, and has older content of the others. Somebody writes to it.
async fn restore(tables: &Client, walk: &Walk) {
    create(tables, &walk.restored).await.expect("a table");
    for item in 3..ITEMS {
        let mut content = item_key(item);
        content.insert("n".to_owned(), AttributeValue::N("1".to_owned()));
        tables.put_item().table_name(&walk.restored).set_item(Some(content)).send().await.expect("put");
    }
}
