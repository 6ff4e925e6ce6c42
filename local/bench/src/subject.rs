//! The subject: the project's own function as it is deployed, or any executable that speaks the Lambda Runtime API.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use driftless_display::console;
use driftless_harness::function::{BuildProfile, FunctionConfig, build_functions};

use crate::changes::TABLE_ARN;
use crate::figures::RowId;

/// Longest time of one invocation, as the template deploys the function.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The choice of the command line, checked, before anything is built.
#[derive(Debug)]
pub(crate) struct SubjectChoice {
    command: Option<PathBuf>,
    environment: Vec<(String, String)>,
}

/// The function that is measured, and the no-op function, both built.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// Name of the subject in reports.
    pub(crate) name: String,
    binary: PathBuf,
    environment: Vec<(String, String)>,
    /// The function behind Kinesis, where a row measures it.
    kinesis: Option<PathBuf>,
    no_op: PathBuf,
    /// True for the project's own function: then its index is known and can be checked.
    pub(crate) ours: bool,
}

impl Subject {
    /// Configures the function to write to `index`.
    /// In the values of `--env`, `{endpoint}` and `{index}` stand for the run's own.
    pub(crate) fn function(&self, endpoint: &str, index: &str) -> FunctionConfig {
        self.configured(&self.binary, endpoint, index)
    }

    /// Configures the function behind Kinesis to write to `index`.
    pub(crate) fn kinesis_function(&self, endpoint: &str, index: &str) -> Result<FunctionConfig> {
        let binary = self.kinesis.as_ref().context("find the function behind Kinesis")?;
        Ok(self.configured(binary, endpoint, index).env("TABLE_ARN", TABLE_ARN))
    }

    fn configured(&self, binary: &Path, endpoint: &str, index: &str) -> FunctionConfig {
        let mut config = FunctionConfig::new("subject", binary)
            .env("OPENSEARCH_ENDPOINT", endpoint)
            .env("OPENSEARCH_AUTH", "none")
            .env("INDEX", index);
        for (name, value) in &self.environment {
            config = config.env(name, value.replace("{endpoint}", endpoint).replace("{index}", index));
        }
        config.timeout = TIMEOUT;
        config
    }

    /// Configures the no-op function.
    pub(crate) fn no_op(&self) -> FunctionConfig {
        FunctionConfig::new("no-op", &self.no_op)
    }

    /// Name under which the documents of a function on `index` can be read, if the function is the project's own.
    pub(crate) fn shown_in<'i>(&self, index: &'i str) -> Option<&'i str> {
        self.ours.then_some(index)
    }

    /// Path of the binary, as the kernel knows it.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }
}

impl SubjectChoice {
    /// Checks the arguments `--command` and `--env`.
    pub(crate) fn new(command: Option<PathBuf>, environment: &[String]) -> Result<Self> {
        if let Some(command) = &command {
            ensure!(command.is_file(), "--command {} is no file", command.display());
        }
        let environment = environment.iter().map(|pair| {
            let (name, value) = pair.split_once('=').with_context(|| format!("--env {pair} has no `=`"))?;
            ensure!(!name.is_empty(), "--env {pair} has no name before the `=`");
            Ok((name.to_owned(), value.to_owned()))
        });
        Ok(Self { command, environment: environment.collect::<Result<_>>()? })
    }

    /// Builds the project's own functions that these rows need.
    pub(crate) async fn build(self, rows: &[RowId]) -> Result<Subject> {
        let Self { command, environment } = self;
        let (ours, names): (bool, &'static [&'static str]) = match &command {
            Some(command) => {
                console::note(format!("building the no-op function (release); measuring {}", command.display()));
                (false, &["no-op"])
            }
            None => {
                console::note("building the function `replicate` and the no-op function (release)");
                (true, &["no-op", "replicate"])
            }
        };
        let mut built = build(names).await?.into_iter();
        let no_op = built.next().context("cargo built no no-op function")?;
        let name = command.as_ref().map_or_else(|| "driftless".to_owned(), |command| command.display().to_string());
        let binary = command.or_else(|| built.next()).context("cargo built no function to measure")?;
        // By itself: in one run, cargo would give `replicate` the features of both.
        let kinesis = if rows.contains(&RowId::KinesisPath) {
            console::note("building the function `replicate-kinesis` (release)");
            build(&["replicate-kinesis"]).await?.pop()
        } else {
            None
        };
        Ok(Subject { name, binary, environment, kinesis, no_op, ours })
    }
}

async fn build(names: &'static [&'static str]) -> Result<Vec<PathBuf>> {
    let built = tokio::task::spawn_blocking(|| build_functions(names, BuildProfile::Release));
    built.await.context("wait for cargo")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_arguments_are_refused_by_name_before_anything_starts() {
        let refused = |command: Option<&str>, env: &[&str]| {
            let env: Vec<String> = env.iter().map(|pair| (*pair).to_owned()).collect();
            SubjectChoice::new(command.map(PathBuf::from), &env).unwrap_err().to_string()
        };
        assert_eq!(refused(Some("/no/such/file"), &[]), "--command /no/such/file is no file");
        assert_eq!(refused(None, &["A=1", "B"]), "--env B has no `=`");
        assert_eq!(refused(None, &["=1"]), "--env =1 has no name before the `=`");
    }
}
