//! Records with missing, odd, doubled or additional members.

use super::{Hostile, POISON};
use crate::support::{HELD, Index, ReplicateFunction, remove, with_image};

/// A right record, with a part of its text replaced.
fn edited(from: &str, to: &str) -> impl Fn(u64) -> String {
    move |number| {
        let right = with_image(POISON, number, r#"{"n":{"N":"1"}}"#);
        let from = from.replace("NUMBER", &super::reported(number));
        assert!(right.contains(&from), "{from} is no part of {right}");
        right.replacen(&from, &to.replace("NUMBER", &super::reported(number)), 1)
    }
}

const ARN: &str =
    r#""eventSourceARN":"arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/2026-01-15T09:30:00.000","#;
const SEQUENCE: &str = r#""SequenceNumber":"NUMBER","#;

#[tokio::test]
async fn a_member_that_is_missing_null_odd_or_doubled_is_named() {
    let hostile = Hostile::new("members").await;
    for (from, to, words) in [
        (r#""eventName":"INSERT","#, "", "eventName: missing"),
        (r#""eventName":"INSERT","#, r#""eventName":null,"#, "eventName: missing"),
        (r#""eventName":"INSERT","#, r#""eventName":["INSERT"],"#, "eventName: expected a string, found an array"),
        (r#""eventName":"INSERT","#, r#""eventName":"UPSERT","#, "eventName: expected INSERT, MODIFY or REMOVE"),
        (
            r#""eventName":"INSERT","#,
            r#""eventName":"INSERT","eventName":"REMOVE","#,
            "eventName: stands twice in one object",
        ),
        (r#""eventSource":"aws:dynamodb","#, "", "eventSource: missing"),
        (r#""eventSource":"aws:dynamodb","#, r#""eventSource":7,"#, "eventSource: expected a string, found a number"),
        (ARN, "", "eventSourceARN: missing"),
        (ARN, r#""eventSourceARN":{},"#, "eventSourceARN: expected a string, found an object"),
        (
            ARN,
            r#""eventSourceARN":"arn:aws:dynamodb:x:1:table/T","#,
            "eventSourceARN: expected arn:…:table/NAME/stream/CREATION-TIME",
        ),
        (r#""dynamodb":{"#, r#""other":{"#, "dynamodb: missing"),
        (r#""dynamodb":{"#, r#""dynamodb":null,"other":{"#, "dynamodb: missing"),
        (r#""dynamodb":{"#, r#""dynamodb":[],"other":{"#, "dynamodb: expected the change as an object, found an array"),
        (r#""dynamodb":{"#, r#""dynamodb":{"Keys":{},"#, "dynamodb.Keys: stands twice in one object"),
        (SEQUENCE, "", "dynamodb.SequenceNumber: missing"),
        (SEQUENCE, r#""SequenceNumber":12,"#, "dynamodb.SequenceNumber: expected a string, found a number"),
        (SEQUENCE, r#""SequenceNumber":"12x","#, "dynamodb.SequenceNumber: expected 1 to 40 decimal digits"),
        (r#""Keys":{"pk":{"S":"poison"}},"#, "", "dynamodb.Keys: missing"),
        (
            r#""Keys":{"pk":{"S":"poison"}},"#,
            r#""Keys":"pk","#,
            "dynamodb.Keys: expected a map of attribute values, found a string",
        ),
        (r#""NewImage":{"n":{"N":"1"}},"#, "", "dynamodb.NewImage: missing"),
        (r#""NewImage":{"n":{"N":"1"}},"#, r#""NewImage":null,"#, "dynamodb.NewImage: missing"),
        (
            r#""NewImage":{"n":{"N":"1"}},"#,
            r#""NewImage":[],"#,
            "dynamodb.NewImage: expected a map of attribute values, found an array",
        ),
    ] {
        hostile.malformed(edited(from, to), words).await;
    }
    assert!(!hostile.index().visible().await.contains_key(POISON));
}

#[tokio::test]
async fn an_attribute_value_that_is_none_is_named_without_its_content() {
    let hostile = Hostile::new("values").await;
    for (value, words) in [
        ("null", "dynamodb.NewImage.n: expected an object with exactly one type tag, found null"),
        ("{}", "dynamodb.NewImage.n: expected an object with exactly one type tag, found an empty object"),
        (
            r#"{"S":"a","N":"1"}"#,
            "dynamodb.NewImage.n: expected an object with exactly one type tag, found an object with several members",
        ),
        (
            r#"{"X":"secret"}"#,
            "dynamodb.NewImage.n: unknown type tag; DynamoDB has S, N, B, BOOL, NULL, M, L, SS, NS, BS",
        ),
        (r#"{"S":null}"#, "dynamodb.NewImage.n: expected a string, found null"),
        (r#"{"N":1}"#, "dynamodb.NewImage.n: expected a number as a string, found a number"),
        (r#"{"N":"secret"}"#, r#"dynamodb.NewImage.n: not a decimal number such as "12", "-0.5" or "1E+10""#),
        (
            r#"{"N":1e999}"#,
            "dynamodb.NewImage: not valid JSON, or with a number that is out of range, at line 1, column 15",
        ),
        (r#"{"B":"%"}"#, "dynamodb.NewImage.n: not padded standard base64"),
        (r#"{"BOOL":"true"}"#, "dynamodb.NewImage.n: expected true or false, found a string"),
        (r#"{"L":{}}"#, "dynamodb.NewImage.n: expected a list, found an empty object"),
        (r#"{"L":[{"S":"x"},{"SS":[7]}]}"#, "dynamodb.NewImage.n[1][0]: expected a string, found a number"),
        (r#"{"M":{"a":{"S":"x"},"a":{"S":"y"}}}"#, "dynamodb.NewImage: an attribute name stands twice in one map"),
    ] {
        hostile.malformed(edited(r#"{"N":"1"}"#, value), words).await;
    }
}

#[tokio::test]
async fn what_is_no_record_at_all_is_malformed_alone() {
    let hostile = Hostile::new("no-record").await;
    for (json, found) in
        [("null", "null"), ("7", "a number"), ("\"x\"", "a string"), ("[]", "an array"), ("true", "a boolean")]
    {
        let words = format!("record: expected one stream record as an object, found {found}");
        hostile.malformed(|_| json.to_owned(), &words).await;
    }
    hostile.malformed(|_| "{}".to_owned(), "dynamodb: missing").await;
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    hostile.malformed(|_| deep.clone(), "record: expected one stream record as an object, found an array").await;
}

#[tokio::test]
async fn what_a_record_has_too_much_or_lacks_without_harm_is_passed_over() {
    let hostile = Hostile::new("additional").await;
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let times = [
        "",
        r#""ApproximateCreationDateTime":null,"#,
        r#""ApproximateCreationDateTime":"soon","#,
        r#""ApproximateCreationDateTime":0,"#,
        r#""ApproximateCreationDateTime":1e300,"#,
    ];
    let time = r#""ApproximateCreationDateTime":1768469467,"#;
    let edits = times.map(|odd| (time, odd.to_owned())).into_iter().chain([
        (r#""eventID":""#, r#""eventID":7,"other":""#.to_owned()),
        (r#""dynamodb":{"#, format!(r#""future":{deep},"dynamodb":{{"Future":{deep},"OldImage":{deep},"#)),
        (r#","StreamViewType":"NEW_IMAGE""#, String::new()),
        (r#""StreamViewType":"NEW_IMAGE""#, r#""StreamViewType":7"#.to_owned()),
        (r#""Keys""#, "\n\t \"Keys\" \r\n".to_owned()),
    ]);
    for (from, to) in edits {
        hostile.applied(edited(from, &to)).await;
        assert_eq!(hostile.index().visible().await[POISON], r#"{"n":1}"#, "{to:.100}");
    }
}

#[tokio::test]
async fn a_record_of_another_kind_of_stream_fails_the_invocation_and_is_taken_for_no_data_error() {
    let hostile = Hostile::new("other-stream").await;
    for (from, to) in [("aws:dynamodb\"", "aws:kinesis\""), ("\"NEW_IMAGE\"", "\"KEYS_ONLY\"")] {
        let ended = hostile.stage.invoke(&[edited(from, to)(hostile.next())]).await;
        let error = ended.answer.expect_err("refused");
        assert_eq!((error.kind(), ended.letters.len()), ("Configuration", 0));
        super::documented(&error.to_string().replace('\n', " "));
    }
}

#[tokio::test]
async fn an_expiry_without_its_old_image_fails_the_invocation_where_documents_are_kept() {
    let index = Index::new("no-old-image");
    let mut settings = index.settings();
    settings.push(("REPLICATION".to_owned(), "[expiry]\nattribute = \"t\"\nthen = \"keep\"".to_owned()));
    let service = r#""userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"eventName""#;
    let expired = remove("a", 1).replace("\"eventName\"", service);
    let error = ReplicateFunction::new(settings).timeout(HELD).invoke(&[expired]).await.expect_err("refused");
    super::documented(&error.to_string());
}
