//! Charts as SVG files: lines over linear, logarithmic or percentile axes, with a legend beside them.
//!
//! The background is white and text stays text, so that charts can be read, searched and put into a document.

mod axis;

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

pub use axis::Axis;

const SIZE: (u32, u32) = (960, 420);
/// Width of the legend, to the right of the lines.
const LEGEND_WIDTH: u32 = 250;
const LEGEND_LINE: i32 = 24;
/// Length of a dash and of the gap behind it, in pixels.
const DASH: (i32, i32) = (6, 4);
/// Palette of Okabe and Ito without its yellow: people with any colour vision can tell its colours apart.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
];
/// Colour of all reference values.
const GREY: RGBColor = RGBColor(120, 120, 120);
/// Quantiles that a percentile curve is drawn through, per factor of ten.
const STEPS_PER_DECADE: i32 = 20;
const DECADES: i32 = 3;

/// A line of a chart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    #[serde(default)]
    dashed: bool,
    #[serde(default)]
    markers: bool,
    #[serde(default)]
    colour_of_previous: bool,
}

/// A value across the whole chart that the lines are compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mark {
    name: String,
    value: f64,
    /// A limit is red, a reference grey.
    is_limit: bool,
}

/// Lines over two axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    title: String,
    x: Axis,
    y: Axis,
    series: Vec<Series>,
    marks: Vec<Mark>,
}

/// A line as it is drawn, in the chart and in the legend.
struct Pen {
    colour: RGBColor,
    width: u32,
    dashed: bool,
}

impl Series {
    /// Solid line through these places, in the order of the horizontal axis.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, dashed: false, markers: false, colour_of_previous: false }
    }

    /// Curve of a histogram of microseconds, in milliseconds, for [`Axis::percentiles`].
    pub fn percentiles(name: impl Into<String>, histogram: &Histogram<u64>) -> Self {
        Self::new(name, curve(histogram))
    }

    /// Draws the line as dashes.
    #[must_use]
    pub fn dashed(self) -> Self {
        Self { dashed: true, ..self }
    }

    /// Draws dashes in the colour of the series before it: the two belong together.
    #[must_use]
    pub fn baseline_of_previous(self) -> Self {
        Self { dashed: true, colour_of_previous: true, ..self }
    }

    /// Draws a marker at each place.
    #[must_use]
    pub fn with_markers(self) -> Self {
        Self { markers: true, ..self }
    }
}

impl Chart {
    /// Creates a chart without lines.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), x, y, series: Vec::new(), marks: Vec::new() }
    }

    /// Adds one line to the chart.
    #[must_use]
    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// Adds several lines to the chart.
    #[must_use]
    pub fn all_series(mut self, series: impl IntoIterator<Item = Series>) -> Self {
        self.series.extend(series);
        self
    }

    /// Adds a value that the lines must stay under.
    #[must_use]
    pub fn limit(self, name: impl Into<String>, value: f64) -> Self {
        self.mark(name, value, true)
    }

    /// Adds a value that explains the lines.
    #[must_use]
    pub fn reference(self, name: impl Into<String>, value: f64) -> Self {
        self.mark(name, value, false)
    }

    fn mark(mut self, name: impl Into<String>, value: f64, is_limit: bool) -> Self {
        self.marks.push(Mark { name: name.into(), value, is_limit });
        self
    }

    /// Returns the text of an SVG file.
    ///
    /// # Errors
    /// Fails if plotters cannot draw it.
    pub fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        self.draw_on(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area())
            .map_err(|error| anyhow!("draw `{}`: {error}", self.title))?;
        Ok(svg)
    }

    /// Writes an SVG file.
    ///
    /// # Errors
    /// Fails if the chart cannot be drawn, or the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        std::fs::write(file, self.svg()?).with_context(|| format!("write {}", file.display()))
    }

    fn draw_on<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        area.fill(&WHITE)?;
        let (lines, legend) = area.split_horizontally(SIZE.0 - LEGEND_WIDTH);
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = self.x.around(points().map(|point| point.0), false);
        let y = self.y.around(points().map(|point| point.1).chain(self.marks.iter().map(|mark| mark.value)), true);
        let (left, right) = (x.range().start, x.range().end);
        let mut chart = ChartBuilder::on(&lines)
            .caption(&self.title, ("sans-serif", 18))
            .margin(12)
            .margin_right(28)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(x, y)?;
        chart.configure_mesh().x_desc(&self.x.title).y_desc(&self.y.title).draw()?;
        let mut names = Vec::new();
        for mark in &self.marks {
            let pen = mark.pen();
            let ends = [(left, mark.value), (right, mark.value)];
            chart.draw_series(std::iter::once(pen.path(&ends)))?;
            names.push((mark.name.as_str(), pen, false));
        }
        for (series, pen) in self.series.iter().zip(self.pens()) {
            let shown = series.points.iter().copied().filter(|(x, y)| self.x.shows(*x) && self.y.shows(*y));
            let shown: Vec<(f64, f64)> = shown.collect();
            chart.draw_series(std::iter::once(pen.path(&shown)))?;
            if series.markers {
                chart.draw_series(shown.iter().map(|place| Circle::new(*place, 4, pen.colour.filled())))?;
            }
            names.push((series.name.as_str(), pen, series.markers));
        }
        for (place, (name, pen, markers)) in (60..).step_by(LEGEND_LINE as usize).zip(names) {
            legend.draw(&pen.path(&[(0, place), (26, place)]))?;
            if markers {
                legend.draw(&Circle::new((13, place), 4, pen.colour.filled()))?;
            }
            legend.draw(&Text::new(name.to_owned(), (34, place - 7), ("sans-serif", 13)))?;
        }
        area.present()
    }

    /// Pens of all series, in their order.
    fn pens(&self) -> Vec<Pen> {
        let mut next = 0;
        let pens = self.series.iter().map(|series| {
            if !series.colour_of_previous {
                next += 1;
            }
            let colour = COLOURS[(next.max(1) - 1) % COLOURS.len()];
            Pen { colour, width: 2, dashed: series.dashed }
        });
        pens.collect()
    }
}

impl Mark {
    fn pen(&self) -> Pen {
        Pen { colour: if self.is_limit { RED } else { GREY }, width: 1, dashed: !self.is_limit }
    }
}

impl Pen {
    /// Path of dashes; a solid line is one dash longer than any chart.
    fn path<C: Clone>(&self, points: &[C]) -> DashedPathElement<std::vec::IntoIter<C>, i32> {
        let (dash, gap) = if self.dashed { DASH } else { (i32::MAX / 4, 0) };
        DashedPathElement::new(points.to_vec(), dash, gap, self.colour.stroke_width(self.width))
    }
}

/// Milliseconds over the number of nines of the quantile, as far as there are enough values for it.
#[expect(clippy::cast_precision_loss, reason = "microseconds of a latency")]
fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let steps = (0..=DECADES * STEPS_PER_DECADE).map(|step| f64::from(step) / f64::from(STEPS_PER_DECADE));
    let at = |nines: f64| histogram.value_at_quantile(1.0 - 10_f64.powf(-nines)) as f64 / 1_000.0;
    let most = (histogram.len() as f64).log10();
    steps.filter(|nines| *nines <= most + 1e-9).map(|nines| (nines, at(nines))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        Chart::new("Lag & <limits>", Axis::linear("seconds"), Axis::linear("lag, ms"))
            .series(Series::new("200/s", points))
            .limit("under 300 ms", 300.0)
    }

    #[test]
    fn a_chart_names_its_lines_and_limits() {
        let svg = chart((0..60).map(|x| (f64::from(x), 200.0 + f64::from(x))).collect()).svg().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        for text in ["Lag &amp; &lt;limits&gt;", "200/s", "under 300 ms", "seconds", "lag, ms"] {
            assert!(svg.contains(text), "{text}");
        }
        // Each of the two lines once in the picture, once in the legend.
        let lines = |colour: &str| svg.matches("<polyline").count() > 3 && svg.matches(colour).count() >= 2;
        assert!(lines("#0072B2") && lines("#FF0000"), "{svg}");
    }

    #[test]
    fn a_baseline_has_dashes_in_the_colour_of_its_line() {
        let points = vec![(0.0, 1.0), (10.0, 1.0)];
        let lines = |series: Series| Chart::new("t", Axis::linear("x"), Axis::log("y")).series(series);
        let solid = lines(Series::new("function", points.clone()).with_markers()).svg().unwrap();
        let chart = lines(Series::new("function", points.clone()).with_markers());
        let both = chart.series(Series::new("baseline", points).baseline_of_previous()).svg().unwrap();
        let count = |svg: &str| svg.matches("#0072B2").count();
        assert!(count(&both) > count(&solid) + 20, "{both}");
        assert!(!both.contains("#D55E00"), "the second colour is not used");
    }

    #[test]
    fn nothing_one_point_and_no_number_can_be_drawn() {
        for points in [vec![], vec![(0.0, 0.0)], vec![(1.0, f64::NAN), (f64::INFINITY, 2.0)]] {
            assert!(chart(points.clone()).svg().is_ok());
            let log = Chart::new("t", Axis::log("x"), Axis::log("y")).series(Series::new("a", points));
            assert!(log.svg().is_ok());
        }
        let empty = Histogram::new_with_bounds(1, 1_000, 3).unwrap();
        let curve = Chart::new("t", Axis::percentiles("share"), Axis::linear("ms"));
        assert!(curve.series(Series::percentiles("a", &empty)).svg().is_ok());
    }

    #[test]
    fn a_percentile_curve_runs_over_nines() {
        let mut histogram = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
        (1..=1_000).for_each(|ms| histogram.record(ms * 1_000).unwrap());
        let points = curve(&histogram);
        let (_, at_90) = points[20];
        assert!((899.0..902.0).contains(&at_90), "{at_90}");
        let curve = Chart::new("t", Axis::percentiles("share"), Axis::linear("ms"));
        let svg = curve.series(Series::percentiles("a", &histogram)).svg().unwrap();
        assert!(["50 %", "90 %", "99 %", "99.9 %"].iter().all(|label| svg.contains(label)), "{svg}");
    }
}
