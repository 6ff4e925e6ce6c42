//! The report of a run: as lines for a terminal, as JSON for machines, as Markdown with charts for readers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use driftless_display::chart::Chart;
use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::figures::Row;
use crate::markdown;

/// The folder with charts and figures, beside the report.
const FOLDER: &str = "benchmark";
const FIGURES: &str = "figures.json";
/// Charts as they are drawn: lines and axes by the name of the file.
const CHARTS: &str = "charts.json";

/// A chart, and the name of its file without an ending.
pub(crate) struct Drawing {
    pub(crate) name: &'static str,
    pub(crate) chart: Chart,
}

impl Drawing {
    fn file(&self) -> String {
        file(self.name)
    }
}

/// Machine, date and subject of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunSetting {
    driftless: String,
    subject: String,
    engine: String,
    machine: String,
    at: String,
    seed: u64,
    quick: bool,
}

/// Results of a run.
#[derive(Serialize, Deserialize)]
pub struct BenchReport {
    pub(crate) setting: RunSetting,
    /// Measured rows, in the order of their numbers.
    pub rows: Vec<Row>,
    #[serde(skip)]
    drawings: Vec<Drawing>,
}

/// Reads the report of an earlier run.
pub(crate) fn read(file: &Path) -> Result<BenchReport> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("read {}", file.display()))
}

/// Writes an earlier run's report again, and draws its charts again where their lines are stored beside its figures.
pub(crate) fn render_again(figures: &Path, folder: &Path) -> Result<()> {
    read(figures)?.write_into(folder, read_charts(&figures.with_file_name(CHARTS))?)
}

impl BenchReport {
    /// Creates a report without rows.
    pub(crate) fn new(args: &Args, subject: &str, engine: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = DateTime::from_secs(i64::try_from(now.as_secs()).unwrap_or_default());
        let setting = RunSetting {
            driftless: env!("CARGO_PKG_VERSION").to_owned(),
            subject: subject.to_owned(),
            engine: engine.to_owned(),
            machine: machine(),
            at: now.fmt(DateTimeFormat::DateTime).unwrap_or_default(),
            seed: args.seed,
            quick: args.quick,
        };
        Self { setting, rows: Vec::new(), drawings: Vec::new() }
    }

    /// Adds a row with its charts.
    pub(crate) fn add(&mut self, mut row: Row, drawings: Vec<Drawing>) {
        row.charts = drawings.iter().map(Drawing::file).collect();
        row.measured = self.setting.describe();
        self.rows.push(row);
        self.drawings.extend(drawings);
    }

    /// Subject, machine and date in words.
    pub(crate) fn heading(&self) -> String {
        self.setting.describe()
    }

    /// Number of figures outside their bounds.
    pub(crate) fn missed(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.figures).filter(|figure| !figure.met()).count()
    }

    /// Writes the figures as JSON.
    pub(crate) fn write_json(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("write the figures")?;
        fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))
    }

    /// Writes `benchmark.md`, with its charts and figures in a folder beside it.
    pub(crate) fn write_markdown(&self, folder: &Path) -> Result<()> {
        let charts = self.drawings.iter().map(|drawing| (drawing.name.to_owned(), drawing.chart.clone()));
        self.write_into(folder, charts.collect())
    }

    /// Writes report, figures and charts. Rows that are there from other runs, and are not in this one, stay.
    fn write_into(&self, folder: &Path, new_charts: BTreeMap<String, Chart>) -> Result<()> {
        let figures = folder.join(FOLDER).join(FIGURES);
        let mut rows = if figures.is_file() { read(&figures)?.rows } else { Vec::new() };
        rows.retain(|row| self.rows.iter().all(|new| new.id != row.id));
        rows.extend(self.rows.iter().cloned());
        rows.sort_by_key(|row| row.id);
        let mut charts = read_charts(&folder.join(FOLDER).join(CHARTS))?;
        charts.extend(new_charts);
        Self { setting: self.setting.clone(), rows, drawings: Vec::new() }.write_files(folder, charts)
    }

    /// Writes report, figures and charts; charts of rows that are not in the report are left out.
    fn write_files(&self, folder: &Path, mut charts: BTreeMap<String, Chart>) -> Result<()> {
        let beside = folder.join(FOLDER);
        fs::create_dir_all(&beside).with_context(|| format!("create {}", beside.display()))?;
        let shown: Vec<&String> = self.rows.iter().flat_map(|row| &row.charts).collect();
        charts.retain(|name, _| shown.contains(&&file(name)));
        for (name, chart) in &charts {
            chart.write(&folder.join(file(name)))?;
        }
        let text = serde_json::to_string(&charts).context("write the charts")?;
        // One chart a line, so that a change shows which.
        let text = text.replace("},\"b", "},\n\"b") + "\n";
        fs::write(beside.join(CHARTS), text).with_context(|| format!("write {}", beside.join(CHARTS).display()))?;
        self.write_json(&beside.join(FIGURES))?;
        let page = folder.join("benchmark.md");
        fs::write(&page, markdown::page(&self.heading(), &self.rows))
            .with_context(|| format!("write {}", page.display()))
    }
}

/// Reads charts; none if the file is not there.
fn read_charts(file: &Path) -> Result<BTreeMap<String, Chart>> {
    if !file.is_file() {
        return Ok(BTreeMap::new());
    }
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("read {}", file.display()))
}

fn file(chart: &str) -> String {
    format!("{FOLDER}/{chart}.svg")
}

impl RunSetting {
    /// Subject, machine and date in words.
    pub(crate) fn describe(&self) -> String {
        let Self { driftless, subject, engine, machine, at, seed, quick } = self;
        let form = if *quick { ", the quick form" } else { "" };
        let subject = match subject.as_str() {
            "driftless" => format!("driftless {driftless}"),
            other => format!("{other} (by the benchmark of driftless {driftless})"),
        };
        let engine = if engine.is_empty() { String::new() } else { format!(" on {engine}") };
        format!("Measured: {subject}{engine}, {machine}, {at}, seed {seed}{form}.")
    }
}

/// Lines of a row for a terminal.
pub(crate) fn lines(row: &Row) -> Vec<String> {
    let verdict = if row.met { "met" } else { "MISSED" };
    let mut lines = vec![format!("{}  {}: {verdict}", row.id, row.id.about().title)];
    lines.extend(row.figures.iter().map(|figure| {
        let missed = if figure.met() { "" } else { "  MISSED" };
        format!("    {:<58} {:>16}  {}{missed}", figure.name, figure.text(), figure.bound_text())
    }));
    lines
}

/// Cores, processor and memory, as far as the system tells.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let first = |file: &str, name: &str| {
        let text = fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let processor = first("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = first("/proc/meminfo", "MemTotal").and_then(|text| text.strip_suffix(" kB")?.parse::<f64>().ok());
    let memory = memory.map(|kib| format!(", {:.0} GiB", kib / 1_048_576.0)).unwrap_or_default();
    format!("{cores} cores ({processor}){memory}, {}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use driftless_display::chart::{Axis, Series};

    use super::super::figures::{Bound, Figure, RowId};
    use super::*;

    fn report() -> BenchReport {
        let setting = RunSetting {
            driftless: "0.1.0".to_owned(),
            subject: "driftless".to_owned(),
            engine: "OpenSearch".to_owned(),
            machine: "2 cores".to_owned(),
            at: "2026-11-22T00:00:00Z".to_owned(),
            seed: 1,
            quick: false,
        };
        let mut row = Row::new(RowId::Backlog, "w");
        row.add(Figure::new("held", 0.95, "ratio").bounded(Bound::AtLeast(0.9)));
        row.add(Figure::new("lost", 0.5, "ratio").bounded(Bound::AtLeast(0.9)));
        row.add(Figure::new("told", 12_345.6, "changes/s"));
        let mut report = BenchReport { setting, rows: Vec::new(), drawings: Vec::new() };
        report.add(row, Vec::new());
        report
    }

    fn drawing(name: &'static str) -> Drawing {
        let chart = Chart::new("t", Axis::linear("x"), Axis::linear("y"));
        Drawing { name, chart: chart.series(Series::new("s", vec![(0.0, 0.1), (1.0, 0.3)])) }
    }

    #[test]
    fn a_miss_is_told_as_a_miss() {
        let mut report = report();
        report.rows[0].add(Figure::new("no value", f64::NAN, "lanes").bounded(Bound::AtMost(3.0)));
        let text = markdown::page(&report.heading(), &report.rows);
        assert!(text.contains("| B4 backlog | "), "{text}");
        assert!(text.contains("| lost | 0.50 | at least 0.9 | **2 of 3 missed** |"), "{text}");
        assert!(text.contains("| held | 0.95 | at least 0.9 | met |"), "{text}");
        assert!(text.contains("| lost | 0.50 | at least 0.9 | **missed** |"), "{text}");
        assert!(text.contains("| told | 12,346 changes/s |"), "{text}");
        assert!(text.contains("| no value | none | at most 3 lanes | **missed** |"), "{text}");
        assert!(lines(&report.rows[0]).iter().any(|line| line.contains("lost") && line.ends_with("MISSED")));
        assert_eq!(report.missed(), 2);
    }

    #[test]
    fn rows_that_are_not_measured_again_stay_with_their_own_run() {
        let folder = tempfile::tempdir().unwrap();
        report().write_markdown(folder.path()).unwrap();
        let mut later = report();
        "2026-11-23T00:00:00Z".clone_into(&mut later.setting.at);
        later.rows.clear();
        later.add(Row::new(RowId::OneLane, "w"), vec![drawing("b1-insert")]);
        later.write_markdown(folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join("benchmark.md")).unwrap();
        assert!(text.contains("| lost | 0.50 | at least 0.9 | **1 of 2 missed** |"), "{text}");
        assert_eq!((text.matches("2026-11-23").count(), text.matches("2026-11-22").count()), (1, 1), "{text}");
        let ids: Vec<_> =
            read(&folder.path().join("benchmark/figures.json")).unwrap().rows.iter().map(|row| row.id).collect();
        assert_eq!(ids, [RowId::OneLane, RowId::Backlog]);
    }

    #[test]
    fn a_report_is_written_again_from_its_figures() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut report = report();
        report.add(Row::new(RowId::Growth, "w"), vec![drawing("b6-rate"), drawing("b6-other")]);
        report.write_markdown(first.path()).unwrap();
        render_again(&first.path().join("benchmark/figures.json"), second.path()).unwrap();
        let files = [
            "benchmark.md",
            "benchmark/figures.json",
            "benchmark/charts.json",
            "benchmark/b6-rate.svg",
            "benchmark/b6-other.svg",
        ];
        for file in files {
            let text = |folder: &Path| fs::read_to_string(folder.join(file)).unwrap();
            assert_eq!(text(first.path()), text(second.path()), "{file}");
        }
    }

    #[test]
    fn a_report_from_a_file_keeps_the_rows_and_charts_that_are_not_in_it() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut earlier = report();
        earlier.add(Row::new(RowId::Growth, "w"), vec![drawing("b6-rate")]);
        earlier.write_markdown(folder.path()).unwrap();
        let mut later = report();
        later.rows.clear();
        later.add(Row::new(RowId::OneLane, "w"), vec![drawing("b1-insert")]);
        later.write_markdown(elsewhere.path()).unwrap();
        render_again(&elsewhere.path().join("benchmark/figures.json"), folder.path()).unwrap();
        let rows = read(&folder.path().join("benchmark/figures.json")).unwrap().rows;
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [RowId::OneLane, RowId::Backlog, RowId::Growth]);
        let charts = read_charts(&folder.path().join("benchmark/charts.json")).unwrap();
        assert_eq!(charts.keys().collect::<Vec<_>>(), ["b1-insert", "b6-rate"]);
    }

    #[test]
    fn figures_survive_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("figures.json");
        report().write_json(&file).unwrap();
        let text: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!((&text["rows"][0]["id"], &text["rows"][0]["met"]), (&"B4".into(), &false.into()));
        assert_eq!(read(&file).unwrap().rows, report().rows);
    }

    #[test]
    fn another_executable_is_named_as_what_it_is() {
        let mut setting = report().setting;
        assert!(setting.describe().starts_with("Measured: driftless 0.1.0 on OpenSearch, 2 cores, "));
        "./bootstrap".clone_into(&mut setting.subject);
        assert!(
            setting
                .describe()
                .starts_with("Measured: ./bootstrap (by the benchmark of driftless 0.1.0) on OpenSearch,")
        );
    }
}
