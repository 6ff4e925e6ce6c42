//! Two Regions: each index follows its own replica, and both replicas converge as a global table's do.
//!
//! The replicas are two tables, and the test plays the replication between them: late, with the last writer winning,
//! and with changes of one item combined. Each table has its stream, its function and its index.

use std::collections::{BTreeMap, HashMap};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opensearch::http::Method;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::backfill::follow;
use crate::commands::LOCAL;
use crate::loading::{Scene, id};
use crate::support::engine_url;

const DRAIN: Duration = Duration::from_secs(120);
/// Number of the item that `follow` changes until the index shows it.
const MARKER: u64 = 1_000_000;
const ITEMS: u64 = 60;
const WRITES: u64 = 600;
/// Longer than a change takes from table to table and into the index, on a busy machine.
const SETTLE_MS: u64 = 4_000;
/// Writes that replication is behind by at the most.
const MOST_BEHIND: u64 = 40;

/// A write of an item, with the internal time by which the last writer wins.
#[derive(Clone, Copy)]
struct ItemWrite {
    number: u64,
    time: u64,
    is_deletion: bool,
}

/// Two replicas with the replication between them.
struct GlobalTable<'s> {
    replicas: [&'s Scene; 2],
    /// Time of the last write of each item, by replica.
    times: [HashMap<u64, u64>; 2],
    /// Writes on their way to a replica: the due time, by item.
    under_way: [BTreeMap<u64, (u64, ItemWrite)>; 2],
    /// Writes that lost against a newer one.
    lost: u64,
    /// Writes that a later one of the same item replaced on its way.
    combined: u64,
}

impl<'s> GlobalTable<'s> {
    fn new(replicas: [&'s Scene; 2]) -> Self {
        Self { replicas, times: Default::default(), under_way: Default::default(), lost: 0, combined: 0 }
    }

    /// Writes in one Region, and sends the write on its way to the other.
    async fn write(&mut self, region: usize, write: ItemWrite, due: u64) {
        self.apply(region, write).await;
        let way = &mut self.under_way[1 - region];
        // The due time of an earlier write holds.
        let earlier = way.get(&write.number).map(|(due, _)| *due);
        self.combined += u64::from(earlier.is_some());
        way.insert(write.number, (earlier.unwrap_or(due), write));
    }

    /// Lets replication catch up with this time.
    async fn replicate(&mut self, now: u64) {
        for region in [0, 1] {
            let due = self.under_way[region].iter().filter(|(_, (due, _))| *due <= now);
            for number in due.map(|(number, _)| *number).collect::<Vec<_>>() {
                let (_, write) = self.under_way[region].remove(&number).expect("under way");
                self.apply(region, write).await;
            }
        }
    }

    async fn apply(&mut self, region: usize, write: ItemWrite) {
        let last = self.times[region].entry(write.number).or_default();
        if write.time <= *last {
            self.lost += 1;
            return;
        }
        *last = write.time;
        match write.is_deletion {
            true => self.replicas[region].delete(write.number).await,
            false => self.replicas[region].put(write.number, write.time).await,
        }
    }
}

/// Writes at random in both Regions. Two writes of one item at about the same time are the rule.
async fn write_in_both(table: &mut GlobalTable<'_>, times: std::ops::Range<u64>) {
    let mut random = StdRng::seed_from_u64(times.start);
    for time in times {
        let (region, number) = (random.random_range(0..2), random.random_range(0..ITEMS));
        let write = ItemWrite { number, time, is_deletion: random.random_range(0..5) == 0 };
        table.write(region, write, time + random.random_range(1..MOST_BEHIND)).await;
        table.replicate(time).await;
    }
}

/// Compares the indexes of two scenes by the command. Returns its exit code and its result.
async fn compare(scenes: [&Scene; 2], settle_ms: u64) -> (Option<i32>, Value) {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(&*LOCAL);
    command.arg("--home").arg(home.path()).args(["compare", "--json", "--settle-ms", &settle_ms.to_string()]);
    command.args(["--index", &scenes[0].index.name, "--second-index", &scenes[1].index.name]);
    command.args(["--endpoint", engine_url(), "--second-endpoint", engine_url()]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.expect("the tool runs");
    let stdout = String::from_utf8(output.stdout).expect("text");
    let result = stdout.lines().last().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), serde_json::from_str(result).expect("an object"))
}

fn counts(result: &Value) -> [u64; 4] {
    ["only_in_first", "only_in_second", "different", "in_motion"]
        .map(|name| result[name].as_u64().unwrap_or_else(|| panic!("{name}: {result}")))
}

async fn source(scene: &Scene, number: u64) -> Value {
    let path = format!("/{}-000001/_doc/{}", scene.index.name, id(number).replace('|', "%7C"));
    let (_, text) = scene.index.send(Method::Get, &path, None).await;
    serde_json::from_str::<Value>(&text).expect("JSON")["_source"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_regions_converge_and_their_indexes_are_equal_once_writes_stop() {
    let (tokyo, virginia) = (Scene::new("tokyo").await, Scene::new("virginia").await);
    let scenes = [&tokyo, &virginia];
    let mappings = [follow(&tokyo).await, follow(&virginia).await];
    for scene in scenes {
        scene.delete(MARKER).await;
    }
    let mut table = GlobalTable::new(scenes);
    write_in_both(&mut table, 1..WRITES).await;

    // One item is written in both Regions before either hears of the other.
    let contested = |time| ItemWrite { number: 0, time, is_deletion: false };
    table.write(0, contested(WRITES + 1), WRITES + 10).await;
    table.write(1, contested(WRITES + 2), WRITES + 10).await;
    table.replicate(u64::MAX).await;
    assert!(table.lost > 10 && table.combined > 10, "{} lost, {} combined", table.lost, table.combined);

    for (scene, mapping) in scenes.into_iter().zip(mappings) {
        mapping.wait_until_drained(DRAIN).await.expect("drained");
        mapping.shutdown().await;
        let comparison = scene.compared().await;
        assert_eq!(comparison.differences(), 0, "{}: {}", scene.table, comparison.describe());
        assert!(comparison.items > ITEMS / 2, "{comparison:?}");
        assert_eq!(source(scene, 0).await["state"], WRITES + 2, "the last writer wins");
    }
    let (code, result) = compare(scenes, 200).await;
    assert_eq!((code, counts(&result)), (Some(0), [0; 4]), "{result}");
    assert_eq!(result["documents"][0], result["documents"][1], "{result}");
    let version = async |scene| source(scene, 0).await["_driftless"]["version"].clone();
    assert_ne!(version(&tokyo).await, version(&virginia).await, "each Region's stream has numbers of its own");

    // Differences of each kind.
    let live: Vec<u64> = {
        let visible = tokyo.index.visible().await;
        (1..ITEMS).filter(|number| visible.contains_key(&id(*number))).collect()
    };
    let document = |number: u64| format!("{}?refresh=true", id(number).replace('|', "%7C"));
    let send = async |scene: &Scene, method, api: &str, number, body| {
        let path = format!("/{}-000001/{api}/{}", scene.index.name, document(number));
        let (status, text) = scene.index.send(method, &path, body).await;
        assert!((200..300).contains(&status), "{text}");
    };
    send(&virginia, Method::Delete, "_doc", live[0], None).await;
    send(&tokyo, Method::Delete, "_doc", live[1], None).await;
    send(&virginia, Method::Post, "_update", live[2], Some(json!({"doc": {"text": "planted"}}))).await;
    let (code, result) = compare(scenes, 200).await;
    assert_eq!((code, counts(&result)), (Some(1), [1, 1, 1, 0]), "{result}");
    let kinds = |number: u64| {
        let mut examples = result["examples"].as_array().expect("examples").iter();
        let example = examples.find(|example| example["document_id"] == id(number)).expect("an example");
        (example["kind"].clone(), example["paths"].clone())
    };
    assert_eq!(kinds(live[0]).0, "only_in_first");
    assert_eq!(kinds(live[1]).0, "only_in_second");
    // The engine's own update also costs a number its digits.
    assert_eq!(kinds(live[2]), (json!("different"), json!(["exact", "text"])));
    assert!(!result.to_string().contains("planted"), "no value is shown: {result}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_called_different_between_regions_while_writes_go_on() {
    let (first, second) = (Scene::new("motion-a").await, Scene::new("motion-b").await);
    let scenes = [&first, &second];
    let mappings = [follow(&first).await, follow(&second).await];
    for scene in scenes {
        scene.delete(MARKER).await;
    }
    let stop = AtomicBool::new(false);
    let writing = async {
        let (mut table, mut time) = (GlobalTable::new(scenes), 1);
        while !stop.load(Ordering::Relaxed) {
            write_in_both(&mut table, time..time + 20).await;
            time += 20;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        table.replicate(u64::MAX).await;
        time
    };
    let comparing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (_, result) = compare(scenes, SETTLE_MS).await;
        stop.store(true, Ordering::Relaxed);
        result
    };
    let (writes, result) = futures::future::join(writing, comparing).await;
    let [only_in_first, only_in_second, different, _] = counts(&result);
    assert_eq!([only_in_first, only_in_second, different], [0; 3], "under {writes} writes: {result}");
    for mapping in mappings {
        mapping.wait_until_drained(DRAIN).await.expect("drained");
        mapping.shutdown().await;
    }
    let (code, result) = compare(scenes, 500).await;
    assert_eq!((code, counts(&result)), (Some(0), [0; 4]), "{result}");
}
