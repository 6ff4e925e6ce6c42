//! The filter's contract, on items of all types.

mod limits;
mod properties;
mod secrecy;

use super::*;

/// Compiles a filter that has time, because tests run on busy machines and unoptimised.
pub(super) fn filter(code: &str) -> Filter {
    let compiled = Filter::compile(code).unwrap_or_else(|error| panic!("{code}: {error}"));
    Filter { time: Duration::from_secs(60), ..compiled }
}

pub(super) fn item(json: &str) -> Item<'_> {
    Item::from_json(json).expect("an item")
}

/// Returns the document's text that a filter makes of an item.
pub(super) fn document(code: &str, json: &str) -> Result<String, FilterFailure> {
    let document = filter(code).document(&item(json))?;
    Ok(String::from_utf8(document.as_bytes().to_vec()).expect("UTF-8"))
}

#[track_caller]
pub(super) fn check(code: &str, json: &str, expect: &str) {
    assert_eq!(document(code, json).as_deref(), Ok(expect), "{code}");
}

#[track_caller]
pub(super) fn fails(code: &str, json: &str, expect: &str) {
    assert_eq!(document(code, json).map_err(|failure| failure.to_string()), Err(expect.to_owned()), "{code}");
}

/// Checks a filter's answer as a document's only field.
#[track_caller]
fn gives(code: &str, expect: &str) {
    let json = r#"{"s":{"S":"aé-b"},"n":{"N":"7"},"l":{"L":[{"N":"3"},{"N":"1"},{"N":"2"}]},"m":{"M":{"x":{"N":"1"}}},
        "t":{"S":"2026-01-15T09:30:00Z"}}"#;
    check(&format!("{{a: ({code})}}"), json, &format!(r#"{{"a":{expect}}}"#));
}

const TEN_TYPES: &str = r#"{"s":{"S":"a\"b\u0001é"},"n":{"N":"12345678901234567890.123456789"},"b":{"B":"3q2+7w=="},
    "t":{"BOOL":true},"z":{"NULL":true},"m":{"M":{"y":{"N":"1.0"},"x":{"S":""}}},"l":{"L":[{"N":"2"},{"S":"x"},{"L":[]}]},
    "ss":{"SS":["b","a"]},"ns":{"NS":["10","9","-1"]},"bs":{"BS":["AQ==","AA=="]}}"#;

#[test]
fn a_filter_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + fmt::Debug + 'static>(_: &T) {}
    shared(&filter("."));
    assert_eq!(format!("{:?}", filter(".a")), r#"Filter(".a")"#);
}

#[test]
fn all_ten_types_go_in_as_their_document_shows_them() {
    let whole = Document::from_item(&item(TEN_TYPES));
    assert_eq!(filter(".").document(&item(TEN_TYPES)), Ok(whole));
    check(
        "map_values(type)",
        TEN_TYPES,
        r#"{"b":"string","bs":"array","l":"array","m":"object","n":"number","ns":"array","s":"string","ss":"array","t":"boolean","z":"null"}"#,
    );
}

#[test]
fn untouched_numbers_keep_every_digit() {
    let json = r#"{"a":{"N":"12345678901234567890.123456789"},"b":{"N":"99999999999999999999999999999999999999"},
        "c":{"N":"1E125"},"d":{"N":"-1.5E-130"},"e":{"N":"9007199254740993"}}"#;
    check(
        "{x: [.a, .b], y: (.c, .d | select(. > 1)), z: {e}} | .z.e |= . + 1 | .w = -.z.e",
        json,
        r#"{"w":-9007199254740994,"x":[12345678901234567890.123456789,99999999999999999999999999999999999999],"y":1E125,"z":{"e":9007199254740994}}"#,
    );
}

#[test]
fn computed_numbers_are_canonical() {
    gives(
        "[.n / 2, .n * 1.0, 1.50, 1e3, 1e21, 3e-7, -0.0, 100000000000000000000 + 1]",
        "[3.5,7,1.5,1000,1000000000000000000000,0.0000003,0,100000000000000000001]",
    );
}

#[test]
fn numbers_out_of_range_are_refused() {
    for code in ["infinite", "-infinite", "nan", "1e999", "1e308 * 10", "1e99999999999", "2e-99999999999"] {
        let expect = "the jq filter gave a number that is infinite, not a number, or out of range";
        fails(&format!("{{a: ({code})}}"), "{}", expect);
    }
}

#[test]
fn fields_are_named_and_sorted_as_those_of_items() {
    let item = r#"{"_id":{"S":"1"},"a.b":{"S":"2"},"":{"S":"3"},"m":{"M":{"_id":{"S":"4"},"%":{"S":"5"}}}}"#;
    check(".", item, r#"{"%":"3","%5Fid":"1","a%2Eb":"2","m":{"%25":"5","_id":"4"}}"#);
    check("{z: 1} + {m: {b: 1, a: 2}, \"_source\": 3}", item, r#"{"%5Fsource":3,"m":{"a":2,"b":1},"z":1}"#);
    // A name that looks like a rewritten one is rewritten, too, and collides with none.
    check(r#"{"%5Fid": 1, "_id": 2, "%": 3, "": 4}"#, item, r#"{"%":4,"%25":3,"%255Fid":1,"%5Fid":2}"#);
}

#[test]
fn a_question_is_answered_by_jqs_truth() {
    let json = r#"{"status":{"S":"active"},"n":{"N":"0"}}"#;
    for (code, answer) in [
        (r#".status == "active""#, true),
        (r#".status != "active""#, false),
        (".n", true),
        (".missing", false),
        (r#".status | test("^ACT"; "i")"#, true),
        (r#"has("n") and (.n | . < 1)"#, true),
    ] {
        assert_eq!(filter(code).matches(&item(json)), Ok(answer), "{code}");
    }
}

#[test]
fn exactly_one_output_is_an_answer() {
    let json = item("{}");
    assert_eq!(filter("empty").matches(&json), Err(FilterFailure::NoOutput));
    assert_eq!(filter("true, true").matches(&json), Err(FilterFailure::SeveralOutputs));
    assert_eq!(filter("empty").document(&json), Err(FilterFailure::NoOutput));
    assert_eq!(filter("{}, {}").document(&json), Err(FilterFailure::SeveralOutputs));
    fails(r#"{}, error("no kind")"#, "{}", "the jq filter failed: no kind");
}

#[test]
fn a_document_is_an_object() {
    for (code, kind) in [("null", "null"), ("true", "boolean"), ("1", "number"), ("\"x\"", "string"), ("[]", "array")] {
        fails(code, "{}", &format!("the jq filter gave {kind}, where a document must be an object"));
    }
    fails(
        "{(1): 2} | map_values(1) | {(3 | tostring): 1} + {(null): 2}",
        "{}",
        "the jq filter gave an object with a name of type null",
    );
    fails(r#"{a: ("/w==" | @base64d)}"#, "{}", "the jq filter gave a string that is no Unicode text");
}

#[test]
fn documents_nest_as_deep_as_items() {
    let nested = |levels: usize| format!("reduce range({levels}) as $n (1; {{a: .}})");
    assert!(document(&nested(33), "{}").is_ok());
    fails(&nested(34), "{}", "the jq filter gave a document of more than 32 levels");
}

#[test]
fn built_in_filters_are_there() {
    gives("[.s, null, .l, .m, -3 | length]", "[4,0,3,1,3]");
    gives("[(.m | has(\"x\", \"y\")), (.l | has(0, 3))]", "[true,false,true,false]");
    gives("[(.s | contains(\"é\")), (.l | contains([1, 2])), (.m | contains({x: 2}))]", "[true,true,false]");
    gives(
        "[(\"aéaéa\" | indices(\"aéa\")), ([1, 2, 1] | indices(1), indices([2, 1])), (\"a,b\" | index(\",\"))]",
        "[[0,2],[0,2],[1],1]",
    );
    gives("[(.l | sort | bsearch(2), bsearch(5))]", "[1,-4]");
    gives(
        "[(\"[1, {\\\"a\\\": 12345678901234567890.5}]\" | fromjson), (.m | tojson), (.s | tojson)]",
        r#"[[1,{"a":12345678901234567890.5}],"{\"x\":1}","\"aé-b\""]"#,
    );
    gives("[.l | sort, add, max, (map(. * 2) | join(\"-\"))]", r#"[[1,2,3],6,3,"6-2-4"]"#);
    gives(
        "[.s | split(\"-\"), ascii_downcase, explode[0], (. / \"-\"), ltrimstr(\"a\"), .[1:3]]",
        r#"[["aé","b"],"aé-b",97,["aé","b"],"é-b","é-"]"#,
    );
    gives(
        "[.s | capture(\"(?<x>[a-z])-(?<y>.)\")?, test(\"b$\"), sub(\"-\"; \"+\"), (splits(\"-\"))]",
        r#"[true,"aé+b","aé","b"]"#,
    );
    gives(
        "[.m | to_entries, with_entries(.value += 1), keys, (. * {y: {z: 1}})]",
        r#"[[{"key":"x","value":1}],{"x":2},["x"],{"x":1,"y":{"z":1}}]"#,
    );
    gives(
        "[.t | fromdate, (fromdate | todate), (fromdate | strftime(\"%Y/%m\"))]",
        r#"[1768469400,"2026-01-15T09:30:00Z","2026/01"]"#,
    );
    gives("[\"15.01.2026\" | strptime(\"%d.%m.%Y\") | mktime]", "[1768435200]");
    gives(
        "[.s | @base64, (@base64 | @base64d), @uri, @html, @json, @text]",
        r#"["YcOpLWI=","aé-b","a%C3%A9-b","aé-b","\"aé-b\"","aé-b"]"#,
    );
    gives(
        "[limit(2; .l[]), first(.l[]), last(.l[]), (.l | first, last, nth(1)), isempty(.l[])]",
        "[3,1,3,2,3,2,1,false]",
    );
    gives(
        "[.l | group_by(. > 1), unique, min_by(-.), any(. > 2), all(. > 2), flatten, reverse]",
        "[[[1],[3,2]],[1,2,3],3,true,false,[3,1,2],[2,1,3]]",
    );
    gives(
        "[(.m | [paths], getpath([\"x\"])), ([1, [2]] | walk(if type == \"number\" then . + 1 else . end))]",
        r#"[[["x"]],1,[2,[3]]]"#,
    );
    gives("[1, null, \"2\" | try tonumber catch \"none\"]", r#"[1,"none",2]"#);
}

#[test]
fn parts_of_values_are_changed() {
    gives(".m | .x += 1 | .y = [.x]", r#"{"x":2,"y":[2]}"#);
    gives(".l | .[1] |= (. + 10) | .[2:] = [8, 9] | del(.[0])", "[11,8,9]");
    gives("[.l, .m | .[] |= . * 2]", r#"[[6,2,4],{"x":2}]"#);
    gives(".l | (.[] | select(. > 1)) |= empty", "[1]");
    gives(".s | .[1:2] = \"xx\"", r#""axx-b""#);
    gives("[.l[] as $x | $x] | map(select(. > 1)) - [2]", "[3]");
    gives("label $out | foreach .l[] as $x (0; . + $x; if . > 3 then ., break $out else empty end)", "4");
    gives("[.m | .. |= (if type == \"number\" then 5 else . end)]", r#"[{"x":5}]"#);
    gives("def f(g): if . > 20 then . else g | f(g) end; .n | f(. * 2)", "28");
    gives("def total($n): if $n == 0 then 0 else $n + total($n - 1) end; total(20)", "210");
    gives("def count($n): if $n == 0 then \"done\" else count($n - 1) end; count(20000)", r#""done""#);
    fails("{a: ([1] | .[-5] |= 2)}", "{}", "the jq filter failed: index out of bounds");
}

#[test]
fn entries_are_objects_taken_apart() {
    gives(
        "[{name: \"a\", value: 1}, {k: 2, v: false}, {key: null}] | from_entries",
        r#"{"2":false,"a":1,"null":null}"#,
    );
    gives(
        "[.m | to_entries, (to_entries | from_entries), with_entries(.key |= \"a\" + .)]",
        r#"[[{"key":"x","value":1}],{"x":1},{"ax":1}]"#,
    );
    fails("{a: ([1] | to_entries)}", "{}", "the jq filter failed: cannot use array as object");
    fails(
        "{a: ([{key: []}] | from_entries)}",
        "{}",
        "the jq filter failed: cannot use array as name of an object's member",
    );
    fails("{a: ([1] | from_entries)}", "{}", "the jq filter failed: cannot index number with string");
}

#[test]
fn missing_parts_are_made_and_deleted_as_jq_does() {
    gives("{} | .b.c = 1 | .d[1] |= 2 | .e += 1", r#"{"b":{"c":1},"d":[null,2],"e":1}"#);
    gives("[1] | .[3] = 4", "[1,null,null,4]");
    gives("{} | del(.b, .b.c, .d[0], .e[]?)", "{}");
    gives("{b: {c: 1, d: 2}, l: [1, 2, 3, 4]} | del(.b.c, .l[0, 2], .x)", r#"{"b":{"d":2},"l":[2,4]}"#);
    gives(".l | del(.[] | select(. < 3))", "[3]");
    gives("[1, 2, 3, 4] | del(.[1:3])", "[1,4]");
    gives("[1, null, [null]] | del(.. | select(. == null))", "[1,[]]");
    gives("[.l | IN([3, 1, 2]), IN(.[]; 9)]", "[true,false]");
    gives("[{k: 1}, {k: 2}] | INDEX(.k)", r#"{"1":{"k":1},"2":{"k":2}}"#);
    gives("[(.m | leaf_paths), (1 | toarray), (97 | ascii), (\"xax\" | trimstr(\"x\"))]", r#"[["x"],[1],"a","a"]"#);
}

#[test]
fn problems_of_code_are_placed_and_told_together() {
    let problems = |code| Filter::compile(code).expect_err(code).to_string();
    assert_eq!(
        problems(".a | nope(1)\n | $x, lost"),
        "line 1, column 6: there is no filter nope with 1 arguments; line 2, column 4: there is no variable $x; line 2, column 8: there is no filter lost"
    );
    assert_eq!(problems(".a # é\n== é ]"), "line 2, column 4: expected token, found \"é ]\"");
    assert_eq!(
        problems("[\"é\", 1e] | \"\\a\""),
        r#"line 1, column 9: expected digit, found "] | \"\\a\""; line 1, column 15: expected string escape sequence, found "a\"""#,
    );
    assert_eq!(problems("if . then 1"), "line 1, column 12: expected else or end, found the end");
    assert_eq!(problems(". ; ."), "line 1, column 3: expected an operator or the end, found \";\"");
    assert_eq!(problems(""), "line 1, column 1: expected term, found the end");
    assert_eq!(problems("{a: (1 + }"), "line 1, column 10: expected closing parenthesis, found \"}\"");
}

#[test]
fn filters_that_see_or_change_more_than_the_item_are_refused() {
    for (code, reason) in [
        ("input", "a filter sees one item only"),
        ("[inputs]", "a filter sees one item only"),
        ("input_filename", "a filter sees one item only"),
        ("env.HOME", "a filter sees no environment"),
        ("$ENV.HOME", "a filter sees no environment"),
        ("now", "a filter sees no clock: the same item must always give the same document"),
        ("now | localtime", "a filter has no time zone but UTC: use gmtime or strftime"),
        ("strflocaltime(\"%H\")", "a filter has no time zone but UTC: use gmtime or strftime"),
        ("debug", "the content of items belongs in no log"),
        ("debug(\"x\")", "the content of items belongs in no log"),
        ("stderr", "the content of items belongs in no log"),
        ("halt", "a filter ends no process: use error"),
        ("halt_error", "a filter ends no process: use error"),
        ("halt_error(1)", "a filter ends no process: use error"),
        ("tobytes", "a document holds no bytes: use @base64"),
    ] {
        let error = Filter::compile(code).expect_err(code);
        assert!(error.problems.iter().any(|problem| problem.message.ends_with(reason)), "{code}: {error}");
    }
    for code in ["import \"a\" as a; .", "include \"a\"; .", "import \"a\" as $a; $a", "unknown::filter"] {
        assert!(Filter::compile(code).is_err(), "{code}");
    }
    assert!(Filter::compile("def now: 1; now").is_ok(), "a definition of the filter's own is none of jq's");
}
