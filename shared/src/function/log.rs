//! Logs: JSON lines on standard output. No level shows the content of an item.
//!
//! Our own lines hold none. Below `info`, other crates log whole requests and events: the Lambda runtime the raw event,
//! the AWS SDK the body of a dead letter. So they are held to `info`, whatever `RUST_LOG` says.

use tracing_subscriber::filter::{EnvFilter, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use crate::environment::Lookup;

/// Crates of this project, by the start of their log targets. Only they may log below `info`.
const OURS: [&str; 8] =
    ["driftless", "replicate", "replicate_kinesis", "redrive", "backfill", "verify", "purge", "reindex"];

/// Sends logs to standard output as JSON lines with `timestamp`, `level` and `message`, as Lambda's own JSON format
/// has. The level is that of `RUST_LOG`, else of `AWS_LAMBDA_LOG_LEVEL`, else `info`.
pub fn log_to_stdout() {
    let held = filter_fn(|line| *line.level() <= LevelFilter::INFO || is_ours(line.target()));
    let lines = fmt::layer().json().flatten_event(true).with_span_list(false);
    registry().with(wanted(&|name| std::env::var(name).ok())).with(held).with(lines).init();
}

/// Returns the filter of the environment. An invalid `RUST_LOG` counts as unset.
fn wanted(lookup: Lookup<'_>) -> EnvFilter {
    let set = |name| lookup(name).filter(|value| !value.trim().is_empty());
    set("RUST_LOG")
        .and_then(|directives| EnvFilter::try_new(directives).ok())
        .unwrap_or_else(|| EnvFilter::new(lambda_level(set("AWS_LAMBDA_LOG_LEVEL").as_deref()).to_string()))
}

/// Parses Lambda's `ApplicationLogLevel`, which also knows `FATAL`.
fn lambda_level(name: Option<&str>) -> LevelFilter {
    match name {
        Some(name) if name.eq_ignore_ascii_case("fatal") => LevelFilter::ERROR,
        Some(name) => name.parse().unwrap_or(LevelFilter::INFO),
        None => LevelFilter::INFO,
    }
}

fn is_ours(target: &str) -> bool {
    let name = target.split("::").next().unwrap_or(target);
    OURS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crates_of_this_project_are_ours() {
        for target in
            ["driftless", "driftless::writer::batch", "replicate::handler", "redrive", "reindex", "replicate_kinesis"]
        {
            assert!(is_ours(target), "{target}");
        }
        for target in ["lambda_runtime::layers", "aws_smithy_runtime", "log", "driftless_x::y", "hyper::driftless", ""]
        {
            assert!(!is_ours(target), "{target}");
        }
    }

    #[test]
    fn the_level_is_that_of_rust_log_then_of_lambda_then_info() {
        for (rust_log, lambda, expect) in [
            (None, None, "info"),
            (None, Some("WARN"), "warn"),
            (None, Some("FATAL"), "error"),
            (None, Some("loud"), "info"),
            (Some(""), Some("DEBUG"), "debug"),
            (Some("error"), Some("TRACE"), "error"),
            (Some("trace,lambda_runtime=warn"), None, "lambda_runtime=warn,trace"),
            (Some("a=b=c"), None, "info"),
        ] {
            let lookup = |name: &str| match name {
                "RUST_LOG" => rust_log.map(str::to_owned),
                "AWS_LAMBDA_LOG_LEVEL" => lambda.map(str::to_owned),
                _ => None,
            };
            assert_eq!(wanted(&lookup).to_string(), expect, "{rust_log:?} {lambda:?}");
        }
    }
}
