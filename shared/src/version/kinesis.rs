//! Versions of changes that come through Kinesis, which carry a time and no sequence number.
//!
//! `generation/kinesis/microseconds/unit/event`. The time orders them, and nothing else does: neither shards nor
//! Kinesis's own sequence numbers. So two changes of one item may have no order: those of one microsecond, and those of
//! two precisions within [`PRECISION_MARGIN_MICROS`]. Of these, the item itself decides. Its content then carries a
//! joined version, which is above every version whose change that content is known to include, and above no other.

use std::cmp::Ordering;
use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Generation, Version};

/// Time within which changes of two precisions have no order. One of a millisecond hides up to a millisecond. DynamoDB
/// once documented that it counts changes of one item in one millisecond on into the next ones, so there is a margin.
const PRECISION_MARGIN_MICROS: u64 = 10_000;
/// Mark of these versions in the place of a stream label. Labels begin with a digit, so it sorts behind them all.
const MARK: &str = "/kinesis/";
/// Width of a generation.
const GENERATION_DIGITS: usize = 10;
/// Width of the time, which suffices until the year 2286.
const TIME_DIGITS: usize = 16;
/// Earliest time, in 1973: a value below it has another unit.
const EARLIEST_MICROS: u64 = 100_000_000_000_000;
/// Time that no longer fits.
const END_MICROS: u64 = 10_000_000_000_000_000;
/// Bytes of an event id's hash that a version carries.
const HASH_BYTES: usize = 8;
/// Width of these bytes.
const HASH_DIGITS: usize = 2 * HASH_BYTES;
/// Event of a joined version, whose content was read from the table.
const ITEM: &str = "item";

/// Precision of a change's time, as the version names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Microseconds,
    Milliseconds,
    /// Both: a joined version of changes of two precisions.
    Mixed,
}

impl Unit {
    const ALL: [Self; 3] = [Self::Microseconds, Self::Milliseconds, Self::Mixed];

    fn text(self) -> &'static str {
        match self {
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Mixed => "mixed",
        }
    }
}

/// Time of a change by DynamoDB's clock, with its precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeTime {
    micros: u64,
    unit: Unit,
}

/// Error for a time that is no number of milliseconds or microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected milliseconds or microseconds since 1970, as a whole number of 12 to 16 digits")]
pub struct NotAChangeTime;

impl ChangeTime {
    /// Parses `ApproximateCreationDateTime`. `precision` is `ApproximateCreationDateTimePrecision`; without it, the
    /// size of the number tells.
    ///
    /// # Errors
    /// Fails if the number is none, or does not fit its precision. Such a change would sort as the oldest or the
    /// newest.
    pub fn parse(json: &str, precision: Option<&str>) -> Result<Self, NotAChangeTime> {
        let value: u64 = json.parse().or(Err(NotAChangeTime))?;
        let unit = match precision {
            Some("MICROSECOND") => Unit::Microseconds,
            Some("MILLISECOND") => Unit::Milliseconds,
            Some(_) => return Err(NotAChangeTime),
            None if value >= EARLIEST_MICROS => Unit::Microseconds,
            None => Unit::Milliseconds,
        };
        let micros = if unit == Unit::Milliseconds { value.checked_mul(1_000).ok_or(NotAChangeTime)? } else { value };
        if !(EARLIEST_MICROS..END_MICROS).contains(&micros) {
            return Err(NotAChangeTime);
        }
        Ok(Self { micros, unit })
    }

    /// Returns the milliseconds since 1970.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        self.micros / 1_000
    }
}

/// Parts of a Kinesis version that decide its order.
struct Place<'v> {
    generation: &'v str,
    time: ChangeTime,
}

impl Version {
    /// Makes the version of a change from Kinesis. Two deliveries of one event have one version.
    #[must_use]
    pub fn from_kinesis(generation: Generation, time: ChangeTime, event_id: &str) -> Self {
        let hash = Sha256::digest(event_id);
        let mut first = [0; HASH_BYTES];
        first.copy_from_slice(&hash[..HASH_BYTES]);
        let event = format_args!("{:0HASH_DIGITS$x}", u64::from_be_bytes(first));
        Self::placed(format_args!("{:0GENERATION_DIGITS$}", generation.0), time, event)
    }

    /// Returns the order of two changes; `None` if only the item can tell it.
    #[must_use]
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        if self.is_unordered(other) { None } else { Some(self.cmp(other)) }
    }

    /// Returns `true` if this change happened after the other one.
    #[must_use]
    pub fn is_after(&self, other: &Self) -> bool {
        self.order(other) == Some(Ordering::Greater)
    }

    /// Returns `true` if nobody can tell from the two versions which change happened first.
    #[must_use]
    pub fn is_unordered(&self, other: &Self) -> bool {
        let (Some(one), Some(two)) = (self.place(), other.place()) else { return false };
        let apart = one.time.micros.abs_diff(two.time.micros);
        let is_close = match (one.time.unit, two.time.unit) {
            (Unit::Mixed, _) | (_, Unit::Mixed) => apart < PRECISION_MARGIN_MICROS,
            (unit, other) if unit != other => apart < PRECISION_MARGIN_MICROS,
            _ => apart == 0,
        };
        is_close && one.generation == two.generation && self != other
    }

    /// Returns the version for content that is known to include both changes. Only a change after both is after it, and
    /// what is before it was before one of them.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let later = self.max(other);
        match (self.place(), other.place()) {
            (Some(one), Some(two)) if self == other || self.is_unordered(other) => {
                let unit = if one.time.unit == two.time.unit { one.time.unit } else { Unit::Mixed };
                let micros = one.time.micros.max(two.time.micros);
                Self::placed(one.generation, ChangeTime { micros, unit }, ITEM)
            }
            _ => later.clone(),
        }
    }

    fn placed(generation: impl fmt::Display, time: ChangeTime, event: impl fmt::Display) -> Self {
        let ChangeTime { micros, unit } = time;
        Self(format!("{generation}{MARK}{micros:0TIME_DIGITS$}/{}/{event}", unit.text()))
    }

    /// Reads the parts of a Kinesis version; `None` for a version of another source.
    fn place(&self) -> Option<Place<'_>> {
        let (generation, rest) = self.0.split_at_checked(GENERATION_DIGITS)?;
        let (micros, rest) = rest.strip_prefix(MARK)?.split_at_checked(TIME_DIGITS)?;
        let rest = rest.strip_prefix('/')?;
        let unit = Unit::ALL
            .into_iter()
            .find(|unit| rest.strip_prefix(unit.text()).is_some_and(|rest| rest.starts_with('/')))?;
        Some(Place { generation, time: ChangeTime { micros: micros.parse().ok()?, unit } })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::version::{SequenceNumber, StreamLabel};

    const TIME: u64 = 1_768_469_467_123_456;

    fn version(generation: u32, time: &str, event_id: &str) -> Version {
        Version::from_kinesis(Generation(generation), ChangeTime::parse(time, None).expect("a time"), event_id)
    }

    #[test]
    fn the_format_is_fixed() {
        let id = "b015b5f0-c095-4b50-8ad0-4279aa3d88c6";
        let micros = version(1, "1720740233012995", id);
        let millis = version(2, "1720740233012", id);
        assert_eq!(micros.as_str(), "0000000001/kinesis/1720740233012995/us/6dbb5e1ba778fcb5");
        assert_eq!(millis.as_str(), "0000000002/kinesis/1720740233012000/ms/6dbb5e1ba778fcb5");
        assert_eq!(micros.generation(), Some(Generation(1)));
        assert_eq!(micros.joined(&micros).as_str(), "0000000001/kinesis/1720740233012995/us/item");
        let mixed = version(2, "1720740233012995", "other").joined(&millis);
        assert_eq!(mixed.as_str(), "0000000002/kinesis/1720740233012995/mixed/item");
    }

    #[test]
    fn a_version_of_kinesis_is_above_every_streams_of_its_generation_and_below_a_raised_one() {
        for label in ["0", "9", "2026-01-15T09:30:00.000", "9999-12-31T23:59:59.999999999Z"] {
            let label = StreamLabel::from_arn(&format!("t/stream/{label}")).expect("a label");
            let sequence = SequenceNumber::parse(&"9".repeat(40)).expect("digits");
            let of = |generation| Version::new(Generation(generation), &label, &sequence);
            assert!(version(1, "100000000000000", "e").is_after(&of(1)));
            assert!(of(2).is_after(&version(1, "9999999999999999", "e")));
        }
        assert!(version(1, "100000000000000", "e").is_after(&Version::lowest(Generation(1))));
        assert!(Version::lowest(Generation(2)).is_after(&version(1, "9999999999999999", "e")));
    }

    #[test]
    fn the_same_event_is_a_duplicate_and_another_one_of_that_time_is_unordered() {
        let (one, other) = (version(1, "1720740233012995", "a"), version(1, "1720740233012995", "b"));
        assert_eq!(one.order(&one.clone()), Some(Ordering::Equal));
        assert_eq!((one.order(&other), other.order(&one)), (None, None));
        assert!(version(1, "1720740233012996", "a").is_after(&other));
        assert!(version(2, "1720740233012995", "b").is_after(&one), "of another generation");
    }

    #[test]
    fn two_precisions_are_ordered_only_beyond_their_margin() {
        let millis = version(1, "1720740233012", "a");
        for (micros, order) in [
            ("1720740233002000", Some(Ordering::Less)),
            ("1720740233002001", None),
            ("1720740233012000", None),
            ("1720740233012999", None),
            ("1720740233021999", None),
            ("1720740233022000", Some(Ordering::Greater)),
        ] {
            assert_eq!(version(1, micros, "b").order(&millis), order, "{micros}");
        }
        assert_eq!(version(1, "1720740233013", "b").order(&millis), Some(Ordering::Greater), "of one precision");
        assert_eq!(version(1, "1720740233012", "b").order(&millis), None);
    }

    #[test]
    fn the_precision_is_the_members_or_else_the_sizes() {
        let parse = ChangeTime::parse;
        assert_eq!(parse("1720740233012", None), parse("1720740233012", Some("MILLISECOND")));
        assert_eq!(parse("1720740233012995", None), parse("1720740233012995", Some("MICROSECOND")));
        assert_eq!(parse("1720740233012995", None).map(ChangeTime::as_millis), Ok(1_720_740_233_012));
        for (bad, precision) in [
            ("1720740233", None),
            ("17207402330129950", None),
            ("1720740233012", Some("MICROSECOND")),
            ("1720740233012995", Some("MILLISECOND")),
            ("18446744073709551615", Some("MILLISECOND")),
            ("1720740233012995", Some("NANOSECOND")),
            ("10000000000000", None),
            ("-1", None),
            ("1.5", None),
            ("\"1720740233012995\"", None),
            ("null", None),
        ] {
            assert_eq!(parse(bad, precision), Err(NotAChangeTime), "{bad} {precision:?}");
        }
    }

    #[test]
    fn versions_of_streams_always_have_an_order() {
        let lowest = Version::lowest(Generation(1));
        for other in ["", "0000000001/kinesis", "0000000001/kinesis/x/us/a", "0000000001/kinesis/1/s/a", "ü"] {
            let other = Version::from_stored(other.to_owned());
            assert!(!other.is_unordered(&version(1, "1720740233012995", "a")));
            assert!(!other.is_unordered(&lowest));
            assert_eq!(&other.joined(&lowest), (&other).max(&lowest));
        }
    }

    /// Generates versions that are close to each other, joined ones among them.
    fn close() -> impl Strategy<Value = Version> {
        let single = (0..30_u64, any::<bool>(), 0..3_u8).prop_map(|(step, is_milli, event)| {
            let time = TIME + step * 700;
            let time = if is_milli { time / 1_000 } else { time };
            version(1, &time.to_string(), &event.to_string())
        });
        proptest::collection::vec(single, 1..4)
            .prop_map(|all| all.into_iter().reduce(|one, other| one.joined(&other)).expect("one at least"))
    }

    proptest! {
        #[test]
        fn text_order_is_the_order_of_time(a in 1_u64..END_MICROS - EARLIEST_MICROS, b in 1_u64..END_MICROS - EARLIEST_MICROS) {
            let of = |n: u64| version(1, &(EARLIEST_MICROS + n).to_string(), "e");
            prop_assert_eq!(of(a).order(&of(b)), Some(a.cmp(&b)));
        }

        #[test]
        fn a_joined_version_is_between_what_it_includes_and_what_comes_after(
            one in close(), other in close(), third in close()
        ) {
            let joined = one.joined(&other);
            prop_assert_eq!(&joined, &other.joined(&one));
            prop_assert!(!one.is_after(&joined) && !other.is_after(&joined));
            if third.is_after(&joined) {
                prop_assert!(third.is_after(&one) && third.is_after(&other), "{} {} {}", one, other, third);
            }
            if joined.is_after(&third) {
                prop_assert!(one.is_after(&third) || other.is_after(&third), "{} {} {}", one, other, third);
            }
        }

        #[test]
        fn after_is_an_order(one in close(), other in close(), third in close()) {
            prop_assert_eq!(one.is_unordered(&other), other.is_unordered(&one));
            prop_assert!(!(one.is_after(&other) && other.is_after(&one)));
            if one.is_after(&other) && other.is_after(&third) {
                prop_assert!(one.is_after(&third), "{} {} {}", one, other, third);
            }
        }
    }
}
