//! `local mapping`: proposes an index definition from sampled items of a table, for a person to edit.

use anyhow::{Context, Result, bail};
use driftless_display::console;
use driftless_display::style;
use driftless_harness::proposal::{EngineKind, FieldGuess, Proposal, propose_for_table};
use driftless_harness::services::{Account, DYNAMODB_ENDPOINT, Existing, dynamodb_client};
use driftless_harness::words::counted;
use serde_json::json;

use crate::daemon::{Daemon, DaemonState};

/// Columns of a path and of a type, before what follows moves to the right.
const PATH: usize = 24;
const KIND: usize = 11;

/// Propose an index definition from sampled items of a table
///
/// The definition goes to standard output, and a comment on each guess to standard error. Edit it before the first
/// deployment: an index that exists keeps its own. No value of an item is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Table to take the items from
    #[arg(long)]
    table: String,
    /// Items to look at, from all over the table
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    sample: u32,
    /// The engine, for maps with unbounded keys
    #[arg(long, value_enum, default_value_t)]
    engine: EngineKind,
    /// The table is in the AWS account of the environment's credentials, where it is read only
    #[arg(long)]
    aws: bool,
    /// Print definition and comments as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, daemon: &Daemon) -> Result<()> {
    let client = match args.aws {
        true => Account::from_env().await?.tables,
        false => dynamodb_client(&local_endpoint(daemon).await?),
    };
    let proposal = {
        let _progress = console::ProgressLine::spinner("reading items");
        propose_for_table(client, &args.table, args.sample as usize, args.engine).await?
    };
    if args.json {
        console::result(json!(proposal).to_string());
        return Ok(());
    }
    show(&proposal)
}

async fn local_endpoint(daemon: &Daemon) -> Result<String> {
    let existing = Existing { sqs: None, opensearch: None, ..Existing::from_env() };
    existing.lines().iter().for_each(console::note);
    existing.check().await?;
    let running = match daemon.state()? {
        DaemonState::Up(running) => running.environment.get(DYNAMODB_ENDPOINT).cloned(),
        DaemonState::Down | DaemonState::Changing => None,
    };
    match existing.dynamodb.or(running) {
        Some(endpoint) => Ok(endpoint),
        None => bail!(
            "no services run: start them with `cargo local up`, or set {DYNAMODB_ENDPOINT}; `--aws` reads a table in an \
             AWS account"
        ),
    }
}

fn show(proposal: &Proposal) -> Result<()> {
    proposal.fields.iter().map(line).for_each(console::note);
    console::note(format!(
        "from {}; edit it, and give it as INDEX_DEFINITION before the index exists",
        counted(proposal.items, "item")
    ));
    let definition = serde_json::to_string_pretty(&proposal.definition).context("write the definition")?;
    console::result(definition);
    Ok(())
}

/// Aligns path, type and comment. Control characters of a path do not reach the terminal.
fn line(guess: &FieldGuess) -> String {
    let mut path = String::new();
    for letter in guess.path.chars() {
        if letter.is_control() { path.extend(letter.escape_default()) } else { path.push(letter) }
    }
    let kind = format!("{:KIND$}", guess.kind);
    format!("{path:PATH$}  {}  {}", style::good(&kind), guess.comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_is_one_line_without_control_characters() {
        let guess = FieldGuess { path: "a\u{1b}[2J.ü".to_owned(), kind: "date".to_owned(), comment: "c".to_owned() };
        let line = line(&guess);
        assert!(line.starts_with("a\\u{1b}[2J.ü") && line.contains("date") && line.ends_with("c"), "{line}");
        assert!(!line.starts_with("a\u{1b}"), "{line}");
    }
}
