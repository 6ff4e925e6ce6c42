//! The function without Lambda around it: takes a request and returns a report.

use std::sync::Arc;

use driftless::function::clock::now;
use driftless::function::{Access, Context, FunctionError, IndexChoice, Slice, connect};
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use crate::reindex::Reindex;
use crate::report::ReindexReport;
use crate::request::ReindexRequest;

/// Handles one invocation.
///
/// # Errors
/// Fails if the request or the deployment is wrong, or the engine refuses the step. Each step can be repeated.
pub async fn invoke(context: &Context, event: LambdaEvent<Value>) -> Result<ReindexReport, FunctionError> {
    let (context, payload) = context.requested(event.payload)?;
    let event = LambdaEvent::new(payload, event.context);
    let result = reindex(context, event).await;
    match &result {
        Ok(report) => {
            let (step, state) = (report.step.as_str(), report.state);
            tracing::info!(step, ?state, counts = ?report.counts, done = report.done, "reindex");
        }
        Err(error) => tracing::error!(class = error.kind(), "{error}"),
    }
    // The next step sees the indexes as they are then.
    context.forget_writer().await;
    result
}

async fn reindex(context: &Context, event: LambdaEvent<Value>) -> Result<ReindexReport, FunctionError> {
    let request = ReindexRequest::read(event.payload)?;
    let settings = context.settings()?;
    let deadlines = context.deadlines(event.context.deadline)?;
    let slice = Slice::until(deadlines.work);
    deadlines
        .keep(async {
            context.read_hash_key(slice.deadline).await?;
            // Boxed, as in `Context`: the compiler's limit for nested futures is near.
            let engine = Arc::new(Box::pin(connect(&settings.engine, slice.deadline)).await?);
            let second = match &settings.second {
                Some(second) => Some(Arc::new(Box::pin(connect(second, slice.deadline)).await?)),
                None => None,
            };
            let is_create = matches!(request, ReindexRequest::Create { .. });
            let steps = Reindex { engine, second, settings, slice, now };
            if is_create && steps.second.is_some() {
                steps.create_in_second(&request).await?;
            }
            // A broken second index must not stop what looks at it, leaves it or drops it.
            let choice = match request {
                ReindexRequest::Create { .. } | ReindexRequest::Switch { .. } => Some(IndexChoice::All),
                ReindexRequest::Tombstones { .. } => Some(IndexChoice::Other),
                _ => None,
            };
            let writer = match choice {
                Some(choice) => {
                    let table = settings.table_arn.as_deref();
                    Some(context.open(Access::Existing, choice, table, slice.deadline).await?)
                }
                None => None,
            };
            steps.run(request, writer.as_deref()).await
        })
        .await
}
