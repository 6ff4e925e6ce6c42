//! Cause of a rejection, without the values that the reason quotes: what dead letters are grouped by.
//!
//! For people only. Nothing decides by a reason's text.

use super::Rejection;

/// Words before a field's name in OpenSearch's reasons. A date that is wrong follows `date field [`, so that is none.
const BEFORE_FIELD: [&str; 3] = ["parse field [", "mapping for [", "mapper ["];

/// Class, status and field of a rejection, and its reason without values.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause {
    /// Class of the rejection.
    pub class: String,
    /// HTTP status of the engine.
    pub status: Option<u16>,
    /// Field that the reason names.
    pub field: Option<String>,
    /// Reason with `…` for whatever stands in quotes or brackets, and for numbers.
    pub shape: String,
}

impl Cause {
    /// Returns the cause of a rejection.
    #[must_use]
    pub fn of(rejection: &Rejection) -> Self {
        let Rejection { class, status, reason } = rejection;
        Self { class: class.clone(), status: *status, field: field(reason), shape: shape(reason) }
    }
}

fn field(reason: &str) -> Option<String> {
    let starts = BEFORE_FIELD.iter().filter_map(|words| reason.find(words).map(|at| at + words.len()));
    let name = &reason[starts.min()?..];
    name.split_once(']').map(|(name, _)| name.to_owned())
}

/// Replaces quoted and bracketed text, and numbers. A quotation mark within a word is an apostrophe.
fn shape(reason: &str) -> String {
    let mut shape = String::with_capacity(reason.len());
    let mut rest = reason;
    let mut previous = ' ';
    while let Some(next) = rest.chars().next() {
        let after = &rest[next.len_utf8()..];
        let closing = match next {
            '[' => Some(']'),
            '"' | '`' => Some(next),
            '\'' if !previous.is_alphanumeric() => Some(next),
            _ => None,
        };
        let end = closing.and_then(|closing| quoted_end(after, closing));
        if let Some((closing, end)) = closing.zip(end) {
            shape.extend([next, '…', closing]);
            rest = &after[end + closing.len_utf8()..];
            previous = closing;
        } else if next.is_ascii_digit() && !previous.is_alphanumeric() && previous != '_' {
            shape.push('…');
            rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
            previous = '…';
        } else {
            shape.push(next);
            rest = after;
            previous = next;
        }
    }
    shape
}

/// Finds the mark that closes quoted text: the first that no word goes on behind.
fn quoted_end(text: &str, closing: char) -> Option<usize> {
    let mut marks = text.match_indices(closing).map(|(at, _)| at);
    marks.find(|at| !text[at + closing.len_utf8()..].starts_with(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISCOUNT: &str = "failed to parse field [discount] of type [double] in document with id 'a-1'. Preview of \
                            field's value: '10%': For input string: \"10%\"";

    fn cause(reason: &str) -> Cause {
        Cause::of(&Rejection { class: "c".to_owned(), status: Some(400), reason: reason.to_owned() })
    }

    #[test]
    fn values_are_left_out_and_the_field_is_kept() {
        let cause = cause(DISCOUNT);
        assert_eq!(cause.field.as_deref(), Some("discount"));
        assert_eq!(
            cause.shape,
            "failed to parse field […] of type […] in document with id '…'. Preview of field's value: '…': For input \
             string: \"…\""
        );
    }

    #[test]
    fn other_values_of_a_field_have_the_same_cause_and_other_fields_another() {
        let other = DISCOUNT.replace("10%", "it's free").replace("a-1", "b");
        assert_eq!(cause(DISCOUNT), cause(&other));
        assert_ne!(cause(DISCOUNT), cause(&DISCOUNT.replace("discount", "rebate")));
        let address =
            "object mapping for [address] tried to parse field [address] as object, but found a concrete value";
        assert_eq!(cause(address).field.as_deref(), Some("address"));
        assert_eq!(cause("failed to parse date field [soon] with format [x]").field, None, "a value");
        assert_eq!(
            cause("Limit of total fields [1000] exceeded at 1:45"),
            cause("Limit of total fields [9] exceeded at 2:7")
        );
    }

    #[test]
    fn marks_that_nothing_closes_are_kept() {
        for reason in ["a [b", "it's \"", "", "[", "'"] {
            assert_eq!(cause(reason).shape, reason);
        }
    }
}
