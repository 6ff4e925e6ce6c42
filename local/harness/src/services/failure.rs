//! Failures of the AWS clients in one line: the service's own code and words, or why it was not reached.

use std::error::Error;

use anyhow::anyhow;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// Words an error of an AWS client. The client's own text repeats the service's words twice, or says "service error"
/// only.
pub fn client_error<E, R>(error: SdkError<E, R>) -> anyhow::Error
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + 'static,
{
    match error.as_service_error().map(|service| (service.code(), service.message())) {
        Some((Some(code), Some(message))) => anyhow!("{code}: {message}"),
        Some((Some(code), None)) => anyhow!("{code}"),
        Some((None, Some(message))) => anyhow!("{message}"),
        _ => anyhow!("{}", chain(&error)),
    }
}

/// Joins an error and its causes, without what a cause repeats.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{EmbeddedDynamoDb, Service as _, dynamodb_client};
    use super::*;

    #[tokio::test]
    async fn a_refusal_is_told_once() {
        let service = EmbeddedDynamoDb::start().await.unwrap();
        let client = dynamodb_client(service.endpoint());
        let error = client_error(client.describe_table().table_name("absent").send().await.unwrap_err()).to_string();
        assert!(error.starts_with("ResourceNotFoundException: "), "{error}");
        assert_eq!(error.matches("Requested resource not found").count(), 1, "{error}");
        let error = client_error(client.describe_table().table_name("a b").send().await.unwrap_err()).to_string();
        assert!(error.starts_with("ValidationException") && !error.contains("Error {"), "{error}");
        service.stop().await.unwrap();
    }
}
