//! Names, how many there are, and how deep they stand.

use opensearch::http::Method;
use serde_json::json;

use super::Hostile;
use crate::support::with_image;

/// The engine's words for what is nested too deeply.
fn too_deep(what: &str, limit: u32) -> String {
    format!(
        "failed to parse: The depth of the {what} has exceeded the allowed limit of [{limit}]. This limit can be set by changing the [index.mapping.depth.limit] index level setting."
    )
}

const TOO_MANY: &str = "Limit of total fields [1000] has been exceeded";

fn attributes(names: impl Iterator<Item = String>) -> String {
    names.map(|name| format!(r#""{name}":{{"N":"1"}}"#)).collect::<Vec<_>>().join(",")
}

#[tokio::test]
async fn more_than_a_thousand_fields_in_one_item_are_rejected_alone() {
    let hostile = Hostile::new("fields").await;
    let many = attributes((0..1_001).map(|at| format!("a{at}")));
    hostile.rejected(&format!("{{{many}}}"), TOO_MANY).await;
    let own = json!({"mappings": {"properties": {"prices": hostile.index().flat_mapping().await}}});
    let flat = Hostile::defined("fields-flat", own).await;
    let image = format!(r#"{{"prices":{{"M":{{{many}}}}}}}"#);
    flat.applied(|number| with_image(super::POISON, number, &image)).await;
}

#[tokio::test]
async fn fields_that_grow_with_the_items_are_rejected_from_the_limit_on_and_taken_once_it_is_raised() {
    let hostile = Hostile::new("grown").await;
    for page in 0..4 {
        let image = attributes((0..240).map(|at| format!("p{page}a{at}")));
        hostile.indexed(&format!("{{{image}}}"), &format!("{{{}}}", sorted(&image))).await;
    }
    let image = attributes((0..240).map(|at| format!("last{at}")));
    hostile.rejected(&format!("{{{image}}}"), TOO_MANY).await;
    let known = r#"{"p0a0":{"N":"2"}}"#;
    hostile.indexed(known, r#"{"p0a0":2}"#).await;
    let limit = json!({"index.mapping.total_fields.limit": 2_000});
    hostile.index().send(Method::Put, &format!("/{}/_settings", hostile.index().name), Some(limit)).await;
    hostile.indexed(&format!("{{{image}}}"), &format!("{{{}}}", sorted(&image))).await;
}

/// The document's members: by name, and plain numbers.
fn sorted(attributes: &str) -> String {
    let mut members: Vec<String> = attributes.replace(r#"{"N":"1"}"#, "1").split(',').map(str::to_owned).collect();
    members.sort();
    members.join(",")
}

#[tokio::test]
async fn names_of_any_characters_are_indexed_and_read_back() {
    let hostile = Hostile::new("odd-names").await;
    for (name, field) in [
        ("a\u{0}b", "a\u{0}b"),
        (" a ", " a "),
        ("\u{200b}", "\u{200b}"),
        ("\u{fffe}\u{ffff}", "\u{fffe}\u{ffff}"),
        ("*", "*"),
        ("\u{2028}", "%E2%80%A8"),
        ("\u{1F600}", "\u{1F600}"),
        ("", "%"),
        ("_id", "%5Fid"),
        ("a.b", "a%2Eb"),
    ] {
        let [name, field] = [name, field].map(|text| serde_json::Value::from(text).to_string());
        let value = r#"{"S":"v"}"#;
        hostile.indexed(&format!("{{{name}:{value}}}"), &format!(r#"{{{field}:"v"}}"#)).await;
        let nested = if field == r#""%5Fid""# { &name } else { &field };
        let image = format!(r#"{{"nested":{{"M":{{{name}:{value}}}}}}}"#);
        hostile.indexed(&image, &format!(r#"{{"nested":{{{nested}:"v"}}}}"#)).await;
    }
}

#[tokio::test]
async fn a_name_longer_than_the_engine_reads_is_rejected_alone() {
    let hostile = Hostile::new("long-names").await;
    let named = |length: usize| {
        (format!(r#"{{"{0}":{{"S":"v"}}}}"#, "n".repeat(length)), format!(r#"{{"{0}":"v"}}"#, "n".repeat(length)))
    };
    let (image, document) = named(40_000);
    hostile.indexed(&image, &document).await;
    let (image, document) = named(65_535);
    if hostile.index().is_quoted_engine().await {
        let words = "failed to parse: Name length (65535) exceeds the maximum allowed (50000, from `StreamReadConstraints.getMaxNameLength()`)";
        hostile.rejected(&image, words).await;
    } else {
        // Older engines read names of any length that DynamoDB has.
        hostile.indexed(&image, &document).await;
    }
}

/// An attribute of `levels` levels: maps, lists, or one within the other.
fn nested(levels: usize, open: [&str; 2], close: [&str; 2], core: &str) -> String {
    let opened: String = (0..levels).map(|level| open[level % 2]).collect();
    let closed: String = (0..levels).rev().map(|level| close[level % 2]).collect();
    format!("{opened}{core}{closed}")
}

#[tokio::test]
async fn dynamodbs_deepest_items_are_indexed_and_deeper_ones_rejected_alone() {
    let hostile = Hostile::new("depth").await;
    let (map, list) = (r#"{"M":{"a":"#, r#"{"L":["#);
    for (attribute, document, core) in [
        ([map, map], ([r#"{"a":"#, r#"{"a":"#], ["}", "}"]), (r#"{"SS":["x"]}"#, r#"["x"]"#)),
        ([list, list], (["[", "["], ["]", "]"]), (r#"{"N":"1"}"#, "1")),
        ([map, list], ([r#"{"a":"#, "["], ["}", "]"]), (r#"{"S":"x"}"#, r#""x""#)),
    ] {
        let close = attribute.map(|open| if open == map { "}}" } else { "]}" });
        // Of another name each, for lists of numbers and maps are two types.
        let name = format!("d{}", hostile.next());
        let image = format!(r#"{{"{name}":{}}}"#, nested(31, attribute, close, core.0));
        hostile.indexed(&image, &format!(r#"{{"{name}":{}}}"#, nested(31, document.0, document.1, core.1))).await;
    }
    let image = |levels, open, close| format!(r#"{{"d":{}}}"#, nested(levels, [open; 2], [close; 2], r#"{"N":"1"}"#));
    hostile.rejected(&image(45, map, "}}"), &too_deep("field", 40)).await;
    let lists = image(45, list, "]}");
    if hostile.index().engine_kind().await == "opensearch" {
        hostile.rejected(&lists, &too_deep("nested array field", 40)).await;
    } else {
        // Elasticsearch has no such limit for lists.
        hostile.indexed(&lists, &format!(r#"{{"d":{}}}"#, nested(45, ["["; 2], ["]"; 2], "1"))).await;
    }
    let beyond = image(70, map, "}}");
    let words = "dynamodb.NewImage: nested deeper than 128 levels of JSON at line 1, column 636; an item of DynamoDB's has at most 32 levels of attributes";
    hostile.malformed(|number| with_image(super::POISON, number, &beyond), words).await;
    let own = Hostile::defined("depth-own", json!({"settings": {"number_of_shards": 1}})).await;
    own.rejected(&image(31, map, "}}"), &too_deep("field", 20)).await;
}
