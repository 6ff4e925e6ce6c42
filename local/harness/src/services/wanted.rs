//! The choice of services, and the variables that give the URLs of services to use instead.

use super::dynamodb::DynamoDbKind;
use super::engine::EngineChoice;
use super::opensearch::Purpose;

/// The variable that gives the URL of a search engine to use.
pub const OPENSEARCH_ENDPOINT: &str = "OPENSEARCH_ENDPOINT";
/// The SDK's own variable for DynamoDB.
pub const DYNAMODB_ENDPOINT: &str = "AWS_ENDPOINT_URL_DYNAMODB";
/// The SDK's own variable for DynamoDB Streams.
pub const STREAMS_ENDPOINT: &str = "AWS_ENDPOINT_URL_DYNAMODB_STREAMS";
/// The SDK's own variable for Kinesis.
pub const KINESIS_ENDPOINT: &str = "AWS_ENDPOINT_URL_KINESIS";
/// The SDK's own variable for SQS.
pub const SQS_ENDPOINT: &str = "AWS_ENDPOINT_URL_SQS";

/// Choice of services to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WantedServices {
    /// DynamoDB to start; there is always one.
    pub dynamodb: DynamoDbKind,
    /// True if there is Kinesis.
    pub kinesis: bool,
    /// True if there are queues.
    pub sqs: bool,
    /// Search engine to start, if any.
    pub engine: Option<EngineChoice>,
    /// Purpose for which the engine runs.
    pub purpose: Purpose,
}

impl Default for WantedServices {
    /// Everything, in the default kinds.
    fn default() -> Self {
        Self {
            dynamodb: DynamoDbKind::default(),
            kinesis: true,
            sqs: true,
            engine: Some(EngineChoice::default()),
            purpose: Purpose::default(),
        }
    }
}
