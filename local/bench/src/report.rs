//! What a run found: as lines for a terminal, as JSON for machines, as Markdown with charts for readers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use driftless_display::chart::{LineChart, PercentileChart};
use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::figures::{Bound, Figure, Row};

/// The folder with the charts, beside the report; the figures are there, too.
const CHARTS: &str = "benchmark";
const FIGURES: &str = "figures.json";

/// A chart, and the name of its file without an ending.
pub(crate) struct Drawing {
    name: &'static str,
    chart: Chart,
}

enum Chart {
    Lines(LineChart),
    Percentiles(PercentileChart),
}

impl Drawing {
    pub(crate) fn lines(name: &'static str, chart: LineChart) -> Self {
        Self { name, chart: Chart::Lines(chart) }
    }

    pub(crate) fn percentiles(name: &'static str, chart: PercentileChart) -> Self {
        Self { name, chart: Chart::Percentiles(chart) }
    }

    fn file(&self) -> String {
        format!("{CHARTS}/{}.svg", self.name)
    }
}

/// Where and how a run was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setting {
    driftless: String,
    subject: String,
    engine: String,
    machine: String,
    at: String,
    seed: u64,
    quick: bool,
}

/// A run.
#[derive(Serialize, Deserialize)]
pub struct Report {
    setting: Setting,
    /// What was measured.
    pub rows: Vec<Row>,
    #[serde(skip)]
    drawings: Vec<Drawing>,
}

/// The rows of an earlier run.
pub(crate) fn read(file: &Path) -> Result<Vec<Row>> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let report: Report = serde_json::from_str(&text).with_context(|| format!("read {}", file.display()))?;
    Ok(report.rows)
}

impl Report {
    /// A report without rows.
    pub(crate) fn new(args: &Args, subject: &str, engine: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = DateTime::from_secs(i64::try_from(now.as_secs()).unwrap_or_default());
        let setting = Setting {
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

    /// Of what, where and when, in words.
    pub(crate) fn heading(&self) -> String {
        self.setting.describe()
    }

    /// For machines.
    pub(crate) fn write_json(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("write the figures")?;
        fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))
    }

    /// For readers: `benchmark.md`, and its charts and figures in a folder beside it. Rows that stand there, and were not
    /// measured this time, stay.
    pub(crate) fn write_markdown(&self, folder: &Path) -> Result<()> {
        let charts = folder.join(CHARTS);
        fs::create_dir_all(&charts).with_context(|| format!("create {}", charts.display()))?;
        for drawing in &self.drawings {
            let file = folder.join(drawing.file());
            match &drawing.chart {
                Chart::Lines(chart) => chart.write(&file)?,
                Chart::Percentiles(chart) => chart.write(&file)?,
            }
        }
        let figures = charts.join(FIGURES);
        let mut rows = if figures.is_file() { read(&figures)? } else { Vec::new() };
        rows.retain(|row| self.rows.iter().all(|new| new.id != row.id));
        rows.extend(self.rows.iter().cloned());
        rows.sort_by_key(|row| row.id);
        let all = Self { setting: self.setting.clone(), rows, drawings: Vec::new() };
        all.write_json(&figures)?;
        let file = folder.join("benchmark.md");
        fs::write(&file, all.markdown()).with_context(|| format!("write {}", file.display()))
    }

    fn markdown(&self) -> String {
        let mut text = String::from(include_str!("preface.md"));
        let _ = writeln!(text, "\n{}\n", self.setting.describe());
        text.push_str("| row | what | verdict |\n|---|---|---|\n");
        for row in &self.rows {
            let _ = writeln!(text, "| {:?} | {} | {} |", row.id, row.title, verdict(row));
        }
        for row in &self.rows {
            let _ = writeln!(
                text,
                "\n## {:?}: {}\n\nWorkload: {}.\n\nTarget: {}.\n",
                row.id, row.title, row.workload, row.target
            );
            if row.measured != self.setting.describe() {
                let _ = writeln!(text, "{}\n", row.measured);
            }
            text.push_str("| figure | value | must be | noise | |\n|---|--:|--:|--:|---|\n");
            for figure in &row.figures {
                let bound = figure.bound.map(words).unwrap_or_default();
                let noise = figure.noise.map(|noise| format!("±{:.0} %", noise * 100.0)).unwrap_or_default();
                let mark = match (figure.bound, figure.met()) {
                    (None, _) => "",
                    (_, true) => "met",
                    (_, false) => "**missed**",
                };
                let _ = writeln!(text, "| {} | {} | {bound} | {noise} | {mark} |", figure.name, told(figure));
            }
            for note in &row.notes {
                let _ = writeln!(text, "\n{note}");
            }
            for chart in &row.charts {
                let _ = writeln!(text, "\n![{}]({chart})", row.title);
            }
        }
        text
    }
}

impl Setting {
    fn describe(&self) -> String {
        let Self { driftless, subject, engine, machine, at, seed, quick } = self;
        let form = if *quick { ", the quick form" } else { "" };
        format!("Measured: {subject} (driftless {driftless}) on {engine}, {machine}, {at}, seed {seed}{form}.")
    }
}

/// A row, for a terminal.
pub(crate) fn lines(row: &Row) -> Vec<String> {
    let verdict = if row.met { "met" } else { "MISSED" };
    let mut lines = vec![format!("{:?}  {}: {verdict}", row.id, row.title)];
    lines.extend(row.figures.iter().map(|figure| {
        let (value, bound) = (told(figure), figure.bound.map(words).unwrap_or_default());
        let missed = if figure.met() { "" } else { "  MISSED" };
        format!("    {:<58} {value:>16}  {bound}{missed}", figure.name)
    }));
    lines
}

fn verdict(row: &Row) -> &'static str {
    if row.met { "met" } else { "**missed**" }
}

/// With as many digits as say something.
pub(crate) fn told(figure: &Figure) -> String {
    let Figure { value, unit, .. } = figure;
    match unit.as_str() {
        _ if value.is_nan() => "none".to_owned(),
        "ratio" => format!("{value:.2}"),
        "changes/s" => format!("{value:.0} {unit}"),
        _ if *value >= 100.0 => format!("{value:.0} {unit}"),
        _ if *value < 0.1 => format!("{value:.4} {unit}"),
        _ => format!("{value:.2} {unit}"),
    }
}

fn words(bound: Bound) -> String {
    match bound {
        Bound::AtMost(limit) => format!("at most {limit}"),
        Bound::AtLeast(limit) => format!("at least {limit}"),
        Bound::Under(limit) => format!("under {limit}"),
    }
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
    use super::super::figures::RowId;
    use super::*;

    fn report() -> Report {
        let setting = Setting {
            driftless: "0.1.0".to_owned(),
            subject: "driftless".to_owned(),
            engine: "OpenSearch".to_owned(),
            machine: "2 cores".to_owned(),
            at: "2026-11-22T00:00:00Z".to_owned(),
            seed: 1,
            quick: false,
        };
        let mut row = Row::new(RowId::B4, "Catching up", "w", "at least 0.9");
        row.add(Figure::new("held", 0.95, "ratio").must(Bound::AtLeast(0.9)));
        row.add(Figure::new("lost", 0.5, "ratio").must(Bound::AtLeast(0.9)));
        row.add(Figure::new("told", 12_345.6, "changes/s"));
        let mut report = Report { setting, rows: Vec::new(), drawings: Vec::new() };
        report.add(row, Vec::new());
        report
    }

    #[test]
    fn a_miss_is_told_as_a_miss() {
        let mut report = report();
        report.rows[0].add(Figure::new("no value", f64::NAN, "lanes").must(Bound::AtMost(3.0)));
        let text = report.markdown();
        assert!(text.contains("| B4 | Catching up | **missed** |"), "{text}");
        assert!(text.contains("| held | 0.95 | at least 0.9 |  | met |"), "{text}");
        assert!(text.contains("| lost | 0.50 | at least 0.9 |  | **missed** |"), "{text}");
        assert!(text.contains("| told | 12346 changes/s |  |  |  |"), "{text}");
        assert!(text.contains("| no value | none | at most 3 |  | **missed** |"), "{text}");
        assert!(lines(&report.rows[0]).iter().any(|line| line.contains("lost") && line.ends_with("MISSED")));
    }

    #[test]
    fn rows_that_are_not_measured_again_stay_with_their_own_run() {
        let folder = tempfile::tempdir().unwrap();
        report().write_markdown(folder.path()).unwrap();
        let mut later = report();
        "2026-11-23T00:00:00Z".clone_into(&mut later.setting.at);
        later.rows.clear();
        later.add(Row::new(RowId::B1, "Cost", "w", "t"), Vec::new());
        later.write_markdown(folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join("benchmark.md")).unwrap();
        assert!(text.contains("| B4 | Catching up | **missed** |"), "{text}");
        assert_eq!((text.matches("2026-11-23").count(), text.matches("2026-11-22").count()), (1, 1), "{text}");
        let ids: Vec<_> =
            read(&folder.path().join("benchmark/figures.json")).unwrap().iter().map(|row| row.id).collect();
        assert_eq!(ids, [RowId::B1, RowId::B4]);
    }

    #[test]
    fn figures_survive_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("figures.json");
        report().write_json(&file).unwrap();
        let text: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!((&text["rows"][0]["id"], &text["rows"][0]["met"]), (&"B4".into(), &false.into()));
        assert_eq!(read(&file).unwrap(), report().rows);
    }
}
