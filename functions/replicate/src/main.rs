//! Entry point of the `replicate` function, behind DynamoDB Streams.

use driftless::function::replicate::{DynamoDbStreams, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    run(DynamoDbStreams).await
}
