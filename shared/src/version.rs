//! Version of a change: a string that sorts in the order of changes.
//!
//! `generation/stream label/sequence number`, each part of one width, so that comparing bytes compares parts. A raised
//! generation is newer than everything before it, and a re-created stream is newer than its predecessor. Within a
//! stream, the sequence number decides. DynamoDB's sequence numbers have 21 to 40 digits: no integer type of the engine
//! holds them, and unpadded strings would sort `10000…` before `9900…`. Changes through Kinesis have no sequence
//! number: `kinesis` makes their versions.

mod kinesis;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use kinesis::{ChangeTime, NotAChangeTime};

/// The longest documented sequence number, in digits.
const SEQUENCE_DIGITS: usize = 40;
/// Limit for labels; every creation time is shorter.
const MAX_LABEL_BYTES: usize = 40;
/// Digits of a label's fraction: nine is the finest that was seen.
const FRACTION_DIGITS: usize = 9;

/// The operator's number for the source of truth. It is raised when the source changes (a restore, another kind of
/// stream).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u32);

impl Default for Generation {
    fn default() -> Self {
        Self(1)
    }
}

/// Creation time of a stream, from the end of its ARN, with its fraction padded to nine digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamLabel(String);

/// Error for an ARN that does not end in `/stream/` and a creation time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected arn:…:table/NAME/stream/CREATION-TIME")]
pub struct NotAStreamArn;

impl StreamLabel {
    /// Parses the label of a stream's ARN: `arn:aws:dynamodb:eu-west-1:1:table/T/stream/2026-01-15T09:30:00.000`.
    ///
    /// # Errors
    /// Fails if there is no label, or one with characters that no creation time has.
    pub fn from_arn(arn: &str) -> Result<Self, NotAStreamArn> {
        let (_, label) = arn.rsplit_once("/stream/").ok_or(NotAStreamArn)?;
        // A damaged label might sort above all real ones, and its change would win for ever.
        let valid = |byte: u8| byte.is_ascii_digit() || matches!(byte, b':' | b'-' | b'.' | b'T' | b'Z');
        let begins_with_digit = label.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
        if !begins_with_digit || label.len() > MAX_LABEL_BYTES || !label.bytes().all(valid) {
            return Err(NotAStreamArn);
        }
        // Java omits a zero fraction, and `/` sorts behind `.`: unpadded, `…:00/` would be newer than `…:00.5/`.
        let (seconds, fraction) = label.split_once('.').unwrap_or((label, ""));
        Ok(Self(format!("{seconds}.{fraction:0<FRACTION_DIGITS$}")))
    }
}

/// Sequence number of a stream record, padded to 40 decimal digits so that text order is numeric order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(String);

/// Error for a text that is not 1 to 40 decimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 40 decimal digits")]
pub struct NotASequenceNumber;

impl SequenceNumber {
    /// Parses DynamoDB's decimal text. AWS documents 21 to 40 digits; its own sample events have three.
    ///
    /// # Errors
    /// Fails if the text is not 1 to 40 decimal digits.
    pub fn parse(text: &str) -> Result<Self, NotASequenceNumber> {
        if !Self::is_one(text) {
            return Err(NotASequenceNumber);
        }
        // `format!` pads digit by digit, and took an eighth of the time that a record takes.
        let mut padded = "0".repeat(SEQUENCE_DIGITS - text.len());
        padded.push_str(text);
        Ok(Self(padded))
    }

    /// Returns `true` if the text is 1 to 40 decimal digits.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        (1..=SEQUENCE_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    }
}

/// Position of a change among all changes of its document. Ordered as text, which is the order of changes where
/// [`Version::order`] gives one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// Joins the parts, most significant first.
    #[must_use]
    pub fn new(generation: Generation, label: &StreamLabel, sequence: &SequenceNumber) -> Self {
        Self([&format!("{:010}", generation.0), &*label.0, &*sequence.0].join("/"))
    }

    /// Returns the version of an item that was read from the table. It is older than every stream's version of its
    /// generation, and newer than all versions of lower generations.
    #[must_use]
    pub fn lowest(generation: Generation) -> Self {
        // Every stream label begins with a digit, and `/` sorts before all digits.
        Self(format!("{:010}//{}", generation.0, "0".repeat(SEQUENCE_DIGITS)))
    }

    /// Takes a version as a document carries it.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Returns the generation; `None` for a text that is no version.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        self.0.split_once('/')?.0.parse().ok().map(Generation)
    }

    /// Returns the text that documents carry.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ARN: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/activity-history/stream/";

    fn version(generation: u32, label: &str, sequence: &str) -> Version {
        let label = StreamLabel::from_arn(&format!("{ARN}{label}")).expect("a label");
        Version::new(Generation(generation), &label, &SequenceNumber::parse(sequence).expect("a sequence number"))
    }

    #[test]
    fn the_format_is_fixed() {
        let version = version(1, "2026-01-15T09:30:00.000", "4421584500000000017450439091");
        let text = "0000000001/2026-01-15T09:30:00.000000000/0000000000004421584500000000017450439091";
        assert_eq!((version.as_str(), &*version.to_string()), (text, text));
    }

    #[test]
    fn a_label_has_at_most_40_bytes() {
        assert!(StreamLabel::from_arn(&format!("{ARN}{}", "2".repeat(40))).is_ok());
        assert!(StreamLabel::from_arn(&format!("{ARN}{}", "2".repeat(41))).is_err());
    }

    #[test]
    fn the_lowest_version_is_below_every_streams_and_above_lower_generations() {
        let lowest = Version::lowest(Generation(2));
        assert_eq!(lowest.as_str(), "0000000002//0000000000000000000000000000000000000000");
        assert_eq!(lowest.generation(), Some(Generation(2)));
        for label in ["0", "0000-01-01T00:00:00", "0.000", "1763833800.1", "2026-01-15T09:30:00.000"] {
            for sequence in ["0", "4421584500000000017450439091"] {
                assert!(lowest < version(2, label, sequence), "{label} {sequence}");
                assert!(lowest > version(1, label, sequence), "{label} {sequence}");
            }
        }
        assert!(version(1, "9", &"9".repeat(40)) < lowest);
        assert!(Version::lowest(Generation(u32::MAX)) > Version::lowest(Generation(9)));
    }

    #[test]
    fn sequence_numbers_compare_as_integers() {
        assert!(
            version(1, "2026-01-15T09:30:00.000", "990000000000000000000")
                < version(1, "2026-01-15T09:30:00.000", "1000000000000000000000")
        );
    }

    #[test]
    fn a_recreated_stream_beats_the_old_one() {
        assert!(version(1, "2026-01-15T09:30:00.000", "9") < version(1, "2026-01-15T09:30:00.001", "1"));
        assert!(version(1, "2026-01-15T09:30:00", "9") < version(1, "2026-01-15T09:30:00.5", "1"));
        assert!(version(1, "1763833800.099999999", "9") < version(1, "1763833800.100000000", "1"));
    }

    #[test]
    fn a_raised_generation_beats_everything() {
        assert!(version(9, "2026-01-15T09:30:00.000", "9") < version(10, "2020-01-01T00:00:00.000", "1"));
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for bad in ["", "-1", "12a", "1.0", " 1", &"1".repeat(41)] {
            assert_eq!(SequenceNumber::parse(bad), Err(NotASequenceNumber), "{bad:?}");
        }
        for bad in [
            "",
            "arn:aws:dynamodb:x:1:table/T",
            "arn:aws:dynamodb:x:1:table/T/stream/",
            "t/stream/2026/07",
            "t/stream/20 26",
            "t/stream/r026-01-15T09:30:00.000",
            "t/stream/T026-01-15T09:30:00.000",
            &format!("t/stream/{}", "2".repeat(41)),
        ] {
            assert_eq!(StreamLabel::from_arn(bad), Err(NotAStreamArn), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn text_order_is_numeric_order(a in any::<u128>(), b in any::<u128>()) {
            let of = |n: u128| version(1, "2026-01-15T09:30:00.000", &n.to_string());
            prop_assert_eq!(of(a).cmp(&of(b)), a.cmp(&b));
        }
    }
}
