//! The slow path, taken only after a record failed to parse: finds the problem of its outer members, and reads the
//! rest. Messages hold names and shapes, never content.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::member::{RecordError, malformed, shape, text};
use super::origin::{Origin, table_arn};
use crate::version::SequenceNumber;

/// Names of the members that are parsed, in the record and in its change.
const RECORD: [&str; 7] =
    ["eventID", "eventName", "eventSource", "eventSourceARN", "tableName", "userIdentity", "dynamodb"];
const CHANGE: [&str; 7] = [
    "ApproximateCreationDateTime",
    "ApproximateCreationDateTimePrecision",
    "Keys",
    "NewImage",
    "OldImage",
    "SequenceNumber",
    "StreamViewType",
];

/// Describes why `json` is no stream record. The origin holds only members that occur once: of a doubled member, nobody
/// knows which was meant.
pub(super) fn explain(json: &str) -> (Origin, RecordError) {
    let Some(record) = Members::of(json) else {
        let problem = format!("expected one stream record as an object, found {}", shape(json));
        return (Origin::default(), malformed("record", problem));
    };
    let inner = record.get("dynamodb").map(|raw| raw.get());
    let change = inner.and_then(Members::of);
    let sequence_number = change.as_ref().and_then(|change| change.get("SequenceNumber")).and_then(text);
    let sequence_number = sequence_number.filter(|number| SequenceNumber::parse(number).is_ok());
    let unexplained = || malformed("record", "cannot be read as a stream record".to_owned());
    let error = match (record.fault("", &RECORD), inner, &change) {
        (Some(error), ..) => error,
        (None, Some(inner), None) => {
            malformed("dynamodb", format!("expected the change as an object, found {}", shape(inner)))
        }
        (None, _, Some(change)) => change.fault("dynamodb.", &CHANGE).unwrap_or_else(unexplained),
        (None, None, None) => unexplained(),
    };
    let arn = record.get("eventSourceARN").and_then(text);
    let origin = Origin {
        event_id: record.get("eventID").and_then(text).map(Into::into),
        sequence_number: sequence_number.map(Into::into),
        table_arn: arn.and_then(|arn| table_arn(&arn).map(str::to_owned)),
    };
    (origin, error)
}

/// Members of an object, their number of occurrences, and whether all names are text.
struct Members<'a> {
    values: BTreeMap<String, (&'a RawValue, usize)>,
    nameless: bool,
}

impl<'a> Members<'a> {
    fn of(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Returns the member with this name if it occurs once.
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.values.get(name).filter(|(_, count)| *count == 1).map(|(value, _)| *value)
    }

    /// Returns the object's problem, if it concerns a member that is parsed.
    fn fault(&self, prefix: &str, read: &[&str]) -> Option<RecordError> {
        let twice = read.iter().find(|name| self.values.get(**name).is_some_and(|(_, count)| *count > 1));
        match twice {
            Some(name) => Some(malformed(&format!("{prefix}{name}"), "stands twice in one object".to_owned())),
            None if self.nameless => Some(malformed(
                if prefix.is_empty() { "record" } else { "dynamodb" },
                "has a member whose name is no Unicode text (half of a surrogate pair)".to_owned(),
            )),
            None => None,
        }
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Members { values: BTreeMap::new(), nameless: false };
                while let Some((name, value)) =
                    map.next_entry::<&'de RawValue, &'de RawValue>().map_err(A::Error::custom)?
                {
                    match text(name) {
                        Some(name) => members.values.entry(name.into_owned()).or_insert((value, 0)).1 += 1,
                        None => members.nameless = true,
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}
