//! The function without Lambda around it: takes a request and returns a report.

use driftless::function::clock::now;
use driftless::function::{Access, Context, FunctionError, Slice};
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use crate::metrics;
use crate::purge::purge;
use crate::report::PurgeReport;
use crate::request::PurgeRequest;

/// Handles one invocation.
///
/// # Errors
/// Fails if the request or the deployment is wrong, or the index cannot be read.
pub async fn invoke(context: &Context, event: LambdaEvent<Value>) -> Result<PurgeReport, FunctionError> {
    let (context, payload) = context.requested(event.payload)?;
    let event = LambdaEvent::new(payload, event.context);
    let result = context.invocation(async || run(context, event.clone()).await).await;
    if let Ok(report) = &result {
        tracing::info!(?report, "purge");
        let index = context.settings().map_or("unknown", |settings| settings.engine.index.public());
        metrics::print(report, index, now());
    }
    result
}

async fn run(context: &Context, event: LambdaEvent<Value>) -> Result<PurgeReport, FunctionError> {
    let request = PurgeRequest::read(event.payload)?;
    let settings = context.settings()?;
    let deadlines = context.deadlines(event.context.deadline)?;
    let retention_ms = settings.read_options.replication.expired_retention_ms();
    let slice = Slice::until(deadlines.work);
    let writer = context.open(Access::Existing, request.index, settings.table_arn.as_deref(), deadlines.work).await?;
    deadlines.keep(purge(writer.target(), &request, retention_ms, slice, now())).await
}
