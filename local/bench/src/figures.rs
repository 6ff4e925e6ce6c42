//! Results of a row: figures with their bounds, and the verdict.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::timed_process::median;

/// A row of the benchmark: its number and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
pub enum RowId {
    /// B1: cost of the function over the bare network
    #[value(alias = "B1")]
    #[serde(rename = "B1")]
    OneLane,
    /// B2: replication lag on a real stream
    #[value(alias = "B2")]
    #[serde(rename = "B2")]
    RealStream,
    /// B3: one shard at its write limit
    #[value(alias = "B3")]
    #[serde(rename = "B3")]
    ShardLimit,
    /// B4: catching up with a backlog
    #[value(alias = "B4")]
    #[serde(rename = "B4")]
    Backlog,
    /// B5: start and memory
    #[value(alias = "B5")]
    #[serde(rename = "B5")]
    Start,
    /// B6: rate against the size of the index
    #[value(alias = "B6")]
    #[serde(rename = "B6")]
    Growth,
    /// B7: time of one invocation, and the capacity that follows
    #[value(alias = "B7")]
    #[serde(rename = "B7")]
    LaneTime,
    /// B8: a hot key beside other keys
    #[value(alias = "B8")]
    #[serde(rename = "B8")]
    HotKey,
    /// B9: against unguarded writes into OpenSearch's own mapping
    #[value(alias = "B9")]
    #[serde(rename = "B9")]
    Unguarded,
    /// B10: from a write to the search that finds it
    #[value(alias = "B10")]
    #[serde(rename = "B10")]
    Searchable,
    /// B11: first load of a table
    #[value(alias = "B11")]
    #[serde(rename = "B11")]
    FirstLoad,
    /// B12: proof that table and index are equal
    #[value(alias = "B12")]
    #[serde(rename = "B12")]
    Proof,
    /// B13: cost on AWS
    #[value(alias = "B13")]
    #[serde(rename = "B13")]
    Cost,
    /// B14: a newcomer's wait, which a script measures
    #[value(skip)]
    #[serde(rename = "B14")]
    Newcomer,
    /// B15: cost of a configuration of documents
    #[value(alias = "B15")]
    #[serde(rename = "B15")]
    Rules,
    /// B16: records with the new image alone
    #[value(alias = "B16")]
    #[serde(rename = "B16")]
    ViewType,
    /// B17: the way through Kinesis beside that through streams
    #[value(alias = "B17")]
    #[serde(rename = "B17")]
    KinesisPath,
}

/// Bound of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// This value or less.
    AtMost(f64),
    /// This value or more.
    AtLeast(f64),
    /// Less than this value.
    Under(f64),
}

/// A measured value, with its unit and bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Name, unique within its row; `case: quantity` where a row has several cases.
    pub name: String,
    /// Value; NaN is null in JSON.
    #[serde(serialize_with = "six_digits", deserialize_with = "number_or_null")]
    pub value: f64,
    /// Unit; `ratio` for a quotient of two values of one run.
    pub unit: String,
    /// Bound; `None` for figures that explain the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// Variation within the run: half the interquartile range of its blocks, as a share of their median.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "six_digits_of_some")]
    pub noise: Option<f64>,
}

/// Figures and workload of a measured row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Number of the row.
    pub id: RowId,
    /// Workload in words, without a full stop.
    pub workload: String,
    /// True if every bounded figure is within its bound.
    pub met: bool,
    /// Date, machine and subject of the measurement, in words.
    #[serde(default)]
    pub measured: String,
    /// Figures, in the order of the report.
    pub figures: Vec<Figure>,
    /// Names of the files with its charts, beside the report.
    pub charts: Vec<String>,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at most {limit}"),
            Self::AtLeast(limit) => write!(f, "at least {limit}"),
            Self::Under(limit) => write!(f, "under {limit}"),
        }
    }
}

impl Figure {
    /// Figure without a bound.
    pub fn new(name: impl Into<String>, value: f64, unit: impl Into<String>) -> Self {
        Self { name: name.into(), value, unit: unit.into(), bound: None, noise: None }
    }

    /// Adds a bound to the figure.
    #[must_use]
    pub fn bounded(self, bound: Bound) -> Self {
        Self { bound: Some(bound), ..self }
    }

    /// Adds the noise of the run, from the values of its blocks.
    #[must_use]
    pub fn with_noise(self, blocks: &[f64]) -> Self {
        Self { noise: noise(blocks), ..self }
    }

    /// True if the figure is within its bound, or has none. NaN is within no bound.
    #[must_use]
    pub fn met(&self) -> bool {
        match self.bound {
            None => true,
            Some(Bound::AtMost(limit)) => self.value <= limit,
            Some(Bound::AtLeast(limit)) => self.value >= limit,
            Some(Bound::Under(limit)) => self.value < limit,
        }
    }

    /// Value with its unit, with the digits that count.
    pub(crate) fn text(&self) -> String {
        let Self { value, unit, .. } = self;
        match unit.as_str() {
            _ if value.is_nan() => "none".to_owned(),
            // A narrow miss must not read as met: 0.598 for at least 0.6.
            "ratio" if !self.met() && self.rounded(2).met() => format!("{value:.3}"),
            "ratio" => format!("{value:.2}"),
            // "1 lane" and "2 lanes".
            _ if unit.ends_with('s') && (value - 1.0).abs() < f64::EPSILON && !unit.ends_with("ms") => {
                format!("1 {}", unit.trim_end_matches('s'))
            }
            _ => format!("{} {unit}", digits(*value)),
        }
    }

    fn rounded(&self, decimals: i32) -> Self {
        let factor = 10_f64.powi(decimals);
        Self { value: (self.value * factor).round() / factor, ..self.clone() }
    }

    /// Bound with the figure's unit; empty without a bound.
    pub(crate) fn bound_text(&self) -> String {
        match self.bound {
            None => String::new(),
            Some(bound) if self.unit == "ratio" => bound.to_string(),
            Some(bound) => format!("{bound} {}", self.unit),
        }
    }
}

impl Row {
    /// Creates a row without figures.
    pub fn new(id: RowId, workload: impl Into<String>) -> Self {
        let (measured, figures, charts) = (String::new(), Vec::new(), Vec::new());
        Self { id, workload: workload.into(), met: true, measured, figures, charts }
    }

    /// Adds a figure, and its part of the verdict.
    pub fn add(&mut self, figure: Figure) {
        self.met &= figure.met();
        self.figures.push(figure);
    }

    /// Adds the median of what several turns gave, which must be `least` or more, and the lowest of them beside it.
    pub(crate) fn add_turns(&mut self, name: &str, ratios: Vec<f64>, least: f64) {
        let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        self.add(Figure::new(name, median(ratios), "ratio").bounded(Bound::AtLeast(least)));
        self.add(Figure::new(format!("{name}, lowest turn"), lowest, "ratio"));
    }
}

/// Number with three digits that count; with commas and without decimals from 100 on.
fn digits(value: f64) -> String {
    let text = match value.abs() {
        100.0.. => return thousands(value),
        10.0.. => format!("{value:.1}"),
        0.1.. => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    };
    // Whole numbers read as such: 2 lanes, not 2.00.
    if (value - value.round()).abs() < f64::EPSILON { format!("{value:.0}") } else { text }
}

/// Whole number with commas.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes six digits that count: more say nothing, and would not survive reading and writing.
fn six_digits<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    format!("{value:.5e}").parse().unwrap_or(f64::NAN).serialize(serializer)
}

fn six_digits_of_some<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    six_digits(&value.unwrap_or(f64::NAN), serializer)
}

fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Option::<f64>::deserialize(deserializer).map(|value| value.unwrap_or(f64::NAN))
}

/// Half the interquartile range, as a share of the median.
fn noise(blocks: &[f64]) -> Option<f64> {
    if blocks.len() < 4 {
        return None;
    }
    let mut sorted = blocks.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, middle, high) = (quantile(&sorted, 0.25), quantile(&sorted, 0.5), quantile(&sorted, 0.75));
    (middle > 0.0).then(|| (high - low) / 2.0 / middle)
}

/// Returns the nearest rank among sorted values.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a rank")]
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * (sorted.len().saturating_sub(1)) as f64).round() as usize;
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_met_where_every_bounded_figure_is() {
        let mut row = Row::new(RowId::OneLane, "w");
        row.add(Figure::new("told", 99.0, "ms"));
        row.add(Figure::new("held", 2.0, "ratio").bounded(Bound::AtMost(2.0)));
        assert!(row.met);
        row.add(Figure::new("missed", 2.0, "ratio").bounded(Bound::Under(2.0)));
        assert!(!row.met);
    }

    #[test]
    fn what_is_not_a_number_is_within_no_bound() {
        assert!(!Figure::new("x", f64::NAN, "ms").bounded(Bound::AtMost(1.0)).met());
        assert!(!Figure::new("x", f64::NAN, "ms").bounded(Bound::AtLeast(1.0)).met());
    }

    #[test]
    fn what_is_not_a_number_is_read_as_it_was_written() {
        let text = serde_json::to_string(&Figure::new("x", f64::NAN, "ms")).unwrap();
        assert!(serde_json::from_str::<Figure>(&text).unwrap().value.is_nan(), "{text}");
    }

    #[test]
    fn noise_is_half_of_what_the_middle_half_of_the_blocks_spans() {
        assert_eq!(noise(&[8.0, 9.0, 10.0, 11.0, 12.0]), Some(0.1));
        assert_eq!(noise(&[1.0, 2.0, 3.0]), None);
    }

    #[test]
    fn values_have_the_digits_that_count() {
        let cases = [
            (2.0, "lanes", "2 lanes"),
            (1.0, "lanes", "1 lane"),
            (1.0, "ms", "1 ms"),
            (42_997.3, "changes/s", "42,997 changes/s"),
            (0.388, "ms", "0.39 ms"),
            (12.534, "MB", "12.5 MB"),
            (0.0027, "USD", "0.0027 USD"),
            (1.0, "ratio", "1.00"),
        ];
        let narrow = |value: f64| Figure::new("x", value, "ratio").bounded(Bound::AtLeast(0.6)).text();
        assert_eq!((narrow(0.598), narrow(0.59), narrow(0.604)), ("0.598".into(), "0.59".into(), "0.60".into()));
        for (value, unit, text) in cases {
            assert_eq!(Figure::new("x", value, unit).text(), text);
        }
        let bounded = |unit: &str| Figure::new("x", 1.0, unit).bounded(Bound::Under(200.0)).bound_text();
        assert_eq!((bounded("ms"), bounded("ratio")), ("under 200 ms".to_owned(), "under 200".to_owned()));
    }
}
