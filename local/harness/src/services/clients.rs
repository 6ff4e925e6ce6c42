//! AWS clients for local endpoints: an explicit endpoint, fixed credentials, one region, nothing from the environment.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

/// The region that every local service is told.
pub const REGION: &str = "us-east-1";
/// Access key id and secret access key. Local services take any; AWS's DynamoDB Local wants letters and digits only.
pub const CREDENTIALS: (&str, &str) = ("local", "local");

/// Timeout of one attempt, after which it is repeated.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// A configuration that talks to `endpoint` only.
#[must_use]
pub fn sdk_config(endpoint: &str) -> SdkConfig {
    let (id, secret) = CREDENTIALS;
    let credentials = Credentials::new(id, secret, None, None, "local services");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
        .build()
}

/// A client for the tables of the DynamoDB at `endpoint`.
#[must_use]
pub fn dynamodb(endpoint: &str) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(&sdk_config(endpoint))
}

/// A client for the streams of the DynamoDB at `endpoint`.
#[must_use]
pub fn streams(endpoint: &str) -> aws_sdk_dynamodbstreams::Client {
    aws_sdk_dynamodbstreams::Client::new(&sdk_config(endpoint))
}

/// A client for the Kinesis streams at `endpoint`.
#[must_use]
pub fn kinesis(endpoint: &str) -> aws_sdk_kinesis::Client {
    aws_sdk_kinesis::Client::new(&sdk_config(endpoint))
}

/// A client for the queues at `endpoint`.
#[must_use]
pub fn sqs(endpoint: &str) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(&sdk_config(endpoint))
}
