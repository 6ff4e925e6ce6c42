//! An SQS queue. Its first call builds the client, under that call's deadline: most processes never send a dead letter.

use std::future::Future;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};
use tokio::time::Instant;

use super::{Queue, QueueError, Received};
use crate::aws::{CallError, LazyClient};
use crate::dead_letter::message::Message;
use crate::time::Timestamp;

/// Wait time of a receive, in seconds. With 0, SQS asks only some of its servers.
const WAIT_SECONDS: i32 = 1;
/// SQS's limit for the messages of one receive.
const MAX_RECEIVED: i32 = 10;
/// Error codes of `SendMessage` that concern the message. For a message too large for its queue, SQS answers the first,
/// and ElasticMQ the last. All other codes concern the queue, its key, the role or the rate, which may be fixed while
/// the message waits.
const MESSAGE_CODES: [&str; 4] =
    ["InvalidParameterValue", "InvalidMessageContents", "InvalidAttributeValue", "MessageTooLong"];

/// The queue at a URL.
#[derive(Debug)]
pub struct SqsQueue {
    url: String,
    client: LazyClient<Client>,
}

impl SqsQueue {
    /// Creates the queue at `url`, with the environment's credentials and region. Connects to nothing yet.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), client: LazyClient::new(Client::new) }
    }

    /// Creates the queue at `url` with an existing client.
    #[must_use]
    pub fn with_client(client: Client, url: impl Into<String>) -> Self {
        Self { url: url.into(), client: LazyClient::new(Client::new).with_client(client) }
    }

    /// Returns the queue's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes one call under the deadline. Its error does not quote the message.
    async fn call<T, E, R, F>(&self, deadline: Instant, send: impl FnOnce(&Client) -> F) -> Result<T, QueueError>
    where
        F: Future<Output = Result<T, SdkError<E, R>>>,
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug,
    {
        self.client.call(deadline, send).await.map_err(|error: CallError<E, R>| match error.code() {
            Some(code) => QueueError::Refused(code.to_owned()),
            None => QueueError::Unreachable(error.to_string()),
        })
    }
}

impl Queue for SqsQueue {
    async fn send(&self, message: &Message, deadline: Instant) -> Result<(), QueueError> {
        let attributes = message.attributes.iter().map(|(name, value)| {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            value.map(|value| ((*name).to_owned(), value))
        });
        let attributes = attributes.collect::<Result<_, _>>();
        let attributes = attributes.map_err(|_| QueueError::Message("an attribute without a type".to_owned()))?;
        let sent = self.call(deadline, |client| {
            let request = client.send_message().queue_url(&self.url).message_body(&message.body);
            request.set_message_attributes(Some(attributes)).send()
        });
        match sent.await {
            Ok(_) => Ok(()),
            Err(QueueError::Refused(code)) if is_of_the_message(&code) => Err(QueueError::Message(code)),
            Err(error) => Err(error),
        }
    }

    async fn receive(&self, deadline: Instant) -> Result<Vec<Received>, QueueError> {
        let answer = self.call(deadline, |client| {
            let request = client.receive_message().queue_url(&self.url);
            let request = request.max_number_of_messages(MAX_RECEIVED).wait_time_seconds(WAIT_SECONDS);
            request.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp).send()
        });
        Ok(answer.await?.messages.unwrap_or_default().into_iter().filter_map(received).collect())
    }

    async fn delete(&self, message: &Received, deadline: Instant) -> Result<(), QueueError> {
        let answer = self.call(deadline, |client| {
            client.delete_message().queue_url(&self.url).receipt_handle(&message.receipt).send()
        });
        answer.await.map(drop)
    }

    async fn release(&self, message: &Received, deadline: Instant) -> Result<(), QueueError> {
        let answer = self.call(deadline, |client| {
            let request = client.change_message_visibility().queue_url(&self.url);
            request.receipt_handle(&message.receipt).visibility_timeout(0).send()
        });
        answer.await.map(drop)
    }

    async fn waiting(&self, deadline: Instant) -> Result<u64, QueueError> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let answer = self.call(deadline, |client| {
            client.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone()).send()
        });
        let count = answer.await?.attributes.unwrap_or_default().remove(&name);
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or_default())
    }
}

/// Returns `true` if an error code of `SendMessage` concerns the message. The JSON protocol may add a suffix.
fn is_of_the_message(code: &str) -> bool {
    MESSAGE_CODES.contains(&code.strip_suffix("Exception").unwrap_or(code))
}

/// Converts a message. Without a receipt, it could be neither deleted nor released, and comes back by itself.
fn received(message: aws_sdk_sqs::types::Message) -> Option<Received> {
    let sent = message.attributes.as_ref().and_then(|all| all.get(&MessageSystemAttributeName::SentTimestamp));
    let sent_at = sent.and_then(|millis| millis.parse().ok()).map(Timestamp::from_millis);
    Some(Received {
        id: message.message_id.unwrap_or_default(),
        receipt: message.receipt_handle?,
        body: message.body.unwrap_or_default(),
        sent_at,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::aws::silence;

    fn message() -> Message {
        Message { body: "a letter".to_owned(), attributes: vec![("class", "x".to_owned())] }
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_accepts_and_never_answers_is_answered_for_before_a_far_deadline() {
        let (_listener, settings) = silence::endpoint().await;
        let queue = SqsQueue::with_client(Client::new(&settings), "http://127.0.0.1/queue");
        let started = Instant::now();
        let sent = queue.send(&message(), started + Duration::from_secs(600)).await;
        assert!(matches!(sent, Err(QueueError::Unreachable(_))), "{sent:?}");
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn settings_that_never_load_end_with_the_deadline() {
        let client = LazyClient::new(Client::new).with_settings(silence::settings);
        let queue = SqsQueue { url: "http://127.0.0.1/queue".to_owned(), client };
        let sent = queue.send(&message(), Instant::now() + Duration::from_secs(5)).await;
        assert_eq!(sent, Err(QueueError::Unreachable("did not answer in time".to_owned())));
    }

    #[test]
    fn only_codes_that_speak_of_the_message_end_its_sending() {
        for code in
            ["InvalidParameterValue", "InvalidParameterValueException", "InvalidMessageContents", "MessageTooLong"]
        {
            assert!(is_of_the_message(code), "{code}");
        }
        for code in
            ["AccessDenied", "AWS.SimpleQueueService.NonExistentQueue", "KMS.DisabledException", "RequestThrottled"]
        {
            assert!(!is_of_the_message(code), "{code}");
        }
    }
}
