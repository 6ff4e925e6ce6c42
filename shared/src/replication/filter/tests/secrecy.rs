//! No message holds a value of the item.

use super::*;

const ITEM: &str = r#"{"s":{"S":"hunter2"},"n":{"N":"4711"},"d":{"N":"47.11"},"l":{"L":[{"S":"hunter2"},{"N":"4711"}]},
    "m":{"M":{"hunter2":{"S":"hunter2"},"k":{"N":"4711"}}},"t":{"BOOL":true},"z":{"NULL":true}}"#;

/// Filters that fail because of what is in the item.
const FAILING: [&str; 56] = [
    ".s.x",
    ".n.x",
    ".s[0]",
    ".l.x",
    ".l[.s]",
    ".m[0]?.x.y | .s",
    ".s[]",
    ".n[]",
    ".t[]",
    "-.s",
    ".s + .n",
    ".n - .s",
    ".l * .s",
    ".m / .s",
    ".s % 2",
    ".n % 0",
    ".s - 1",
    ".l + .m",
    ".s * .m",
    ".n / .s",
    ".s | tonumber",
    ".s | fromjson",
    "\"[\" + .s | fromjson",
    ".s | fromdate",
    ".s | strptime(\"%Y\")",
    ".s | todate",
    "(.n * 1e20) | todate",
    ".s | gmtime",
    ".l | mktime",
    ".s | mktime",
    ".s | strftime(\"%Y\")",
    ".n | strftime(.s)",
    ".n | strftime(\"%hunter2\")",
    ".l | implode",
    "[.n * 4711000] | implode",
    ".s | implode",
    ".n | explode",
    ".n | test(\"a\")",
    ".s | test(.n)",
    ".s | test(\"(\" + .s)",
    ".s | test(\"a\"; .s)",
    ".s | @base64d",
    "error",
    ".s | error",
    "error(.s)",
    "error(\"bad \\(.s)\")",
    "error({a: .s})",
    ".n | error",
    "error(.m | keys[0])",
    ".l | .[.n] = 1",
    ".s | ltrimstr(.n) | .x",
    ".s | split(.n)",
    ".l | join(.m)",
    "path(.s + 1)",
    ".s |= error",
    "(.s | ascii_downcase) |= 1",
];

#[test]
fn failures_hold_types_and_no_values() {
    let item = item(ITEM);
    for code in FAILING {
        let filter = filter(&format!("{{a: ({code})}}"));
        let Err(failure) = filter.document(&item) else {
            continue;
        };
        for text in [failure.to_string(), format!("{failure:?}")] {
            let code_itself = code.contains("%hunter2") && !text.contains("hunter2");
            let leaks = ["hunter2", "4711", "47.11"].iter().any(|secret| text.contains(secret));
            assert!(!leaks || code_itself, "{code}: {text}");
        }
    }
}

#[test]
fn most_of_them_do_fail() {
    let failed = FAILING.iter().filter(|code| filter(&format!("{{a: ({code})}}")).document(&item(ITEM)).is_err());
    assert!(failed.count() > 45);
}

#[test]
fn what_a_filter_catches_holds_no_value_either() {
    check(
        "{a: [.s, .n, .l | try (. + {}) catch .]}",
        ITEM,
        r#"{"a":["cannot calculate string + object","cannot calculate number + object","cannot calculate array + object"]}"#,
    );
}

#[test]
fn messages_say_what_happened() {
    fails(".s.x", ITEM, "the jq filter failed: cannot index string with string");
    fails(".n + .l", ITEM, "the jq filter failed: cannot calculate number + array");
    fails(".s[]", ITEM, "the jq filter failed: cannot use string as iterable (array or object)");
    fails("-.s", ITEM, "the jq filter failed: cannot use string as number");
    fails(".s | fromdate", ITEM, "the jq filter failed: date: not RFC 3339, such as 2026-01-15T09:30:00Z");
    fails(".s | tonumber", ITEM, "the jq filter failed: text is not JSON");
    fails(".s | test(\"(\")", ITEM, "the jq filter failed: invalid regex");
    fails("error(\"unknown kind\")", ITEM, "the jq filter failed: unknown kind");
    fails(
        "error(.s)",
        ITEM,
        "the jq filter failed: an error of its own or of a built-in filter: string, not shown because it may hold values",
    );
}
