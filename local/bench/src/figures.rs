//! What a row of the benchmark found: figures with their bounds, and the verdict.

use serde::{Deserialize, Deserializer, Serialize};

/// A row of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum RowId {
    /// Cost of the function over the bare network.
    #[value(alias = "b1")]
    B1,
    /// Lag on a real stream.
    #[value(alias = "b2")]
    B2,
    /// One shard at its write limit.
    #[value(alias = "b3")]
    B3,
    /// Catching up.
    #[value(alias = "b4")]
    B4,
    /// Start and memory.
    #[value(alias = "b5")]
    B5,
    /// Cost against the size of the index.
    #[value(alias = "b6")]
    B6,
    /// Capacity on paper, from the time of an invocation.
    #[value(alias = "b7")]
    B7,
    /// A hot key beside others.
    #[value(alias = "b8")]
    B8,
    /// Against plain writes into the engine's own mapping.
    #[value(alias = "b9")]
    B9,
    /// Cost on AWS.
    #[value(alias = "b13")]
    B13,
}

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
    /// Less than this.
    Under(f64),
}

/// One measured value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured; unique within its row.
    pub name: String,
    /// The value. JSON has no word for what is not a number but null.
    #[serde(deserialize_with = "number_or_null")]
    pub value: f64,
    /// Its unit; `ratio` for a quotient of two values of one run.
    pub unit: String,
    /// What it must be; `None` for what is told beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// By how much it varied within the run: half the interquartile range of its blocks, as a share of their median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<f64>,
}

/// A row, measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which one.
    pub id: RowId,
    /// What it measures.
    pub title: String,
    /// On what.
    pub workload: String,
    /// What must be reached, in words.
    pub target: String,
    /// Whether every bounded figure is within its bound.
    pub met: bool,
    /// When, where and of what, in words.
    #[serde(default)]
    pub measured: String,
    /// The values.
    pub figures: Vec<Figure>,
    /// What a reader must know beside them.
    pub notes: Vec<String>,
    /// The files with its charts, beside the report.
    pub charts: Vec<String>,
}

impl Figure {
    /// A value that is told, and bound to nothing.
    pub fn new(name: impl Into<String>, value: f64, unit: impl Into<String>) -> Self {
        Self { name: name.into(), value, unit: unit.into(), bound: None, noise: None }
    }

    /// The same, bound.
    #[must_use]
    pub fn must(self, bound: Bound) -> Self {
        Self { bound: Some(bound), ..self }
    }

    /// The same, with the values of its blocks, which tell how noisy the run was.
    #[must_use]
    pub fn over(self, blocks: &[f64]) -> Self {
        Self { noise: noise(blocks), ..self }
    }

    /// Whether it is within its bound; what is bound to nothing always is. No number is within none.
    #[must_use]
    pub fn met(&self) -> bool {
        match self.bound {
            None => true,
            Some(Bound::AtMost(limit)) => self.value <= limit,
            Some(Bound::AtLeast(limit)) => self.value >= limit,
            Some(Bound::Under(limit)) => self.value < limit,
        }
    }
}

impl Row {
    /// A row without figures yet.
    pub fn new(id: RowId, title: &str, workload: impl Into<String>, target: &str) -> Self {
        let (title, workload, target) = (title.to_owned(), workload.into(), target.to_owned());
        let (measured, figures, notes, charts) = (String::new(), Vec::new(), Vec::new(), Vec::new());
        Self { id, title, workload, target, met: true, measured, figures, notes, charts }
    }

    /// Adds a figure.
    pub fn add(&mut self, figure: Figure) {
        self.met &= figure.met();
        self.figures.push(figure);
    }

    /// Adds a remark.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
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

/// The nearest rank among sorted values.
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
        let mut row = Row::new(RowId::B1, "t", "w", "at most 2");
        row.add(Figure::new("told", 99.0, "ms"));
        row.add(Figure::new("held", 2.0, "ratio").must(Bound::AtMost(2.0)));
        assert!(row.met);
        row.add(Figure::new("missed", 2.0, "ratio").must(Bound::Under(2.0)));
        assert!(!row.met);
    }

    #[test]
    fn what_is_not_a_number_is_within_no_bound() {
        assert!(!Figure::new("x", f64::NAN, "ms").must(Bound::AtMost(1.0)).met());
        assert!(!Figure::new("x", f64::NAN, "ms").must(Bound::AtLeast(1.0)).met());
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
}
