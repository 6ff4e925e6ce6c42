//! The function without Lambda around it: takes a request and returns a report.

use driftless::function::clock::now;
use driftless::function::{Access, Context, FunctionError, TableSlice};
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
    let (context, payload) = context.requested(event.payload)?;
    let event = LambdaEvent::new(payload, event.context);
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
    let at = TableSlice::begin(context, tables, request.items.table.as_deref(), event.context.deadline).await?;
    let writer = at.writer(context, Access::Create, request.index()).await?;
    let function =
        Backfill { read_options: &settings.read_options, writer: &writer, table: &*at.table, schema: &at.schema, now };
    let mut progress = BackfillProgress::new(settings.engine.index.public(), now());
    let result = at.deadlines.keep(function.run(&request, at.slice, &mut progress)).await;
    if let Ok(report) = &result {
        progress.close(&report.counts, now());
    }
    result
}
