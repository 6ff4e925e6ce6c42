//! Types that do not fit the mapping: the default one, or a user's own.

use serde_json::json;

use super::{Hostile, POISON};

/// The engine's words for a value that does not fit its field.
fn misfit(field: &str, kind: &str, value: &str, why: &str) -> String {
    format!(
        "failed to parse field [{field}] of type [{kind}] in document with id 'poison'. Preview of field's value: '{value}': {why}"
    )
}

#[tokio::test]
async fn a_number_that_becomes_an_object_or_a_text_is_rejected_alone() {
    let hostile = Hostile::new("number-first").await;
    hostile.indexed(r#"{"a":{"N":"1"}}"#, r#"{"a":1}"#).await;
    hostile
        .rejected(
            r#"{"a":{"M":{"b":{"N":"1"}}}}"#,
            &misfit(
                "a",
                "double",
                "{b=1}",
                "Current token (START_OBJECT) not numeric, cannot use numeric value accessors",
            ),
        )
        .await;
    hostile.rejected(r#"{"a":{"S":"x"}}"#, &misfit("a", "double", "x", r#"For input string: "x""#)).await;
    hostile
        .rejected(
            r#"{"a":{"BOOL":true}}"#,
            &misfit(
                "a",
                "double",
                "true",
                "Current token (VALUE_TRUE) not numeric, cannot use numeric value accessors",
            ),
        )
        .await;
    hostile.indexed(r#"{"a":{"S":"1.50"}}"#, r#"{"a":"1.50"}"#).await;
    hostile.indexed(r#"{"a":{"S":""}}"#, r#"{"a":""}"#).await;
    hostile.indexed(r#"{"a":{"NULL":true}}"#, r#"{"a":null}"#).await;
    hostile.indexed(r#"{"a":{"L":[]}}"#, r#"{"a":[]}"#).await;
}

#[tokio::test]
async fn an_object_that_becomes_a_number_is_rejected_alone() {
    let hostile = Hostile::new("object-first").await;
    hostile.indexed(r#"{"a":{"M":{"b":{"N":"1"}}}}"#, r#"{"a":{"b":1}}"#).await;
    hostile
        .rejected(
            r#"{"a":{"N":"1"}}"#,
            "object mapping for [a] tried to parse field [a] as object, but found a concrete value",
        )
        .await;
    hostile.indexed(r#"{"a":{"NULL":true}}"#, r#"{"a":null}"#).await;
    hostile.indexed(r#"{"a":{"L":[]}}"#, r#"{"a":[]}"#).await;
}

#[tokio::test]
async fn a_text_may_become_a_number_and_a_truth_value_but_no_object() {
    let hostile = Hostile::new("text-first").await;
    hostile.indexed(r#"{"a":{"S":"x"}}"#, r#"{"a":"x"}"#).await;
    hostile.indexed(r#"{"a":{"N":"1"}}"#, r#"{"a":1}"#).await;
    hostile.indexed(r#"{"a":{"BOOL":true}}"#, r#"{"a":true}"#).await;
    hostile
        .indexed(r#"{"a":{"L":[{"S":"x"},{"N":"1"},{"BOOL":true},{"NULL":true}]}}"#, r#"{"a":["x",1,true,null]}"#)
        .await;
    hostile
        .rejected(
            r#"{"a":{"M":{"b":{"N":"1"}}}}"#,
            &misfit("a", "text", "{b=1}", "Can't get text on a START_OBJECT at 1:6"),
        )
        .await;
}

#[tokio::test]
async fn a_truth_value_stays_one() {
    let hostile = Hostile::new("bool-first").await;
    hostile.indexed(r#"{"a":{"BOOL":true}}"#, r#"{"a":true}"#).await;
    hostile.indexed(r#"{"a":{"S":"false"}}"#, r#"{"a":"false"}"#).await;
    hostile
        .rejected(
            r#"{"a":{"S":"yes"}}"#,
            &misfit("a", "boolean", "yes", "Failed to parse value [yes] as only [true] or [false] are allowed."),
        )
        .await;
}

#[tokio::test]
async fn a_list_of_mixed_types_is_rejected_where_no_mapping_says_what_it_is() {
    let hostile = Hostile::new("mixed-list").await;
    hostile
        .rejected(r#"{"a":{"L":[{"N":"1"},{"S":"x"}]}}"#, "mapper [a] cannot be changed from type [double] to [text]")
        .await;
    hostile
        .rejected(r#"{"a":{"L":[{"S":"x"},{"N":"1"}]}}"#, "mapper [a] cannot be changed from type [text] to [double]")
        .await;
    hostile
        .rejected(
            r#"{"a":{"L":[{"M":{"b":{"N":"1"}}},{"N":"1"}]}}"#,
            "can't merge a non object mapping [a] with an object mapping",
        )
        .await;
    // What was refused has left no mapping behind, and numbers of both kinds are one type.
    hostile.indexed(r#"{"a":{"L":[{"N":"1"},{"N":"1.5"},{"NULL":true}]}}"#, r#"{"a":[1,1.5,null]}"#).await;
    let mapped = Hostile::defined(
        "mixed-mapped",
        json!({"mappings": {"properties": {"a": {"type": "keyword"}, "o": {"type": "object", "enabled": false}}}}),
    )
    .await;
    mapped.indexed(r#"{"a":{"L":[{"N":"1"},{"S":"x"}]}}"#, r#"{"a":[1,"x"]}"#).await;
    mapped.indexed(r#"{"o":{"L":[{"M":{"b":{"N":"1"}}},{"N":"1"}]}}"#, r#"{"o":[{"b":1},1]}"#).await;
}

#[tokio::test]
async fn numbers_of_any_size_are_indexed_by_default_and_refused_where_the_users_own_type_is_smaller() {
    let numbers = [
        "1E125",
        "-1E-130",
        "9.9999999999999999999999999999999999999E125",
        "99999999999999999999999999999999999999",
        "9223372036854775808",
    ];
    let hostile = Hostile::new("numbers").await;
    for number in numbers {
        hostile.indexed(&format!(r#"{{"a":{{"N":"{number}"}}}}"#), &format!(r#"{{"a":{number}}}"#)).await;
    }
    let own = Hostile::defined(
        "numbers-own",
        json!({"mappings": {"properties": {"l": {"type": "long"}, "i": {"type": "integer"}}}}),
    )
    .await;
    own.rejected(
        r#"{"l":{"N":"1E125"}}"#,
        &misfit(
            "l",
            "long",
            "1.0E125",
            "Numeric value (1E125) out of range of `long` (-9223372036854775808 - 9223372036854775807)",
        ),
    )
    .await;
    own.rejected(
        r#"{"i":{"N":"3000000000"}}"#,
        &misfit(
            "i",
            "integer",
            "3000000000",
            "Numeric value (3000000000) out of range of `int` (-2147483648 - 2147483647)",
        ),
    )
    .await;
    own.indexed(r#"{"l":{"N":"1.5"}}"#, r#"{"l":1.5}"#).await;
}

#[tokio::test]
async fn what_is_no_date_is_rejected_under_a_users_date_mapping() {
    let date = |more: serde_json::Value| json!({"mappings": {"properties": {"d": more}}});
    let strict = Hostile::defined("dates", date(json!({"type": "date"}))).await;
    strict.indexed(r#"{"d":{"S":"2026-01-15"}}"#, r#"{"d":"2026-01-15"}"#).await;
    strict.rejected(r#"{"d":{"S":"soon"}}"#, &misfit("d", "date", "soon", "failed to parse date field [soon] with format [strict_date_optional_time||epoch_millis]: Failed to parse with all enclosed parsers")).await;
    strict.rejected(r#"{"d":{"S":"2026-02-30"}}"#, &misfit("d", "date", "2026-02-30", "failed to parse date field [2026-02-30] with format [strict_date_optional_time||epoch_millis]: Failed to parse with all enclosed parsers")).await;
    strict.rejected(r#"{"d":{"S":""}}"#, &misfit("d", "date", "", "cannot parse empty date")).await;
    // The remedy: the document is kept whole and found by all its other fields, and `_ignored` tells which one is not.
    let lenient = Hostile::defined("dates-lenient", date(json!({"type": "date", "ignore_malformed": true}))).await;
    lenient.indexed(r#"{"d":{"S":"soon"}}"#, r#"{"d":"soon"}"#).await;
    assert_eq!(lenient.index().search(json!({"term": {"_ignored": "d"}})).await, [POISON]);
}
