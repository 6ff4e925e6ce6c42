//! An SQS queue. Its client is built with the first call: most processes never send a dead letter.

use std::future::Future;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use super::{Queue, QueueError, Received};
use crate::dead_letter::message::Message;
use crate::time::Timestamp;

/// How long a receive waits for messages, in seconds: with 0, SQS asks only some of its servers.
const WAIT_SECONDS: i32 = 1;
/// The most messages that SQS gives at once.
const RECEIVED_AT_ONCE: i32 = 10;
/// A connection that does not come, or an answer, is tried again by the client within this.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The queue at a URL.
#[derive(Debug)]
pub struct SqsQueue {
    url: String,
    client: OnceCell<Client>,
}

impl SqsQueue {
    /// The queue at `url`, with the credentials and the region of the environment. Talks to nobody yet.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), client: OnceCell::new() }
    }

    /// The queue's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn client(&self) -> &Client {
        self.client
            .get_or_init(|| async {
                let timeouts = aws_sdk_sqs::config::timeout::TimeoutConfig::builder()
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT + Duration::from_secs(1))
                    .connect_timeout(ATTEMPT_TIMEOUT)
                    .build();
                let settings = aws_config::defaults(aws_config::BehaviorVersion::latest()).timeout_config(timeouts);
                Client::new(&settings.load().await)
            })
            .await
    }
}

/// Ends a call at the deadline, and words its error without what was sent.
async fn call<T, E, R>(
    sent: impl Future<Output = Result<T, aws_sdk_sqs::error::SdkError<E, R>>>,
    deadline: Instant,
) -> Result<T, QueueError>
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    match timeout_at(deadline, sent).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(QueueError(match error.code() {
            Some(code) => {
                format!("refused with {code}: check DEAD_LETTER_QUEUE_URL, and the role's permission on the queue")
            }
            None => format!("cannot be reached: {}", DisplayErrorContext(&error)),
        })),
        Err(_) => Err(QueueError("did not answer in time".to_owned())),
    }
}

impl Queue for SqsQueue {
    async fn send(&self, message: &Message, deadline: Instant) -> Result<(), QueueError> {
        let mut request = self.client().await.send_message().queue_url(&self.url).message_body(&message.body);
        for (name, value) in &message.attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            let value = value.map_err(|_| QueueError("was given an attribute without a type".to_owned()))?;
            request = request.message_attributes(*name, value);
        }
        call(request.send(), deadline).await.map(drop)
    }

    async fn receive(&self, deadline: Instant) -> Result<Vec<Received>, QueueError> {
        let request = self.client().await.receive_message().queue_url(&self.url);
        let request = request.max_number_of_messages(RECEIVED_AT_ONCE).wait_time_seconds(WAIT_SECONDS);
        let request = request.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let answer = call(request.send(), deadline).await?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(received).collect())
    }

    async fn delete(&self, message: &Received, deadline: Instant) -> Result<(), QueueError> {
        let request = self.client().await.delete_message().queue_url(&self.url).receipt_handle(&message.receipt);
        call(request.send(), deadline).await.map(drop)
    }

    async fn release(&self, message: &Received, deadline: Instant) -> Result<(), QueueError> {
        let request = self.client().await.change_message_visibility().queue_url(&self.url);
        let request = request.receipt_handle(&message.receipt).visibility_timeout(0);
        call(request.send(), deadline).await.map(drop)
    }

    async fn waiting(&self, deadline: Instant) -> Result<u64, QueueError> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let request = self.client().await.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone());
        let answer = call(request.send(), deadline).await?;
        let count = answer.attributes.unwrap_or_default().remove(&name);
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or_default())
    }
}

/// A message without a receipt could be neither deleted nor released: it comes back by itself.
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
