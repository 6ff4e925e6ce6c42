//! Axes: a title, a scale, and ticks at values that mean something.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use serde::{Deserialize, Serialize};

/// Ticks of a linear axis are this many at most.
const MOST_TICKS: f64 = 8.0;
/// Shares that a percentile axis has ticks at.
const SHARES: [f64; 5] = [0.0, 0.5, 0.9, 0.99, 0.999];
/// Free space at both ends of a logarithmic axis, as a factor.
const AIR: f64 = 1.25;

/// An axis of a chart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// The quantity, with its unit.
    pub title: String,
    scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scale {
    /// Equal distances for equal differences, from 0 on.
    Linear,
    /// Equal distances for equal factors.
    Log,
    /// Equal distances from 0 % to 90 %, 99 % and 99.9 %; values are counts of nines.
    Nines,
}

/// An axis with its range, as plotters draws it.
#[derive(Clone)]
pub(super) struct PlotAxis {
    scale: Scale,
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Axis {
    /// Axis that begins at 0.
    pub fn linear(title: impl Into<String>) -> Self {
        Self { title: title.into(), scale: Scale::Linear }
    }

    /// Axis with equal distances for equal factors. Values of 0 and less are not drawn.
    pub fn log(title: impl Into<String>) -> Self {
        Self { title: title.into(), scale: Scale::Log }
    }

    /// Axis for [`Series::percentiles`](super::Series::percentiles): 90 %, 99 % and 99.9 % lie equally far apart.
    pub fn percentiles(title: impl Into<String>) -> Self {
        Self { title: title.into(), scale: Scale::Nines }
    }

    /// True if the axis can show the value.
    pub(super) fn shows(&self, value: f64) -> bool {
        value.is_finite() && (self.scale != Scale::Log || value > 0.0)
    }

    /// Adds range and ticks for these values. `air` leaves room above the greatest one.
    pub(super) fn around(&self, values: impl IntoIterator<Item = f64>, air: bool) -> PlotAxis {
        let shown = values.into_iter().filter(|value| self.shows(*value));
        let (least, most) =
            shown.fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        let most = if most > 0.0 { most } else { 1.0 };
        let least = least.min(most);
        let (range, ticks) = match self.scale {
            Scale::Linear => {
                let end = if air { most * 1.1 } else { most };
                (0.0..end, linear_ticks(end))
            }
            Scale::Log => {
                let range = least / AIR..most * AIR;
                (range.clone(), log_ticks(&range))
            }
            Scale::Nines => {
                let ticks: Vec<f64> = SHARES.map(nines).into_iter().filter(|tick| *tick <= most + 1e-9).collect();
                (0.0..most, ticks)
            }
        };
        PlotAxis { scale: self.scale, range, ticks }
    }
}

/// Number of nines of a share: 1 for 0.9, 2 for 0.99.
pub(super) fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

impl Ranged for PlotAxis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "pixels")]
    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let place = |value: f64| if self.scale == Scale::Log { value.log10() } else { value };
        let share = (place(*value) - place(self.range.start)) / (place(self.range.end) - place(self.range.start));
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // There are no lighter lines between the ticks.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for PlotAxis {
    fn format_ext(&self, value: &f64) -> String {
        match self.scale {
            Scale::Nines => format!("{} %", rounded(100.0 - 100.0 * 10_f64.powf(-value))),
            Scale::Linear | Scale::Log => label(*value),
        }
    }
}

/// Number as short as it can be read: 500, 10k, 1M.
fn label(value: f64) -> String {
    match value {
        1e6.. => format!("{}M", rounded(value / 1e6)),
        1e4.. => format!("{}k", rounded(value / 1e3)),
        _ => rounded(value).to_string(),
    }
}

/// Drops the digits that only come from binary fractions.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Steps of 1, 2 or 5 times a power of ten.
fn linear_ticks(end: f64) -> Vec<f64> {
    let magnitude = 10_f64.powf((end / MOST_TICKS).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * magnitude);
    let step = steps.into_iter().find(|step| end / step <= MOST_TICKS).unwrap_or(end);
    let ticks = (0..).map(|nth| f64::from(nth) * step);
    ticks.take_while(|tick| *tick <= end * (1.0 + 1e-9)).collect()
}

/// Powers of ten; 1, 2 and 5 times them where they would be fewer than three.
fn log_ticks(range: &Range<f64>) -> Vec<f64> {
    let within = |factors: &[f64]| -> Vec<f64> {
        let powers = (-9..=15).map(|power| 10_f64.powi(power));
        let ticks = powers.flat_map(|power| factors.iter().map(move |factor| factor * power));
        ticks.filter(|tick| range.contains(tick)).collect()
    };
    let powers = within(&[1.0]);
    if powers.len() < 3 { within(&[1.0, 2.0, 5.0]) } else { powers }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, values: &[f64]) -> Vec<String> {
        let axis = axis.around(values.iter().copied(), false);
        axis.ticks.iter().map(|tick| axis.format_ext(tick)).collect()
    }

    #[test]
    fn ticks_are_round_numbers_within_the_range() {
        assert_eq!(labels(&Axis::linear(""), &[59.0]), ["0", "10", "20", "30", "40", "50"]);
        assert_eq!(labels(&Axis::linear(""), &[0.7]), ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]);
        assert_eq!(labels(&Axis::linear(""), &[50_000.0]), ["0", "10k", "20k", "30k", "40k", "50k"]);
    }

    #[test]
    fn sizes_that_grow_by_ten_lie_equally_far_apart() {
        let axis = Axis::log("documents");
        assert_eq!(labels(&axis, &[1e4, 1e5, 1e6]), ["10k", "100k", "1M"]);
        let axis = axis.around([1e4, 1e5, 1e6], false);
        let [low, middle, high] = [1e4, 1e5, 1e6].map(|size| axis.map(&size, (0, 1_000)));
        assert!((middle - low).abs_diff(high - middle) <= 1 && low > 0 && high < 1_000, "{low} {middle} {high}");
        assert_eq!(labels(&Axis::log(""), &[0.25, 29.0]), ["0.2", "0.5", "1", "2", "5", "10", "20"]);
    }

    #[test]
    fn a_percentile_axis_has_the_shares_that_texts_speak_of() {
        assert_eq!(labels(&Axis::percentiles(""), &[3.0]), ["0 %", "50 %", "90 %", "99 %", "99.9 %"]);
        assert_eq!(labels(&Axis::percentiles(""), &[2.0]), ["0 %", "50 %", "90 %", "99 %"]);
    }
}
