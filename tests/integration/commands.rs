//! The commands on a table and its index, as programs: what they print, their exit codes, and what they leave behind.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use driftless_harness::activity::PARTITION_KEY;
use driftless_harness::function::{BuildProfile, build_function};
use driftless_harness::list_dead_letters::{peek, queue_at};
use driftless_harness::services::{Services, WantedServices, shared};
use driftless_page::Trouble;
use opensearch::http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::demo_page::PageClient;
use crate::loading::{BACKFILL, Scene, VERIFY, key};
use crate::purge::PURGE;
use crate::reindex::REINDEX;
use crate::streams::BINARY;
use crate::support::unique;

pub(crate) static LOCAL: LazyLock<PathBuf> =
    LazyLock::new(|| build_function("local", BuildProfile::Debug).expect("the tool builds"));

/// The services that all tests share, with queues.
pub(crate) fn services() -> &'static Services {
    shared(WantedServices::default())
}

/// The tool, with a home of its own, on the services that all tests share.
struct Tool<'s> {
    scene: &'s Scene,
    home: TempDir,
    /// Variables of the functions, besides those of every test.
    variables: Vec<(&'static str, String)>,
}

/// Result of a command.
struct CommandResult {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl<'s> Tool<'s> {
    fn new(scene: &'s Scene) -> Self {
        Self { scene, home: tempfile::tempdir().expect("a folder"), variables: Vec::new() }
    }

    fn command(&self, name: &str, binary: &PathBuf, arguments: &[&str]) -> Command {
        let mut command = Command::new(&*LOCAL);
        command.arg("--home").arg(self.home.path()).args(name.split(' ')).arg("--binary").arg(binary);
        command.args(["--table", &self.scene.table, "--index", &self.scene.index.name]).args(arguments);
        command.envs(services().environment()).env("PARTITION_KEY", PARTITION_KEY).env_remove("DEAD_LETTER_QUEUE_URL");
        command.envs(self.variables.clone());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn run(&self, name: &str, binary: &PathBuf, arguments: &[&str]) -> CommandResult {
        CommandResult::of(self.command(name, binary, arguments).output().await.expect("the tool runs"))
    }

    async fn backfill(&self, arguments: &[&str]) -> CommandResult {
        self.run("backfill", &BACKFILL, &[&["--json"], arguments].concat()).await
    }

    async fn verify(&self, arguments: &[&str]) -> CommandResult {
        self.run("verify", &VERIFY, &[&["--json", "--settle-ms", "200", "--segments", "2"], arguments].concat()).await
    }

    async fn verify_key(&self, key: &str) -> CommandResult {
        self.run("verify", &VERIFY, &["--json", "--settle-ms", "200", "--key", key]).await
    }
}

/// Number of documents that searches see.
async fn documents(scene: &Scene) -> u64 {
    let path = format!("/{}/_count", scene.index.name);
    let (_, body) = scene.index.send(Method::Get, &path, None).await;
    serde_json::from_str::<Value>(&body).ok().and_then(|answer| answer["count"].as_u64()).unwrap_or_default()
}

impl CommandResult {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The object on the last line, after this exit code.
    #[track_caller]
    fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        let last = self.stdout.lines().last().unwrap_or_else(|| panic!("{}", self.stderr));
        serde_json::from_str(last).expect("an object")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_was_backfilled_is_proven_equal() {
    let scene = Scene::new("commands").await;
    let tool = Tool::new(&scene);
    scene.fill(0..500).await;
    let loaded = tool.backfill(&["--segments", "3"]).await.json(0);
    assert_eq!([&loaded["items"], &loaded["written"], &loaded["rejected"]], [500, 500, 0], "{loaded}");
    assert_eq!((&loaded["superseded"], &loaded["done"]), (&Value::from(0), &Value::from(true)), "{loaded}");
    let again = tool.backfill(&[]).await.json(0);
    assert_eq!([&again["written"], &again["superseded"]], [0, 500], "{again}");

    let verdict = tool.verify(&[]).await.json(0);
    assert_eq!((&verdict["equal"], &verdict["orphans"]), (&Value::from(true), &"counted".into()), "{verdict}");
    assert_eq!([&verdict["items"], &verdict["documents"], &verdict["in_motion"]], [500, 500, 0], "{verdict}");
    let listed = tool.verify(&["--orphans", "full"]).await.json(0);
    assert_eq!((&listed["equal"], &listed["orphans"]), (&Value::from(true), &"listed".into()), "{listed}");
    let unsought = tool.verify(&["--orphans", "none"]).await.json(0);
    assert_eq!((&unsought["equal"], &unsought["missing"]), (&Value::Null, &0.into()), "nobody looked: {unsought}");
    let sampled = tool.verify(&["--sample", "0.5"]).await.json(0);
    assert_eq!(sampled["equal"], Value::Null, "{sampled}");
    assert!(sampled["sample"].as_str().is_some_and(|text| text.contains("95 %")), "{sampled}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn find_shows_each_place_where_an_item_still_is() {
    let scene = Scene::new("places").await;
    let tool = Tool::new(&scene);
    scene.fill(0..10).await;
    tool.backfill(&[]).await.json(0);
    tool.run("reindex create", &REINDEX, &["--json"]).await.json(0);
    let key = format!(r#"{{"{PARTITION_KEY}": {{"S": "p0"}}, "sk": {{"S": "s000007"}}}}"#);
    let find = async || tool.run("find", &BACKFILL, &["--json", "--key", &key]).await.json(0);
    let states = |found: &Value| -> Vec<(String, String)> {
        let documents = found["documents"].as_array().expect("documents");
        let text = |one: &Value, name: &str| one[name].as_str().expect("a text").to_owned();
        documents.iter().map(|one| (text(one, "role"), text(one, "state"))).collect()
    };
    let expected = |places: [(&str, &str); 2]| places.map(|(role, state)| (role.to_owned(), state.to_owned())).to_vec();

    let found = find().await;
    assert_eq!((&found["item"], &found["document_id"]), (&Value::from(true), &"p0|s000007".into()), "{found}");
    assert_eq!(states(&found), expected([("public", "document"), ("written", "absent")]), "{found}");
    scene.delete(7).await;
    tool.run("verify", &VERIFY, &["--json", "--settle-ms", "200", "--repair", "--key", &key]).await.json(1);
    let found = find().await;
    assert_eq!(found["item"], Value::from(false), "{found}");
    assert_eq!(states(&found)[0], ("public".to_owned(), "tombstone".to_owned()), "{found}");
    let wrong = tool.run("find", &BACKFILL, &["--key", r#"{"id": {"S": "x"}}"#]).await;
    assert!(wrong.code == Some(1) && wrong.stderr.contains("expected the key attributes"), "{}", wrong.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_is_found_and_mended_and_the_next_verdict_is_equal() {
    let scene = Scene::new("planted").await;
    let tool = Tool::new(&scene);
    scene.fill(0..60).await;
    tool.backfill(&[]).await.json(0);
    // Nobody follows the stream: these changes are lost.
    scene.put(7, 1).await;
    scene.delete(8).await;
    let key = format!(r#"{{"{PARTITION_KEY}": {{"S": "p0"}}, "sk": {{"S": "s000007"}}}}"#);
    let alone = tool.verify_key(&key).await.json(1);
    assert_eq!([&alone["items"], &alone["stale"]], [1, 1], "{alone}");

    let found = tool.verify(&[]).await;
    assert!(found.stderr.contains("table and index differ: 2 differences"), "{}", found.stderr);
    assert!(found.stderr.contains("stale p0|s000007: state"), "{}", found.stderr);
    let found = found.json(1);
    assert_eq!((&found["equal"], &found["orphans"]), (&Value::from(false), &"listed".into()), "{found}");
    assert_eq!([&found["stale"], &found["orphaned"], &found["missing"]], [1, 1, 0], "{found}");
    let mended = tool.verify(&["--repair"]).await.json(1);
    assert_eq!([&mended["repaired"], &mended["failed"]], [2, 0], "{mended}");
    let proof = tool.verify(&[]).await.json(0);
    assert_eq!((&proof["equal"], &proof["documents"]), (&Value::from(true), &59.into()), "{proof}");
    // The tombstone that the repair left is younger than any age but none.
    let purged = tool.run("purge", &PURGE, &["--age-days", "0", "--json"]).await.json(0);
    assert_eq!([&purged["found"], &purged["purged"]], [1, 1], "{purged}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_that_was_interrupted_goes_on_with_the_same_command() {
    const ITEMS: u64 = 9_000;
    let scene = Scene::new("interrupted").await;
    let tool = Tool::new(&scene);
    scene.fill(0..ITEMS).await;
    // The budget is for a page of 2,000 items in one to two seconds, and the first invocation answers after two pages.
    let arguments = ["--json", "--segments", "1", "--rcu-per-second", "30"];
    let child = tool.command("backfill", &BACKFILL, &arguments).spawn().expect("the tool starts");
    for round in 0.. {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if documents(&scene).await >= 4_000 {
            break;
        }
        assert!(round < 300, "nothing is written");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).expect("it runs");
    let signalled = Command::new("kill").args(["-INT", &pid.to_string()]).status().await.expect("a signal");
    assert!(signalled.success());
    let ended = CommandResult::of(child.wait_with_output().await.expect("it ends"));
    assert!(ended.stderr.contains("the same command goes on"), "{}", ended.stderr);
    let first = ended.json(1);
    assert_eq!(first["done"], false, "{first}");

    let ended = tool.backfill(&arguments[1..]).await;
    assert!(ended.stderr.contains("going on where"), "{}\n{first}", ended.stderr);
    let whole = ended.json(0);
    assert_eq!((&whole["items"], &whole["done"]), (&ITEMS.into(), &Value::from(true)), "{first} {whole}");
    let verdict = tool.verify(&[]).await.json(0);
    assert_eq!((&verdict["equal"], &verdict["items"]), (&Value::from(true), &ITEMS.into()), "{verdict}");
    let kept: Vec<_> = std::fs::read_dir(tool.home.path().join("interrupted")).expect("a folder").collect();
    assert!(kept.is_empty(), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_replicated_until_it_has_drained_and_dead_letters_go_to_the_local_queue() {
    let scene = Scene::new("replicated").await;
    let tool = Tool::new(&scene);
    scene.fill(0..40).await;
    scene.put(3, 1).await;
    scene.delete(4).await;
    let arguments = ["--once", "--batch-size", "10", "--factor", "2"];
    let ended = tool.run("replicate", &BINARY, &arguments).await;
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("42 changes delivered: ") && ended.stdout.contains(" 0 refused"), "{}", ended.stdout);
    assert_eq!(scene.index.visible().await.len(), 39);
    // `state` is a number by now.
    let mut odd = key(50);
    odd.insert("state".to_owned(), AttributeValue::S("odd".to_owned()));
    scene.tables.put_item().table_name(&scene.table).set_item(Some(odd)).send().await.expect("put");
    let ended = tool.run("replicate", &BINARY, &arguments).await;
    let expected = "43 changes delivered: 0 applied, 42 needless, 1 refused; 0 under way";
    assert!(ended.code == Some(0) && ended.stdout.contains(expected), "{}\n{}", ended.stdout, ended.stderr);
    assert_eq!(scene.index.visible().await.len(), 39);
    let url = ended.stderr.lines().find_map(|line| line.strip_prefix("dead letters go to ")).expect("a queue");
    let letters = peek(&queue_at(services().sqs_endpoint(), url), 10).await.expect("read");
    assert_eq!(letters.len(), 1, "{letters:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replication_with_a_page_injects_what_the_users_table_can_bear_and_is_proven_equal() {
    let limit = Duration::from_secs(120);
    let scene = Scene::new("live").await;
    let tool = Tool::new(&scene);
    scene.fill(0..50).await;
    let mut child = tool.command("replicate", &BINARY, &["--page"]).spawn().expect("the tool runs");
    let mut lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
    let url = loop {
        let line = lines.next_line().await.expect("text").expect("an address");
        if let Some((_, url)) = line.split_once("the page is at ") {
            break url.to_owned();
        }
    };
    let rest = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let page = PageClient::at(&url);
    page.wait("all is replicated", limit, |state| state["mapping"]["delivered"] == 50).await;
    for impossible in [Trouble::Poison, Trouble::Engine, Trouble::Stream] {
        assert_eq!(page.order(&format!("/troubles/{impossible}")).await, 409, "{impossible}");
    }
    for (state, trouble) in [(1, Trouble::Kill), (2, Trouble::Again)] {
        let change = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            scene.put(7, state).await;
        };
        let (state, ()) = tokio::join!(page.converges(trouble, limit), change);
        assert_eq!((&state["proof"]["equal"], &state["proof"]["items"]), (&true.into(), &50.into()), "{state}");
    }
    let state = page.wait("both sides are counted", limit, |state| state["sides"]["documents"] == 50).await;
    assert_eq!((&state["sides"]["items"], &state["lag"]["whole_seconds"]), (&50.into(), &true.into()), "{state}");
    assert_eq!((&state["mapping"]["killed"], &state["letters"]["waiting"]), (&1.into(), &0.into()), "{state}");
    assert_eq!(page.order("/end").await, 202);
    assert!(child.wait().await.expect("an end").success());
    rest.await.expect("read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_cannot_be_replicated_is_named_with_the_remedy() {
    let mut scene = Scene::new("streamless").await;
    scene.table = unique("streamless");
    let definition = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let schema = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let create = scene.tables.create_table().table_name(&scene.table).billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(definition.build().expect("a key"));
    create.key_schema(schema.build().expect("a key")).send().await.expect("created");
    let ended = Tool::new(&scene).run("replicate", &BINARY, &["--once"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let command =
        format!("aws dynamodb update-table --table-name {} --stream-specification StreamEnabled=true", scene.table);
    assert!(ended.stderr.contains(&command), "{}", ended.stderr);
    scene.table = unique("absent");
    let ended = Tool::new(&scene).run("verify", &VERIFY, &[]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("the table {} does not exist", scene.table)), "{}", ended.stderr);
    let (status, _) = scene.index.send(Method::Get, &format!("/{}-000001", scene.index.name), None).await;
    assert_eq!(status, 404, "nothing was made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_gets_another_definition_by_the_commands_of_a_reindex() {
    let scene = Scene::new("commanded").await;
    let tool = Tool::new(&scene);
    scene.fill(0..30).await;
    tool.backfill(&[]).await.json(0);
    let file = |name: &str, text: &str| {
        let path = tool.home.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let definition = file("index.json", r#"{"mappings": {"properties": {"state": {"type": "keyword"}}}}"#);
    let searches = file("searches.ndjson", "{}\n{\"query\": {\"match\": {\"text\": \"quoted\"}}, \"size\": 0}\n");
    let reindex = async |step: &str, arguments: &[&str]| {
        tool.run(&format!("reindex {step}"), &REINDEX, &[&["--json"], arguments].concat()).await
    };
    let created = reindex("create", &["--definition", &definition]).await.json(0);
    let [old, new] = ["public", "other"].map(|place| created[place]["name"].as_str().expect("a name").to_owned());
    assert_eq!((&created["state"], &created["other"]["tombstones_copied"]), (&"filling".into(), &true.into()));
    let early = reindex("switch", &[]).await;
    assert!(early.code == Some(1) && early.stderr.contains("reindex failed"), "{}", early.stderr);

    let loaded = tool.backfill(&["--into", "other"]).await.json(0);
    assert_eq!(loaded["written"], 30, "{loaded}");
    let verdict = tool.verify(&["--of", "other"]).await;
    assert!(verdict.stderr.contains("next: "), "{}", verdict.stderr);
    let verdict = verdict.json(0);
    assert_eq!((&verdict["equal"], &verdict["orphans"]), (&Value::from(true), &"listed".into()), "{verdict}");
    let shadow = reindex("shadow", &["--searches", &searches]).await.json(0);
    assert_eq!((&shadow["other"]["shadow"]["searches"], &shadow["next"]), (&1.into(), &"switch".into()), "{shadow}");
    let switched = reindex("switch", &[]).await.json(0);
    assert_eq!((&switched["state"], &switched["public"]["name"]), (&"switched".into(), &new.as_str().into()));
    let back = reindex("rollback", &[]).await.json(0);
    assert_eq!((&back["state"], &back["public"]["name"]), (&"filling".into(), &old.as_str().into()), "{back}");
    reindex("switch", &[]).await.json(0);
    reindex("drop", &["--yes", &old]).await.json(0);
    let status = tool.run("reindex status", &REINDEX, &[]).await;
    assert!(status.stdout.starts_with(&format!("state: none\nreaders see: {new} (")), "{}", status.stdout);
    let verdict = tool.verify(&[]).await.json(0);
    assert_eq!((&verdict["equal"], &verdict["items"]), (&Value::from(true), &30.into()), "{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_of_an_entity_gets_another_definition_by_the_same_commands() {
    let scene = Scene::new("entity-commanded").await;
    let mut tool = Tool::new(&scene);
    scene.fill(0..30).await;
    let own = unique("tens");
    let rules = format!("[[entity]]\nname = \"tens\"\nattribute = \"sk\"\nprefix = \"s00001\"\nindex = \"{own}\"\n");
    tool.variables.push(("REPLICATION", rules));
    let of_own = ["--entity-index", own.as_str()];
    for (index, written) in [(&[][..], 20), (&of_own[..], 10)] {
        assert_eq!(tool.backfill(index).await.json(0)["written"], written, "{index:?}");
    }
    let definition = json!({"entity_indexes": {&own: {"mappings": {"properties": {"state": {"type": "keyword"}}}}}});
    tool.variables.push(("INDEX_DEFINITION", definition.to_string()));
    let reindex = async |step: &str, arguments: &[&str]| {
        tool.run(&format!("reindex {step}"), &REINDEX, &[&["--json"], arguments].concat()).await.json(0)
    };
    // The new definition has none of the default's templates, and mappings lose these without a re-index.
    let applicable = ["date_detection", "dynamic_templates"];
    let drift = json!({"index": format!("{own}-000001"), "applicable": applicable, "needs_reindex": ["state (type)"]});
    assert_eq!(reindex("status", &of_own).await["drift"], drift);
    assert_eq!(reindex("status", &[]).await.get("drift"), None, "the other index keeps the default definition");

    let created = reindex("create", &of_own).await;
    assert_eq!(created["other"]["name"], format!("{own}-000002"), "{created}");
    tool.backfill(&["--into", "other", of_own[0], of_own[1]]).await.json(0);
    tool.verify(&["--of", "other", of_own[0], of_own[1]]).await.json(0);
    let searches = tool.home.path().join("searches.ndjson");
    std::fs::write(&searches, "{}\n{\"query\": {\"match_all\": {}}, \"size\": 0}\n").expect("written");
    let shadow = reindex("shadow", &["--searches", searches.to_str().expect("text"), of_own[0], of_own[1]]).await;
    assert_eq!(shadow["other"]["verified"]["items"], 10, "the verdict stands in the index that was verified: {shadow}");
    let switched = reindex("switch", &of_own).await;
    assert_eq!((&switched["state"], switched.get("drift")), (&json!("switched"), None), "{switched}");
    let (_, mapping) = scene.index.send(Method::Get, &format!("/{own}/_mapping"), None).await;
    let mapping: Value = serde_json::from_str(&mapping).expect("JSON");
    let state = &mapping[format!("{own}-000002")]["mappings"]["properties"]["state"];
    assert_eq!(state["type"], "keyword", "{mapping}");
}
