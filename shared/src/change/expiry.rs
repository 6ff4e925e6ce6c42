//! Deletions by time to live, where the configuration keeps the documents of expired items.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::member::{RecordError, malformed, text};
use super::{Content, RawChange, ReadOptions, event_time, item};
use crate::outcome::ConfigurationError;

/// Identity that DynamoDB gives to deletions by time to live, and to no other change.
#[derive(Deserialize)]
struct UserIdentity<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a str,
    #[serde(borrow, rename = "principalId")]
    principal_id: &'a str,
}

/// Returns `true` if a REMOVE with this `userIdentity` is an expiry whose document stays.
pub(super) fn keeps(user_identity: Option<&RawValue>, read_options: &ReadOptions) -> bool {
    read_options.replication.keeps_expired()
        && user_identity
            .and_then(|raw| serde_json::from_str::<UserIdentity<'_>>(raw.get()).ok())
            .is_some_and(|found| found.kind == "Service" && found.principal_id == "dynamodb.amazonaws.com")
}

/// Returns the content that stays of the old image.
pub(super) fn content(change: &RawChange<'_>, read_options: &ReadOptions) -> Result<Content, RecordError> {
    if change.old_image.is_none()
        && let Some(view) = change.stream_view_type.and_then(text)
        && view != "NEW_AND_OLD_IMAGES"
    {
        return Err(ConfigurationError::NoOldImage { view: view.into_owned() }.into());
    }
    let image = item("dynamodb.OldImage", change.old_image)?;
    let content = read_options.replication.expired_content(&image, event_time(change))?;
    content.ok_or_else(|| {
        let problem = "missing, and the item's TTL attribute does not say when it expired";
        malformed("dynamodb.ApproximateCreationDateTime", problem.to_owned())
    })
}
