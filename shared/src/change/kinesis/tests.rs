//! Tests of the changes that records of Kinesis give.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::change::{ChangeKind, Content};
use crate::replication::Replication;
use crate::source::RecordSource;
use crate::table::memory::MemoryTable;
use crate::testing::{KinesisRecordBuilder, RecordBuilder, TABLE_ARN};
use crate::time::Timestamp;
use crate::version::Generation;

fn record(json: &str) -> Record {
    read(json, TABLE_ARN, &ReadOptions::default())
}

fn version(builder: &KinesisRecordBuilder) -> Version {
    record(&builder.json()).change.expect("a change").version
}

#[track_caller]
fn check_malformed(json: &str, field: &str, problem: &str) -> Origin {
    let Record { origin, change } = record(json);
    match change {
        Err(RecordError::Malformed { field: at, problem: what }) => {
            assert_eq!((at.as_str(), what.as_str()), (field, problem));
        }
        other => panic!("{other:?}"),
    }
    origin
}

#[test]
fn an_insert_is_read() {
    let builder = KinesisRecordBuilder::insert("a", 123_456);
    let Record { origin, change } = record(&builder.json());
    assert_eq!(origin.event_id.as_deref(), Some("e123456"), "DynamoDB's own, which a duplicate repeats");
    assert!(origin.sequence_number.expect("a number").starts_with("49590338"));
    assert_eq!(origin.table_arn.as_deref(), Some(TABLE_ARN));
    let change = change.expect("a change");
    assert_eq!((change.id.as_str(), change.kind), ("a", ChangeKind::Insert));
    assert_eq!(change.event_time, Some(Timestamp::from_millis(1_768_469_467_123)));
    assert_eq!(change.version.as_str(), "0000000001/kinesis/1768469467123456/us/3d4acdecd5a1dd89");
    assert_eq!(change.content.document().map(|document| document.as_bytes()), Some(&br#"{"n":123456}"#[..]));
}

#[test]
fn a_modify_and_a_remove_ignore_the_old_image() {
    let modify = record(&KinesisRecordBuilder::modify("a", 2).json()).change.expect("a change");
    assert_eq!(modify.content.document().map(|document| document.as_bytes()), Some(&br#"{"n":2}"#[..]));
    let remove = record(&KinesisRecordBuilder::remove("a", 3).json()).change.expect("a change");
    assert_eq!((remove.kind, remove.content), (ChangeKind::Remove, Content::Tombstone));
}

#[test]
fn shard_sequence_number_and_partition_key_are_no_part_of_the_version() {
    let builder = KinesisRecordBuilder::modify("a", 2);
    let elsewhere = builder.clone().sequence_number(7).without_partition_key();
    assert_eq!(version(&builder), version(&elsewhere));
    assert!(record(&elsewhere.json()).change.is_ok(), "a stream may distribute records without keys");
    assert_ne!(version(&builder), version(&builder.clone().event_id("other")));
}

#[test]
fn both_precisions_are_read_with_and_without_their_member() {
    let micros = KinesisRecordBuilder::modify("a", 123_456);
    let millis = micros.clone().in_milliseconds();
    assert_eq!(version(&micros), version(&micros.clone().without_precision()));
    assert_eq!(version(&millis), version(&millis.clone().without_precision()));
    assert_eq!(version(&micros).order(&version(&millis)), None, "nobody knows the microseconds of the other");
    assert!(version(&KinesisRecordBuilder::modify("a", 500_000)).is_after(&version(&millis)));
}

#[test]
fn a_time_that_would_sort_as_the_oldest_or_the_newest_is_malformed() {
    let field = "dynamodb.ApproximateCreationDateTime";
    let problem = "expected milliseconds or microseconds since 1970, as a whole number of 12 to 16 digits";
    let builder = KinesisRecordBuilder::modify("a", 2);
    for time in ["1768469467", "1768469467000", "\"1768469467000000\"", "{}", "17684694670000000"] {
        check_malformed(&builder.clone().time(time).json(), field, problem);
    }
    let timeless = builder.inner().replace("ApproximateCreationDateTime\"", "Other\"");
    check_malformed(&builder.with_data(&BASE64.encode_to_string(timeless)), field, "missing");
    check_malformed(&builder.time("null").json(), field, "missing");
}

#[test]
fn a_record_of_another_table_or_trigger_is_a_configuration_error() {
    let json = KinesisRecordBuilder::insert("a", 1).table("U").json();
    let error = record(&json).change.expect_err("a configuration error");
    assert!(matches!(error, RecordError::Configuration(ConfigurationError::OtherTable { .. })), "{error}");
    assert!(error.to_string().contains("`U`") && error.to_string().contains("data.tableName"), "{error}");
    let json = KinesisRecordBuilder::insert("a", 1).json().replace("aws:kinesis\"", "aws:dynamodb\"");
    let error = record(&json).change.expect_err("a configuration error").to_string();
    assert!(error.contains("Kinesis Data Streams (aws:kinesis)"), "{error}");
}

#[test]
fn what_is_no_record_of_dynamodb_is_rejected_alone_and_named_by_kinesis() {
    let builder = KinesisRecordBuilder::insert("a", 1);
    let data = |bytes: &[u8]| builder.with_data(&BASE64.encode_to_string(bytes));
    let aggregated = [&AGGREGATED[..], b"records"].concat();
    for (json, field, problem) in [
        (builder.with_data("?"), "kinesis.data", "expected base64"),
        (builder.json().replace("\"data\"", "\"other\""), "kinesis.data", "missing"),
        (data(b"\xff"), "kinesis.data", "expected JSON in UTF-8"),
        (
            data(&aggregated),
            "kinesis.data",
            "holds an aggregated record of the Kinesis Producer Library, and DynamoDB writes none",
        ),
        (data(b"text"), "record", "expected one stream record as an object, found a boolean"),
        (data(b"[]"), "record", "expected one stream record as an object, found an array"),
        (data(br#"{"eventID":"e"}"#), "tableName", "missing"),
        (data(br#"{"eventID":"e","tableName":"T"}"#), "dynamodb", "missing"),
        (data(builder.inner().replace("e1", "").as_bytes()), "eventID", "empty"),
        (data(builder.inner().replace("eventID", "id").as_bytes()), "eventID", "missing"),
        (data(builder.inner().replace("NewImage", "Image").as_bytes()), "dynamodb.NewImage", "missing"),
        (
            data(builder.inner().replace("INSERT", "UPSERT").as_bytes()),
            "eventName",
            "expected INSERT, MODIFY or REMOVE",
        ),
        (
            data(builder.inner().replacen("\"eventName\"", "\"eventName\":\"INSERT\",\"eventName\"", 1).as_bytes()),
            "eventName",
            "stands twice in one object",
        ),
    ] {
        let origin = check_malformed(&json, field, problem);
        assert!(origin.sequence_number.is_some(), "{json}");
        assert!(origin.event_id.is_some(), "{json}");
    }
    assert_eq!(check_malformed("17", "record", "cannot be read as a record of a Kinesis stream"), Origin::default());
    check_malformed(r#"{"eventSource":"aws:kinesis"}"#, "kinesis", "missing");
}

#[test]
fn a_number_that_lambda_would_not_know_is_never_reported() {
    for (number, expect) in [("x", None), ("", None), ("49590", Some("49590"))] {
        let json = KinesisRecordBuilder::insert("a", 1).sequence_number(number).json();
        assert_eq!(record(&json).origin.sequence_number.as_deref(), expect);
        assert!(record(&json).change.is_ok(), "the change does not need it");
    }
}

#[test]
fn base64_may_hold_the_escapes_that_json_allows() {
    let builder = KinesisRecordBuilder::insert("a", 1).new_image(r#"{"t":{"S":"??>"}}"#);
    let plain = builder.json();
    let escaped = builder.with_data(&BASE64.encode_to_string(builder.inner()).replace('/', r"\/"));
    assert_ne!(escaped, plain, "the data has a character that some writers escape");
    assert_eq!(record(&escaped).change.expect("a change"), record(&plain).change.expect("a change"));
}

/// Captures show one level of base64 inside the JSON. The developer guide says that binary values are encoded a second
/// time, by which it means the record's data as a whole.
#[test]
fn binary_values_are_base64_once_within_the_record() {
    let builder = KinesisRecordBuilder::insert("a", 1);
    let image = r#"{"b":{"B":"U3Vubnk="},"bs":{"BS":["U3Vubnk="]}}"#;
    let document = |builder: KinesisRecordBuilder| {
        let content = record(&builder.json()).change.expect("a change").content;
        String::from_utf8(content.document().expect("a document").as_bytes().to_vec()).expect("UTF-8")
    };
    assert_eq!(document(builder.clone().new_image(image)), r#"{"b":"U3Vubnk=","bs":["U3Vubnk="]}"#);
    // If DynamoDB did encode a value twice, the text of the inner base64 would be the value. Backfill would write
    // another document for the same item, and verify would name the difference.
    let twice = builder.new_image(r#"{"b":{"B":"VTNWdWJuaz0="}}"#);
    assert_eq!(document(twice), r#"{"b":"VTNWdWJuaz0="}"#);
}

#[test]
fn binary_keys_give_the_ids_that_backfill_gives() {
    let builder = KinesisRecordBuilder::insert("a", 1).keys(r#"{"pk":{"B":"+/8="}}"#);
    assert_eq!(record(&builder.json()).change.expect("a change").id.as_str(), "-_8");
}

#[test]
fn an_expired_item_stays_as_its_rules_say() {
    let rules = "[expiry]\nattribute = \"expires_at\"\nthen = \"keep\"";
    let replication = Arc::new(Replication::from_toml(rules, None).expect("rules"));
    let options = ReadOptions { replication, generation: Generation(1), ..ReadOptions::default() };
    let image = r#"{"n":{"N":"1"},"expires_at":{"N":"1768473067"}}"#;
    let builder = KinesisRecordBuilder::remove("a", 1).expiry(image);
    let content = read(&builder.json(), TABLE_ARN, &options).change.expect("a change").content;
    assert_eq!(content.expired_at(), Some(Timestamp::from_millis(1_768_473_067_000)));
    let by_client = read(&KinesisRecordBuilder::remove("a", 1).json(), TABLE_ARN, &options);
    assert_eq!(by_client.change.expect("a change").content, Content::Tombstone);
}

proptest! {
    #[test]
    fn no_damage_of_a_record_causes_a_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), is_inside in any::<bool>()) {
        let builder = KinesisRecordBuilder::modify("a", 1);
        let damaged = |text: String| {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        };
        let json = match is_inside {
            true => builder.with_data(&BASE64.encode_to_string(damaged(builder.inner()))),
            false => String::from_utf8_lossy(&damaged(builder.json())).into_owned(),
        };
        let Record { origin, change } = record(&json);
        // Damage within DynamoDB's own record never hides the number by which Lambda knows the record.
        prop_assert!(!is_inside || origin.sequence_number.is_some());
        if let Err(error) = change {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn the_key_of_a_record_is_its_items() {
    let json = KinesisRecordBuilder::insert("a", 1).json();
    let source = RecordSource::of(&json, Some(TABLE_ARN)).expect("a source");
    assert_eq!(source, RecordSource::Kinesis { table_arn: TABLE_ARN });
    assert_eq!(source.key(&json), Some(MemoryTable::key("a")));
    assert_eq!(RecordSource::of(&json, None), None);
    let stream = RecordBuilder::insert("a", 1).json();
    assert_eq!(RecordSource::of(&stream, None), Some(RecordSource::DynamoDbStreams));
    assert_eq!(RecordSource::DynamoDbStreams.key(&stream), Some(MemoryTable::key("a")));
    assert_eq!(source.key("{}"), None);
}
