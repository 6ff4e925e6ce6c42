//! Interface to the on-failure bucket, into which Lambda puts the batches that it gives up.
//!
//! Contract of every bucket: a listing shows each object that exists throughout, in the order of the keys. Reading
//! removes and hides nothing. Deleting an object that is gone succeeds.

#[cfg(any(test, feature = "testing"))]
pub mod memory;
#[cfg(feature = "s3")]
pub mod s3;

use std::future::Future;

use bytes::Bytes;
use tokio::time::Instant;

use crate::time::Timestamp;

/// Beginning of the keys that Lambda gives its invocation records: `aws/lambda/<UUID of the mapping>/<shard>/…`.
pub const KEY_PREFIX: &str = "aws/lambda/";

/// Error of a bucket, by the operator's remedy. Never holds an object's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// A refusal of every such call, until somebody fixes the bucket, its key or the role.
    #[error("the on-failure bucket refused with {0}: check ON_FAILURE_BUCKET, and the role's permission on the bucket")]
    Refused(String),
    /// No answer: the call may succeed later.
    #[error("the on-failure bucket {0}")]
    Unreachable(String),
}

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Key of the object.
    pub key: String,
    /// Size of its body.
    pub bytes: u64,
    /// Time at which it was put.
    pub stored_at: Timestamp,
}

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectPage {
    /// Objects in the order of their keys.
    pub objects: Vec<StoredObject>,
    /// True if more objects follow behind the last one.
    pub has_more: bool,
}

/// A bucket with Lambda's invocation records.
pub trait Bucket: Send + Sync {
    /// Lists the objects below [`KEY_PREFIX`] whose keys come after this one.
    fn list(
        &self,
        after: Option<&str>,
        deadline: Instant,
    ) -> impl Future<Output = Result<ObjectPage, BucketError>> + Send;

    /// Reads an object; `None` if it is gone.
    fn read(&self, key: &str, deadline: Instant) -> impl Future<Output = Result<Option<Bytes>, BucketError>> + Send;

    /// Removes an object for good.
    fn delete(&self, key: &str, deadline: Instant) -> impl Future<Output = Result<(), BucketError>> + Send;
}
