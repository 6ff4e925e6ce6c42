//! Each way to take too much ends as a failure, and leaves the process as it was.

use std::time::{Duration, Instant};

use super::*;

#[track_caller]
fn stops(code: &str, limits: &[Limit]) {
    let json = r#"{"n":{"N":"1"},"l":{"L":[{"N":"1"},{"N":"2"}]}}"#;
    let (filter, item, started) = (Filter::compile(code).expect(code), item(json), Instant::now());
    let failure = filter.matches(&item).expect_err(code);
    let elapsed = started.elapsed();
    // On a busy machine, the time is over before any other limit is reached.
    let mut limits = limits.iter().chain([&Limit::Time]);
    assert!(limits.any(|limit| failure == FilterFailure::Stopped(*limit)), "{code}: {failure:?}");
    assert!(elapsed < Duration::from_secs(20), "{code}: {elapsed:?}");
    // The thread goes on as before.
    check(".n += 1 | {n}", json, r#"{"n":2}"#);
}

#[test]
fn endless_filters_are_stopped() {
    for code in [
        "def f: f; f",
        "def f($x): f($x + 1); f(0)",
        "until(false; .)",
        "[repeat(.)]",
        "last(repeat(1))",
        "[recurse(.)]",
        "last(recurse(1))",
        "reduce range(1e18) as $x (0; .)",
        "reduce range(1000000000000000000) as $x (0; . + $x)",
        "last(range(1e18))",
        "last(range(0; 1; 0))",
        "isempty(range(infinite) | select(. < 0))",
        "any(range(1e18); false)",
        "last(limit(1e18; repeat(1)))",
        "last(skip(1e18; repeat(1)))",
        "first(range(1e18) | select(. < 0))",
        "[while(true; .)] | length",
        "foreach repeat(1) as $x (0; . + $x; empty)",
        "label $out | repeat(1) | select(. > 1) | ., break $out",
        "try (def f: f; f) catch 1",
        "def f: try f catch f; f",
        "[limit(3; def f: (try error catch .) | f; f)]",
        "[.l[] as $x | range(1e18) | select(. < 0)]",
        "def f: f, 1; last(f)",
        "[.[]?, .[]?, range(1e18)] | length",
        "def f(g): g | f(g); f(.)",
        ".l |= until(false; .)",
    ] {
        stops(code, &[Limit::Steps, Limit::Memory, Limit::Stack]);
    }
}

#[test]
fn deep_calls_are_stopped() {
    for code in [
        "def f: [f]; f",
        "def f: 1 + f; f",
        "def f: f | .; f",
        "def f: {a: f}; f",
        "def f($n): f($n + 1) + 1; f(0)",
        "def f(g): f(g | g); f(.)",
        "def f(g; $n): if $n == 0 then g else f(g + 1; $n - 1) end; 0 | f(.; 1000000)",
        "def f(g; $n): if $n == 0 then 1 else f(g; $n - 1) end; 0 | f(.; 1000000)",
        "def f(g): def h: f(g); h; f(.)",
        "def f: (. | f | .); {l: 1} | f",
        "[1] | path(def f: (f | .), .; f)",
        "def f: .l |= f; {l: {}} | def g: . as $x | .l |= ($x | g); g",
        "def f: try f catch .; [f]",
        "def f: .[0] |= ([[1]] | f); [1] | f",
        "def f: reduce f as $x (0; 1); f",
        "def f: limit(1; f); f",
        "def f: \"\\(f)\"; f",
        "def f: -f; f",
        "def f: if f then 1 else 2 end; f",
        "def f: f as [$x] | 1; f",
        "def f: first(f); f",
        "def f: .[f]; f",
        "def f: label $x | f; f",
    ] {
        stops(code, &[Limit::Stack, Limit::Steps]);
    }
}

#[test]
fn values_that_grow_too_large_are_stopped() {
    use Limit::{Depth, Digits, Memory, Path, Size, Steps};
    for (code, limits) in [
        ("[range(1e18)]", &[Memory, Steps][..]),
        ("\"x\" * 1000000000000", &[Size]),
        ("1000000000000000000000000 * \"x\"", &[Size]),
        ("reduce range(60) as $i (\"xxxxxxxx\"; . + .)", &[Size, Memory]),
        ("reduce range(60) as $i ([1]; . + .)", &[Size, Memory]),
        ("reduce range(60) as $i ([1]; [., .]) | tojson", &[Size]),
        ("reduce range(60) as $i ([1]; [., .]) | . == .", &[Size]),
        ("reduce range(60) as $i ({}; {a: ., b: .}) | [..] | length", &[Size]),
        ("reduce range(60) as $i ([1]; [.[], .[]])", &[Size, Memory, Steps]),
        ("reduce range(60) as $i ({}; .a = . | .b = .)", &[Size, Depth]),
        ("reduce range(1000000) as $i (1; [.])", &[Depth]),
        ("reduce range(1000000) as $i (1; {a: .})", &[Depth]),
        ("reduce range(1000000) as $i ([]; .[0:] = [.])", &[Depth]),
        ("reduce range(1000000) as $i ({}; .a = .)", &[Depth, Size]),
        ("reduce range(1000000) as $i ([[]]; .[0] |= [.])", &[Depth]),
        ("def f: [.] | f; f", &[Depth]),
        ("reduce range(100) as $i (7; . * .)", &[Digits]),
        ("null | path(def f: .a | f; f)", &[Path]),
        ("null | path(last(recurse(.a)))", &[Path, Steps]),
        ("[1] | path(def f: .[0:] | f; f)", &[Path]),
        ("[1] | path(def f: .[{start: 0}] | f; f)", &[Path]),
        ("[0] | path(def f: .[[0]] | f; f)", &[Path]),
        ("null | path(getpath([range(100000) | \"a\"]))", &[Path]),
        ("null | path(reduce range(100000) as $i (.; .a))", &[Path]),
        ("[foreach range(1000) as $i ([range(100000)]; .[0] = $i)]", &[Memory, Steps]),
        ("[foreach range(100000) as $i (\"x\" * 100000; . + \"y\")]", &[Memory, Size]),
        ("[range(200000)] | .[] |= (., .) | .[] |= (., .) | .[] |= (., .) | .[] |= (., .)", &[Memory, Size, Steps]),
        ("\"a\" * 16000000 | explode", &[Memory, Steps]),
        ("\"a\" * 16000000 | split(\"\")", &[Memory, Steps]),
        ("(\"a\" * 100000) as $a | $a | test(\"(a{100}){100}b\")", &[Steps]),
        ("[limit(5; repeat([range(2000)]))] | [combinations] | length", &[Memory, Steps]),
        ("[range(3000)] as $a | $a | contains($a)", &[Steps]),
        ("[] | .[1e9 | floor] = 1", &[Memory]),
        ("reduce range(1000000) as $i ([]; .[$i + 1000] = $i)", &[Memory, Steps]),
        ("[range(10000)] as $a | [$a[] | $a | indices([5])]", &[Steps]),
    ] {
        stops(code, limits);
    }
    // The parser of JSON is recursive, and slow with long numbers.
    for code in ["\"[\" * 100000", "\"{\\\"a\\\":\" * 100000", "\"1\" * 2000000", "\"#\\\"\\n\" + \"[\" * 100000"] {
        fails(&format!("{{a: ({code} | fromjson)}}"), "{}", "the jq filter failed: text is not JSON");
    }
}

#[test]
fn time_is_over_by_the_clock() {
    let short = Filter { time: Duration::from_millis(1), ..filter("[range(100000)] | sort_by(-.) | length") };
    assert_eq!(short.matches(&item("{}")), Err(FilterFailure::Stopped(Limit::Time)));
    assert_eq!(filter("[range(100000)] | sort_by(-.) | length").matches(&item("{}")), Ok(true));
}

#[test]
fn a_run_that_was_stopped_by_steps_is_stopped_whatever_its_time_is() {
    for code in ["def f: f; f", "last(range(1e18))", "[range(1e18)]"] {
        let stopped = filter(code).matches(&item("{}"));
        assert!(matches!(stopped, Err(FilterFailure::Stopped(Limit::Steps | Limit::Memory))), "{code}: {stopped:?}");
    }
}

#[test]
fn long_code_is_compiled_or_refused_but_overflows_nothing() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{a:", "}"),
        ("-", ""),
        (".|", "."),
        ("1+", "1"),
        ("if 1 then ", " end"),
        ("try ", "."),
        ("\"\\(", ")\""),
        ("def f: ", "1; f"),
        (". as $x|", "."),
        ("label $x|", "."),
        (".a", ""),
        (".[", "1]"),
        ("first(", ")"),
        ("reduce ", ". as $x (0;1)"),
        (".//", "."),
    ] {
        let times = (16 << 10) / (open.len() + close.len());
        let middle =
            if open.ends_with(['|', '+', '/']) || open == "try " || open.starts_with("reduce") || open == "def f: " {
                close
            } else {
                "1"
            };
        let close = if middle == close && open != "def f: " && !open.starts_with("reduce") { "" } else { close };
        for times in [times, times / 16] {
            let code = format!("{}{middle}{}", open.repeat(times), close.repeat(times));
            if let Ok(filter) = Filter::compile(&code) {
                drop(filter.matches(&item("{}")));
            }
        }
    }
    let long = format!("{}.", ".|".repeat(10_000));
    assert_eq!(
        Filter::compile(&long).expect_err("long").to_string(),
        "line 1, column 1: the code has more than 16384 bytes"
    );
}

#[test]
fn usual_patterns_and_sorts_are_within_the_limits() {
    let json = format!(r#"{{"s":{{"S":"{}"}}}}"#, "someone@example.org ".repeat(500));
    check(r#"{n: [.s | scan("[^@ ]{1,64}@[^@ ]{1,255}")] | length}"#, &json, r#"{"n":500}"#);
    check("{n: ([range(30000) | 30000 - .] | sort | .[0])}", "{}", r#"{"n":1}"#);
}

#[test]
fn recursion_over_the_deepest_item_is_within_the_limits() {
    let json = format!(r#"{{"a":{}{{"N":"1"}}{}}}"#, r#"{"M":{"a":"#.repeat(31), "}}".repeat(31));
    let deep = item(&json);
    for code in [
        "walk(.)",
        "def f: if type == \"object\" then map_values(f) else . end; f",
        "def f(g): if type == \"object\" then with_entries(.value |= f(g)) else g end; f(. + 0)",
        "def f: if type == \"object\" then to_entries | map({key, value: (.value | f)}) | from_entries else . end; f",
    ] {
        assert_eq!(filter(code).document(&deep), Ok(Document::from_item(&deep)), "{code}");
    }
}

#[test]
fn a_large_item_is_filtered_within_the_limits() {
    let members = (0..20_000).map(|n| format!(r#"{{"M":{{"n":{{"N":"{n}"}},"s":{{"S":"x"}}}}}}"#)).collect::<Vec<_>>();
    let json = format!(r#"{{"l":{{"L":[{}]}}}}"#, members.join(","));
    let whole = item(&json);
    assert_eq!(filter(".").document(&whole), Ok(Document::from_item(&whole)));
    check("{n: ([.l[].n] | add), c: (.l | length)}", &json, r#"{"c":20000,"n":199990000}"#);
}
