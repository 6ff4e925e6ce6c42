//! Native filters that look into values: `contains`, `indices`, `has`, `bsearch`, `length`, `fromjson`.

use jaq_core::Error as JqError;
use jaq_json::{Num, Val};
use jaq_std::ValT as _;

use super::messages::NOT_JSON;
use super::meter;
use super::value::{Result, Value, sample};

/// Nesting of a JSON text. The parser is recursive.
const JSON_DEPTH: usize = 128;
/// Digits in a row in a JSON text. To read them takes time in the square of their number.
const JSON_DIGITS: usize = 1_200;

/// jq's `length`. Of a number, it is the absolute value, with all digits.
pub(super) fn length(value: Value) -> Result {
    let length = match &value.val {
        Val::Null => 0,
        Val::Num(_) if value < Value::from(0_isize) => return -value,
        Val::Num(_) => return Ok(value),
        Val::TStr(text) => String::from_utf8_lossy(text).chars().count(),
        Val::BStr(bytes) => bytes.len(),
        Val::Arr(members) => members.len(),
        Val::Obj(members) => members.len(),
        Val::Bool(_) => return Err(JqError::typ(sample(value.kind()), "something with a length")),
    };
    Ok(length.into())
}

/// Answers as jq's `has` does.
pub(super) fn has(container: &Value, key: &Value) -> Result {
    match (&container.val, &key.val) {
        (Val::Obj(members), key) => Ok(members.contains_key(key).into()),
        (Val::Arr(members), Val::Num(Num::Int(index))) => {
            let len = isize::try_from(members.len()).unwrap_or(isize::MAX);
            Ok((-len <= *index && *index < len).into())
        }
        (Val::Arr(_), Val::Num(_)) => Ok(false.into()),
        _ => Err(JqError::index(sample(container.kind()), sample(key.kind()))),
    }
}

/// Answers as jq's `contains` does.
pub(super) fn contains(outer: &Val, inner: &Val) -> bool {
    meter::count_steps(1);
    match (outer, inner) {
        (Val::TStr(outer), Val::TStr(inner)) => match (std::str::from_utf8(outer), std::str::from_utf8(inner)) {
            (Ok(outer), Ok(inner)) => outer.contains(inner),
            _ => outer == inner,
        },
        (Val::Arr(outer), Val::Arr(inner)) => {
            inner.iter().all(|inner| outer.iter().any(|outer| contains(outer, inner)))
        }
        (Val::Obj(outer), Val::Obj(inner)) => {
            inner.iter().all(|(name, inner)| outer.get(name).is_some_and(|outer| contains(outer, inner)))
        }
        _ => outer == inner,
    }
}

/// jq's `indices`, of characters in texts.
pub(super) fn indices(outer: &Value, inner: &Value) -> Result {
    let found: Vec<usize> = match (&outer.val, &inner.val) {
        (Val::Null, _) => return Ok(Value::default()),
        (Val::TStr(outer), Val::TStr(inner)) => {
            let outer = String::from_utf8_lossy(outer);
            let starts = outer.char_indices().enumerate().filter(|(_, (at, _))| {
                meter::count_steps(1);
                !inner.is_empty() && outer.as_bytes()[*at..].starts_with(inner)
            });
            starts.map(|(position, _)| position).collect()
        }
        (Val::Arr(_), Val::Arr(inner)) if inner.is_empty() => Vec::new(),
        (Val::Arr(outer), Val::Arr(inner)) => {
            let starts = outer.windows(inner.len()).enumerate().filter(|(_, window)| {
                meter::count_steps(1);
                *window == inner.as_slice()
            });
            starts.map(|(position, _)| position).collect()
        }
        (Val::Arr(outer), inner) => {
            meter::count_steps(outer.len());
            outer.iter().enumerate().filter(|(_, member)| *member == inner).map(|(position, _)| position).collect()
        }
        _ => return Err(JqError::index(sample(outer.kind()), sample(inner.kind()))),
    };
    Ok(found.into_iter().map(Value::from).collect())
}

/// jq's `bsearch`: the position in a sorted array, or where it would be, as -1 - position.
pub(super) fn position(array: &Value, wanted: &Value) -> Result {
    let Val::Arr(members) = &array.val else {
        return Err(JqError::typ(sample(array.kind()), "array"));
    };
    let signed = |position: usize| isize::try_from(position).unwrap_or(isize::MAX);
    Ok(members.binary_search(&wanted.val).map_or_else(|place| -1 - signed(place), signed).into())
}

/// jq's `fromjson`, of one value.
pub(super) fn from_json(value: &Value) -> Result {
    let Some(text) = value.as_utf8_bytes() else {
        return Err(JqError::typ(sample(value.kind()), "string"));
    };
    let not_json = || JqError::str(NOT_JSON);
    if !can_be_parsed(text) {
        return Err(not_json());
    }
    // A member takes more memory than its text.
    meter::count_bytes(text.len().saturating_mul(8));
    meter::count_steps(text.len() / 16);
    jaq_json::read::parse_single(text).map(Value::measured).map_err(|_| not_json())
}

/// Tells if the parser, which is recursive and takes more than JSON, can be given a text.
fn can_be_parsed(text: &[u8]) -> bool {
    let (mut depth, mut digits, mut inside, mut escaped) = (0_usize, 0, false, false);
    for &byte in text {
        digits = if byte.is_ascii_digit() && !inside { digits + 1 } else { 0 };
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => inside = !inside,
            _ if inside => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            // Comments and bytes of jaq.
            b'#' | b'b' => return false,
            _ => {}
        }
        if depth > JSON_DEPTH || digits > JSON_DIGITS {
            return false;
        }
    }
    true
}

/// Returns about the number of states of a regular expression, with its counted repetitions multiplied out.
pub(super) fn pattern_states(pattern: &[u8]) -> usize {
    // Of each open group: the states before its last atom, and those of that atom.
    let mut groups = vec![(0_usize, 0_usize)];
    let mut rest = pattern.iter();
    while let Some(byte) = rest.next() {
        let atom = match byte {
            b'(' => {
                groups.push((0, 0));
                continue;
            }
            b'{' => {
                let braces = rest.as_slice().split(|byte| *byte == b'}').next().unwrap_or_default();
                let numbers = braces.split(|byte| *byte == b',').filter_map(|number| std::str::from_utf8(number).ok());
                let times = numbers.filter_map(|number| number.trim().parse::<usize>().ok()).max().unwrap_or(1);
                if let Some((_, last)) = groups.last_mut() {
                    *last = last.saturating_mul(times.max(1));
                }
                continue;
            }
            b')' if groups.len() > 1 => groups.pop().map_or(0, |(before, last)| before.saturating_add(last)),
            b'\\' => {
                rest.next();
                1
            }
            _ => 1,
        };
        if let Some((before, last)) = groups.last_mut() {
            *before = before.saturating_add(*last);
            *last = atom;
        }
    }
    groups.into_iter().fold(0, |sum, (before, last)| sum.saturating_add(before).saturating_add(last))
}
