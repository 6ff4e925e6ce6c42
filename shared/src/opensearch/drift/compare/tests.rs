use super::*;

fn definition(mappings: Value, settings: Value) -> IndexDefinition {
    let body = json!({"mappings": mappings, "settings": settings});
    IndexDefinition::from_json(&body.to_string()).expect("valid")
}

#[track_caller]
fn check(wanted: Value, live: Value, applicable: &[&str], needs_reindex: &[&str]) -> Comparison {
    let found = compare(&definition(wanted, json!({})), &json!({"mappings": live}));
    assert_eq!((&found.applicable[..], &found.needs_reindex[..]), (&owned(applicable)[..], &owned(needs_reindex)[..]));
    found
}

fn owned(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

#[test]
fn what_an_engine_leaves_out_is_no_drift() {
    let wanted = json!({"dynamic": true, "date_detection": true, "properties": {
        "id": {"type": "keyword", "index": true, "doc_values": true, "norms": false},
        "text": {"type": "text", "norms": true, "fields": {"raw": {"type": "keyword", "ignore_above": 256}}},
        "at": {"type": "date", "format": "strict_date_optional_time||epoch_millis"},
        "place": {"type": "object", "properties": {"city": {"type": "keyword"}}},
        "place.street": {"type": "text"}
    }});
    let live = json!({"properties": {
        "_driftless": {"dynamic": "false"},
        "id": {"type": "keyword"},
        "text": {"type": "text", "fields": {"raw": {"type": "keyword", "ignore_above": 256}}},
        "at": {"type": "date"},
        "place": {"properties": {"city": {"type": "keyword"}, "street": {"type": "text"}}},
        "grown": {"type": "double"}
    }});
    let found = check(wanted, live, &[], &[]);
    assert!(found.mappings.is_empty() && found.settings.is_empty(), "{found:?}");
}

#[test]
fn new_fields_and_rules_are_applicable() {
    let wanted = json!({"date_detection": false, "dynamic_templates": [{"s": {"mapping": {"type": "keyword"}}}],
        "properties": {"new": {"type": "date"}, "place": {"properties": {"zip": {"type": "keyword"}}},
        "lines": {"type": "nested", "properties": {"sku": {"type": "keyword"}}}}});
    let live = json!({"numeric_detection": true, "properties": {
        "place": {"properties": {"city": {"type": "keyword"}}}, "lines": {"type": "nested"}}});
    let paths = ["date_detection", "dynamic_templates", "numeric_detection", "lines.sku", "new", "place.zip"];
    let found = check(wanted, live, &paths, &[]);
    let change = json!({
        "date_detection": false, "dynamic_templates": [{"s": {"mapping": {"type": "keyword"}}}], "numeric_detection": false,
        "properties": {"new": {"type": "date"}, "place": {"properties": {"zip": {"type": "keyword"}}},
            "lines": {"type": "nested", "properties": {"sku": {"type": "keyword"}}}}
    });
    assert_eq!(Value::Object(found.mappings), change);
}

#[test]
fn what_documents_already_have_needs_a_reindex() {
    let wanted = json!({"properties": {
        "id": {"type": "keyword"},
        "text": {"type": "text", "analyzer": "english", "fields": {"raw": {"type": "keyword"}}},
        "lines": {"type": "nested", "properties": {"sku": {"type": "keyword"}}},
        "limited": {"type": "keyword"},
        "closed": {"properties": {"new": {"type": "keyword"}}}
    }});
    let live = json!({"properties": {
        "id": {"type": "text"},
        "text": {"type": "text"},
        "lines": {"properties": {"sku": {"type": "keyword"}}},
        "limited": {"type": "keyword", "ignore_above": 256},
        "closed": {"dynamic": "false"}
    }});
    let paths = ["closed.new", "id (type)", "limited (ignore_above)", "lines (type)", "text (analyzer)", "text.raw"];
    let found = check(wanted, live, &[], &paths);
    assert!(found.mappings.is_empty(), "{found:?}");
    let closed = json!({"dynamic": "false", "properties": {}});
    check(json!({"dynamic": false, "properties": {"new": {"type": "date"}}}), closed, &[], &["new"]);
}

#[test]
fn settings_are_compared_under_their_full_names() {
    let wanted = json!({"number_of_shards": 3, "index": {"refresh_interval": "200ms", "sort": {"field": "at"}},
        "index.mapping.total_fields.limit": 2_000, "index.mapping.depth.limit": 40});
    let live = json!({"index": {"number_of_shards": "1", "mapping": {"depth": {"limit": "40"}}, "sort": {"field": ["at"]},
        "uuid": "u"}});
    let found = compare(&definition(json!({}), wanted), &json!({"settings": live}));
    assert_eq!(found.applicable, ["index.mapping.total_fields.limit", "index.refresh_interval"]);
    assert_eq!(found.needs_reindex, ["index.number_of_shards"]);
    let change = json!({"index.mapping.total_fields.limit": 2_000, "index.refresh_interval": "200ms"});
    assert_eq!(Value::Object(found.settings), change);
}

#[test]
fn rules_that_only_the_live_index_has_are_told() {
    let live = json!({"dynamic_templates": [{"s": {"mapping": {"type": "keyword"}}}], "dynamic": "strict"});
    let found = check(json!({}), live, &["dynamic", "dynamic_templates"], &[]);
    assert_eq!(Value::Object(found.mappings), json!({"dynamic": true, "dynamic_templates": []}));
}
