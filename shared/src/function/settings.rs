//! Settings that all functions share, from the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::error::FunctionError;
use super::index_definition::IndexDefinitions;
use super::variable_text::{self, VariableText};
use crate::attribute::Item;
use crate::change::ReadOptions;
use crate::dead_letter::Sender;
use crate::environment::{Environment, Lookup, Misconfigured};
use crate::opensearch::{EngineConfig, IndexDefinition, IndexName, RefreshInterval};
use crate::replication::{HashKey, Replication};
use crate::version::Generation;

/// Time before Lambda's time-out that is kept for the answer, unless `ANSWER_MARGIN_MS` sets another.
pub const DEFAULT_ANSWER_MARGIN: Duration = Duration::from_millis(500);

/// Policy for an index that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateIndex {
    /// A process that has not found it yet creates it.
    IfMissing,
    /// The function waits until somebody restores or creates it.
    Never,
}

/// Settings of a function.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connection to the engine.
    pub engine: EngineConfig,
    /// Connection to a second cluster, which gets the same index.
    pub second: Option<EngineConfig>,
    /// Definition for an index that is created.
    pub definition: IndexDefinition,
    /// Definitions for the indexes that entities have of their own, where they have another one.
    pub entity_definitions: BTreeMap<Arc<str>, IndexDefinition>,
    /// Interval of refreshes, which each definition has, too.
    pub refresh_interval: Option<RefreshInterval>,
    /// Policy for an index that does not exist.
    pub create_index: CreateIndex,
    /// Settings for reading records.
    pub read_options: ReadOptions,
    /// Key of keyed hashes, if the rules hash.
    pub hash_key: Option<HashKey>,
    /// Time between the answer and Lambda's time-out.
    pub answer_margin: Duration,
    /// ARN of the table, for functions that no record names it to.
    pub table_arn: Option<String>,
    /// Name of the table that items are read from: that of the variable `TABLE_NAME`, else the one in `TABLE_ARN`.
    pub table_name: Option<String>,
    /// Queue for dead letters.
    pub dead_letter_queue_url: Option<String>,
    /// Name of the bucket into which Lambda puts the batches that it gives up.
    pub on_failure_bucket: Option<String>,
    /// Item that a heartbeat writes.
    pub heartbeat_item: Option<Item<'static>>,
    /// Versions of the code and of the function, for dead letters.
    pub function_version: String,
}

impl Settings {
    /// Returns this function as the sender of dead letters.
    #[must_use]
    pub fn sender(&self) -> Sender<'_> {
        Sender { index: self.engine.index.public(), function_version: &self.function_version }
    }

    /// Returns the indexes that entities have of their own; none for settings of such an index.
    #[must_use]
    pub fn entity_indexes(&self) -> BTreeSet<Arc<str>> {
        self.read_options.replication.entity_indexes()
    }

    /// Returns the settings for the index of an entity. Its documents have the rules of the same `REPLICATION`.
    ///
    /// # Errors
    /// Fails if the name is no name of an index.
    pub fn of_index(&self, index: &Arc<str>) -> Result<Self, String> {
        let mut settings = self.clone();
        let name = IndexName::new(index)?;
        for config in std::iter::once(&mut settings.engine).chain(&mut settings.second) {
            config.index = name.clone();
        }
        if let Some(definition) = settings.entity_definitions.remove(index) {
            settings.definition = definition;
        }
        settings.read_options.replication = Arc::new(self.read_options.replication.of_index(index));
        Ok(settings)
    }

    /// Returns the name of the table that a request, or else the settings, name.
    ///
    /// # Errors
    /// Fails if neither does.
    pub fn table<'s>(&'s self, requested: Option<&'s str>) -> Result<&'s str, FunctionError> {
        requested.or(self.table_name.as_deref()).ok_or_else(|| {
            FunctionError::Request("no table is named: set TABLE_ARN or TABLE_NAME, or the request's table".to_owned())
        })
    }

    /// Reads the variables that the README lists.
    ///
    /// # Errors
    /// Lists every variable that is missing or wrong.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, Misconfigured> {
        let mut env = Environment::new(lookup);
        let mut engine = EngineConfig::from_env(&mut env);
        let mut second = EngineConfig::second_from_env(&mut env, engine.as_ref());
        let definitions = IndexDefinitions::from_env(&mut env);
        let create_index = create_index(&mut env);
        let generation = env.parsed("GENERATION", Generation::default().0, "a whole number from 0 to 4294967295");
        let margin = DEFAULT_ANSWER_MARGIN.as_millis() as u64;
        let margin = env.parsed("ANSWER_MARGIN_MS", margin, "a whole number of milliseconds");
        let partition_key = env.optional("PARTITION_KEY");
        let hash_key = hash_key(&mut env);
        let compiled = replication(&mut env, hash_key.as_ref());
        if let Some(replication) = &compiled {
            definitions.check(&mut env, &replication.entity_indexes());
        }
        let replication = Arc::new(compiled.unwrap_or_default());
        for config in engine.iter_mut().chain(&mut second) {
            config.source = replication.source().map(|source| source.name.clone());
        }
        if replication.is_routed() && partition_key.is_none() {
            env.problem(
                "PARTITION_KEY",
                "must name the table's partition key, because `routing` in REPLICATION spreads documents by it",
            );
        }
        let own = engine.as_ref().map(|engine: &EngineConfig| engine.index.public());
        if own.is_some_and(|own| replication.entity_indexes().contains(own)) {
            env.problem("INDEX", "is also the `index` of an entity in REPLICATION: name another index in one of them");
        }
        let table_arn = table_arn(&mut env);
        let of_arn = || table_arn.as_deref()?.split_once(":table/").map(|(_, name)| name.to_owned());
        let table_name = env.optional("TABLE_NAME").or_else(of_arn);
        let dead_letter_queue_url = queue_url(&mut env);
        let on_failure_bucket = bucket_name(&mut env);
        let heartbeat_item = heartbeat_item(&mut env);
        let deployed = env.optional("AWS_LAMBDA_FUNCTION_VERSION").unwrap_or_else(|| "$LATEST".to_owned());
        env.finish()?;
        Ok(Self {
            engine: engine.expect("without a problem there is a value"),
            second,
            definition: definitions.shared,
            entity_definitions: definitions.entities,
            refresh_interval: definitions.refresh_interval,
            create_index,
            read_options: ReadOptions { generation: Generation(generation), partition_key, replication },
            hash_key,
            answer_margin: Duration::from_millis(margin),
            table_arn,
            table_name,
            dead_letter_queue_url,
            on_failure_bucket,
            heartbeat_item,
            function_version: format!("{} ({deployed})", env!("CARGO_PKG_VERSION")),
        })
    }
}

fn table_arn(env: &mut Environment<'_>) -> Option<String> {
    let arn = env.optional("TABLE_ARN")?;
    if !arn.contains(":table/") || arn.contains("/stream/") {
        env.problem_of(
            "TABLE_ARN",
            &arn,
            "must be a table's ARN, without its stream: arn:aws:dynamodb:REGION:ACCOUNT:table/NAME",
        );
    }
    Some(arn)
}

fn queue_url(env: &mut Environment<'_>) -> Option<String> {
    let url = env.optional("DEAD_LETTER_QUEUE_URL")?;
    let valid = url::Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "https" | "http"));
    if !valid {
        let problem = "must be a queue's URL, https://sqs.REGION.amazonaws.com/ACCOUNT/NAME";
        env.problem_of("DEAD_LETTER_QUEUE_URL", &url, problem);
    }
    Some(url)
}

fn bucket_name(env: &mut Environment<'_>) -> Option<String> {
    let name = env.optional("ON_FAILURE_BUCKET")?;
    if name.contains(['/', ':']) {
        env.problem_of("ON_FAILURE_BUCKET", &name, "must be a bucket's name, without arn:aws:s3::: or s3://");
    }
    Some(name)
}

fn heartbeat_item(env: &mut Environment<'_>) -> Option<Item<'static>> {
    let json = env.optional("HEARTBEAT_ITEM")?;
    match Item::from_json(&json) {
        Ok(item) => Some(item.into_owned()),
        Err(error) => {
            let problem =
                format!("must be an item in DynamoDB JSON, such as {{\"pk\": {{\"S\": \"heartbeat\"}}}}: {error}");
            env.problem_of("HEARTBEAT_ITEM", &json, problem);
            None
        }
    }
}

fn create_index(env: &mut Environment<'_>) -> CreateIndex {
    match env.optional("CREATE_INDEX").as_deref() {
        None | Some("if-missing") => CreateIndex::IfMissing,
        Some("never") => CreateIndex::Never,
        Some(other) => {
            env.problem_of("CREATE_INDEX", other, "must be if-missing (the default) or never");
            CreateIndex::Never
        }
    }
}

fn hash_key(env: &mut Environment<'_>) -> Option<HashKey> {
    match (env.optional("HASH_KEY"), env.optional("HASH_KEY_SECRET_ARN")) {
        (None, None) => None,
        (None, Some(arn)) => Some(HashKey::of_secret(&arn)),
        (Some(text), None) => HashKey::new(&text).map_err(|error| env.problem("HASH_KEY", error)).ok(),
        (Some(_), Some(_)) => {
            env.problem("HASH_KEY", "and HASH_KEY_SECRET_ARN are both set: remove one, HASH_KEY where it is deployed");
            None
        }
    }
}

/// Reads `REPLICATION`: TOML text, its gzip in base64, or the name of a file with it. Gives `None` where it is wrong.
fn replication(env: &mut Environment<'_>, hash_key: Option<&HashKey>) -> Option<Replication> {
    let Some(value) = env.optional("REPLICATION") else { return Some(Replication::default()) };
    // TOML has an equals sign in each line that says something.
    let is_text = value.contains('=');
    let compiled = variable_text::read(value, is_text, "FILE").and_then(|VariableText { text, file }| {
        let source = file.map(|file| format!("names the file {file}: ")).unwrap_or_default();
        Replication::from_toml(&text, hash_key).map_err(|error| format!("{source}{error}"))
    });
    compiled.map_err(|problem| env.problem("REPLICATION", problem)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Settings, Misconfigured> {
        Settings::from_env(&|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    const LEAST: [(&str, &str); 3] =
        [("OPENSEARCH_ENDPOINT", "http://127.0.0.1:9200"), ("INDEX", "activity"), ("OPENSEARCH_AUTH", "none")];

    #[test]
    fn the_least_configuration_has_the_documented_defaults() {
        let config = read(&LEAST).expect("valid");
        assert_eq!(config.read_options.generation, Generation(1));
        assert_eq!(config.answer_margin, Duration::from_millis(500));
        assert_eq!(config.engine.request_timeout, Duration::from_secs(10));
        assert_eq!(config.definition, IndexDefinition::default());
        assert_eq!(config.create_index, CreateIndex::IfMissing);
        assert_eq!((config.read_options.partition_key, config.dead_letter_queue_url), (None, None));
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let vars = [&LEAST[..], &[("GENERATION", ""), ("PARTITION_KEY", " "), ("DEAD_LETTER_QUEUE_URL", "")]].concat();
        let config = read(&vars).expect("valid");
        assert_eq!((config.read_options.generation, config.read_options.partition_key), (Generation(1), None));
    }

    #[test]
    fn a_problem_shows_the_value_that_was_given() {
        for (name, value) in [
            ("GENERATION", "abc"),
            ("CREATE_INDEX", "always"),
            ("TABLE_ARN", "orders"),
            ("DEAD_LETTER_QUEUE_URL", "letters"),
            ("ON_FAILURE_BUCKET", "arn:aws:s3:::batches"),
            ("HEARTBEAT_ITEM", "{\"pk\": \"heartbeat\"}"),
            ("INDEX_DEFINITION", "/nowhere.json"),
            ("REPLICATION", "/nowhere.toml"),
            ("OPENSEARCH_AUTH", "iam"),
            ("INDEX", "Orders"),
        ] {
            let mut vars = LEAST.to_vec();
            vars.retain(|(key, _)| *key != name);
            vars.push((name, value));
            let error = read(&vars).expect_err("wrong").to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn rules_stand_in_the_variable_or_in_a_file() {
        let file = tempfile_with("include = ['a']");
        let gzip = "H4sIAAAAAAAC/8vMS84pTUlVsFWIVk9UjwUAH3Z3uA8AAAA=";
        let of = |value: &str| {
            let config = read(&[&LEAST[..], &[("REPLICATION", value)]].concat())?;
            Ok::<_, Misconfigured>(config.read_options.replication.fingerprints())
        };
        let inline = of("include = ['a']").expect("valid");
        assert_eq!(of(file.to_str().expect("a path")), Ok(inline.clone()));
        assert_eq!(of(gzip), Ok(inline));
        let error = of("include = ['a'").expect_err("wrong").to_string();
        assert!(error.contains("REPLICATION line 1, column 1"), "{error}");
        assert!(of("H4sIAAAA").expect_err("wrong").to_string().contains("gzip -9c"));
        std::fs::remove_file(file).expect("removed");
    }

    fn tempfile_with(text: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("driftless-rules-{}.toml", fastrand::u64(..)));
        std::fs::write(&path, text).expect("written");
        path
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let error = read(&[
            ("CREATE_INDEX", "always"),
            ("TABLE_ARN", "activity"),
            ("GENERATION", "two"),
            ("ANSWER_MARGIN_MS", "-1"),
            ("INDEX_DEFINITION", "/nowhere.json"),
        ])
        .expect_err("wrong")
        .to_string();
        for variable in [
            "OPENSEARCH_ENDPOINT",
            "INDEX ",
            "OPENSEARCH_AUTH",
            "GENERATION",
            "ANSWER_MARGIN_MS",
            "INDEX_DEFINITION",
            "CREATE_INDEX",
            "TABLE_ARN",
        ] {
            assert!(error.contains(variable), "{variable}: {error}");
        }
    }
}
