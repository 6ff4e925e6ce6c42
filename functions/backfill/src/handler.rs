//! The function without Lambda around it: takes a request and returns a report.

use driftless::function::clock::now;
use driftless::function::{Access, Context, Deadlines, FunctionError, Slice};
use driftless::table::Table as _;
use driftless::table::dynamodb::LastTable;
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use crate::backfill::Backfill;
use crate::metrics::BackfillProgress;
use crate::report::BackfillReport;
use crate::request::BackfillRequest;

/// Handles one invocation.
///
/// # Errors
/// Fails if the request or the deployment is wrong, or nothing could be done. The same request may be sent again.
pub async fn invoke(
    context: &Context,
    tables: &LastTable,
    event: LambdaEvent<Value>,
) -> Result<BackfillReport, FunctionError> {
    let result = context.invocation(async || backfill(context, tables, event.clone()).await).await;
    if let Ok(report) = &result {
        tracing::info!(counts = ?report.counts, done = report.done, "backfill");
    }
    result
}

async fn backfill(
    context: &Context,
    tables: &LastTable,
    event: LambdaEvent<Value>,
) -> Result<BackfillReport, FunctionError> {
    let request = BackfillRequest::read(event.payload)?;
    let settings = context.settings()?;
    let deadlines = Deadlines::new(event.context.deadline, settings.answer_margin);
    let deadlines = deadlines.checked().map_err(FunctionError::Misconfigured)?;
    let slice = Slice::until(deadlines.work);
    let table = tables.named(settings.table(request.table.as_deref())?);
    let schema = table.describe(deadlines.work).await?;
    let writer = context.open(Access::Create, request.index, Some(&schema.table_arn), deadlines.work).await?;
    let function =
        Backfill { read_options: &settings.read_options, writer: &writer, table: &*table, schema: &schema, now };
    let mut progress = BackfillProgress::new(settings.engine.index.public(), now());
    let result = deadlines.keep(function.run(&request, slice, &mut progress)).await;
    if let Ok(report) = &result {
        progress.close(&report.counts, now());
    }
    result
}
