//! The function without Lambda around it: takes a request and returns a report.

use std::sync::Arc;

use driftless::function::clock::now;
use driftless::function::{Access, Context, Deadlines, FunctionError, IndexChoice, Slice};
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
    let deadlines = Deadlines::new(event.context.deadline, settings.answer_margin);
    let deadlines = deadlines.checked().map_err(FunctionError::Misconfigured)?;
    let slice = Slice::until(deadlines.work);
    deadlines
        .keep(async {
            let table = settings.table_arn.as_deref();
            // A broken second index must not stop what looks at it, leaves it or drops it.
            if matches!(request, ReindexRequest::Create { .. } | ReindexRequest::Switch { .. }) {
                context.open(Access::Existing, IndexChoice::All, table, slice.deadline).await?;
            }
            let writer = match request {
                ReindexRequest::Tombstones { .. } => {
                    Some(context.open(Access::Existing, IndexChoice::Other, table, slice.deadline).await?)
                }
                _ => None,
            };
            // Boxed, as in `Context`: the compiler's limit for nested futures is near.
            let engine = Arc::new(Box::pin(context.connect(slice.deadline)).await?);
            let steps = Reindex { engine, definition: &settings.definition, slice, now };
            steps.run(request, writer.as_deref()).await
        })
        .await
}
