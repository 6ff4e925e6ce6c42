//! Times in items → dates in documents: UTC text that OpenSearch's `strict_date_optional_time` reads.

use serde::{Deserialize, Serialize};
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime, PrimitiveDateTime, UtcOffset};

use crate::attribute::AttributeValue;
use crate::number::Number;

/// Form of a time in an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DateForm {
    /// Seconds since 1970, with or without a fraction.
    EpochSeconds,
    /// Milliseconds since 1970, with or without a fraction.
    EpochMilliseconds,
    /// ISO 8601 text: a date, or a date and a time; UTC if it names no offset.
    Iso,
}

impl DateForm {
    fn expected(self) -> &'static str {
        match self {
            Self::EpochSeconds => "expected seconds since 1970, up to the year 9999, as a number or its text",
            Self::EpochMilliseconds => "expected milliseconds since 1970, up to the year 9999, as a number or its text",
            Self::Iso => "expected an ISO 8601 date or time, such as 2026-01-15T10:00:00Z",
        }
    }

    /// Converts a value to a date. Members of lists and sets are converted one by one, and NULL stays.
    ///
    /// # Errors
    /// Says the expected form.
    pub(super) fn convert(self, value: &AttributeValue<'_>) -> Result<AttributeValue<'static>, &'static str> {
        let text = |date: Option<String>| date.ok_or(self.expected());
        Ok(match value {
            AttributeValue::Null => AttributeValue::Null,
            AttributeValue::List(values) => {
                AttributeValue::List(values.iter().map(|value| self.convert(value)).collect::<Result<_, _>>()?)
            }
            AttributeValue::StringSet(set) => {
                let dates = set.iter().map(|member| text(self.of_text(member)).map(Into::into));
                AttributeValue::StringSet(dates.collect::<Result<_, _>>()?)
            }
            AttributeValue::NumberSet(set) => {
                let dates = set.iter().map(|member| text(self.of_text(&member.to_string())).map(Into::into));
                AttributeValue::StringSet(dates.collect::<Result<_, _>>()?)
            }
            AttributeValue::String(value) => AttributeValue::String(text(self.of_text(value))?.into()),
            AttributeValue::Number(value) => AttributeValue::String(text(self.of_text(&value.to_string()))?.into()),
            _ => return Err(self.expected()),
        })
    }

    fn of_text(self, text: &str) -> Option<String> {
        let at = match self {
            Self::EpochSeconds => epoch(text, 9)?,
            Self::EpochMilliseconds => epoch(text, 6)?,
            Self::Iso => iso(text)?,
        };
        let at = at.to_offset(UtcOffset::UTC);
        if (0..=9999).contains(&at.year()) { at.format(&Rfc3339).ok() } else { None }
    }
}

/// Parses a decimal whose unit is 10^`power` nanoseconds. What is below a nanosecond is cut off.
fn epoch(text: &str, power: usize) -> Option<OffsetDateTime> {
    // The canonical text has no exponent for any number that is a time.
    let text = Number::parse(text).ok()?.to_string();
    let (integer, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(power).collect();
    let nanos: i128 = format!("{integer}{fraction}").parse().ok()?;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
}

fn iso(text: &str) -> Option<OffsetDateTime> {
    let spaced = text.as_bytes().get(10) == Some(&b' ') && text.is_char_boundary(10) && text.is_char_boundary(11);
    let joined = spaced.then(|| format!("{}T{}", &text[..10], &text[11..]));
    let text = joined.as_deref().unwrap_or(text);
    OffsetDateTime::parse(text, &Iso8601::PARSING)
        .ok()
        .or_else(|| PrimitiveDateTime::parse(text, &Iso8601::PARSING).ok().map(PrimitiveDateTime::assume_utc))
        .or_else(|| Date::parse(text, &Iso8601::PARSING).ok().map(|date| date.midnight().assume_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::Item;

    #[track_caller]
    fn check(form: DateForm, value: &str, expect: Option<&str>) {
        let json = format!(r#"{{"a":{value}}}"#);
        let item = Item::from_json(&json).expect("an item");
        let date = form.convert(&item.0["a"]).ok();
        assert_eq!(date, expect.map(|text| AttributeValue::String(text.to_owned().into())), "{value}");
    }

    #[test]
    fn epochs_become_dates() {
        check(DateForm::EpochSeconds, r#"{"N":"1768469467"}"#, Some("2026-01-15T09:31:07Z"));
        check(DateForm::EpochSeconds, r#"{"N":"1768469467.5"}"#, Some("2026-01-15T09:31:07.5Z"));
        check(DateForm::EpochSeconds, r#"{"S":"-1"}"#, Some("1969-12-31T23:59:59Z"));
        check(DateForm::EpochSeconds, r#"{"N":"-0.5"}"#, Some("1969-12-31T23:59:59.5Z"));
        check(DateForm::EpochMilliseconds, r#"{"N":"1768469467123"}"#, Some("2026-01-15T09:31:07.123Z"));
        for wrong in [r#"{"N":"1E30"}"#, r#"{"S":"soon"}"#, r#"{"BOOL":true}"#, r#"{"S":""}"#, r#"{"N":"1E120"}"#] {
            check(DateForm::EpochSeconds, wrong, None);
        }
    }

    #[test]
    fn iso_texts_become_utc() {
        let iso = |text: &str, expect| check(DateForm::Iso, &format!(r#"{{"S":"{text}"}}"#), expect);
        iso("2026-01-15", Some("2026-01-15T00:00:00Z"));
        iso("2026-01-15T10:00:00+01:00", Some("2026-01-15T09:00:00Z"));
        iso("2026-01-15T10:00:00.250Z", Some("2026-01-15T10:00:00.25Z"));
        iso("2026-01-15 10:00:00", Some("2026-01-15T10:00:00Z"));
        iso("15.1.2026", None);
        iso("2026-02-30", None);
        iso("éééééé", None);
    }

    #[test]
    fn members_are_converted_one_by_one_and_null_stays() {
        let json = r#"{"a":{"L":[{"N":"0"},{"NULL":true}]},"b":{"NS":["0"]}}"#;
        let item = Item::from_json(json).expect("an item");
        let zero = AttributeValue::String("1970-01-01T00:00:00Z".into());
        let list = AttributeValue::List(vec![zero, AttributeValue::Null]);
        assert_eq!(DateForm::EpochSeconds.convert(&item.0["a"]), Ok(list));
        let set = AttributeValue::StringSet(vec!["1970-01-01T00:00:00Z".into()]);
        assert_eq!(DateForm::EpochSeconds.convert(&item.0["b"]), Ok(set));
    }
}
