//! Table and index that a command works on, and the services where they are.
//!
//! Services come from the environment, or else from `cargo local up`. The functions get the variables of the running
//! services, then the caller's, then those of `--env`: the later ones win.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use driftless_display::console;
use driftless_harness::function::FunctionConfig;
use driftless_harness::list_dead_letters::queue_at;
use driftless_harness::mapping::{DynamoDbStream, OnFailure};
use driftless_harness::replay::FunctionArgs;
use driftless_harness::services::{
    Account, DYNAMODB_ENDPOINT, Existing, KINESIS_ENDPOINT, OPENSEARCH_ENDPOINT, SQS_ENDPOINT, STREAMS_ENDPOINT,
    create_queue, dynamodb_client, streams_client,
};
use driftless_harness::slices::about;
use driftless_harness::table::TableFacts;
use serde_json::Value;

use crate::daemon::{Daemon, DaemonState};

const QUEUE: &str = "DEAD_LETTER_QUEUE_URL";
pub(crate) const AUTH: &str = "OPENSEARCH_AUTH";
/// Variables that an account's table has no use for.
const LOCAL_TABLES: [&str; 2] = [DYNAMODB_ENDPOINT, STREAMS_ENDPOINT];
/// Beginnings of the URLs of engines on this machine, which need no credentials.
const LOOPBACK: [&str; 3] = ["http://127.0.0.1", "http://localhost", "http://[::1]"];

/// Table and index, and the function between them.
#[derive(Debug, clap::Args)]
pub(crate) struct PairArgs {
    /// The table whose items the index holds
    #[arg(long)]
    pub(crate) table: String,
    /// The index's public name; the table's name in lower case unless it is given
    #[arg(long)]
    pub(crate) index: Option<String>,
    /// File with the configuration of documents, as REPLICATION takes it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The table is in the AWS account of the environment's credentials, where it is read only
    #[arg(long)]
    aws: bool,
    #[command(flatten)]
    source: FunctionArgs,
}

/// A table and an index that were found.
pub(crate) struct Pair {
    pub(crate) facts: TableFacts,
    pub(crate) index: String,
    /// The DynamoDB that has the table
    pub(crate) tables: aws_sdk_dynamodb::Client,
    /// Variables of the services that run in the background.
    running: BTreeMap<String, String>,
    /// Variables that name table, index and services.
    environment: BTreeMap<String, String>,
    source: FunctionArgs,
    account: Option<Account>,
}

impl Pair {
    /// Finds the services, and describes the table.
    ///
    /// # Errors
    /// Where a service is missing or does not answer, or there is no such table.
    pub(crate) async fn find(args: &PairArgs, daemon: &Daemon) -> Result<Self> {
        let account = if args.aws { Some(Account::from_env().await?) } else { None };
        let existing = Existing { kinesis: None, sqs: None, ..Existing::from_env() };
        existing.lines().iter().for_each(console::note);
        existing.check().await?;
        let running = match daemon.state()? {
            DaemonState::Up(running) => running.environment,
            DaemonState::Down | DaemonState::Changing => BTreeMap::new(),
        };
        let mut environment = named(&args.source, &running, &existing);
        if let Some(account) = &account {
            environment.retain(|name, _| !LOCAL_TABLES.contains(&name.as_str()));
            environment.extend(account.environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        }
        let engine = environment.get(OPENSEARCH_ENDPOINT).with_context(|| {
            format!("find a search engine: start one with `cargo local up`, or set {OPENSEARCH_ENDPOINT}")
        })?;
        if !environment.contains_key(AUTH) && is_loopback(engine) {
            environment.insert(AUTH.to_owned(), "none".to_owned());
        }
        let index = args.index.clone().unwrap_or_else(|| args.table.to_lowercase());
        environment.insert("INDEX".to_owned(), index.clone());
        environment.insert("TABLE_NAME".to_owned(), args.table.clone());
        if let Some(config) = &args.config {
            let path = config.canonicalize().with_context(|| format!("find {}", config.display()))?;
            let path = path.to_str().context("read the path of the configuration as text")?.to_owned();
            environment.insert("REPLICATION".to_owned(), path);
        }
        let tables = match (&account, environment.get(DYNAMODB_ENDPOINT)) {
            (Some(account), _) => account.tables.clone(),
            (None, Some(endpoint)) => dynamodb_client(endpoint),
            (None, None) => bail!(
                "no services run: start them with `cargo local up`, or set {DYNAMODB_ENDPOINT}; `--aws` reads a table in \
                 an AWS account"
            ),
        };
        let facts = TableFacts::of(&tables, &args.table).await?;
        Ok(Self { facts, index, tables, running, environment, source: args.source.clone(), account })
    }

    /// Returns the variables that functions get.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let mut variables = self.running.clone();
        variables.extend(self.source.environment.iter().cloned());
        variables.extend(self.environment.clone());
        variables
    }

    /// Configures the function `name`, and builds it unless a binary was given.
    ///
    /// # Errors
    /// Where it cannot be built.
    pub(crate) fn function(&self, name: &str, timeout: Duration) -> Result<FunctionConfig> {
        self.configured(&self.source, name, timeout)
    }

    /// Configures a function that the given binary is not, and builds it.
    ///
    /// # Errors
    /// Where it cannot be built.
    pub(crate) fn other_function(&self, name: &str, timeout: Duration) -> Result<FunctionConfig> {
        self.configured(&FunctionArgs { binary: None, ..self.source.clone() }, name, timeout)
    }

    fn configured(&self, source: &FunctionArgs, name: &str, timeout: Duration) -> Result<FunctionConfig> {
        let mut config = source.config(name, timeout)?;
        // The caller's variables win over those of the running services.
        let given = std::mem::replace(&mut config.environment, self.running.clone());
        config.environment.extend(given);
        if self.account.is_some() {
            config.environment.retain(|name, _| !LOCAL_TABLES.contains(&name.as_str()));
        }
        config.environment.extend(self.environment.clone());
        Ok(config)
    }

    /// Returns `true` if the table is in an AWS account.
    pub(crate) fn is_in_an_account(&self) -> bool {
        self.account.is_some()
    }

    /// Returns what interrupted work is about.
    pub(crate) async fn about(&self) -> Value {
        about(&self.facts, self.engine(), &self.index).await
    }

    /// URL of the search engine.
    pub(crate) fn engine(&self) -> &str {
        self.environment.get(OPENSEARCH_ENDPOINT).map(String::as_str).unwrap_or_default()
    }

    /// Returns `true` if the table is in an AWS account.
    pub(crate) fn is_in_account(&self) -> bool {
        self.account.is_some()
    }

    /// URL of Kinesis, if one runs.
    pub(crate) fn kinesis_endpoint(&self) -> Option<&str> {
        self.environment.get(KINESIS_ENDPOINT).map(String::as_str)
    }

    /// The table's stream.
    ///
    /// # Errors
    /// Where it has none that can be replicated.
    pub(crate) async fn stream(&self) -> Result<DynamoDbStream> {
        self.facts.check_stream()?;
        let table = &self.facts.name;
        if let Some(account) = &self.account {
            return DynamoDbStream::of_table(&account.tables, account.streams.clone(), table).await;
        }
        let endpoint = |name| self.environment.get(name).with_context(|| format!("find {name}"));
        let (tables, streams) = (endpoint(DYNAMODB_ENDPOINT)?, endpoint(STREAMS_ENDPOINT)?);
        DynamoDbStream::of_table(&dynamodb_client(tables), streams_client(streams), table).await
    }

    /// Finds the dead-letter queue: the named one, or one of the local SQS, which is created. Returns its URL, too.
    ///
    /// # Errors
    /// Where SQS refuses to create it.
    pub(crate) async fn dead_letter_queue(&mut self) -> Result<Option<(String, Arc<dyn OnFailure>)>> {
        let endpoint = self.environment.get(SQS_ENDPOINT).cloned();
        let url = match (self.environment.get(QUEUE), &endpoint) {
            (Some(url), _) => url.clone(),
            (None, Some(endpoint)) => {
                // Index names may hold dots, and queue names may not.
                let name = format!("{}-dead-letters", self.index.replace('.', "-"));
                let url = create_queue(endpoint, &name).await?;
                self.environment.insert(QUEUE.to_owned(), url.clone());
                url
            }
            (None, None) => return Ok(None),
        };
        let queue = queue_at(endpoint.as_deref(), &url);
        Ok(Some((url, Arc::new(queue))))
    }
}

/// True for the URL of an engine on this machine.
pub(crate) fn is_loopback(engine: &str) -> bool {
    LOOPBACK.iter().any(|start| engine.starts_with(start))
}

/// Returns the variables that name services: of `--env`, else the caller's, else those of the running services.
fn named(source: &FunctionArgs, running: &BTreeMap<String, String>, existing: &Existing) -> BTreeMap<String, String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let callers = |name: &str| match name {
        DYNAMODB_ENDPOINT => existing.dynamodb.clone(),
        OPENSEARCH_ENDPOINT => existing.opensearch.clone(),
        STREAMS_ENDPOINT => variable(name).or_else(|| existing.dynamodb.clone()),
        name => variable(name),
    };
    let value = |name: &str| {
        let given = source.environment.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.clone());
        given.or_else(|| callers(name)).or_else(|| running.get(name).cloned())
    };
    let names = [DYNAMODB_ENDPOINT, STREAMS_ENDPOINT, KINESIS_ENDPOINT, SQS_ENDPOINT, OPENSEARCH_ENDPOINT, AUTH, QUEUE];
    names.into_iter().filter_map(|name| Some((name.to_owned(), value(name)?))).collect()
}
