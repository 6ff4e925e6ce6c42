//! Guesses for texts, numbers, truth values and binaries, single or in lists and sets.

use serde_json::{Value, json};

use super::facts::{FieldFacts, NumberFacts, TextFacts};
use super::shape::names_a_time;

/// Longest text of a keyword: a term has at most 32,766 bytes, and a character at most 4.
const LONGEST_KEYWORD: usize = 8_191;
/// Texts of so many words on average are read, and not looked up.
const LONG_WORDS: u64 = 6;
/// Different values at most, and repetitions at least, of a field with few values.
const FEW_VALUES: u64 = 50;
const REPETITIONS: u64 = 10;

/// Guess for a field of scalars.
pub(super) struct Scalar {
    pub(super) mapping: Value,
    pub(super) comment: String,
}

/// Guesses from the field's name and facts. `key`: place of the field in the table's key.
pub(super) fn guess(name: &str, facts: &FieldFacts, key: Option<usize>) -> Scalar {
    let kinds = facts.scalars();
    if kinds.len() > 1 {
        let list = if facts.lists > 0 { "a list of mixed types: " } else { "" };
        let comment = format!("{list}{}: a keyword takes all of them; ranges compare text", kinds.join(", "));
        return Scalar { mapping: keyword(), comment };
    }
    match kinds.first() {
        Some(&"truth values") => {
            Scalar { mapping: json!({"type": "boolean"}), comment: "truth values; others are rejected".to_owned() }
        }
        Some(&"binaries") => {
            let comment = "base64 of binaries: kept in _source and not searched";
            Scalar { mapping: json!({"type": "binary"}), comment: comment.to_owned() }
        }
        Some(&"numbers") => number(name, &facts.numbers, key),
        _ => text(&facts.texts, key),
    }
}

fn keyword() -> Value {
    json!({"type": "keyword", "ignore_above": LONGEST_KEYWORD})
}

fn number(name: &str, numbers: &NumberFacts, key: Option<usize>) -> Scalar {
    let NumberFacts { count, whole, beyond_double, long, seconds, milliseconds, .. } = numbers;
    let (is_whole, may_be_seconds, may_be_milliseconds) = (whole == count, seconds == count, milliseconds == count);
    let scalar = |mapping: Value, comment: String| Scalar { mapping, comment };
    if *beyond_double > 0 && is_whole {
        let comment = format!(
            "{beyond_double} of {count} whole numbers are beyond 2^53, where a double mixes neighbours up: found by the \
             whole number; ranges compare text"
        );
        return scalar(keyword(), comment);
    }
    if key == Some(0) {
        return scalar(keyword(), "the partition key: found by the whole number; ranges compare text".to_owned());
    }
    let rejects = "what is no such time is rejected";
    if names_a_time(name) && may_be_seconds {
        let comment = format!("whole numbers from 2000 to 2100 in epoch seconds, and the name is a time's; {rejects}");
        return scalar(json!({"type": "date", "format": "epoch_second"}), comment);
    }
    if names_a_time(name) && may_be_milliseconds {
        let comment =
            format!("whole numbers from 2000 to 2100 in epoch milliseconds, and the name is a time's; {rejects}");
        return scalar(json!({"type": "date", "format": "epoch_millis"}), comment);
    }
    if *long > 0 {
        let comment = format!(
            "{long} of {count} numbers have more than 15 digits: `exact` compares all of them, ranges and sums the first 15"
        );
        let exact = json!({"type": "keyword", "ignore_above": 256});
        return scalar(json!({"type": "double", "fields": {"exact": exact}}), comment);
    }
    let hint = if may_be_seconds {
        "; if they are epoch seconds: {\"type\": \"date\", \"format\": \"epoch_second\"}"
    } else if may_be_milliseconds {
        "; if they are epoch milliseconds: {\"type\": \"date\", \"format\": \"epoch_millis\"}"
    } else {
        ""
    };
    let kind = if is_whole { "whole numbers; a double takes fractions, too" } else { "numbers of up to 15 digits" };
    scalar(json!({"type": "double"}), format!("{kind}{hint}"))
}

fn text(texts: &TextFacts, key: Option<usize>) -> Scalar {
    let (count, different) = (texts.count, texts.different());
    let scalar = |mapping: Value, comment: String| Scalar { mapping, comment };
    let values = format!("{different} different in {count} values");
    if key.is_some() {
        return scalar(keyword(), "part of the table's key: found by the whole text".to_owned());
    }
    if texts.iso_times == count {
        return scalar(json!({"type": "date"}), "ISO 8601 in every value; what is no date is rejected".to_owned());
    }
    if texts.spaced_times == count {
        let format = "yyyy-MM-dd HH:mm:ss||strict_date_optional_time";
        let comment = "a date, a space and a time in every value; what is no date is rejected";
        return scalar(json!({"type": "date", "format": format}), comment.to_owned());
    }
    let times = texts.iso_times + texts.spaced_times;
    let times = if times * 2 > count {
        format!("; {times} are dates: a `date` would reject the others")
    } else {
        String::new()
    };
    let is_spaced = texts.spaced * 10 >= count;
    if texts.words >= LONG_WORDS * count || (texts.longest > LONGEST_KEYWORD && is_spaced) {
        let comment = format!(
            "{} words on average, up to {} characters: found by words; no sorting and no counts by value",
            texts.words / count,
            texts.longest
        );
        return scalar(json!({"type": "text"}), format!("{comment}{times}"));
    }
    if different <= FEW_VALUES && different * REPETITIONS <= count {
        return scalar(keyword(), format!("{values}: found by the whole text{times}"));
    }
    if is_spaced {
        let mapping = json!({"type": "text", "fields": {"keyword": keyword()}});
        let comment = format!("{values}, {} with spaces: by words, and `keyword` by the whole text", texts.spaced);
        return scalar(mapping, format!("{comment}{times}"));
    }
    let long = if texts.longest > LONGEST_KEYWORD {
        format!("; longer ones than {LONGEST_KEYWORD} characters are not found")
    } else {
        String::new()
    };
    scalar(keyword(), format!("{values}, without spaces: found by the whole text{long}{times}"))
}
