//! `local compare`: compares two indexes with each other, such as those of two Regions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use driftless::environment::Environment;
use driftless::function::connect;
use driftless::opensearch::{EngineConfig, OpenSearchTarget};
use driftless_display::console;
use driftless_harness::compare_indexes::{IndexComparison, IndexDifferenceKind, IndexesToCompare};
use driftless_harness::services::OPENSEARCH_ENDPOINT;
use driftless_harness::words::counted;
use tokio::time::Instant;

use crate::daemon::{Daemon, DaemonState};
use crate::pair::{AUTH, is_loopback};
use crate::selection::ItemProgress;

const LIMIT: Duration = Duration::from_secs(60);
/// Variables of the second engine, as the functions know them.
const SECOND: &str = "SECOND_";

/// Compare two indexes with each other, document by document, while writes go on
///
/// For the indexes of two Regions, each fed by its own replica's stream. Contents are compared, versions are not. The
/// first engine is OPENSEARCH_ENDPOINT, or the one of `cargo local up`; the second is SECOND_OPENSEARCH_ENDPOINT, or
/// the first one. OPENSEARCH_AUTH and SECOND_OPENSEARCH_AUTH sign. The exit code is 1 where anything differs. Changes
/// nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index's public name in the first engine
    #[arg(long)]
    index: String,
    /// The public name in the second engine; the same unless it is given
    #[arg(long, value_name = "INDEX")]
    second_index: Option<String>,
    /// URL of the first engine
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// URL of the second engine
    #[arg(long, value_name = "URL")]
    second_endpoint: Option<String>,
    /// Time between two looks at what differs: longer than a change takes from Region to Region and into the index
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    settle_ms: u64,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, daemon: &Daemon) -> Result<()> {
    let variables = args.variables(daemon)?;
    let first = target(&variables, "", &args.index).await?;
    let second = target(&variables, SECOND, args.second_index.as_ref().unwrap_or(&args.index)).await?;
    ensure!(
        first.index().alias != second.index().alias,
        "both are the same index: name another one with --second-index, or another engine with --second-endpoint"
    );
    let progress = ItemProgress::new("document", 0, 0);
    let settle = Duration::from_millis(args.settle_ms);
    let indexes = IndexesToCompare { first: &first, second: &second, settle };
    let comparison = indexes.compare(|done| progress.reach(done)).await;
    drop(progress);
    let comparison = comparison.context("compare the indexes")?;
    for example in &comparison.examples {
        let paths = if example.paths.is_empty() { String::new() } else { format!(": {}", example.paths.join(", ")) };
        console::note(format!("{} {}{paths}", words(example.kind), example.document_id));
    }
    match args.json {
        true => console::result(serde_json::to_string(&comparison).context("write the result")?),
        false => console::result(line(&comparison)),
    }
    match comparison.differences() {
        0 if comparison.in_motion > 0 => {
            bail!("{} kept changing: run it again", counted(comparison.in_motion, "document"))
        }
        0 => Ok(()),
        differences => bail!("the indexes differ: {}", counted(differences, "difference")),
    }
}

impl Args {
    /// Variables that name both engines: the options, else the caller's, else those of the running services.
    fn variables(&self, daemon: &Daemon) -> Result<BTreeMap<String, String>> {
        let running = match daemon.state()? {
            DaemonState::Up(running) => running.environment,
            DaemonState::Down | DaemonState::Changing => BTreeMap::new(),
        };
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut variables: BTreeMap<String, String> = BTreeMap::new();
        let mut set = |name: String, value: Option<String>| value.map(|value| variables.insert(name, value));
        let engine = self.endpoint.clone().or_else(|| given(OPENSEARCH_ENDPOINT));
        let engine = engine.or_else(|| running.get(OPENSEARCH_ENDPOINT).cloned());
        let engine = engine.with_context(|| {
            format!("find a search engine: start one with `cargo local up`, or set {OPENSEARCH_ENDPOINT}")
        })?;
        let second = self.second_endpoint.clone().or_else(|| given(&format!("{SECOND}{OPENSEARCH_ENDPOINT}")));
        for (prefix, endpoint) in [("", engine.clone()), (SECOND, second.unwrap_or(engine))] {
            let auth = format!("{prefix}{AUTH}");
            let none = is_loopback(&endpoint).then(|| "none".to_owned());
            set(auth.clone(), given(&auth).or_else(|| given(AUTH)).or(none));
            let secret = format!("{prefix}OPENSEARCH_SECRET_ARN");
            set(secret.clone(), given(&secret));
            set(format!("{prefix}{OPENSEARCH_ENDPOINT}"), Some(endpoint));
        }
        Ok(variables)
    }
}

/// Connects to an engine, and finds the index behind the public name.
async fn target(variables: &BTreeMap<String, String>, prefix: &str, index: &str) -> Result<OpenSearchTarget> {
    let lookup = |name: &str| match name {
        "INDEX" => Some(index.to_owned()),
        name => variables.get(&format!("{prefix}{name}")).cloned(),
    };
    let mut environment = Environment::new(&lookup);
    let config = EngineConfig::from_env(&mut environment);
    environment.finish().with_context(|| format!("read the settings of the engine of {index}"))?;
    let config = config.context("read the settings of the engine")?;
    let deadline = Instant::now() + LIMIT;
    let engine = connect(&config, deadline).await.context("connect to OpenSearch")?;
    let found = engine.index_pair(deadline).await.with_context(|| format!("find the index {index}"))?.public.index;
    // A listing shows what was refreshed.
    engine.refresh(&found.name, deadline).await.with_context(|| format!("refresh the index {index}"))?;
    Ok(OpenSearchTarget::new(Arc::new(engine), found))
}

fn words(kind: IndexDifferenceKind) -> &'static str {
    match kind {
        IndexDifferenceKind::OnlyInFirst => "only in the first",
        IndexDifferenceKind::OnlyInSecond => "only in the second",
        IndexDifferenceKind::Different => "different",
    }
}

fn line(comparison: &IndexComparison) -> String {
    let [first, second] = comparison.documents;
    let kinds = [
        (comparison.only_in_first, "only in the first"),
        (comparison.only_in_second, "only in the second"),
        (comparison.different, "different"),
        (comparison.in_motion, "in motion"),
    ];
    let kinds: Vec<String> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}")).collect();
    let verdict = if kinds.is_empty() { "equal".to_owned() } else { kinds.join(", ") };
    format!("{first} and {}: {verdict}", counted(second, "document"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_says_what_differs() {
        let equal = IndexComparison { documents: [3, 3], ..IndexComparison::default() };
        assert_eq!(line(&equal), "3 and 3 documents: equal");
        let other = IndexComparison { documents: [3, 1], only_in_first: 2, in_motion: 1, ..equal };
        assert_eq!(line(&other), "3 and 1 document: 2 only in the first, 1 in motion");
    }
}
