//! Rules, applied: documents of items, ids of keys, problems of texts.

use proptest::prelude::*;

use super::*;
use crate::attribute::Item;
use crate::document::Document;
use crate::document_id::KeyError;
use crate::testing::page::code_blocks;
use crate::testing::rules::{COMPRESSED, DERIVES_FROM_PK, HASH_KEY, hash_key, keyed_hash};

fn replication(text: &str) -> Replication {
    Replication::from_toml(text, Some(&hash_key())).unwrap_or_else(|error| panic!("{error}"))
}

/// Content of an item: `Ok(None)` if it is to have no document.
fn document(rules: &Replication, item: &str) -> Result<Option<String>, ShapeError> {
    let item = Item::from_json(item).expect("an item");
    let json = |document: &Document| String::from_utf8(document.as_bytes().to_vec()).expect("JSON");
    Ok(rules.content(&item)?.document().map(json))
}

/// Document that stays of an expired item.
fn expired(rules: &Replication, item: &str) -> Result<Option<String>, ShapeError> {
    let item = Item::from_json(item).expect("an item");
    let content = rules.expired_content(&item, None)?.expect("the item says when it expired");
    Ok(content.document().map(|document| String::from_utf8_lossy(document.as_bytes()).into_owned()))
}

#[track_caller]
fn check(text: &str, item: &str, expect: &str) {
    assert_eq!(document(&replication(text), item), Ok(Some(expect.to_owned())), "{text}");
}

#[track_caller]
fn refuses(text: &str, item: &str, place: &str, problem: &str) {
    let error = document(&replication(text), item).expect_err("a problem");
    assert!(error.place == place && error.problem.contains(problem), "{error}");
}

/// Checks the problems of a text, each `line:column` and a part of its words.
#[track_caller]
fn problems(text: &str, expect: &[(&str, &str)]) {
    let error = Replication::from_toml(text, None).expect_err("problems");
    let found: Vec<String> = error.0.iter().map(|one| format!("{}:{} {}", one.line, one.column, one.problem)).collect();
    assert_eq!(found.len(), expect.len(), "{found:#?}");
    for (found, (place, words)) in found.iter().zip(expect) {
        assert!(found.starts_with(&format!("{place} ")) && found.contains(words), "{found}\nexpected {place}: {words}");
    }
}

const ADDRESS: &str = r#"{"id":{"S":"1"},"address":{"M":{"city":{"S":"Bonn"},"geo":{"M":{"lat":{"N":"1"}}}}},
    "lines":{"L":[{"M":{"sku":{"S":"a"},"price":{"N":"2"}}},{"S":"x"},{"M":{"price":{"N":"3"}}}]}}"#;

#[test]
fn included_paths_are_all_that_is_kept() {
    check(r#"include = ["id"]"#, ADDRESS, r#"{"id":"1"}"#);
    check(
        r#"include = ["address.city", "lines.price"]"#,
        ADDRESS,
        r#"{"address":{"city":"Bonn"},"lines":[{"price":2},{"price":3}]}"#,
    );
    check(r#"include = ["id.part", "address.geo.lat", "none"]"#, ADDRESS, r#"{"address":{"geo":{"lat":1}}}"#);
}

#[test]
fn excluded_paths_are_left_out() {
    check(
        r#"exclude = ["address.geo", "lines.sku", "id"]"#,
        ADDRESS,
        r#"{"address":{"city":"Bonn"},"lines":[{"price":2},"x",{"price":3}]}"#,
    );
    check(
        r#"
include = ["address"]
exclude = ["address.geo"]"#,
        ADDRESS,
        r#"{"address":{"city":"Bonn"}}"#,
    );
}

#[test]
fn attributes_are_renamed_at_their_level_and_never_merged() {
    check(
        r#"
exclude = ["lines"]
[rename]
id = "order"
"address.city" = "town""#,
        ADDRESS,
        r#"{"address":{"geo":{"lat":1},"town":"Bonn"},"order":"1"}"#,
    );
    check("[rename]\na = \"b\"\nb = \"a\"", r#"{"a":{"S":"1"},"b":{"S":"2"}}"#, r#"{"a":"2","b":"1"}"#);
    for item in [r#"{"a":{"S":"1"},"b":{"S":"2"}}"#, r#"{"b":{"S":"1"},"c":{"S":"2"}}"#] {
        let text = if item.contains("\"a\"") { "rename = {a = \"b\"}" } else { "rename = {c = \"b\"}" };
        refuses(text, item, "item", "two attributes would be one field");
    }
}

#[test]
fn private_values_are_hashed_by_the_key() {
    let rules = r#"hash = ["email", "phones"]"#;
    let item = r#"{"email":{"S":"a@b.example"},"phones":{"SS":["1","2"]}}"#;
    let mut phones = [keyed_hash("1"), keyed_hash("2")];
    phones.sort();
    let expect = format!(r#"{{"email":"{}","phones":["{}","{}"]}}"#, keyed_hash("a@b.example"), phones[0], phones[1]);
    check(rules, item, &expect);
}

#[test]
fn mixed_lists_become_one_text() {
    check(
        r#"json_text = ["mixed"]"#,
        r#"{"mixed":{"L":[{"N":"1"},{"S":"x"},{"M":{"b":{"BOOL":true}}}]}}"#,
        r#"{"mixed":"[1,\"x\",{\"b\":true}]"}"#,
    );
}

#[test]
fn times_become_dates_and_what_is_none_is_refused_without_its_value() {
    let rules = "[dates]\nat = \"epoch_seconds\"\n\"log.at\" = \"iso\"";
    let item = r#"{"at":{"N":"0"},"log":{"L":[{"M":{"at":{"S":"2026-01-15"}}}]}}"#;
    check(rules, item, r#"{"at":"1970-01-01T00:00:00Z","log":[{"at":"2026-01-15T00:00:00Z"}]}"#);
    let error = document(&replication(rules), r#"{"log":{"L":[{"M":{"at":{"S":"secret"}}}]}}"#).expect_err("no date");
    assert!(error.place == "log.at" && !error.to_string().contains("secret"), "{error}");
}

#[test]
fn fields_are_derived_from_keys_or_the_record_is_refused() {
    check(
        DERIVES_FROM_PK,
        r#"{"pk":{"S":"acme#2026-01-15#7"}}"#,
        r#"{"day":"2026-01-15","pk":"acme#2026-01-15#7","tenant":"acme"}"#,
    );
    refuses(DERIVES_FROM_PK, r#"{"pk":{"S":"secret"}}"#, "pk", "does not match");
    refuses(DERIVES_FROM_PK, r#"{"other":{"S":"x"}}"#, "pk", "missing");
    refuses(DERIVES_FROM_PK, r#"{"pk":{"S":"a#2026-01-15#7"},"day":{"S":"x"}}"#, "day", "a derived field");
    let lenient = format!("{DERIVES_FROM_PK}otherwise = \"leave_out\"");
    check(&lenient, r#"{"pk":{"S":"free"}}"#, r#"{"pk":"free"}"#);
}

#[test]
fn what_ids_do_not_hold_of_a_key_is_of_one_pattern() {
    let text = format!(
        "{DERIVES_FROM_PK}\n[[derive]]\nfrom = \"pk\"\npattern = '^(?<place>[^#]+)#'\n[id]\nleave_out = [\"shard\", \"place\"]"
    );
    problems(&text, &[("11:23", "are of two patterns for `pk`")]);
}

#[test]
fn rules_for_documents_leave_the_fingerprint_of_ids_as_it_is() {
    let leave_out = format!("{DERIVES_FROM_PK}\n[id]\nleave_out = [\"shard\"]");
    let ids = |text: &str| replication(text).fingerprints().ids.expect("rules for ids");
    let own = ids(&leave_out);
    let derived = "[[derive]]\nfrom = \"sk\"\npattern = '^(?<kind>[^#]+)#'\n";
    for other in [
        format!("{leave_out}\n{derived}"),
        leave_out.replace("fields = [\"tenant\", \"day\"]", ""),
        format!("exclude = [\"pk\"]\n{leave_out}"),
    ] {
        assert_eq!(ids(&other), own, "{other}");
    }
    for other in [leave_out.replace(r"\d+", "[0-9]+"), leave_out.replace("\"shard\"]", "\"shard\", \"day\"]")] {
        assert_ne!(ids(&other), own, "{other}");
    }
}

#[test]
fn a_shard_of_the_key_can_be_left_out_of_the_id() {
    let rules = replication(&format!("{DERIVES_FROM_PK}\n[id]\nleave_out = [\"shard\"]"));
    let id = |pk: &str| {
        let keys = format!(r#"{{"pk":{{"S":"{pk}"}},"sk":{{"S":"m-1"}}}}"#);
        rules.document_id(&Item::from_json(&keys).expect("keys"), None).map(|id| id.to_string())
    };
    assert_eq!(id("acme#2026-01-15#7").as_deref(), Ok("acme#2026-01-15#|m-1"));
    assert_eq!(id("acme#2026-01-15#7"), id("acme#2026-01-15#8"));
    assert_eq!(id("secret"), Err(KeyError::Pattern("pk".to_owned())));
    assert!(!rules.shows_keys());
}

#[test]
fn ids_can_be_keyed_hashes() {
    let rules = replication("[id]\nhash = true");
    let keys = Item::from_json(r#"{"pk":{"S":"a@b.example"}}"#).expect("keys");
    let id = rules.document_id(&keys, None).expect("an id");
    assert_eq!(id.as_str(), keyed_hash("a@b.example"));
    assert!(!rules.shows_keys() && replication("include = [\"a\"]").shows_keys());
}

#[test]
fn compressed_attributes_are_inflated_before_all_else() {
    let item = format!(r#"{{"body":{{"B":"{COMPRESSED}"}},"n":{{"L":[{{"M":{{"body":{{"NULL":true}}}}}}]}}}}"#);
    let rules = "include = [\"body.a\"]\n[inflate]\nbody = \"json\"\n\"n.body\" = \"text\"";
    check(rules, &item, r#"{"body":{"a":1}}"#);
    refuses("inflate = {body = \"json\"}\ninflate_limit = 3", &item, "body", "3 bytes");
}

#[test]
fn an_item_that_does_not_satisfy_where_has_no_document() {
    let rules = replication("where = '.status == \"active\"'");
    assert_eq!(document(&rules, r#"{"status":{"S":"gone"}}"#), Ok(None));
    assert_eq!(document(&rules, r#"{"status":{"S":"active"}}"#), Ok(Some(r#"{"status":"active"}"#.to_owned())));
}

#[test]
fn document_makes_the_document_of_what_the_other_rules_made() {
    let text = "document = '{id, total: (.lines | length), big}'\n[rename]\npk = \"id\"";
    let item = r#"{"pk":{"S":"1"},"lines":{"L":[{"N":"1"}]},"big":{"N":"12345678901234567890.123456789"}}"#;
    check(text, item, r#"{"big":12345678901234567890.123456789,"id":"1","total":1}"#);
    let error = document(&replication("document = '.a'"), r#"{"a":{"S":"secret"}}"#).expect_err("no object");
    assert!(error.place == "REPLICATION.document" && !error.to_string().contains("secret"), "{error}");
}

const ENTITIES: &str = r#"
entity_field = "kind"
[[entity]]
name = "order"
attribute = "sk"
prefix = "ORDER#"
include = ["total"]
[[entity]]
name = "customer"
attribute = "type"
equals = "customer"
exclude = ["type"]
"#;

#[test]
fn each_entity_has_its_own_rules() {
    check(ENTITIES, r#"{"sk":{"S":"ORDER#1"},"total":{"N":"5"},"x":{"S":"y"}}"#, r#"{"kind":"order","total":5}"#);
    check(ENTITIES, r#"{"sk":{"S":"C"},"type":{"S":"customer"}}"#, r#"{"kind":"customer","sk":"C"}"#);
    check(ENTITIES, r#"{"sk":{"S":"C"}}"#, r#"{"sk":"C"}"#);
    let left_out = replication(&format!("others = \"leave_out\"\n{ENTITIES}"));
    assert_eq!(document(&left_out, r#"{"sk":{"S":"C"}}"#), Ok(None));
    refuses(&format!("others = \"reject\"\n{ENTITIES}"), r#"{"sk":{"S":"C"}}"#, "item", "no `entity`");
}

#[test]
fn attributes_of_global_tables_are_left_out() {
    let item = r#"{"a":{"S":"x"},"aws:rep:updatetime":{"N":"1"},"aws:rep:deleting":{"BOOL":false}}"#;
    check("", item, r#"{"a":"x"}"#);
    assert!(document(&Replication::default(), item).expect("a document").expect("one").contains("aws:rep"));
}

#[test]
fn unknown_keys_and_wrong_values_have_their_place() {
    problems("inlcude = [\"a\"]", &[("1:1", "unknown field `inlcude`, expected one of `include`")]);
    problems("\ninclude = \"a\"", &[("2:11", "expected a sequence")]);
    problems("[dates]\nat = \"soon\"", &[("2:6", "unknown variant `soon`")]);
    problems("include = [", &[("1:12", "array")]);
}

#[test]
fn impossible_combinations_are_reported_together() {
    problems(
        r#"include = ["a", "a.b", "c..d"]
exclude = ["a", "h.x"]
hash = ["h", "z"]
[rename]
"a.b" = "x.y"
[dates]
h = "iso""#,
        &[
            ("1:17", "part of `a`"),
            ("1:24", "no path"),
            ("2:12", "`a` is excluded"),
            ("2:17", "converted as a whole by `dates`"),
            ("2:17", "converted as a whole by `hash`"),
            ("3:9", "`include` leaves it out"),
            ("3:9", "HASH_KEY"),
            ("3:14", "`include` leaves it out"),
            ("3:14", "HASH_KEY"),
            ("5:1", "`a` is excluded"),
            ("5:9", "use `document` to move it"),
            ("7:1", "a value is converted once"),
            ("7:1", "`include` leaves it out"),
        ],
    );
}

#[test]
fn patterns_and_entities_are_checked() {
    problems("[[derive]]\nfrom = \"pk\"\npattern = '('", &[("3:11", "no regular expression")]);
    problems("[[derive]]\nfrom = \"pk\"\npattern = 'a'", &[("3:11", "no named group")]);
    problems("[[derive]]\nfrom = \"pk\"\npattern = '(?<a>.)'\nfields = [\"b\"]", &[("4:11", "it has `a`")]);
    problems("[id]\nleave_out = [\"shard\"]", &[("2:14", "no `derive` at the top")]);
    let whole = "[[derive]]\nfrom = \"pk\"\npattern = '^(?<shard>\\d+)$'\n[id]\nleave_out = [\"shard\"]";
    problems(whole, &[("5:14", "the whole text")]);
    problems("entity_field = \"x\"", &[("1:16", "without an [[entity]]")]);
    problems("name = \"x\"", &[("1:8", "belongs under [[entity]]")]);
    problems("[[entity]]\nname = \"a\"\nattribute = \"sk\"", &[("2:8", "one of `equals` and `prefix`")]);
    problems("where = '.a ='", &[("1:9", "no jq filter")]);
    problems("[rename]\na = \"x\"\nb = \"x\"", &[("3:5", "two attributes would be the field `x`")]);
}

#[test]
fn the_fingerprint_changes_with_the_rules_and_not_with_their_spelling() {
    let of = |text: &str| replication(text).fingerprints();
    assert_eq!(of("include = ['a']"), of("# a comment\ninclude = [\n  \"a\",\n]"));
    assert_ne!(of("include = ['a']").documents, of("include = ['b']").documents);
    assert_eq!(of("changed = \"refuse\""), of(""));
    assert_eq!((of("include = ['a']").ids, of("").ids), (None, None));
    assert!(of("[id]\nhash = true").ids.is_some());
    let other = HashKey::new(&HASH_KEY.replace('0', "z")).expect("a key");
    let hashed = "hash = [\"a\"]";
    let other = Replication::from_toml(hashed, Some(&other)).expect("valid").fingerprints();
    assert_ne!(of(hashed).documents, other.documents);
    assert_eq!(Replication::default().fingerprints(), Fingerprints::default());
}

/// Items of few names, so that rules meet.
fn item() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just(r#"{"S":"x"}"#.to_owned()), Just(r#"{"N":"1"}"#.to_owned())];
    let value = leaf.prop_recursive(2, 8, 3, |inner| {
        proptest::collection::btree_map("[abc]", inner, 0..3).prop_map(|map| {
            let members: Vec<String> = map.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{\"M\":{{{}}}}}", members.join(","))
        })
    });
    proptest::collection::btree_map("[abcd]", value, 0..4).prop_map(|map| {
        let members: Vec<String> = map.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

fn leaves(json: &str) -> usize {
    json.matches("\"x\"").count() + json.matches(":1").count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn renames_never_lose_or_merge_an_attribute(item in item(), pairs in proptest::collection::btree_map("[abcd](\\.[abc])?", "[abce]", 0..3)) {
        let lines: Vec<String> = pairs.iter().map(|(from, to)| format!("\"{from}\" = \"{to}\"")).collect();
        let Ok(rules) = Replication::from_toml(&format!("[rename]\n{}", lines.join("\n")), None) else { return Ok(()) };
        let plain = document(&Replication::default(), &item).expect("a document").expect("one");
        // Otherwise the record is refused.
        if let Ok(renamed) = document(&rules, &item) {
            prop_assert_eq!(leaves(&renamed.expect("a document")), leaves(&plain));
        }
    }

    #[test]
    fn what_is_not_included_is_excluded(item in item(), path in "[abcd](\\.[abc])?") {
        let split = |key: &str| {
            let rules = Replication::from_toml(&format!("{key} = [\"{path}\"]"), None).expect("valid");
            leaves(&document(&rules, &item).expect("a document").expect("one"))
        };
        let plain = document(&Replication::default(), &item).expect("a document").expect("one");
        prop_assert_eq!(split("include") + split("exclude"), leaves(&plain));
    }

    #[test]
    fn derivation_is_total_over_keys(key in "[a#0-9-]{0,24}") {
        let item = format!(r#"{{"pk":{{"S":"{key}"}}}}"#);
        match document(&replication(DERIVES_FROM_PK), &item) {
            Ok(document) => prop_assert!(document.expect("one").contains("\"tenant\"")),
            Err(error) => prop_assert!(error.place == "pk"),
        }
    }
}

#[test]
fn every_example_of_the_page_is_true() {
    let mut blocks = code_blocks(include_str!("../../../docs/configuration.md"));
    // A test on the real engine makes indexes of these.
    blocks.retain(|(language, _)| *language != "json INDEX_DEFINITION");
    let languages: Vec<&str> = blocks.iter().map(|(language, _)| *language).collect();
    assert!(languages.len() >= 3 * 12 && languages.chunks(3).all(|three| three == ["toml", "json", "json"]));
    for example in blocks.chunks(3) {
        let [(_, rules), (_, item), (_, expect)] = example else { unreachable!("three blocks") };
        let replication = replication(rules);
        // With `expiry`, the page shows the item's last state, and the document that stays of it.
        let found = match replication.keeps_expired() {
            true => expired(&replication, item),
            false => document(&replication, item),
        };
        let found = found.unwrap_or_else(|error| panic!("{error}\n{rules}"));
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(json(&found.expect("a document")), json(expect), "{rules}");
    }
}
