//! A table in an AWS account, read with the credentials of the environment.
//!
//! Nothing is written there: the clients are for `DescribeTable` and for the stream, and the functions get the same
//! credentials to read items with.

use anyhow::{Context, Result, ensure};
use aws_config::BehaviorVersion;
use aws_credential_types::provider::ProvideCredentials as _;

use super::{DYNAMODB_ENDPOINT, STREAMS_ENDPOINT};

/// Variable for all services of the SDK.
const ANY_ENDPOINT: &str = "AWS_ENDPOINT_URL";

/// Clients for an AWS account, and the variables that give functions the same access.
#[derive(Clone, Debug)]
pub struct Account {
    /// Client for tables and their items.
    pub tables: aws_sdk_dynamodb::Client,
    /// Client for the streams of these tables.
    pub streams: aws_sdk_dynamodbstreams::Client,
    /// Region and credentials, by variable.
    pub environment: Vec<(&'static str, String)>,
}

impl Account {
    /// Finds region and credentials as the AWS command line does: variables, profile, the machine's role.
    ///
    /// # Errors
    /// Fails if there are none, or a variable names another endpoint than AWS's.
    pub async fn from_env() -> Result<Self> {
        for variable in [DYNAMODB_ENDPOINT, STREAMS_ENDPOINT, ANY_ENDPOINT] {
            ensure!(
                std::env::var_os(variable).is_none_or(|url| url.is_empty()),
                "--aws reads a table in AWS, but {variable} is set: use a shell without the variables of `cargo local \
                 up`, whose services are found all the same"
            );
        }
        let config = aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await;
        let region = config.region().context("find the region: set AWS_REGION")?.to_string();
        let provider = config.credentials_provider().context("find credentials for AWS")?;
        let credentials = provider.provide_credentials().await.context("find credentials for AWS")?;
        let environment = vec![
            ("AWS_REGION", region.clone()),
            ("AWS_DEFAULT_REGION", region),
            ("AWS_ACCESS_KEY_ID", credentials.access_key_id().to_owned()),
            ("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key().to_owned()),
            // Empty counts as none, and replaces the one that local functions get.
            ("AWS_SESSION_TOKEN", credentials.session_token().unwrap_or_default().to_owned()),
        ];
        Ok(Self {
            tables: aws_sdk_dynamodb::Client::new(&config),
            streams: aws_sdk_dynamodbstreams::Client::new(&config),
            environment,
        })
    }
}
