//! The page of a report: an overview with one figure per row, then each row with its tables and charts.

use std::fmt::Write as _;

use crate::figures::{Figure, Row, RowId};
use crate::rows::lane_time;

/// Returns the whole page of these rows; `measured` is the run in words.
pub(crate) fn page(measured: &str, rows: &[Row]) -> String {
    let mut text = String::from(include_str!("preface.md"));
    let _ = writeln!(text, "\n{measured}\n");
    text.push_str("| row | about | figure | value | bound | verdict |\n|---|---|---|--:|--:|---|\n");
    for row in rows {
        let Some(figure) = headline(row) else { continue };
        let (title, value, bound) = (row.id.about().title, figure.text(), figure.bound_text());
        let _ = writeln!(text, "| {} | {title} | {} | {value} | {bound} | {} |", row.id, figure.name, verdict(row));
    }
    for row in rows {
        section(&mut text, row, measured);
    }
    text
}

fn section(text: &mut String, row: &Row, measured: &str) {
    let about = row.id.about();
    let _ = writeln!(text, "\n## {}: {}\n\n{}\nWorkload: {}.\n", row.id, about.title, about.notes, row.workload);
    if row.measured != measured {
        let _ = writeln!(text, "{}\n", row.measured);
    }
    text.push_str(&[bounded(row), details(row), capacity(row)].concat());
    for chart in &row.charts {
        let name = chart.rsplit('/').next().unwrap_or(chart).trim_end_matches(".svg");
        let _ = writeln!(text, "\n![{}: {name}]({chart})", about.title);
    }
}

/// The figure that matters: the first one that is missed, or the row's own choice.
fn headline(row: &Row) -> Option<&Figure> {
    let bounded = || row.figures.iter().filter(|figure| figure.bound.is_some());
    let chosen = || bounded().find(|figure| figure.name == row.id.about().headline);
    bounded().find(|figure| !figure.met()).or_else(chosen).or_else(|| bounded().next())
}

fn verdict(row: &Row) -> String {
    let bounded = row.figures.iter().filter(|figure| figure.bound.is_some());
    match row.figures.iter().filter(|figure| !figure.met()).count() {
        0 => "met".to_owned(),
        missed => format!("**{missed} of {} missed**", bounded.count()),
    }
}

/// Table of the figures with bounds; the noise where the run knows it.
fn bounded(row: &Row) -> String {
    let figures: Vec<&Figure> = row.figures.iter().filter(|figure| figure.bound.is_some()).collect();
    if figures.is_empty() {
        return String::new();
    }
    let noisy = figures.iter().any(|figure| figure.noise.is_some());
    let noise_column = |cell: String| if noisy { format!(" {cell} |") } else { String::new() };
    let mut text = format!("| figure | value | bound |{} verdict |\n", noise_column("noise".to_owned()));
    let _ = writeln!(text, "|---|--:|--:|{}---|", if noisy { "--:|" } else { "" });
    for figure in figures {
        let noise = noise_column(figure.noise.map(|noise| format!("±{:.0} %", noise * 100.0)).unwrap_or_default());
        let verdict = if figure.met() { "met" } else { "**missed**" };
        let (value, bound) = (figure.text(), figure.bound_text());
        let _ = writeln!(text, "| {} | {value} | {bound} |{noise} {verdict} |", figure.name);
    }
    text
}

/// Tables of the figures that explain the others. Cases with the same quantities share a table.
fn details(row: &Row) -> String {
    let mut text = String::new();
    let mut list = Vec::new();
    for table in tables(row) {
        match table.cases.as_slice() {
            [_, _, ..] => text.push_str(&cross_table(row, &table)),
            _ => list.extend(table.figures),
        }
    }
    if !list.is_empty() {
        text.push_str("\n| beside them | value |\n|---|--:|\n");
        for figure in list {
            let _ = writeln!(text, "| {} | {} |", figure.name, figure.text());
        }
    }
    text
}

/// Cases of a row that have the same quantities.
struct CaseTable<'r> {
    cases: Vec<&'r str>,
    quantities: Vec<&'r str>,
    /// Figures of these cases without bounds.
    figures: Vec<&'r Figure>,
}

fn tables(row: &Row) -> Vec<CaseTable<'_>> {
    let unbounded = || row.figures.iter().filter(|figure| figure.bound.is_none());
    let mut tables: Vec<CaseTable<'_>> = Vec::new();
    for figure in unbounded() {
        let Some((case, _)) = figure.name.split_once(": ") else {
            tables.push(CaseTable { cases: Vec::new(), quantities: Vec::new(), figures: vec![figure] });
            continue;
        };
        if tables.iter().any(|table| table.cases.contains(&case)) {
            continue;
        }
        let of_case =
            || row.figures.iter().filter(|figure| figure.name.split_once(": ").is_some_and(|name| name.0 == case));
        let quantities: Vec<&str> =
            of_case().filter_map(|figure| figure.name.split_once(": ")).map(|name| name.1).collect();
        let figures = of_case().filter(|figure| figure.bound.is_none());
        match tables.iter_mut().find(|table| table.quantities == quantities) {
            Some(table) => {
                table.cases.push(case);
                table.figures.extend(figures);
            }
            None => tables.push(CaseTable { cases: vec![case], quantities, figures: figures.collect() }),
        }
    }
    // A quantity with a bound in every case stands in the table of bounds.
    for table in &mut tables {
        let CaseTable { quantities, figures, .. } = table;
        quantities.retain(|quantity| figures.iter().any(|figure| figure.name.ends_with(&format!(": {quantity}"))));
    }
    tables
}

/// Cases to the right and quantities downwards, or the other way where that is narrower.
fn cross_table(row: &Row, table: &CaseTable<'_>) -> String {
    let cell = |case: &str, quantity: &str| {
        let name = format!("{case}: {quantity}");
        row.figures.iter().find(|figure| figure.name == name).map_or_else(|| "–".to_owned(), Figure::text)
    };
    let wide = table.quantities.len() < table.cases.len();
    let (columns, lines) = if wide { (&table.quantities, &table.cases) } else { (&table.cases, &table.quantities) };
    let mut text = format!("\n| | {} |\n|---|{}\n", columns.join(" | "), "--:|".repeat(columns.len()));
    for line in lines {
        let cells = columns.iter().map(|column| if wide { cell(line, column) } else { cell(column, line) });
        let _ = writeln!(text, "| {line} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

/// Capacity that follows from the times of row B7.
fn capacity(row: &Row) -> String {
    match lane_time::capacity(row) {
        Some(table) if row.id == RowId::LaneTime => format!("\n{table}\n"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Bound;
    use crate::report::BenchReport;

    fn row(figures: &[(&str, Option<f64>)]) -> Row {
        let mut row = Row::new(RowId::Unguarded, "w");
        for (name, bound) in figures {
            let figure = Figure::new(*name, 2.0, "ms");
            row.add(match bound {
                Some(bound) => figure.bounded(Bound::AtMost(*bound)),
                None => figure,
            });
        }
        row
    }

    #[test]
    fn cases_with_the_same_quantities_share_a_table() {
        let row = row(&[
            ("one: p50", Some(3.0)),
            ("one: p99", None),
            ("ten: p50", Some(3.0)),
            ("ten: p99", None),
            ("on disk: bytes", None),
            ("alone", None),
        ]);
        let text = details(&row);
        assert!(text.contains("| | p99 |\n|---|--:|\n| one | 2 ms |\n| ten | 2 ms |\n"), "{text}");
        assert!(text.contains("| on disk: bytes | 2 ms |\n| alone | 2 ms |\n"), "{text}");
        assert!(!text.contains("p50"), "bounded in every case: {text}");
        assert!(!bounded(&row).contains("noise"), "{}", bounded(&row));
    }

    #[test]
    fn the_overview_shows_a_miss_before_the_rows_own_choice() {
        let headline_of = |row: &Row| headline(row).map(|figure| figure.name.clone());
        let chosen = RowId::Unguarded.about().headline;
        let met = row(&[("other", Some(3.0)), (chosen, Some(3.0))]);
        assert_eq!(headline_of(&met).as_deref(), Some(chosen));
        let missed = row(&[("other", Some(1.0)), (chosen, Some(3.0))]);
        assert_eq!(headline_of(&missed).as_deref(), Some("other"));
    }

    #[test]
    fn the_published_figures_have_every_headline() {
        let text = include_str!("../../../docs/benchmark/figures.json");
        let report: BenchReport = serde_json::from_str(text).unwrap();
        for row in &report.rows {
            let headline = row.id.about().headline;
            assert!(row.figures.iter().any(|figure| figure.name == headline), "{}: {headline}", row.id);
        }
    }

    #[test]
    fn the_published_page_is_what_its_figures_say() {
        let text = include_str!("../../../docs/benchmark/figures.json");
        let report: BenchReport = serde_json::from_str(text).unwrap();
        let message = "write it again: cargo local bench --report docs --from docs/benchmark/figures.json";
        assert!(page(&report.heading(), &report.rows) == include_str!("../../../docs/benchmark.md"), "{message}");
    }
}
