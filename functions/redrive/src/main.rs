//! Set-up only: logs, settings, and the Lambda runtime around the handler.

// The futures of five clients of the AWS SDK nest more deeply than the default of 128 allows.
#![recursion_limit = "256"]

use driftless::bucket::s3::S3Bucket;
use driftless::function::{Context, Settings, log_to_stdout};
use driftless::stream::range::EitherRangeReader;
use driftless::table::dynamodb::LastTable;
use lambda_runtime::{LambdaEvent, service_fn};
use redrive::handler::{Sources, invoke};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log_to_stdout();
    let context = Context::new(Settings::from_env(&|name| std::env::var(name).ok()));
    let settings = context.settings().ok();
    let bucket = settings.and_then(|settings| settings.on_failure_bucket.as_ref()).map(S3Bucket::new);
    let ranges = EitherRangeReader::default();
    let tables = LastTable::default();
    let (context, sources) = (&context, Sources { ranges: &ranges, tables: &tables, bucket: bucket.as_ref() });
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| invoke(context, sources, event))).await
}
