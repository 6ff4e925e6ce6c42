//! Entities with an index of their own: one function writes them all, and long work goes index by index.

use driftless::outcome::SHAPE_CLASS;
use driftless::testing::page::code_blocks;
use opensearch::http::Method;
use serde_json::{Value, json};

use super::RulesScene;
use crate::loading::{count, fails, run};
use crate::support::{Index, documents, unique};

/// A scene, its rules and the index of its customers.
struct Entities {
    scene: RulesScene,
    rules: String,
    customers: Index,
}

fn rules(index: &str, more: &str) -> String {
    format!(
        "{more}[[entity]]\nname = \"customer\"\nattribute = \"sk\"\nprefix = \"CUSTOMER#\"\nindex = \"{index}\"\n\
         include = [\"name\"]\n"
    )
}

impl Entities {
    async fn new(name: &str) -> Self {
        let mut customers = Index::new(name);
        customers.name = unique("customers");
        let rules = rules(&customers.name, "");
        Self { scene: RulesScene::new(name, &rules).await, rules, customers }
    }

    async fn put(&self, sort: &str, name: &str) {
        self.scene.put(&json!({"pk": {"S": "acme"}, "sk": {"S": sort}, "name": {"S": name}})).await;
    }

    async fn delete(&self, sort: &str) {
        self.scene.delete(&json!({"pk": {"S": "acme"}, "sk": {"S": sort}})).await;
    }

    /// Types of the mapped fields of one of the indexes.
    async fn types(&self, index: &str) -> Value {
        let (_, answer) = self.customers.send(Method::Get, &format!("/{index}/_mapping"), None).await;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let mut fields = answer[index]["mappings"]["properties"].as_object().expect("fields").clone();
        fields.remove("_driftless");
        fields.into_iter().map(|(name, field)| (name, field["type"].clone())).collect()
    }

    async fn shows(&self, orders: &[(&str, &str)], customers: &[(&str, &str)]) {
        assert_eq!(self.scene.scene.index.visible().await, documents(orders), "orders");
        assert_eq!(self.customers.visible().await, documents(customers), "customers");
    }

    /// Compares one of the indexes from both sides.
    async fn verify(&self, entity_index: Option<&str>, repair: bool) -> [Value; 2] {
        self.scene.refresh().await;
        self.customers.refresh().await;
        let request = json!({"settle_ms": 200, "repair": repair, "entity_index": entity_index});
        let items = run(self.scene.verify_function(), request.clone(), None).await;
        let mut listing = request;
        listing["orphans"] = "full".into();
        [items, run(self.scene.verify_function(), listing, None).await]
    }

    async fn proven(&self) {
        for (index, items) in [(None, 1), (Some(self.customers.name.as_str()), 1)] {
            for side in self.verify(index, false).await {
                assert_eq!((&side["equal"], count(&side, "items")), (&json!(true), items), "{index:?}: {side}");
            }
        }
    }
}

const ORDER: (&str, &str) = ("acme|ORDER#1", r#"{"name":"o","pk":"acme","sk":"ORDER#1"}"#);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entity_goes_to_its_own_index_on_every_path() {
    let entities = Entities::new("entities").await;
    let index = entities.customers.name.clone();
    let customer = |name: &str| format!(r#"{{"name":"{name}"}}"#);
    entities.put("ORDER#1", "o").await;
    entities.put("CUSTOMER#9", "c").await;
    entities.scene.stream().await;
    entities.shows(&[ORDER], &[("acme|CUSTOMER#9", &customer("c"))]).await;
    assert_eq!(entities.scene.letters().await.len(), 0);
    entities.proven().await;

    // A change and a removal meet their document in its index.
    entities.put("CUSTOMER#9", "d").await;
    entities.put("CUSTOMER#8", "gone").await;
    entities.scene.stream().await;
    entities.delete("CUSTOMER#8").await;
    entities.scene.stream().await;
    entities.shows(&[ORDER], &[("acme|CUSTOMER#9", &customer("d"))]).await;
    assert_eq!(entities.customers.all().await.len(), 2, "the removed one left a tombstone");

    // A repair of one index leaves the other.
    entities.put("CUSTOMER#9", "e").await;
    entities.put("ORDER#1", "p").await;
    let [items, _] = entities.verify(Some(&index), true).await;
    assert_eq!((count(&items, "stale"), count(&items, "repaired")), (1, 1), "{items}");
    entities.shows(&[ORDER], &[("acme|CUSTOMER#9", &customer("e"))]).await;
    let [items, listing] = entities.verify(None, true).await;
    assert_eq!((count(&items, "repaired"), count(&listing, "repaired")), (1, 0), "{items} {listing}");
    let order = r#"{"name":"p","pk":"acme","sk":"ORDER#1"}"#;
    entities.shows(&[(ORDER.0, order)], &[("acme|CUSTOMER#9", &customer("e"))]).await;
    entities.proven().await;

    // So does a purge.
    entities.delete("ORDER#1").await;
    entities.scene.stream().await;
    let purge = |request: Value| super::answer(entities.scene.function("purge", &crate::purge::PURGE), request);
    entities.customers.refresh().await;
    let purged = purge(json!({"age_days": 0, "entity_index": index})).await;
    assert_eq!((&purged["purged"], entities.customers.all().await.len()), (&json!(1), 1), "{purged}");
    assert_eq!(entities.scene.scene.index.all().await.len(), 1, "the order's tombstone");
    assert_eq!(entities.scene.purge().await["purged"], json!(1));
    entities.shows(&[], &[("acme|CUSTOMER#9", &customer("e"))]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_and_a_redrive_fill_each_index_with_its_own() {
    let entities = Entities::new("entities-filled").await;
    let index = entities.customers.name.clone();
    entities.put("ORDER#1", "o").await;
    entities.put("CUSTOMER#9", "c").await;
    let customers = [("acme|CUSTOMER#9", r#"{"name":"c"}"#)];
    let backfill = || entities.scene.function("backfill", &crate::loading::BACKFILL);
    let loaded = run(backfill(), json!({}), None).await;
    assert_eq!((count(&loaded, "written"), count(&loaded, "left_out")), (1, 1), "{loaded}");
    entities.shows(&[ORDER], &[]).await;
    let loaded = run(backfill(), json!({"entity_index": index}), None).await;
    assert_eq!((count(&loaded, "written"), count(&loaded, "left_out")), (1, 1), "{loaded}");
    entities.shows(&[ORDER], &customers).await;
    entities.proven().await;
    let (kind, message) = fails(backfill(), json!({"entity_index": "elsewhere"})).await;
    assert!(kind == "Request" && message.contains(&index), "{kind}: {message}");

    // Other indexes of the same table, filled by dead letters alone.
    let mut others = Entities::new("entities-redriven").await;
    others.scene = entities.scene.beside("entities-redriven", &others.rules).await;
    let refusing = rules(&others.customers.name, "where = 'error(\"refused\")'\n");
    others.scene.stream_with(&refusing).await;
    let letters = others.scene.letters().await;
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().all(|letter| letter.rejected.class == SHAPE_CLASS), "{letters:?}");
    let report = others.scene.redrive().await;
    assert_eq!((&report["letters"]["redriven"], &report["left"]), (&json!(2), &json!(0)), "{report}");
    others.shows(&[ORDER], &customers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_of_an_entity_names_its_index_and_comes_back_to_it() {
    let mut entities = Entities::new("entities-letters").await;
    // The engine refuses the customer's name, and only there.
    let definition = json!({"mappings": {"properties": {"name": {"type": "long"}}}});
    entities.scene.define(&definition);
    entities.put("CUSTOMER#9", "c").await;
    entities.scene.stream().await;
    let letters = entities.scene.letters().await;
    assert_eq!((letters.len(), letters[0].index.as_str()), (1, entities.customers.name.as_str()), "{letters:?}");
    entities.put("CUSTOMER#9", "12").await;
    entities.scene.stream().await;
    let report = entities.scene.redrive().await;
    assert_eq!(report["left"], json!(0), "{report}");
    entities.shows(&[], &[("acme|CUSTOMER#9", r#"{"name":"12"}"#)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entity_that_no_key_tells_has_no_index_of_its_own() {
    let scene = RulesScene::new("no-entity-key", "").await;
    scene.put(&json!({"pk": {"S": "a"}, "sk": {"S": "s"}, "type": {"S": "customer"}})).await;
    let rules = "[[entity]]\nname = \"customer\"\nattribute = \"type\"\nequals = \"customer\"\nindex = \"elsewhere\"\n";
    let function = scene.function("backfill", &crate::loading::BACKFILL).env("REPLICATION", rules);
    let (kind, message) = fails(function, json!({})).await;
    assert!(kind == "Configuration" && message.contains("an item could move to another index"), "{kind}: {message}");
    let same = rules.replace("\"type\"", "\"sk\"").replace("elsewhere", &scene.scene.index.name);
    let function = scene.function("backfill", &crate::loading::BACKFILL).env("REPLICATION", same);
    let (kind, message) = fails(function, json!({})).await;
    assert!(kind == "Configuration" && message.contains("INDEX is also the `index` of an entity"), "{kind}: {message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_index_has_the_definition_that_the_page_gives_it() {
    let mut entities = Entities::new("entities-defined").await;
    let [orders, customers] =
        [&entities.scene.scene.index.name, &entities.customers.name].map(|name| format!("{name}-000001"));
    let blocks = code_blocks(include_str!("../../../docs/configuration.md"));
    let example = blocks.into_iter().find(|(language, _)| *language == "json INDEX_DEFINITION");
    let example = example.expect("an example").1.replace("\"customers\"", &format!("\"{}\"", entities.customers.name));
    entities.scene.define(&serde_json::from_str(&example).expect("JSON"));
    entities.put("ORDER#1", "o").await;
    entities.put("CUSTOMER#9", "c").await;
    entities.scene.stream().await;
    let text = json!("text");
    let types = entities.types(&orders).await;
    assert_eq!(types, json!({"name": text, "pk": text, "sk": text, "total": "double"}), "orders");
    assert_eq!(entities.types(&customers).await, json!({"name": "keyword"}), "customers");
    entities.proven().await;

    // Each index is compared with its own definition, and no other.
    let other = json!({"mappings": {"properties": {"name": {"type": "text"}}}});
    entities.scene.define(&json!({"entity_indexes": {&entities.customers.name: other}}));
    let [items, _] = entities.verify(Some(&entities.customers.name), false).await;
    assert_eq!(items["drift"], json!({"index": customers, "needs_reindex": ["name (type)"]}), "{items}");
    let [items, _] = entities.verify(None, false).await;
    assert_eq!(items.get("drift"), None, "{items}");
    assert_eq!(entities.scene.printed().matches("differs from INDEX_DEFINITION").count(), 2, "by each process once");

    // A definition of an index that no entity has would never be used.
    entities.scene.define(&json!({"entity_indexes": {"clients": {}}}));
    let (kind, message) = fails(entities.scene.function("backfill", &crate::loading::BACKFILL), json!({})).await;
    assert!(kind == "Configuration" && message.contains("`clients` in `entity_indexes`"), "{kind}: {message}");
}
