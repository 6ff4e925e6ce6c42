//! Metrics of an invocation as lines of CloudWatch's embedded metric format.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrique_writer::format::Format as _;
use metrique_writer::unit::NegativeScale;
use metrique_writer::value::MetricFlags;
use metrique_writer::{Entry, Observation, Unit, Value, ValueWriter};
use metrique_writer_format_emf::Emf;

use crate::time::Timestamp;

/// Namespace of the metrics in CloudWatch.
pub const NAMESPACE: &str = "driftless";

/// Times in milliseconds; absent if there are none.
pub struct Milliseconds(pub Vec<Observation>);

impl Milliseconds {
    /// Returns one time, or none.
    #[must_use]
    pub fn of(millis: Option<u64>) -> Self {
        Self(millis.map(Observation::Unsigned).into_iter().collect())
    }
}

impl Value for Milliseconds {
    fn write(&self, writer: impl ValueWriter) {
        writer.metric(self.0.iter().copied(), Unit::Second(NegativeScale::Milli), [], MetricFlags::empty());
    }
}

#[derive(Entry)]
#[entry(rename_all = "PascalCase")]
struct Line<'m, M: Entry> {
    #[entry(timestamp)]
    at: SystemTime,
    index: &'m str,
    #[entry(flatten)]
    metrics: &'m M,
}

/// Writes the metrics of an invocation to standard output, with the dimension `Index`.
#[expect(clippy::print_stdout, reason = "metrics are lines on standard output; the macro lets tests capture them")]
pub fn print(metrics: &impl Entry, index: &str, at: Timestamp) {
    print!("{}", String::from_utf8_lossy(&line(metrics, index, at)));
}

/// Returns the line that [`print()`] writes, with its line feed.
#[must_use]
pub fn line(metrics: &impl Entry, index: &str, at: Timestamp) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    append(&mut format(&["Index"]), &Line { at: system_time(at), index, metrics }, &mut out);
    out
}

/// Returns the format of lines with these dimensions.
#[must_use]
pub fn format(dimensions: &[&str]) -> Emf {
    let dimensions = dimensions.iter().map(|name| (*name).to_owned()).collect();
    Emf::builder(NAMESPACE.to_owned(), vec![dimensions]).build()
}

/// Appends one line with its line feed.
///
/// # Panics
/// Panics if two fields have one name.
pub fn append(format: &mut Emf, line: &impl Entry, out: &mut Vec<u8>) {
    format.format(line, out).expect("invariant: the fields are fixed and memory takes every write");
}

/// Converts a time to that of a line.
#[must_use]
pub fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at.as_millis())
}

#[cfg(test)]
mod tests {
    use metrique_writer::unit::AsCount;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Entry)]
    #[entry(rename_all = "PascalCase")]
    struct Counts {
        items_done: AsCount<u64>,
    }

    #[test]
    fn a_line_has_the_namespace_the_index_and_the_time() {
        let line = line(&Counts { items_done: 7.into() }, "activity", Timestamp::from_millis(1_500));
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let line: Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!((&line["Index"], &line["ItemsDone"]), (&json!("activity"), &json!(7)));
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!("driftless"), &json!([["Index"]])));
        assert_eq!(directive["Metrics"], json!([{"Name": "ItemsDone", "Unit": "Count"}]));
        assert_eq!(line["_aws"]["Timestamp"], 1_500);
    }
}
