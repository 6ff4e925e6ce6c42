//! The function without Lambda around it: takes a request and returns a report.

use driftless::function::clock::now;
use driftless::function::{Access, Context, FunctionError, TableSlice};
use driftless::table::dynamodb::LastTable;
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use crate::metrics;
use crate::report::VerifyReport;
use crate::request::VerifyRequest;
use crate::verify::Verify;

/// Handles one invocation.
///
/// # Errors
/// Fails if the request or the deployment is wrong, or a side cannot be read. The same request may be sent again.
pub async fn invoke(
    context: &Context,
    tables: &LastTable,
    event: LambdaEvent<Value>,
) -> Result<VerifyReport, FunctionError> {
    let (context, payload) = context.requested(event.payload)?;
    let event = LambdaEvent::new(payload, event.context);
    let mut result = context.invocation(async || verify(context, tables, event.clone()).await).await;
    if let Ok(report) = &mut result {
        report.drift = context.drift().await;
        let (counts, equal, done) = (&report.counts, report.equal, report.done);
        if report.equal {
            tracing::info!(?counts, equal, done, "verify");
        } else {
            tracing::warn!(?counts, equal, done, "verify");
        }
        let index = context.settings().map_or("unknown", |settings| settings.engine.index.public());
        metrics::print(counts, index, now());
    }
    result
}

async fn verify(
    context: &Context,
    tables: &LastTable,
    event: LambdaEvent<Value>,
) -> Result<VerifyReport, FunctionError> {
    let request = VerifyRequest::read(event.payload)?;
    let settings = context.settings()?;
    let at = TableSlice::begin(context, tables, request.items.table.as_deref(), event.context.deadline).await?;
    let access = if request.repair { Access::Repair } else { Access::Existing };
    let writer = at.writer(context, access, request.index()).await?;
    let function =
        Verify { read_options: &settings.read_options, writer: &writer, table: &*at.table, schema: &at.schema, now };
    at.deadlines.keep(function.run(&request, at.slice)).await
}
