//! Services shared by all tests of a process: each is started when the first test wants it, and lives until the process
//! ends. The engine is the one that tests run on. All run on a runtime of their own, for a test's runtime ends with
//! the test.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};

use anyhow::Result;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use super::service::{Provided, provide};
use super::{
    DynamoDb, DynamoDbKind, ElasticMq, EmbeddedKinesis, EngineChoice, Existing, Jdks, OpenSearch, Services,
    WantedServices,
};

type Cell<S> = OnceCell<Arc<Provided<S>>>;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("shared-services")
        .enable_all()
        .build()
        .expect("a process can start threads")
});
static BUNDLES: Mutex<Option<HashMap<WantedServices, &'static Services>>> = Mutex::new(None);
static EMBEDDED: Cell<DynamoDb> = Cell::const_new();
static DYNAMODB_LOCAL: Cell<DynamoDb> = Cell::const_new();
static KINESIS: Cell<EmbeddedKinesis> = Cell::const_new();
static SQS: Cell<ElasticMq> = Cell::const_new();
static NEWEST: Cell<OpenSearch> = Cell::const_new();
static OPENSEARCH_3: Cell<OpenSearch> = Cell::const_new();
static OPENSEARCH_2: Cell<OpenSearch> = Cell::const_new();
static ELASTICSEARCH_7: Cell<OpenSearch> = Cell::const_new();

/// The services of this process. Blocks until they answer, which takes seconds the first time; callable from any
/// thread, also from within a runtime. Bundles that want the same service share it. Nothing outlives the process.
///
/// # Panics
/// Where a service cannot be started: a test must not pass without it.
#[must_use]
pub fn shared(mut wanted: WantedServices) -> &'static Services {
    if wanted.engine == Some(EngineChoice::Newest) {
        wanted.engine = Some(EngineChoice::of_tests());
    }
    if let Some(bundle) = known(wanted) {
        return bundle;
    }
    let (report, outcome) = mpsc::channel();
    RUNTIME.spawn(async move {
        // The receiver below waits.
        let _ = report.send(bundle(wanted).await);
    });
    match outcome.recv() {
        Ok(Ok(services)) => remember(wanted, services),
        Ok(Err(error)) => panic!("the services cannot be started: {error:#}"),
        Err(_) => panic!("the services cannot be started: their start panicked"),
    }
}

fn known(wanted: WantedServices) -> Option<&'static Services> {
    let bundles = BUNDLES.lock().unwrap_or_else(PoisonError::into_inner);
    bundles.as_ref()?.get(&wanted).copied()
}

/// Tests that started the same bundle at the same time get the same one.
fn remember(wanted: WantedServices, services: Services) -> &'static Services {
    let mut bundles = BUNDLES.lock().unwrap_or_else(PoisonError::into_inner);
    bundles.get_or_insert_default().entry(wanted).or_insert_with(|| Box::leak(Box::new(services)))
}

async fn bundle(wanted: WantedServices) -> Result<Services> {
    let (existing, jdks) = (Existing::from_env(), Jdks::from_env());
    let dynamodb = cell_of(wanted.dynamodb).get_or_try_init(|| {
        provide(existing.dynamodb.as_deref(), async || DynamoDb::start(wanted.dynamodb, &jdks).await)
    });
    let kinesis = async {
        if !wanted.kinesis {
            return Ok(None);
        }
        let start = || provide(existing.kinesis.as_deref(), async || EmbeddedKinesis::start().await);
        KINESIS.get_or_try_init(start).await.map(Some)
    };
    let sqs = async {
        if !wanted.sqs {
            return Ok(None);
        }
        let start = || provide(existing.sqs.as_deref(), async || ElasticMq::start(&jdks).await);
        SQS.get_or_try_init(start).await.map(Some)
    };
    let engine = async {
        let Some(engine) = wanted.engine else {
            return Ok(None);
        };
        let start = || provide(existing.opensearch.as_deref(), async || OpenSearch::start(engine, &jdks).await);
        cell_of_engine(engine).get_or_try_init(start).await.map(Some)
    };
    let (dynamodb, kinesis, sqs, engine) = tokio::try_join!(dynamodb, kinesis, sqs, engine)?;
    Ok(Services {
        dynamodb: Arc::clone(dynamodb),
        kinesis: kinesis.cloned(),
        sqs: sqs.cloned(),
        engine: engine.cloned(),
    })
}

fn cell_of(kind: DynamoDbKind) -> &'static Cell<DynamoDb> {
    match kind {
        DynamoDbKind::Embedded => &EMBEDDED,
        DynamoDbKind::DynamoDbLocal => &DYNAMODB_LOCAL,
    }
}

fn cell_of_engine(engine: EngineChoice) -> &'static Cell<OpenSearch> {
    match engine {
        EngineChoice::Newest => &NEWEST,
        EngineChoice::OpenSearch3 => &OPENSEARCH_3,
        EngineChoice::OpenSearch2 => &OPENSEARCH_2,
        EngineChoice::Elasticsearch7 => &ELASTICSEARCH_7,
    }
}
