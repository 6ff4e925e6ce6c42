//! Configuration of a function process: its binary, its limits and the environment that Lambda would set.
//!
//! Nothing is inherited from the tool's own environment: a function that needs more than Lambda gives, and more than
//! its own configuration, shall fail here as it would there.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::mpsc::UnboundedSender;

/// Lambda's default is 3 s; a function that writes to an engine needs more.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The time that Lambda gives the initialisation of an on-demand function ("Understanding the Lambda execution
/// environment lifecycle").
const DEFAULT_INIT_TIMEOUT: Duration = Duration::from_secs(10);
const REGION: &str = "us-east-1";

/// The configuration of a function.
#[derive(Clone, Debug)]
pub struct FunctionConfig {
    /// Name of the function.
    pub name: String,
    /// The binary that `cargo build` made.
    pub binary: PathBuf,
    /// The function's own environment. It wins over what Lambda sets.
    pub environment: BTreeMap<String, String>,
    /// Timeout of an invocation.
    pub timeout: Duration,
    /// Longest time from the start of the process until it asks for its first event.
    pub init_timeout: Duration,
    /// The memory size that the function is told; it is not enforced.
    pub memory_mb: u32,
    /// File to which the output of all processes is appended; `None` discards it.
    pub log_file: Option<PathBuf>,
    /// Receives every line of standard output, for example the metrics in embedded metric format.
    pub stdout_lines: Option<UnboundedSender<String>>,
    arn: String,
}

impl FunctionConfig {
    /// A function with Lambda's settings, 30 s time-out, 512 MB and no environment of its own.
    #[must_use]
    pub fn new(name: impl Into<String>, binary: impl Into<PathBuf>) -> Self {
        let name = name.into();
        Self {
            arn: format!("arn:aws:lambda:{REGION}:000000000000:function:{name}"),
            name,
            binary: binary.into(),
            environment: BTreeMap::new(),
            timeout: DEFAULT_TIMEOUT,
            init_timeout: DEFAULT_INIT_TIMEOUT,
            memory_mb: 512,
            log_file: None,
            stdout_lines: None,
        }
    }

    /// Adds a variable to the function's own environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Returns the ARN of the function.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Everything that a process sees, for the Runtime API at `runtime_api` (`host:port`).
    ///
    /// The names are those of "Defined runtime environment variables" in the Lambda developer guide.
    pub(super) fn process_environment(&self, runtime_api: &str) -> BTreeMap<String, String> {
        let log_stream = format!("local/[$LATEST]{:032x}", rand::random::<u128>());
        let lambda = [
            ("_HANDLER", "bootstrap".to_owned()),
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", self.memory_mb.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", self.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream),
            ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_SESSION_TOKEN", "local".to_owned()),
            ("LAMBDA_TASK_ROOT", self.task_root().display().to_string()),
            ("LANG", "en_US.UTF-8".to_owned()),
            ("TZ", ":UTC".to_owned()),
        ];
        let mut environment: BTreeMap<_, _> =
            lambda.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        environment.extend(self.environment.clone());
        environment
    }

    fn task_root(&self) -> &Path {
        self.binary.parent().unwrap_or(Path::new("/var/task"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_own_variables_win_over_lambdas() {
        let config = FunctionConfig::new("f", "/x/f").env("AWS_REGION", "eu-central-1").env("INDEX", "i");
        let environment = config.process_environment("127.0.0.1:1");
        assert_eq!(environment["AWS_REGION"], "eu-central-1");
        assert_eq!(environment["INDEX"], "i");
        assert_eq!(environment["AWS_LAMBDA_RUNTIME_API"], "127.0.0.1:1");
        assert_eq!(environment["AWS_LAMBDA_FUNCTION_NAME"], "f");
    }

    #[test]
    fn nothing_is_inherited() {
        let environment = FunctionConfig::new("f", "/x/f").process_environment("127.0.0.1:1");
        assert!(!environment.contains_key("PATH"));
        assert!(!environment.contains_key("HOME"));
    }
}
