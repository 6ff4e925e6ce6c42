//! `cargo local redrive`: invokes the real `redrive` function, as `aws lambda invoke` would, until nothing is left to do.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use redrive::report::Report;
use redrive::request::{Filter, Request, Shape};

use crate::console;
use crate::function::{FunctionConfig, FunctionProcess, Invoke as _, Outcome};
use crate::replay::FunctionArgs;

/// Redrive dead letters with the real function.
///
/// The function is configured by the caller's variables, as `replicate` is: DEAD_LETTER_QUEUE_URL, OPENSEARCH_ENDPOINT, INDEX …
#[derive(Args, Clone, Debug)]
pub struct RedriveArgs {
    /// The most letters to work on; those that do not match do not count.
    #[arg(long, default_value_t = Request::default().max)]
    pub max: u64,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Delete the letters that match, without applying them.
    #[arg(long)]
    pub discard: bool,
    /// Only letters of this class, such as mapper_parsing_exception.
    #[arg(long)]
    pub class: Option<String>,
    /// Only letters that the engine refused with this status.
    #[arg(long)]
    pub status: Option<u16>,
    /// Only letters of this table.
    #[arg(long)]
    pub table: Option<String>,
    /// Only letters of this document.
    #[arg(long)]
    pub document_id: Option<String>,
    /// Only this message.
    #[arg(long)]
    pub message_id: Option<String>,
    /// Not this message; may be given several times.
    #[arg(long, value_name = "MESSAGE_ID")]
    pub not_message_id: Vec<String>,
    /// Only letters of this shape: record, range or unreadable.
    #[arg(long, value_parser = shape, value_name = "SHAPE")]
    pub shape: Option<Shape>,
    /// The generation of letters that do not say theirs, where GENERATION was raised after they were sent.
    #[arg(long)]
    pub generation: Option<u32>,
    /// Write letters whose order is in doubt (class order_anomaly) over what stands in the index.
    #[arg(long)]
    pub apply_order_anomalies: bool,
    /// Where the function comes from, and what it sees.
    #[command(flatten)]
    pub source: FunctionArgs,
    /// The function's time-out.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub timeout: u64,
    /// Print the function's answer as it is.
    #[arg(long)]
    pub json: bool,
}

impl RedriveArgs {
    fn request(&self) -> Request {
        Request {
            max: self.max,
            dry_run: self.dry_run,
            discard: self.discard,
            generation: self.generation,
            apply_order_anomalies: self.apply_order_anomalies,
            filter: Filter {
                shape: self.shape,
                class: self.class.clone(),
                status: self.status,
                table: self.table.clone(),
                document_id: self.document_id.clone(),
                message_id: self.message_id.clone(),
                not_message_id: self.not_message_id.clone(),
            },
        }
    }
}

/// Redrives once, and tells what the function answered.
///
/// # Errors
/// When the function cannot be built or started, or answers with an error.
pub async fn run(args: RedriveArgs) -> Result<()> {
    let function = args.source.config("redrive", Duration::from_secs(args.timeout))?;
    let report = invoke(function, &args.request()).await?;
    if args.json {
        console::result(serde_json::to_string(&report).context("write the report")?);
    } else {
        lines(&report).into_iter().for_each(console::result);
    }
    Ok(())
}

/// Invokes the function once.
///
/// # Errors
/// When it cannot be started, or answers with an error.
pub async fn invoke(function: FunctionConfig, request: &Request) -> Result<Report> {
    let mut function = FunctionProcess::new(function);
    let payload = serde_json::to_vec(request).context("write the request")?;
    let invocation = function.invoke(Bytes::from(payload), None).await?;
    function.kill().await;
    match invocation.outcome {
        Outcome::Response(body) => serde_json::from_slice(&body).context("read what the function answered"),
        error => bail!("the function redrive failed: {error}"),
    }
}

/// A report for people.
#[must_use]
pub fn lines(report: &Report) -> Vec<String> {
    let (letters, changes) = (&report.letters, &report.changes);
    let mut lines = vec![format!(
        "{}{} letters: {} redriven, {} discarded, {} kept, {} skipped; changes: {} applied, {} duplicate, {} stale, {} superseded, {} order anomalies, {} rejected, {} failed; {} letters left{}",
        if report.dry_run { "dry run, nothing was done: " } else { "" },
        letters.received,
        letters.redriven,
        letters.discarded,
        letters.kept,
        letters.skipped,
        changes.applied,
        changes.duplicate,
        changes.stale,
        changes.superseded,
        changes.order_anomalies,
        changes.rejected,
        changes.failed,
        report.left,
        if report.out_of_time { ", time was up: run it again" } else { "" },
    )];
    for kept in &report.kept {
        let status = kept.status.map_or_else(String::new, |status| format!(" {status}"));
        lines.push(format!(
            "  kept {}: {}{status}, such as message {}: {}",
            kept.count, kept.class, kept.message_id, kept.reason
        ));
    }
    for trimmed in &report.trimmed {
        let (from, to, shard) = (&trimmed.from, &trimmed.to, &trimmed.shard_id);
        lines.push(format!("  trimmed: {from} to {to} of {shard}, message {}: {}", trimmed.message_id, trimmed.next));
    }
    lines
}

fn shape(text: &str) -> Result<Shape, String> {
    serde_json::from_value(text.into()).map_err(|_| "expected record, range or unreadable".to_owned())
}
