//! Set-up only: logs, settings, and the Lambda runtime around the handler.

// The futures of four clients of the AWS SDK nest more deeply than the default of 128 allows.
#![recursion_limit = "256"]

use driftless::function::{Context, Settings, log_to_stdout};
use driftless::stream::range::EitherRangeReader;
use driftless::table::dynamodb::LastTable;
use lambda_runtime::{LambdaEvent, service_fn};
use redrive::handler::invoke;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log_to_stdout();
    let context = Context::new(Settings::from_env(&|name| std::env::var(name).ok()));
    let ranges = EitherRangeReader::default();
    let tables = LastTable::default();
    let (context, ranges, tables) = (&context, &ranges, &tables);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| invoke(context, ranges, tables, event))).await
}
