//! Credentials for the engine, fetched only if they are used.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use opensearch::auth::Credentials;
use serde::Deserialize;
use url::Url;

use super::config::Auth;
use crate::replication::HashKey;

/// Reason why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The function's environment lacks a variable that Lambda sets.
    #[error("OPENSEARCH_AUTH needs {0}: Lambda sets it, elsewhere set it yourself")]
    Missing(&'static str),
    /// Secrets Manager refused, or cannot be reached.
    #[error(
        "the secret of OPENSEARCH_SECRET_ARN cannot be read ({said}): check the ARN, the role's \
         secretsmanager:GetSecretValue, and that the function's subnets reach Secrets Manager"
    )]
    Secret {
        /// Code and words of Secrets Manager, or why it was not reached. Never the secret.
        said: String,
    },
    /// Neither a refusal nor an answer came in time.
    #[error(
        "the credentials that OPENSEARCH_AUTH asks for were not there in time: check that the function's subnets reach \
         Secrets Manager, by a VPC endpoint or a NAT gateway"
    )]
    Unanswered,
    /// A key of keyed hashes that cannot be read.
    #[error(
        "the secret of HASH_KEY_SECRET_ARN gives no key ({said}): it must hold a random text of at least 32 bytes, and the \
         role needs secretsmanager:GetSecretValue for it"
    )]
    HashKey {
        /// Code and words of Secrets Manager, or the key's size. Never the key.
        said: String,
    },
    /// A secret with another shape.
    #[error("the secret of OPENSEARCH_SECRET_ARN is not a JSON object with the strings `username` and `password`")]
    SecretShape,
}

/// Credentials with the service that they sign for.
#[derive(Debug)]
pub(super) struct Signing {
    pub(super) credentials: Option<Credentials>,
    pub(super) service: &'static str,
}

#[derive(Deserialize)]
struct UserAndPassword {
    username: String,
    password: String,
}

pub(super) async fn signing(auth: &Auth, endpoint: &Url) -> Result<Signing, AuthError> {
    let service = if *auth == Auth::SigV4Serverless { "aoss" } else { "es" };
    let credentials = match auth {
        Auth::None => None,
        Auth::SigV4 | Auth::SigV4Serverless => Some(sigv4(&load().await, endpoint)?),
        Auth::Basic { secret_arn } => Some(basic(&load().await, secret_arn).await?),
    };
    Ok(Signing { credentials, service })
}

async fn load() -> SdkConfig {
    aws_config::load_defaults(BehaviorVersion::latest()).await
}

fn sigv4(sdk: &SdkConfig, endpoint: &Url) -> Result<Credentials, AuthError> {
    let provider = sdk.credentials_provider().ok_or(AuthError::Missing("AWS credentials"))?;
    let region = endpoint.host_str().and_then(region_in).map(|region| Region::new(region.to_owned()));
    let region = region.or_else(|| sdk.region().cloned()).ok_or(AuthError::Missing("AWS_REGION"))?;
    Ok(Credentials::AwsSigV4(provider, region))
}

/// Returns the Region that AWS's own host name of a domain or a collection shows; a custom endpoint shows none. So a
/// process may talk to the domains of two Regions.
fn region_in(host: &str) -> Option<&str> {
    let before = |service| host.split_once(service).and_then(|(front, _)| front.rsplit('.').next());
    let dual_stack = || host.split_once(".aos.").and_then(|(_, rest)| rest.strip_suffix(".on.aws"));
    before(".es.amazonaws.com").or_else(|| before(".aoss.amazonaws.com")).or_else(dual_stack)
}

async fn basic(sdk: &SdkConfig, secret_arn: &str) -> Result<Credentials, AuthError> {
    let secret = secret(sdk, secret_arn).await.map_err(|said| AuthError::Secret { said })?;
    // The parser's error would quote the secret.
    let UserAndPassword { username, password } =
        secret.and_then(|text| serde_json::from_str(&text).ok()).ok_or(AuthError::SecretShape)?;
    Ok(Credentials::Basic(username, password))
}

/// Reads the key of keyed hashes from its secret.
///
/// # Errors
/// Fails if the secret cannot be read, or holds no text of enough bytes.
pub(crate) async fn read_hash_key(key: &HashKey, secret_arn: &str) -> Result<(), AuthError> {
    let text = secret(&load().await, secret_arn).await.map_err(|said| AuthError::HashKey { said })?;
    key.set(text.unwrap_or_default().trim()).map_err(|error| AuthError::HashKey { said: error.to_string() })
}

/// Reads the text of a secret.
async fn secret(sdk: &SdkConfig, arn: &str) -> Result<Option<String>, String> {
    let answer = aws_sdk_secretsmanager::Client::new(sdk).get_secret_value().secret_id(arn).send().await;
    answer.map(|answer| answer.secret_string).map_err(|error| words_of(&error))
}

/// Returns the service's code and words, or why it was not reached.
fn words_of(error: &(impl ProvideErrorMetadata + std::error::Error)) -> String {
    if let Some(code) = error.code() {
        return format!("{code}: {}", error.message().unwrap_or("no reason given"));
    }
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_signed_for_the_region_that_the_host_shows() {
        for (host, region) in [
            ("search-activity-abc.ap-northeast-1.es.amazonaws.com", Some("ap-northeast-1")),
            ("vpc-activity-abc.cn-north-1.es.amazonaws.com.cn", Some("cn-north-1")),
            ("abc.us-east-1.aoss.amazonaws.com", Some("us-east-1")),
            ("search-activity-abc.aos.eu-west-1.on.aws", Some("eu-west-1")),
            ("search.example.com", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(region_in(host), region, "{host}");
        }
    }
}
