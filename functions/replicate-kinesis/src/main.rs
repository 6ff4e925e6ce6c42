//! Entry point of the `replicate-kinesis` function.

// The futures of two clients of the AWS SDK nest more deeply than the default of 128 allows.
#![recursion_limit = "256"]

use driftless::function::replicate::run;
use replicate_kinesis::KinesisDataStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    run(KinesisDataStream::default()).await
}
