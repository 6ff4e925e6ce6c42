//! Charts as SVG files: lines over a linear or logarithmic axis, and percentile curves.
//!
//! White behind, text as text, so that they can be read, searched and put into a document.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use plotters::prelude::*;

const SIZE: (u32, u32) = (960, 480);
/// Told apart by people with any colour vision: the palette of Okabe and Ito, without its yellow.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
];
/// The quantiles that a percentile curve is drawn through, per factor of ten.
const STEPS_PER_DECADE: i32 = 20;
const DECADES: i32 = 3;

/// One line.
#[derive(Clone, Debug)]
pub struct Series {
    /// For the legend.
    pub name: String,
    /// Places along both axes, in the order of the first.
    pub points: Vec<(f64, f64)>,
}

/// A value that the lines must stay under.
#[derive(Clone, Debug)]
pub struct Limit {
    /// For the legend.
    pub name: String,
    /// Its place on the vertical axis.
    pub value: f64,
}

/// Lines over a linear axis.
#[derive(Clone, Debug)]
pub struct LineChart {
    /// Stands above.
    pub title: String,
    /// What runs to the right, with its unit.
    pub x: String,
    /// What runs upwards, with its unit.
    pub y: String,
    /// The lines.
    pub series: Vec<Series>,
    /// The limits.
    pub limits: Vec<Limit>,
}

/// Latencies by percentile: to the right 50 %, 90 %, 99 % and 99.9 % lie equally far apart.
#[derive(Clone, Debug)]
pub struct PercentileChart {
    /// Stands above.
    pub title: String,
    /// What the histograms count, with its unit.
    pub y: String,
    /// Names, and histograms of microseconds.
    pub series: Vec<(String, Histogram<u64>)>,
}

impl LineChart {
    /// The chart as the text of an SVG file.
    ///
    /// # Errors
    /// Where it cannot be drawn.
    pub fn svg(&self) -> Result<String> {
        self.draw(&|x| format!("{x}"))
    }

    /// Writes the chart.
    ///
    /// # Errors
    /// Where it cannot be drawn, or the file not be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        std::fs::write(file, self.svg()?).with_context(|| format!("write {}", file.display()))
    }

    fn draw(&self, x_label: &dyn Fn(&f64) -> String) -> Result<String> {
        let mut svg = String::new();
        self.draw_on(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area(), x_label)
            .map_err(|error| anyhow!("draw `{}`: {error}", self.title))?;
        Ok(svg)
    }

    fn draw_on<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, plotters::coord::Shift>,
        x_label: &dyn Fn(&f64) -> String,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        area.fill(&WHITE)?;
        let (x, y) = self.ranges();
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(x.clone(), y)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(&self.x).y_desc(&self.y).x_label_formatter(x_label).light_line_style(WHITE).draw()?;
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let points = series.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite());
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
                .label(&series.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        for limit in &self.limits {
            chart
                .draw_series(LineSeries::new([(x.start, limit.value), (x.end, limit.value)], RED.stroke_width(1)))?
                .label(&limit.name)
                .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], RED.stroke_width(1)));
        }
        let mut legend = chart.configure_series_labels();
        legend.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3));
        legend.draw()?;
        area.present()
    }

    /// From 0 upwards, with some air above; never empty.
    fn ranges(&self) -> (Range<f64>, Range<f64>) {
        let points = self.series.iter().flat_map(|series| &series.points);
        let finite = points.filter(|(x, y)| x.is_finite() && y.is_finite());
        let (mut right, mut top) = (0.0_f64, 0.0_f64);
        for (x, y) in finite {
            (right, top) = (right.max(*x), top.max(*y));
        }
        let top = self.limits.iter().map(|limit| limit.value).fold(top, f64::max);
        let or_one = |end: f64| if end > 0.0 { end } else { 1.0 };
        (0.0..or_one(right), 0.0..or_one(top) * 1.35)
    }
}

impl PercentileChart {
    /// The chart as the text of an SVG file.
    ///
    /// # Errors
    /// Where it cannot be drawn.
    pub fn svg(&self) -> Result<String> {
        let series =
            self.series.iter().map(|(name, histogram)| Series { name: name.clone(), points: curve(histogram) });
        let lines = LineChart {
            title: self.title.clone(),
            x: "share of changes at most that late".to_owned(),
            y: self.y.clone(),
            series: series.collect(),
            limits: Vec::new(),
        };
        // The axis counts the nines.
        lines.draw(&|nines| {
            let percent = 100.0 - 100.0 * 10_f64.powf(-nines);
            format!("{} %", (percent * 100.0).round() / 100.0)
        })
    }

    /// Writes the chart.
    ///
    /// # Errors
    /// Where it cannot be drawn, or the file not be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        std::fs::write(file, self.svg()?).with_context(|| format!("write {}", file.display()))
    }
}

/// Milliseconds over the number of nines of the quantile.
#[expect(clippy::cast_precision_loss, reason = "microseconds of a latency")]
fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let steps = (0..=DECADES * STEPS_PER_DECADE).map(|step| f64::from(step) / f64::from(STEPS_PER_DECADE));
    let at = |nines: f64| histogram.value_at_quantile(1.0 - 10_f64.powf(-nines)) as f64 / 1_000.0;
    steps.map(|nines| (nines, at(nines))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> LineChart {
        LineChart {
            title: "Lag & <limits>".to_owned(),
            x: "seconds".to_owned(),
            y: "lag, ms".to_owned(),
            series: vec![Series { name: "200/s".to_owned(), points }],
            limits: vec![Limit { name: "under 300 ms".to_owned(), value: 300.0 }],
        }
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
    fn nothing_one_point_and_no_number_can_be_drawn() {
        for points in [vec![], vec![(0.0, 0.0)], vec![(1.0, f64::NAN), (f64::INFINITY, 2.0)]] {
            assert!(chart(points).svg().is_ok());
        }
        let empty = Histogram::new_with_bounds(1, 1_000, 3).unwrap();
        let curve =
            PercentileChart { title: "t".to_owned(), y: "ms".to_owned(), series: vec![("a".to_owned(), empty)] };
        assert!(curve.svg().is_ok());
    }

    #[test]
    fn a_percentile_curve_runs_over_nines() {
        let mut histogram = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
        (1..=1_000).for_each(|ms| histogram.record(ms * 1_000).unwrap());
        let points = curve(&histogram);
        let (_, at_90) = points[20];
        assert!((899.0..902.0).contains(&at_90), "{at_90}");
        let curve =
            PercentileChart { title: "t".to_owned(), y: "ms".to_owned(), series: vec![("a".to_owned(), histogram)] };
        let svg = curve.svg().unwrap();
        assert!(["90 %", "99 %", "99.9 %"].iter().all(|label| svg.contains(label)), "{svg}");
    }
}
