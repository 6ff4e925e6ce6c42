//! Deletions by time to live, told from all others.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Identity that DynamoDB gives to deletions by time to live, and to no other change.
#[derive(Deserialize)]
struct UserIdentity<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a str,
    #[serde(borrow, rename = "principalId")]
    principal_id: &'a str,
}

/// Returns `true` if a REMOVE with this `userIdentity` is a deletion by time to live.
pub(super) fn is_expiry(user_identity: Option<&RawValue>) -> bool {
    user_identity
        .and_then(|raw| serde_json::from_str::<UserIdentity<'_>>(raw.get()).ok())
        .is_some_and(|found| found.kind == "Service" && found.principal_id == "dynamodb.amazonaws.com")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::Value;
    use tokio::time::Instant;

    use crate::change::{Change, ReadOptions, Record};
    use crate::memory::MemoryTarget;
    use crate::outcome::Outcome;
    use crate::replication::Replication;
    use crate::testing::RecordBuilder;
    use crate::time::Timestamp;
    use crate::version::Generation;
    use crate::writer::{ApplyOptions, Writer};

    const KEEP: &str = "[expiry]\nattribute = \"expires_at\"\nthen = \"keep\"";
    const MARK: &str = "[expiry]\nattribute = \"expires_at\"\nthen = \"mark\"\nfield = \"expired\"";
    const IMAGE: &str = r#"{"pk":{"S":"a"},"n":{"N":"1.50"},"expires_at":{"N":"1768473067"}}"#;

    fn options(rules: &str) -> ReadOptions {
        let replication = Arc::new(Replication::from_toml(rules, None).expect("rules"));
        ReadOptions { replication, ..ReadOptions::default() }
    }

    fn change(rules: &str, json: &str) -> Change {
        Record::read(json, &options(rules)).change.expect("a change")
    }

    fn sample() -> Value {
        let event: Value = serde_json::from_str(include_str!("../../../events/ttl-expiry.json")).expect("JSON");
        event["Records"][0].clone()
    }

    fn error(rules: &str, record: &Value) -> String {
        Record::read(&record.to_string(), &options(rules)).change.expect_err("no change").to_string()
    }

    #[test]
    fn an_expired_item_is_deleted_kept_or_marked() {
        let sample = sample().to_string();
        for rules in ["", "[expiry]\nattribute = \"expires_at\""] {
            assert_eq!(change(rules, &sample).content.document(), None, "{rules}");
        }
        let include = "include = [\"note\"]\n";
        for (rules, expect) in
            [(KEEP, r#"{"note":"Nobody was there."}"#), (MARK, r#"{"expired":true,"note":"Nobody was there."}"#)]
        {
            let content = change(&format!("{include}{rules}"), &sample).content;
            assert_eq!(content.document().map(|json| json.as_bytes()), Some(expect.as_bytes()));
            assert_eq!(content.expired_at(), Some(Timestamp::from_millis(1_768_473_067_000)));
        }
        let unwanted = format!("where = '.kind == \"other\"'\n{MARK}");
        assert_eq!(change(&unwanted, &sample).content.document(), None, "an item without a document leaves none");
    }

    #[test]
    fn any_other_removal_leaves_a_tombstone() {
        let mut record = sample();
        record["userIdentity"]["principalId"] = "elasticache.amazonaws.com".into();
        assert_eq!(change(KEEP, &record.to_string()).content.document(), None);
        record["userIdentity"] = Value::Null;
        assert_eq!(change(KEEP, &record.to_string()).content.document(), None);
        let record = RecordBuilder::remove("a", 1);
        assert_eq!(change(KEEP, &record.json()).content.document(), None);
    }

    #[test]
    fn a_stream_without_old_images_is_a_configuration_error_and_a_lost_image_is_not() {
        let mut record = sample();
        let change = record["dynamodb"].as_object_mut().expect("a change");
        change.remove("OldImage");
        assert!(error(KEEP, &record).starts_with("dynamodb.OldImage: missing"));
        record["dynamodb"]["StreamViewType"] = "NEW_IMAGE".into();
        let error = error(KEEP, &record);
        assert!(error.contains("view type is NEW_IMAGE") && error.contains("NEW_AND_OLD_IMAGES"), "{error}");
        assert_eq!(Record::read(&record.to_string(), &options("")).change.map(|_| ()), Ok(()));
    }

    #[test]
    fn the_time_of_the_expiry_is_the_attributes_or_else_the_events() {
        let at = |record: RecordBuilder| change(KEEP, &record.json()).content.expired_at().map(Timestamp::as_millis);
        let image = |seconds: &str| IMAGE.replace("1768473067", seconds);
        let of = |seconds| RecordBuilder::expiry("a", 1, image(seconds)).event_second(7);
        assert_eq!(at(of("1768473067")), Some(1_768_473_067_000));
        assert_eq!(at(of("1E39")), Some(7_000));
        assert_eq!(at(of("-1")), Some(7_000));
        assert_eq!(at(RecordBuilder::expiry("a", 1, r#"{"expires_at":{"S":"1"}}"#).event_second(7)), Some(7_000));
        let timeless = RecordBuilder::expiry("a", 1, "{}").event_second(None).json();
        let error = Record::read(&timeless, &options(KEEP)).change.expect_err("no time").to_string();
        assert!(error.starts_with("dynamodb.ApproximateCreationDateTime: missing"), "{error}");
    }

    #[test]
    fn an_image_that_stands_twice_is_named() {
        let record = RecordBuilder::expiry("a", 1, IMAGE).json();
        let twice = record.replacen("\"Keys\"", "\"OldImage\":{},\"Keys\"", 1);
        let error = Record::read(&twice, &options(KEEP)).change.expect_err("malformed").to_string();
        assert!(error.starts_with("dynamodb.OldImage: stands twice"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn late_older_change_never_unmarks_and_an_item_put_again_wins() {
        let target = MemoryTarget::default();
        let writer = Writer::new(target.clone(), Generation::default());
        let deliver = async |record: RecordBuilder| {
            let options = ApplyOptions::new(Instant::now() + Duration::from_secs(9), Timestamp::from_millis(9));
            writer.apply(&[change(MARK, &record.json())], options).await.expect("configured").outcomes.remove(0)
        };
        let marked = r#"{"expired":true,"expires_at":1768473067,"n":1.5,"pk":"a"}"#;
        assert_eq!(deliver(RecordBuilder::insert("a", 1)).await, Outcome::Applied);
        assert_eq!(deliver(RecordBuilder::expiry("a", 3, IMAGE)).await, Outcome::Applied);
        assert_eq!(target.visible()["a"], marked);
        assert_eq!(deliver(RecordBuilder::modify("a", 2)).await, Outcome::Stale);
        assert_eq!(deliver(RecordBuilder::expiry("a", 3, IMAGE)).await, Outcome::Duplicate);
        assert_eq!(target.visible()["a"], marked);
        assert_eq!(deliver(RecordBuilder::insert("a", 4)).await, Outcome::Applied);
        assert_eq!(deliver(RecordBuilder::expiry("a", 3, IMAGE)).await, Outcome::Stale);
        assert_eq!(target.visible()["a"], r#"{"n":4}"#);
        assert!(target.documents().values().all(|document| document.content.expired_at().is_none()));
    }
}
