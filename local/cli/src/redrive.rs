//! `local redrive`: redrives dead letters once, and tells what the function answered.

use std::time::Duration;

use anyhow::{Context, Result};
use driftless_display::console;
use driftless_harness::redrive::{invoke, lines};
use driftless_harness::replay::FunctionArgs;
use redrive::request::{Filter, RedriveRequest, Shape};

/// Redrive dead letters with the real function.
///
/// The function is configured by the caller's variables, as `replicate` is: DEAD_LETTER_QUEUE_URL, OPENSEARCH_ENDPOINT,
/// INDEX …
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The most dead letters to work on; those that do not match do not count.
    #[arg(long, default_value_t = RedriveRequest::default().max)]
    max: u64,
    /// Say what would be done, by version, and do nothing. OpenSearch is not asked whether it takes the documents.
    #[arg(long)]
    dry_run: bool,
    /// Delete the dead letters that match for good, without applying them.
    #[arg(long)]
    discard: bool,
    /// Only dead letters of this class, such as mapper_parsing_exception.
    #[arg(long)]
    class: Option<String>,
    /// Only dead letters that OpenSearch refused with this status.
    #[arg(long)]
    status: Option<u16>,
    /// Only dead letters of this table.
    #[arg(long)]
    table: Option<String>,
    /// Only Lambda's on-failure messages about this stream.
    #[arg(long, value_name = "ARN")]
    stream_arn: Option<String>,
    /// Only dead letters of this document.
    #[arg(long)]
    document_id: Option<String>,
    /// Only the message with this id, or the object with this key.
    #[arg(long)]
    message_id: Option<String>,
    /// Not this message; may be given several times.
    #[arg(long, value_name = "MESSAGE_ID")]
    not_message_id: Vec<String>,
    /// Only dead letters of this shape: record, range, batch or unreadable.
    #[arg(long, value_parser = shape, value_name = "SHAPE")]
    shape: Option<Shape>,
    /// The generation of dead letters that do not say theirs, where GENERATION was raised after they were sent.
    #[arg(long)]
    generation: Option<u32>,
    /// Write dead letters whose order is in doubt (class order_anomaly) over what stands in the index.
    #[arg(long)]
    apply_order_anomalies: bool,
    /// Binary and environment of the function.
    #[command(flatten)]
    source: FunctionArgs,
    /// The function's timeout, 1 to 900.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout: u64,
    /// Print the function's answer as it is.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn request(&self) -> RedriveRequest {
        RedriveRequest {
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
                stream_arn: self.stream_arn.clone(),
                document_id: self.document_id.clone(),
                message_id: self.message_id.clone(),
                not_message_id: self.not_message_id.clone(),
            },
        }
    }
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let function = args.source.config("redrive", Duration::from_secs(args.timeout))?;
    let report = invoke(function, &args.request()).await?;
    if args.json {
        console::result(serde_json::to_string(&report).context("write the report")?);
    } else {
        lines(&report).into_iter().for_each(console::result);
    }
    Ok(())
}

fn shape(text: &str) -> Result<Shape, String> {
    serde_json::from_value(text.into()).map_err(|_| "expected record, range, batch or unreadable".to_owned())
}
