//! Characters, and things that are empty.

use super::Hostile;
use crate::support::{documents, with_image, with_keys};

#[tokio::test]
async fn every_character_comes_back_as_it_was() {
    let hostile = Hostile::new("characters").await;
    let controls: String = (0..0x20).filter_map(char::from_u32).collect();
    for text in [
        controls.as_str(),
        "\u{7f}\u{80}\u{85}\u{9f}",
        "\u{2028}\u{2029}\u{feff}\u{202e}",
        "\u{fffe}\u{ffff}\u{10ffff}",
        "\u{e000}\u{1F600}e\u{301}",
        "\\\"/</script>{{}}",
    ] {
        let json = serde_json::Value::from(text).to_string();
        hostile
            .indexed(
                &format!(r#"{{"s":{{"S":{json}}},"set":{{"SS":[{json}]}}}}"#),
                &format!(r#"{{"s":{json},"set":[{json}]}}"#),
            )
            .await;
    }
    hostile.indexed(r#"{"s":{"S":"\ud83d\ude00\u0041"}}"#, "{\"s\":\"\u{1F600}A\"}").await;
}

#[tokio::test]
async fn half_a_surrogate_pair_is_malformed_alone() {
    let hostile = Hostile::new("surrogates").await;
    for (image, words) in [
        (
            r#"{"s":{"S":"\ud800"}}"#,
            "dynamodb.NewImage: a string holds half of a surrogate pair, such as \\ud800, which is no Unicode text, at line 1, column 18",
        ),
        (
            r#"{"\udc00x":{"S":"v"}}"#,
            "dynamodb.NewImage: a string holds half of a surrogate pair, such as \\ud800, which is no Unicode text, at line 1, column 8",
        ),
    ] {
        hostile.malformed(|number| with_image(super::POISON, number, image), words).await;
    }
}

#[tokio::test]
async fn what_is_empty_stays_empty() {
    let hostile = Hostile::new("empty").await;
    // An index shows it as it shows a tombstone, but for the filter: with `_driftless` alone.
    hostile.indexed("{}", "").await;
    hostile.indexed(
        r#"{"b":{"B":""},"bs":{"BS":[]},"l":{"L":[]},"m":{"M":{}},"ns":{"NS":[]},"s":{"S":""},"ss":{"SS":[]},"z":{"M":{"":{"NULL":true}}}}"#,
        r#"{"b":"","bs":[],"l":[],"m":{},"ns":[],"s":"","ss":[],"z":{"%":null}}"#,
    )
    .await;
}

#[tokio::test]
async fn keys_of_any_characters_are_ids_and_empty_ones_malformed() {
    let hostile = Hostile::new("odd-keys").await;
    let keys = ["\u{0}\u{1}", " ", "a\nb ", "\u{fffe}\u{ffff}", "\u{2028}", "..", "_", "*", "\u{1F600}"];
    for key in keys {
        let json = serde_json::Value::from(key).to_string();
        hostile.applied(|number| with_keys(&format!(r#"{{"pk":{{"S":{json}}}}}"#), number)).await;
    }
    let visible = hostile.index().visible().await;
    assert!(keys.iter().all(|key| visible.contains_key(*key)), "{visible:?}");
    let before = visible.len();
    for (keys, words) in [
        (r#"{"pk":{"S":""}}"#, "dynamodb.Keys: key attribute `pk` is empty"),
        (r#"{"pk":{"BOOL":true}}"#, "dynamodb.Keys: key attribute `pk` is no string, number or binary"),
        (
            r#"{"a":{"S":"1"},"b":{"S":"2"},"c":{"S":"3"}}"#,
            "dynamodb.Keys: expected one or two key attributes, found 3",
        ),
        ("{}", "dynamodb.Keys: expected one or two key attributes, found 0"),
    ] {
        hostile.malformed(|number| with_keys(keys, number), words).await;
    }
    // Four times two neighbours.
    assert_eq!(hostile.index().visible().await.len(), before + 8);
    assert_ne!(hostile.index().all().await, documents(&[]));
}
