//! The simulation's schedules on the real engine: it and the simulation's model of it agree.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use driftless::document_id::DocumentId;
use driftless::environment::Environment;
use driftless::opensearch::{Engine, EngineConfig, IndexDefinition, IndexRequirements, OpenSearchTarget};
use driftless::outcome::Problem;
use driftless::target::{Call, ConditionalWrite, Position, StoredState, Target, Written};
use driftless::time::Timestamp;
use driftless_simulate::{Missing, Played, SimulatedIndex, SimulatedSource, Tombstone, generate, play_on, replay};
use futures::StreamExt as _;
use opensearch::http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Index, engine_url, identity};

/// Schedules that are played.
const SCHEDULES: std::ops::Range<u64> = 1..31;
/// Schedules that are played concurrently.
const AT_ONCE: usize = 6;

/// An index of the real engine.
#[derive(Clone)]
struct EngineIndex {
    target: OpenSearchTarget,
    index: Arc<Index>,
}

impl EngineIndex {
    async fn create(seed: u64) -> Self {
        let index = Index::new(&format!("simulation-{seed}"));
        let settings = index.settings_at(engine_url());
        let lookup = |name: &str| settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let config = EngineConfig::from_env(&mut Environment::new(&lookup)).expect("settings");
        let engine = Engine::connect(&config).await.expect("an engine");
        let deadline = Instant::now() + Duration::from_secs(60);
        let wanted = IndexRequirements {
            identity: &identity(),
            create: Some(&IndexDefinition::default()),
            takes_over: true,
            keeps_expired: false,
        };
        let made = engine.ensure_index(wanted, deadline).await.expect("an index");
        let created = Self { target: OpenSearchTarget::new(Arc::new(engine), made.public), index: Arc::new(index) };
        created.put_mapping(&json!({"poison": {"type": "object", "dynamic": "strict"}})).await;
        created
    }

    async fn put_mapping(&self, properties: &Value) {
        let path = format!("/{}-000001/_mapping", self.index.name);
        let (status, body) = self.index.send(Method::Put, &path, Some(json!({"properties": properties}))).await;
        assert_eq!(status, 200, "{body}");
    }
}

impl Target for EngineIndex {
    async fn read(&self, ids: &[&DocumentId], call: Call) -> Vec<Result<Option<StoredState>, Problem>> {
        self.target.read(ids, call).await
    }

    async fn write(&self, writes: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
        self.target.write(writes, call).await
    }

    async fn probe_beside(&self, beside: &DocumentId, deadline: Instant) -> Result<(), Problem> {
        self.target.probe_beside(beside, deadline).await
    }
}

impl SimulatedIndex for EngineIndex {
    async fn visible(&self) -> BTreeMap<String, String> {
        self.index.visible().await
    }

    async fn tombstones(&self) -> Vec<Tombstone> {
        let (status, body) = self.index.send(Method::Post, &format!("/{}/_refresh", self.index.name), None).await;
        assert_eq!(status, 200, "{body}");
        let query =
            json!({"size": 1_000, "seq_no_primary_term": true, "query": {"term": {"_driftless.deleted": true}}});
        let path = format!("/{}-000001/_search", self.index.name);
        let (status, body) = self.index.send(Method::Post, &path, Some(query)).await;
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        let hits = answer["hits"]["hits"].as_array().expect("hits").iter();
        hits.map(|hit| Tombstone {
            id: DocumentId::from_stored(hit["_id"].as_str().expect("an id").to_owned()),
            position: Position {
                seq_no: hit["_seq_no"].as_u64().expect("a number"),
                primary_term: hit["_primary_term"].as_u64().expect("a number"),
            },
            written_at: Timestamp::from_millis(hit["_source"]["_driftless"]["written_at"].as_u64().expect("a time")),
        })
        .collect()
    }

    async fn delete(&self, id: &DocumentId, Position { seq_no, primary_term }: Position) {
        let id = id.as_str().replace('|', "%7C");
        let condition = format!("if_seq_no={seq_no}&if_primary_term={primary_term}");
        let path = format!("/{}-000001/_doc/{id}?{condition}", self.index.name);
        let (status, body) = self.index.send(Method::Delete, &path, None).await;
        // In another state, or gone: somebody was faster.
        assert!(matches!(status, 200 | 404 | 409), "{status} {body}");
    }

    async fn mend(&self) {
        self.put_mapping(&json!({"poison": {"properties": {"x": {"type": "double"}}}})).await;
    }
}

async fn play_both((source, seed): (SimulatedSource, u64)) -> (u64, Played, Played) {
    let schedule = generate(seed, source);
    let index = EngineIndex::create(seed).await;
    let played = play_on(&schedule, index, Missing::default(), true).await;
    (seed, played, replay(&schedule, Missing::default()))
}

#[tokio::test]
async fn the_engine_and_the_simulations_model_of_it_agree() {
    let sources = [SimulatedSource::Streams, SimulatedSource::Kinesis];
    let schedules = sources.into_iter().flat_map(|source| SCHEDULES.map(move |seed| (source, seed)));
    let both: Vec<_> = futures::stream::iter(schedules).map(play_both).buffer_unordered(AT_ONCE).collect().await;
    let mut conflicts = 0;
    for (seed, real, model) in both {
        assert_eq!(real.broken, None, "seed {seed}:\n{}", real.lines.join("\n"));
        assert_eq!(model.broken, None, "seed {seed}");
        assert_eq!(real.visible, model.visible, "seed {seed}:\n{}", real.lines.join("\n"));
        conflicts += real.counts.0.get("conflicts").copied().unwrap_or_default();
    }
    assert!(conflicts > 0, "no write met another");
}
