//! `local check`: validates a configuration of documents, and shows what it makes of samples. Writes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use driftless::change::ReadOptions;
use driftless::replication::{HashKey, Replication};
use driftless_display::{console, style};
use driftless_harness::sample::{self, Sample, SampleResult};
use driftless_harness::services::dynamodb_client;
use serde_json::json;
use similar::{ChangeTag, TextDiff};

use crate::daemon::Daemon;

/// Key of the shown hashes where the caller sets none.
const SHOWN_KEY: &str = "a key for this check, and no other";

/// Validate a configuration of documents, and show samples before and after it
///
/// Writes nothing. Items come from a table of the running services, or of the DynamoDB that AWS_ENDPOINT_URL_DYNAMODB
/// names. Exits with 1 where the configuration is wrong, or a sample would become a dead letter.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File with the TOML text of REPLICATION
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Sample event of DynamoDB Streams; may be given more than once
    #[arg(long, value_name = "FILE")]
    event: Vec<PathBuf>,
    /// Table to take sample items from
    #[arg(long)]
    table: Option<String>,
    /// Number of items to take
    #[arg(long, default_value_t = 5, requires = "table", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    sample: u32,
    /// Key attribute that comes first in document ids
    #[arg(long, env = "PARTITION_KEY")]
    partition_key: Option<String>,
    /// Print one object per sample
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, daemon: &Daemon) -> Result<()> {
    let rules = rules(&args)?;
    let mut samples = Vec::new();
    for path in &args.event {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        samples.extend(sample::of_event(&path.display().to_string(), &text, &rules)?);
    }
    if let Some(table) = &args.table {
        let tables = dynamodb_client(&daemon.dynamodb_endpoint().await?);
        samples.extend(sample::of_table(&tables, table, args.sample, &rules).await?);
    }
    for sample in &samples {
        match args.json {
            true => console::result(serde_json::to_string(sample).context("write a sample")?),
            false => lines(sample).into_iter().for_each(console::result),
        }
    }
    let rejected = samples.iter().filter(|sample| matches!(sample.after, SampleResult::Rejected { .. })).count();
    let left_out = samples.iter().filter(|sample| matches!(sample.after, SampleResult::NoDocument { .. })).count();
    if args.json {
        let counts = json!({"valid": true, "samples": samples.len(), "no_document": left_out, "rejected": rejected});
        console::result(counts.to_string());
    } else if samples.is_empty() {
        console::result(format!("{}: add --event FILE or --table T to see what it does", style::good("valid")));
    } else {
        let made = samples.len() - rejected - left_out;
        let counts = format!("{made} documents, {left_out} without a document, {rejected} rejected");
        console::result(format!("{}: {counts}", style::good("valid")));
    }
    ensure!(rejected == 0, "{rejected} of {} samples would become dead letters", samples.len());
    Ok(())
}

fn rules(args: &Args) -> Result<ReadOptions> {
    let path = args.config.display();
    let text = std::fs::read_to_string(&args.config).with_context(|| format!("read {path}"))?;
    let given = std::env::var("HASH_KEY").ok().filter(|key| !key.is_empty());
    let key = HashKey::new(given.as_deref().unwrap_or(SHOWN_KEY)).context("read HASH_KEY")?;
    let replication = Replication::from_toml(&text, Some(&key)).map_err(|error| {
        let lines = error.0.iter().map(|one| format!("\n  {path}:{}:{}: {}", one.line, one.column, one.problem));
        anyhow::anyhow!("the configuration is wrong:{}", lines.collect::<String>())
    });
    let replication = Arc::new(replication?);
    if given.is_none() && replication.hashes() {
        console::note("HASH_KEY is not set: the hashes below are of a key for this check only");
    }
    if text.len() > MOST_BYTES {
        console::note(format!("{} bytes: more than a variable takes, so put the file into the package", text.len()));
    }
    Ok(ReadOptions { partition_key: args.partition_key.clone(), replication, ..ReadOptions::default() })
}

/// Limit of Lambda for all variables of a function, in bytes.
const MOST_BYTES: usize = 4 * 1_024;

/// Shows a sample as the difference between its documents.
fn lines(sample: &Sample) -> Vec<String> {
    let (before, after) = (text(&sample.before), text(&sample.after));
    let mut lines = vec![style::heading(&sample.name)];
    for change in TextDiff::from_lines(&before, &after).iter_all_changes() {
        let line = change.value().trim_end();
        lines.push(match change.tag() {
            ChangeTag::Equal => format!("    {line}"),
            ChangeTag::Delete => style::bad(format!("  - {line}")),
            ChangeTag::Insert => style::good(format!("  + {line}")),
        });
    }
    lines
}

fn text(result: &SampleResult) -> String {
    match result {
        SampleResult::Document { id, document } => format!("_id: {id}\n{}", indented(document.0.get())),
        SampleResult::NoDocument { id } => format!("_id: {id}\nno document\n"),
        SampleResult::Rejected { reason } => format!("dead letter: {reason}\n"),
    }
}

/// Breaks JSON into lines. Keeps every number as it is written.
fn indented(json: &str) -> String {
    let mut out = String::new();
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                if matches!(chars.peek(), Some('}' | ']')) {
                    out.extend(chars.next());
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            '"' => {
                in_text = true;
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out.push('\n');
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_broken_into_lines_and_keeps_its_numbers() {
        let exact = r#"{"a":[1.50,"x,{\"y\\",{}],"b":{"c":[]}}"#;
        let shown =
            "{\n  \"a\": [\n    1.50,\n    \"x,{\\\"y\\\\\",\n    {}\n  ],\n  \"b\": {\n    \"c\": []\n  }\n}\n";
        assert_eq!(indented(exact), shown);
    }
}
