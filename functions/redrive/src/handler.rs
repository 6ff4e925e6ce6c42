//! The function without Lambda around it: takes a request and returns a report.

use driftless::bucket::Bucket;
use driftless::function::{Context, FunctionError};
use driftless::stream::range::RangeReader;
use driftless::table::dynamodb::LastTable;
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use crate::redrive::{Redrive, patience};
use crate::report::RedriveReport;
use crate::request::RedriveRequest;

/// Services of AWS that a redrive reads besides the queue.
#[derive(Debug)]
pub struct Sources<'s, R, O> {
    /// Reader for ranges of the stream.
    pub ranges: &'s R,
    /// Tables whose items decide.
    pub tables: &'s LastTable,
    /// On-failure bucket; `None` where Lambda sends messages only.
    pub bucket: Option<&'s O>,
}

impl<R, O> Clone for Sources<'_, R, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, O> Copy for Sources<'_, R, O> {}

/// Handles one invocation.
///
/// # Errors
/// Fails if the request or the deployment is wrong, or queue or bucket cannot be read. No dead letter is lost.
pub async fn invoke<R: RangeReader, O: Bucket>(
    context: &Context,
    sources: Sources<'_, R, O>,
    event: LambdaEvent<Value>,
) -> Result<RedriveReport, FunctionError> {
    let result = context.invocation(async || redrive(context, sources, event.clone()).await).await;
    if let Ok(report) = &result {
        let (letters, changes) = (&report.letters, &report.changes);
        tracing::info!(?letters, ?changes, left = report.left, dry_run = report.dry_run, "redrive");
    }
    result
}

async fn redrive<R: RangeReader, O: Bucket>(
    context: &Context,
    Sources { ranges, tables, bucket }: Sources<'_, R, O>,
    event: LambdaEvent<Value>,
) -> Result<RedriveReport, FunctionError> {
    let request = RedriveRequest::read(event.payload)?;
    let settings = context.settings()?;
    let own = settings.read_options.generation.0;
    if request.generation.is_some_and(|generation| generation > own) {
        return Err(FunctionError::Request(format!(
            "generation is above GENERATION, which is {own}: no letter was sent in it; give the one it was sent in"
        )));
    }
    let queue = context.queue().ok_or_else(|| {
        FunctionError::Request(
            "DEAD_LETTER_QUEUE_URL is not set: set it to the queue that holds the letters".to_owned(),
        )
    })?;
    let deadlines = context.deadlines(event.context.deadline)?;
    // A stream may send dead letters before its first write succeeds, so the index may not exist yet.
    let writer = context.writer(settings.table_arn.as_deref(), deadlines.work).await?;
    let table = &writer.target().index().table;
    let items = table.split_once(":table/").map(|(_, name)| tables.named(name));
    let redrive = Redrive {
        read_options: &settings.read_options,
        writer: &writer,
        queue,
        bucket,
        ranges,
        sender: settings.sender(),
        items: items.as_deref(),
        table: Some(table),
        patience: patience(settings.engine.request_timeout),
    };
    deadlines.keep(redrive.run(&request, deadlines.work)).await
}
