//! The filters that a filter can call: those of jq, without those that read or change anything but their input.

use jaq_core::box_iter::box_once;
use jaq_core::load::parse::Def;
use jaq_core::native::{self, Fun, bome, unary, v};
use jaq_core::{Cv, RunPtr, ValXs};

use super::engine::Jq;
use super::entries;
use super::meter;
use super::search;
use super::value::Value;

/// Native filters of jaq that are left out.
const NATIVES_LEFT_OUT: [&str; 7] = ["debug_empty", "env", "halt", "localtime", "now", "stderr_empty", "strflocaltime"];
/// Definitions of jaq that are left out, or are native here because they are slow.
const DEFINITIONS_LEFT_OUT: [&str; 6] = ["debug", "from_entries", "halt", "halt_error", "stderr", "to_entries"];

/// Native filters of jaq that get another name, and are called from [`DEFINITIONS`] under the old one.
const GUARDED: [(&str, &str); 12] = [
    ("decode_base64", "unguarded_decode_base64"),
    ("fromdateiso8601", "unguarded_fromdateiso8601"),
    ("gmtime", "unguarded_gmtime"),
    ("implode", "unguarded_implode"),
    ("matches", "unguarded_matches"),
    ("mktime", "unguarded_mktime"),
    ("split_", "unguarded_split_"),
    ("split_matches", "unguarded_split_matches"),
    ("strftime", "unguarded_strftime"),
    ("strptime", "unguarded_strptime"),
    ("todateiso8601", "unguarded_todateiso8601"),
    ("tobytes", "unguarded_tobytes"),
];

/// Our definitions. Regular expressions take time in the product of pattern and text, and dates fail with messages that
/// hold values. jaq's deletion fails where there is nothing to delete, and a few filters of jq are missing.
const DEFINITIONS: &str = r#"
    def null: [][0];
    def matches($re; $flags): bounded_regex($re) | unguarded_matches($re; $flags);
    def split_($re; $flags): bounded_regex($re) | unguarded_split_($re; $flags);
    def split_matches($re; $flags): bounded_regex($re) | unguarded_split_matches($re; $flags);
    def decode_base64: try unguarded_decode_base64 catch error("@base64d: not the base64 of a text");
    def fromdateiso8601:
      try unguarded_fromdateiso8601 catch error("date: not RFC 3339, such as 2026-01-15T09:30:00Z");
    def todateiso8601: try unguarded_todateiso8601 catch error("date: not a number of seconds, or out of range");
    def gmtime: try unguarded_gmtime catch error("date: not a number of seconds, or out of range");
    def mktime: try unguarded_mktime catch error("date: not an array of numbers as gmtime gives it");
    def strftime($format):
      try unguarded_strftime($format) catch error("date: not a number of seconds, or out of range");
    def strptime($format):
      if $format | (contains("%Q") or contains("%:Q")) then error("date: not in the given format") end |
      try unguarded_strptime($format) catch error("date: not in the given format");
    def implode: try unguarded_implode catch error("implode: not an array of code points");
    def delpaths($paths): reduce ($paths | sort | reverse[]) as $path (.;
      if $path == [] then null elif getpath($path[:-1]) == null then . else getpath($path) |= empty end);
    def del(f): delpaths([path(f)]);
    def IN(values): any(values == .; .);
    def IN(source; values): any(source == values; .);
    def INDEX(values; key): reduce values as $value ({}; .[$value | key | tostring] = $value);
    def INDEX(key): INDEX(.[]; key);
    def leaf_paths: paths(. < []);
    def toarray: if . >= [] and . < {} then . else [.] end;
    def trimstr($text): ltrimstr($text) | rtrimstr($text);
    def ascii: [.] | implode;
"#;

/// Characters of a text that one state of a pattern passes in the time of a step.
const CHARACTERS_PER_STEP: usize = 32;

/// Names that are left out of jq, with the reason.
pub(super) fn refusal(name: &str) -> Option<&'static str> {
    Some(match name {
        "input" | "inputs" | "input_filename" | "input_line_number" => "a filter sees one item only",
        "$ENV" | "env" | "get_search_list" => "a filter sees no environment",
        "now" => "a filter sees no clock: the same item must always give the same document",
        "localtime" | "strflocaltime" => "a filter has no time zone but UTC: use gmtime or strftime",
        "debug" | "stderr" => "the content of items belongs in no log",
        "halt" | "halt_error" => "a filter ends no process: use error",
        "import" | "include" | "modulemeta" => "a filter is one text without modules",
        "tobytes" => "a document holds no bytes: use @base64",
        _ => return None,
    })
}

/// Definitions of jq's standard library.
pub(super) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    let ours = jaq_core::load::parse(DEFINITIONS, |parser| parser.defs()).expect("the definitions are jq");
    let definitions = jaq_core::defs().chain(ours).chain(jaq_std::defs()).chain(jaq_json::defs());
    definitions.filter(|definition| !DEFINITIONS_LEFT_OUT.contains(&definition.name))
}

/// Returns the native filters that are taken.
pub(super) fn natives() -> impl Iterator<Item = Fun<Jq>> {
    let jaq = jaq_core::funs().chain(jaq_std::funs());
    let jaq = jaq.filter(|(name, ..)| !NATIVES_LEFT_OUT.contains(name)).map(|(name, arguments, native)| {
        let guarded = GUARDED.into_iter().find(|(old, _)| *old == name);
        (guarded.map_or(name, |(_, new)| new), arguments, native)
    });
    jaq.chain(own())
}

/// Natives that jaq has for its own values only, and ours.
fn own() -> impl Iterator<Item = Fun<Jq>> {
    let own: [(_, usize, RunPtr<Jq>); 10] = [
        ("bounded_regex", 1, bounded_regex),
        ("bsearch", 1, |cv| unary(cv, |array, wanted| search::position(&array, &wanted))),
        ("contains", 1, |cv| unary(cv, |outer, inner| Ok(search::contains(&outer.val, &inner.val).into()))),
        ("from_entries", 0, |cv| bome(entries::to_object(cv.1))),
        ("fromjson", 0, |cv| bome(search::from_json(&cv.1))),
        ("has", 1, |cv| unary(cv, |container, key| search::has(&container, &key))),
        ("indices", 1, |cv| unary(cv, |outer, inner| search::indices(&outer, &inner))),
        ("length", 0, |cv| bome(search::length(cv.1))),
        ("to_entries", 0, |cv| bome(entries::of_object(cv.1))),
        ("tojson", 0, |cv| bome(Ok(Value::from(cv.1.val.to_string())))),
    ];
    own.into_iter().map(|(name, arity, run)| native::run::<Jq>((name, v(arity), run)))
}

/// Passes the text on, unless a pattern would take too long on it.
fn bounded_regex(mut cv: Cv<'_, Jq>) -> ValXs<'_, Value> {
    let pattern = cv.0.pop_var();
    let len = |value: &Value| jaq_std::ValT::as_bytes(value).map_or(0, <[u8]>::len);
    let states = jaq_std::ValT::as_bytes(&pattern).map_or(0, search::pattern_states);
    // A pattern is compiled at each call, too.
    meter::count_steps(states.saturating_mul(len(&cv.1) / CHARACTERS_PER_STEP + 1));
    box_once(Ok(cv.1))
}
