//! Forms of single values: times as text, times as numbers, names that belong to times, and names that are ids.

use std::ops::RangeInclusive;

use driftless::number::Number;

/// Seconds from 2000 to 2100.
const SECONDS: RangeInclusive<f64> = 946_684_800.0..=4_102_444_800.0;
/// Largest number up to which doubles tell all whole numbers apart.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// Words in the name of a field that holds a time.
const TIME_WORDS: [&str; 22] = [
    "at",
    "created",
    "date",
    "day",
    "deleted",
    "end",
    "ended",
    "epoch",
    "expiration",
    "expires",
    "expiry",
    "modified",
    "since",
    "start",
    "started",
    "time",
    "timestamp",
    "ts",
    "ttl",
    "until",
    "updated",
    "when",
];

/// Form of a time as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeForm {
    /// ISO 8601, as `strict_date_optional_time` takes it.
    Iso,
    /// Date and time with a space between them: `2026-01-15 09:30:00`.
    Spaced,
}

/// Returns the form of a time, if the whole text is one.
pub(super) fn time_form(text: &str) -> Option<TimeForm> {
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = date.split('-').collect::<Vec<_>>()[..] else { return None };
    let is_date = digits(year, 4).is_some() && in_range(month, 1..=12) && in_range(day, 1..=31);
    if !is_date {
        return None;
    }
    match rest.as_bytes().first() {
        None => Some(TimeForm::Iso),
        Some(b'T') => is_time(&rest[1..]).then_some(TimeForm::Iso),
        Some(b' ') => (rest.len() == 9 && is_clock(&rest[1..])).then_some(TimeForm::Spaced),
        Some(_) => None,
    }
}

fn is_time(text: &str) -> bool {
    let (clock, zone) = match text.find(['Z', '+', '-']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let is_fraction = fraction.is_none_or(|fraction| {
        (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit()) && clock.len() == 8
    });
    let is_zone = match zone.as_bytes().first() {
        None => true,
        Some(b'Z') => zone.len() == 1,
        Some(_) => {
            let zone = zone[1..].replacen(':', "", 1);
            zone.len() == 4 && in_range(&zone[..2], 0..=18) && in_range(&zone[2..], 0..=59)
        }
    };
    is_clock(clock) && is_fraction && is_zone
}

/// Returns `true` for `09:30` and `09:30:00`.
fn is_clock(text: &str) -> bool {
    match text.split(':').collect::<Vec<_>>()[..] {
        [hour, minute] => in_range(hour, 0..=23) && in_range(minute, 0..=59),
        [hour, minute, second] => in_range(hour, 0..=23) && in_range(minute, 0..=59) && in_range(second, 0..=59),
        _ => false,
    }
}

fn digits(text: &str, length: usize) -> Option<u32> {
    let is_number = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn in_range(text: &str, range: RangeInclusive<u32>) -> bool {
    digits(text, 2).is_some_and(|number| range.contains(&number))
}

/// Form of a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberShape {
    pub(super) is_whole: bool,
    /// Number of significant digits.
    pub(super) digits: usize,
    /// Double that is nearest to it.
    pub(super) value: f64,
}

impl NumberShape {
    pub(super) fn of(number: &Number) -> Self {
        let text = number.to_string();
        let (mantissa, exponent) = text.split_once('E').unwrap_or((&text, ""));
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        let is_whole = if exponent.is_empty() { !mantissa.contains('.') } else { !exponent.starts_with('-') };
        let digits = digits.trim_start_matches('0').trim_end_matches('0').len();
        Self { is_whole, digits, value: text.parse().unwrap_or(f64::NAN) }
    }

    pub(super) fn is_beyond_double(&self) -> bool {
        self.value.abs() > EXACT
    }

    pub(super) fn is_seconds(&self) -> bool {
        self.is_whole && SECONDS.contains(&self.value)
    }

    pub(super) fn is_milliseconds(&self) -> bool {
        self.is_whole && SECONDS.contains(&(self.value / 1_000.0))
    }
}

/// Returns `true` if a word of the name belongs to a time: `created_at`, `expiresAt`, `ttl`.
pub(super) fn names_a_time(name: &str) -> bool {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = letter.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.iter().any(|word| TIME_WORDS.contains(&word.as_str()))
}

/// Returns `true` if a name looks like an id, a day or a number: it is data, and there will be more of its kind.
pub(super) fn is_like_an_id(name: &str) -> bool {
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    digits >= 3 || (digits > 0 && digits == name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_whole_text() {
        for iso in [
            "2026-01-15",
            "2026-01-15T09:30",
            "2026-01-15T09:30:00",
            "2026-01-15T09:30:00Z",
            "2026-01-15T09:30:00.123456789+02:00",
            "2026-01-15T09:30:00-0500",
        ] {
            assert_eq!(time_form(iso), Some(TimeForm::Iso), "{iso}");
        }
        assert_eq!(time_form("2026-01-15 09:30:00"), Some(TimeForm::Spaced));
        for other in [
            "",
            "2026",
            "2026-13-01",
            "2026-01-32",
            "2026-1-15",
            "2026-01-15T",
            "2026-01-15T25:00",
            "2026-01-15T09:30:00.Z",
            "2026-01-15T09:30:00+2",
            "2026-01-15T09:30:00Zulu",
            "2026-01-15 09:30",
            "2026-01-15x",
            "15.01.2026 9",
            "ääääääääää",
        ] {
            assert_eq!(time_form(other), None, "{other}");
        }
    }

    #[test]
    fn numbers_have_digits_and_may_be_whole() {
        for (text, is_whole, digits) in [
            ("0", true, 0),
            ("-1200", true, 2),
            ("0.05", false, 1),
            ("12.5", false, 3),
            ("9007199254740993", true, 16),
            ("1E125", true, 1),
            ("1.5E-130", false, 2),
        ] {
            let shape = NumberShape::of(&Number::parse(text).expect("a number"));
            assert_eq!((shape.is_whole, shape.digits), (is_whole, digits), "{text}");
        }
    }

    #[test]
    fn names_tell_times_and_ids() {
        for name in ["created_at", "expiresAt", "ttl", "Start-Date", "ts", "placedAt"] {
            assert!(names_a_time(name), "{name}");
        }
        for name in ["status", "attempts", "format", "weekend", "statistics", ""] {
            assert!(!names_a_time(name), "{name}");
        }
        for name in ["2026-01", "sku-0042", "7", "550e8400-e29b"] {
            assert!(is_like_an_id(name), "{name}");
        }
        for name in ["line_1", "utf8", "street", ""] {
            assert!(!is_like_an_id(name), "{name}");
        }
    }
}
