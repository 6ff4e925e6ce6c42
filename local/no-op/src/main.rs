//! A Lambda function that does nothing: what the benchmark subtracts as the price of the Runtime API.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::Serialize;
use serde::de::IgnoredAny;

/// Reports no failure, as a function that has applied everything does.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    batch_item_failures: [(); 0],
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: LambdaEvent<IgnoredAny>| Ok::<_, Error>(Response { batch_item_failures: [] }))).await
}
