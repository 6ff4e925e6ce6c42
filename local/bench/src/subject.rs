//! What is measured: our own function, as it is deployed, or any executable that speaks the Lambda Runtime API.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use driftless_display::console;
use driftless_harness::function::{BuildProfile, FunctionConfig, build_functions};

/// How long one invocation may take: as the template deploys it.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The function that is measured, and the one that does nothing.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// For reports.
    pub(crate) name: String,
    binary: PathBuf,
    environment: Vec<(String, String)>,
    nothing: PathBuf,
    endpoint: String,
    /// Whether it is ours: then its index is ours, too, and can be checked.
    pub(crate) ours: bool,
}

impl Subject {
    /// Builds what is measured.
    pub(crate) async fn prepare(command: Option<PathBuf>, environment: &[String], endpoint: &str) -> Result<Self> {
        console::note("building the function to measure, and one that does nothing (release)");
        let ours = command.is_none();
        let names: &[&str] = if ours { &["no-op", "replicate"] } else { &["no-op"] };
        let built = tokio::task::spawn_blocking(|| build_functions(names, BuildProfile::Release));
        let mut built = built.await.context("wait for cargo")??.into_iter();
        let nothing = built.next().context("cargo built no function that does nothing")?;
        let binary = command.or_else(|| built.next()).context("cargo built no function to measure")?;
        ensure!(binary.is_file(), "--command {} is no file", binary.display());
        let name = if ours { "driftless".to_owned() } else { binary.display().to_string() };
        let environment = environment.iter().map(|pair| {
            let (name, value) = pair.split_once('=').with_context(|| format!("--env {pair} has no `=`"))?;
            Ok((name.to_owned(), value.to_owned()))
        });
        let environment = environment.collect::<Result<_>>()?;
        Ok(Self { name, binary, environment, nothing, endpoint: endpoint.to_owned(), ours })
    }

    /// The function, writing to `index`. In the values of `--env`, `{endpoint}` and `{index}` stand for the run's own.
    pub(crate) fn function(&self, index: &str) -> FunctionConfig {
        let mut config = FunctionConfig::new("subject", &self.binary)
            .env("OPENSEARCH_ENDPOINT", &self.endpoint)
            .env("OPENSEARCH_AUTH", "none")
            .env("INDEX", index);
        for (name, value) in &self.environment {
            config = config.env(name, value.replace("{endpoint}", &self.endpoint).replace("{index}", index));
        }
        config.timeout = TIMEOUT;
        config
    }

    /// The name under which the documents of a function on `index` can be read, where it is ours.
    pub(crate) fn shown_in<'i>(&self, index: &'i str) -> Option<&'i str> {
        self.ours.then_some(index)
    }

    /// The function that does nothing.
    pub(crate) fn nothing(&self) -> FunctionConfig {
        FunctionConfig::new("no-op", &self.nothing)
    }

    /// The binary, as the kernel names it.
    pub(crate) fn binary(&self) -> &std::path::Path {
        &self.binary
    }
}
