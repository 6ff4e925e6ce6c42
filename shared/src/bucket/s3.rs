//! An S3 bucket. Its first call builds the client, under that call's deadline: most runs have none.

use std::future::Future;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::Object;
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::{Bucket, BucketError, KEY_PREFIX, ObjectPage, StoredObject};
use crate::aws::{CallError, LazyClient};
use crate::time::Timestamp;

/// Code of S3 for an object that does not exist.
const NO_OBJECT: &str = "NoSuchKey";

/// The bucket of a name, with the environment's credentials and region.
#[derive(Debug)]
pub struct S3Bucket {
    name: String,
    client: LazyClient<Client>,
}

impl S3Bucket {
    /// Creates the bucket `name`. Connects to nothing yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), client: LazyClient::new(Client::new) }
    }

    /// Makes one call under the deadline.
    async fn call<T, E, R, F>(&self, deadline: Instant, send: impl FnOnce(&Client) -> F) -> Result<T, BucketError>
    where
        F: Future<Output = Result<T, SdkError<E, R>>>,
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug,
    {
        self.client.call(deadline, send).await.map_err(|error: CallError<E, R>| match error.code() {
            Some(code) => BucketError::Refused(code.to_owned()),
            None => BucketError::Unreachable(error.to_string()),
        })
    }
}

impl Bucket for S3Bucket {
    async fn list(&self, after: Option<&str>, deadline: Instant) -> Result<ObjectPage, BucketError> {
        let answer = self.call(deadline, |client| {
            let request = client.list_objects_v2().bucket(&self.name).prefix(KEY_PREFIX);
            request.set_start_after(after.map(str::to_owned)).send()
        });
        let answer = answer.await?;
        let has_more = answer.is_truncated.unwrap_or_default();
        Ok(ObjectPage {
            objects: answer.contents.unwrap_or_default().into_iter().filter_map(stored).collect(),
            has_more,
        })
    }

    async fn read(&self, key: &str, deadline: Instant) -> Result<Option<Bytes>, BucketError> {
        let answer = self.call(deadline, |client| client.get_object().bucket(&self.name).key(key).send());
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(BucketError::Refused(code)) if code == NO_OBJECT => return Ok(None),
            Err(error) => return Err(error),
        };
        match timeout_at(deadline, answer.body.collect()).await {
            Ok(Ok(body)) => Ok(Some(body.into_bytes())),
            Ok(Err(error)) => Err(BucketError::Unreachable(format!("broke off: {}", DisplayErrorContext(error)))),
            Err(_) => Err(BucketError::Unreachable("did not send the whole object in time".to_owned())),
        }
    }

    async fn delete(&self, key: &str, deadline: Instant) -> Result<(), BucketError> {
        let answer = self.call(deadline, |client| client.delete_object().bucket(&self.name).key(key).send());
        answer.await.map(drop)
    }
}

/// Converts an object of a listing. S3 always sends all of its members.
fn stored(object: Object) -> Option<StoredObject> {
    let millis = object.last_modified.and_then(|time| time.to_millis().ok());
    Some(StoredObject {
        key: object.key?,
        bytes: object.size.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default(),
        stored_at: Timestamp::from_millis(millis.and_then(|millis| millis.try_into().ok()).unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::aws::silence;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_that_accepts_and_never_answers_is_answered_for_before_a_far_deadline() {
        let (_listener, settings) = silence::endpoint().await;
        let client = LazyClient::new(Client::new).with_client(Client::new(&settings));
        let bucket = S3Bucket { name: "b".to_owned(), client };
        let started = Instant::now();
        let listed = bucket.list(None, started + Duration::from_secs(600)).await;
        assert!(matches!(listed, Err(BucketError::Unreachable(_))), "{listed:?}");
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn settings_that_never_load_end_with_the_deadline() {
        let client = LazyClient::new(Client::new).with_settings(silence::settings);
        let bucket = S3Bucket { name: "b".to_owned(), client };
        let read = bucket.read("aws/lambda/x", Instant::now() + Duration::from_secs(5)).await;
        assert_eq!(read, Err(BucketError::Unreachable("did not answer in time".to_owned())));
    }
}
