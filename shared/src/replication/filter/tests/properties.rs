//! Properties over arbitrary items and filters.

use std::borrow::Cow;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::attribute::AttributeValue;
use crate::number::Number;

fn number() -> impl Strategy<Value = Number> {
    let text = "-?[0-9]{1,20}(\\.[0-9]{1,18})?|-?[1-9]\\.[0-9]{0,37}E-?(1[0-2][0-4]|[0-9]{1,2})|[1-9][0-9]{37}";
    text.prop_map(|text: String| Number::parse(&text).expect("a number"))
}

fn name() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof!["[a-c_%. ]{0,4}", Just("_id".to_owned()), Just("_driftless".to_owned()), ".{0,3}"].prop_map(Cow::Owned)
}

fn attribute() -> impl Strategy<Value = AttributeValue<'static>> {
    let text = || ".{0,8}".prop_map(Cow::Owned);
    let leaf = prop_oneof![
        text().prop_map(AttributeValue::String),
        number().prop_map(AttributeValue::Number),
        vec(any::<u8>(), 0..8).prop_map(AttributeValue::Binary),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null),
        vec(text(), 1..4).prop_map(AttributeValue::StringSet),
        vec(number(), 1..4).prop_map(AttributeValue::NumberSet),
        vec(vec(any::<u8>(), 0..4), 1..4).prop_map(AttributeValue::BinarySet),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            btree_map(name(), inner.clone(), 0..4).prop_map(|map| AttributeValue::Map(Item(map))),
            vec(inner, 0..4).prop_map(AttributeValue::List),
        ]
    })
}

pub(super) fn items() -> impl Strategy<Value = Item<'static>> {
    btree_map(name(), attribute(), 0..6).prop_map(Item)
}

/// Filters from pieces that fit together, more or less.
fn codes() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        ".",
        ".a",
        ".b",
        ".[]?",
        "..",
        "1",
        "0",
        "-1",
        "1.5",
        "\"a\"",
        "\"%Y\"",
        "null",
        "[]",
        "{}",
        "length",
        "keys",
        "add",
        "tojson",
        "tostring",
        "tonumber",
        "fromjson",
        "type",
        "not",
        "first",
        "last",
        "reverse",
        "sort",
        "unique",
        "floor",
        "sqrt",
        "explode",
        "implode",
        "ascii_downcase",
        "to_entries",
        "from_entries",
        "paths",
        "flatten",
        "@base64",
        "@base64d",
        "@uri",
        "@html",
        "@sh",
        "todate",
        "fromdate",
        "gmtime",
        "mktime",
        "error",
        "empty",
        "infinite",
        "nan",
        "range(5)",
        "combinations",
        "transpose",
        "tojson",
        "isvalid",
        "abs",
        "trim",
        "utf8bytelength",
        "min",
        "max",
        "any",
        "all",
        "round",
        "significand",
        "logb",
        "gamma",
        "frexp",
        "exp10",
        "values",
        "scalars",
        "1e1000",
        "9223372036854775807",
        "-9223372036854775808",
        "123456789012345678901234567890",
    ]);
    let leaf = leaf.prop_map(str::to_owned);
    leaf.prop_recursive(5, 32, 3, |inner| {
        let forms = prop::sample::select(vec![
            "(A | B)",
            "(A, B)",
            "(A + B)",
            "(A - B)",
            "(A * B)",
            "(A / B)",
            "(A % B)",
            "(A == B)",
            "(A < B)",
            "(A and B)",
            "(A // B)",
            "[A]",
            "{a: A}",
            "{(A): B}",
            "(A as $x | B)",
            "(A as [$x, $y] | B)",
            "(A as {a: $x} | B)",
            "(try A catch B)",
            "A?",
            "(if A then B else . end)",
            "reduce A as $x (.; B)",
            "foreach A as $x (.; B)",
            "(A |= B)",
            "(A = B)",
            "(A += B)",
            "(A //= B)",
            "del(A)",
            "path(A)",
            "map(A)",
            "map_values(A)",
            "select(A)",
            "recurse(A)",
            "walk(A)",
            "with_entries(A)",
            "limit(3; A)",
            "skip(1; A)",
            "first(A)",
            "last(A)",
            "until(A; B)",
            "while(A; B)",
            "repeat(A)",
            "sort_by(A)",
            "group_by(A)",
            "min_by(A)",
            "test(A)",
            "capture(A)",
            "scan(A)",
            "sub(A; B)",
            "gsub(A; B)",
            "splits(A)",
            "split(A)",
            "join(A)",
            "ltrimstr(A)",
            "startswith(A)",
            "contains(A)",
            "inside(A)",
            "indices(A)",
            "index(A)",
            "has(A)",
            "in(A)",
            "getpath(A)",
            "setpath(A; B)",
            "delpaths(A)",
            "pick(A)",
            ".[A]",
            ".[A:B]",
            ".[A:]",
            "(.[A] = B)",
            "(.[A:B] = B)",
            "\"x\\(A)y\"",
            "-(A)",
            "error(A)",
            "strftime(A)",
            "strptime(A)",
            "pow(A; B)",
            "ldexp(A; B)",
            "bsearch(A)",
            "range(A; B)",
            "any(A; B)",
            "all(A; B)",
            "isempty(A)",
            "flatten(A)",
            "nth(A)",
            "(label $x | A | ., break $x)",
            "(def f: A; f | B)",
            "(def f(g): g | A; f(B))",
            "(def f: A, f; f)",
            "(def f: (A | f); f)",
            "(def f($n): if $n > 0 then f($n - 1) else A end; f(3))",
            "(def f(g): if A then B else f(g | g) end; f(.))",
        ]);
        (forms, inner.clone(), inner).prop_map(|(form, a, b)| {
            let mut code = String::new();
            for c in form.chars() {
                match c {
                    'A' => code.push_str(&a),
                    'B' => code.push_str(&b),
                    c => code.push(c),
                }
            }
            code
        })
    })
}

proptest! {
    #[test]
    fn an_item_passes_unchanged(item in items()) {
        prop_assert_eq!(filter(".").document(&item), Ok(Document::from_item(&item)));
    }

    #[test]
    fn an_item_taken_apart_and_put_together_is_the_same(item in items()) {
        let code = "reduce to_entries[] as $e ({}; .[$e.key] = $e.value) | [., 1] | {a: .[0]} | .a | map_values(.)";
        prop_assert_eq!(filter(code).document(&item), Ok(Document::from_item(&item)));
    }

}

proptest! {
    // Many of these run until they are stopped.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn any_filter_ends_and_gives_the_same_again_and_tells_no_value(code in codes(), mut item in items()) {
        if let Ok(filter) = Filter::compile(&code) {
            let filter = Filter { time: Duration::from_secs(60), ..filter };
            item.0.insert("a".into(), AttributeValue::String("hunter2".into()));
            let result = filter.document(&item);
            prop_assert_eq!(&filter.document(&item), &result);
            let failure = result.map_err(|failure| format!("{failure} {failure:?}")).err().unwrap_or_default();
            prop_assert!(!failure.contains("hunter2"), "{}", failure);
        }
    }
}
