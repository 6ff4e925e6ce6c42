use serde_json::json;

use super::*;

/// Proposes from items in DynamoDB JSON.
fn proposed(items: &[Value], engine: EngineKind) -> Proposal {
    let texts: Vec<String> = items.iter().map(Value::to_string).collect();
    let items: Vec<Item<'_>> = texts.iter().map(|text| Item::from_json(text).expect("an item")).collect();
    propose(&items, None, engine)
}

/// Checks the mapping of the attribute `name` with these values, and a part of its comment.
#[track_caller]
fn check(name: &str, values: Vec<Value>, mapping: Value, comment: &str) {
    let items: Vec<Value> = values.into_iter().map(|value| json!({name: value})).collect();
    let proposal = proposed(&items, EngineKind::Opensearch);
    assert_eq!(proposal.definition["mappings"]["properties"][name], mapping, "{:?}", proposal.fields);
    let guess = proposal.fields.iter().find(|guess| guess.path == name).expect("a guess");
    assert!(guess.comment.contains(comment), "{guess:?}");
}

fn keyword() -> Value {
    json!({"type": "keyword", "ignore_above": 8_191})
}

fn texts(texts: impl IntoIterator<Item = String>) -> Vec<Value> {
    texts.into_iter().map(|text| json!({"S": text})).collect()
}

fn numbers(numbers: &[&str]) -> Vec<Value> {
    numbers.iter().map(|number| json!({"N": number})).collect()
}

#[test]
fn texts_are_told_apart_by_form_repetition_and_words() {
    check("status", texts((0..40).map(|n| format!("on hold {}", n % 3))), keyword(), "3 different in 40 values");
    check("sku", texts((0..9).map(|n| format!("SKU-{n}"))), keyword(), "without spaces");
    let both = json!({"type": "text", "fields": {"keyword": keyword()}});
    check("name", texts((0..9).map(|n| format!("Ada {n}"))), both, "9 with spaces");
    let long = texts((0..9).map(|n| format!("{n} {}", "word ".repeat(200))));
    check("note", long, json!({"type": "text"}), "201 words on average");
    check("at", texts((1..9).map(|n| format!("2026-01-0{n}T09:30:00Z"))), json!({"type": "date"}), "ISO 8601");
    let spaced = json!({"type": "date", "format": "yyyy-MM-dd HH:mm:ss||strict_date_optional_time"});
    check("at", texts((1..9).map(|n| format!("2026-01-0{n} 09:30:00"))), spaced, "a space");
    let mut some = texts((1..9).map(|n| format!("2026-01-0{n}")));
    some.push(json!({"S": ""}));
    check("at", some, keyword(), "8 are dates: a `date` would reject the others");
}

#[test]
fn numbers_beyond_a_double_are_keywords() {
    check("snowflake", numbers(&["1234567890123456789", "5"]), keyword(), "1 of 2 whole numbers are beyond 2^53");
    let thirty_eight = "12345678901234567890.123456789012345678";
    let exact = json!({"type": "double", "fields": {"exact": {"type": "keyword", "ignore_above": 256}}});
    check("share", numbers(&[thirty_eight, "0.5"]), exact, "1 of 2 numbers have more than 15 digits");
    check("total", numbers(&["12.50", "7"]), json!({"type": "double"}), "up to 15 digits");
    check("count", numbers(&["9007199254740992", "7"]), json!({"type": "double"}), "a double takes fractions");
}

#[test]
fn numbers_are_times_only_if_their_name_says_so() {
    let (seconds, milliseconds) = (["1768469467", "1900000000"], ["1768469467310", "1900000000000"]);
    let seconds_mapping = json!({"type": "date", "format": "epoch_second"});
    check("expiresAt", numbers(&seconds), seconds_mapping, "epoch seconds");
    check("created_at", numbers(&milliseconds), json!({"type": "date", "format": "epoch_millis"}), "milliseconds");
    check("ean", numbers(&milliseconds), json!({"type": "double"}), "if they are epoch milliseconds");
    check("ttl", numbers(&["1768469467", "0"]), json!({"type": "double"}), "a double takes fractions");
}

#[test]
fn other_scalars_and_mixtures_have_a_type_that_takes_them() {
    check("flag", vec![json!({"BOOL": true})], json!({"type": "boolean"}), "others are rejected");
    check("bytes", vec![json!({"B": "AAEC"}), json!({"BS": ["AA=="]})], json!({"type": "binary"}), "not searched");
    let list = json!({"L": [{"S": "a"}, {"N": "1"}]});
    check("mixed", vec![list], keyword(), "a list of mixed types: texts, numbers");
    check("loose", vec![json!({"S": "10%"}), json!({"N": "1"})], keyword(), "texts, numbers: a keyword takes");
    check("tags", vec![json!({"SS": ["a", "b"]}), json!({"NULL": true})], keyword(), "in 2 of 2 items; 2 different");
    let unsearched = json!({"type": "object", "enabled": false});
    check("address", vec![json!({"M": {"city": {"S": "Ulm"}}}), json!({"S": "Ulm"})], unsearched, "maps and texts");
    let proposal = proposed(&[json!({"nothing": {"NULL": true}, "empty": {"L": []}})], EngineKind::Opensearch);
    assert_eq!(proposal.definition["mappings"]["properties"], json!({}));
    assert_eq!(proposal.fields.len(), 2);
}

#[test]
fn maps_are_objects_nested_flat_or_places() {
    let line = |n: usize| json!({"M": {"sku": {"S": format!("s{n}")}, "qty": {"N": "1"}}});
    let nested = json!({"type": "nested", "properties": {"sku": keyword(), "qty": {"type": "double"}}});
    check("lines", (0..4).map(|n| json!({"L": [line(n), line(n + 1)]})).collect(), nested, "8 in the sample");
    let object = json!({"type": "object", "properties": {"sku": keyword(), "qty": {"type": "double"}}});
    check("line", (0..4).map(line).collect(), object, "2 members");
    let one = json!({"type": "object", "properties": {"sku": keyword()}});
    check("skus", vec![json!({"L": [{"M": {"sku": {"S": "a"}}}]})], one, "searched like a list");
    let by_sku = |n: usize| json!({"M": {format!("sku-{n:04}"): {"N": "1"}, format!("sku-{:04}", n + 1): {"N": "2"}}});
    check("stock", (0..9).map(by_sku).collect(), json!({"type": "flat_object"}), "maps with 10 different keys");
    let rare = |n: u8| json!({"M": {format!("{}x", char::from(b'a' + n)): {"N": "1"}}});
    check("rare", (0..25).map(rare).collect(), json!({"type": "flat_object"}), "25 different keys");
    let place = |lat: &str| json!({"M": {"lat": {"N": lat}, "lon": {"N": "9.99"}}});
    check("place", vec![place("48.4"), place("-90")], json!({"type": "geo_point"}), "distances");
    let proposal = proposed(&[json!({"place": place("91")})], EngineKind::Opensearch);
    assert_eq!(proposal.definition["mappings"]["properties"]["place"]["type"], "object");
    let items: Vec<Value> = (0..9).map(|n| json!({"stock": by_sku(n)})).collect();
    let proposal = proposed(&items, EngineKind::Elasticsearch);
    assert_eq!(proposal.definition["mappings"]["properties"]["stock"], json!({"type": "flattened"}));
    let proposal = proposed(&items, EngineKind::ElasticsearchOss);
    let kept = json!({"type": "object", "enabled": false});
    assert_eq!(proposal.definition["mappings"]["properties"]["stock"], kept);
}

#[test]
fn comments_quote_no_value_and_paths_are_those_of_the_document() {
    let items = [json!({"a.b": {"S": "secret"}, "_id": {"M": {"x.y": {"S": "secret"}}}, "n": {"N": "4711"}})];
    let proposal = proposed(&items, EngineKind::Opensearch);
    let paths: Vec<&str> = proposal.fields.iter().map(|guess| guess.path.as_str()).collect();
    assert_eq!(paths, ["%5Fid", "%5Fid.x%2Ey", "a%2Eb", "n"]);
    let text = serde_json::to_string(&proposal).expect("JSON");
    assert!(!text.contains("secret") && !text.contains("4711"), "{text}");
}

#[test]
fn many_fields_raise_the_limits_of_the_index() {
    let line = json!({"L": [{"M": {"sku": {"S": "s"}, "qty": {"N": "1"}}}]});
    let item: Map<String, Value> = (0..300).map(|n| (format!("f{n}"), line.clone())).collect();
    let settings = proposed(&[item.into()], EngineKind::Opensearch).definition["settings"].clone();
    assert_eq!(settings["index.mapping.total_fields.limit"], 3_600);
    assert_eq!(settings["index.mapping.nested_fields.limit"], 600);
    assert_eq!(settings["index.mapping.depth.limit"], 40);
}
