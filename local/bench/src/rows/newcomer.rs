//! B14: a newcomer's wait, from the file that `.ci/newcomer --json FILE` wrote.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::About;
use crate::figures::{Bound, Figure, Row, RowId};

pub(crate) const ABOUT: About = About {
    number: "B14",
    name: "newcomer",
    title: "a newcomer's wait",
    headline: "demo to its verdict",
    notes: include_str!("newcomer.md"),
};

const MOST_DEMO_MINUTES: f64 = 7.0;
const MOST_TEST_MINUTES: f64 = 6.0;

/// Output of the script.
#[derive(Deserialize)]
struct NewcomerWait {
    commit: String,
    demo: TimedStep,
    tests: TimedStep,
}

#[derive(Deserialize)]
struct TimedStep {
    seconds: f64,
    phases: Vec<Phase>,
}

#[derive(Deserialize)]
struct Phase {
    name: String,
    seconds: f64,
}

/// Reads the script's file into a row.
pub(crate) fn read(file: &Path) -> Result<Row> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    row(&text).with_context(|| format!("read {}", file.display()))
}

fn row(text: &str) -> Result<Row> {
    let wait: NewcomerWait = serde_json::from_str(text)?;
    let workload = format!("a clone of commit {} with an empty target folder", wait.commit);
    let mut row = Row::new(RowId::Newcomer, workload);
    let steps = [
        (ABOUT.headline, "demo", wait.demo, MOST_DEMO_MINUTES),
        ("tests to their end", "tests", wait.tests, MOST_TEST_MINUTES),
    ];
    for (name, short, step, most) in steps {
        row.add(Figure::new(name, step.seconds / 60.0, "minutes").bounded(Bound::AtMost(most)));
        for Phase { name, seconds } in step.phases {
            row.add(Figure::new(format!("{short}: {name}"), seconds, "s"));
        }
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_file_becomes_a_row() {
        let text = r#"{"commit": "abc1234", "demo": {"seconds": 330.0, "phases": [{"name": "run", "seconds": 30.0}]},
            "tests": {"seconds": 400.0, "phases": []}}"#;
        let row = row(text).unwrap();
        let figures: Vec<_> =
            row.figures.iter().map(|figure| (figure.name.as_str(), figure.text(), figure.met())).collect();
        let expected = [
            ("demo to its verdict", "5.50 minutes".to_owned(), true),
            ("demo: run", "30 s".to_owned(), true),
            ("tests to their end", "6.67 minutes".to_owned(), false),
        ];
        assert_eq!(figures, expected);
        assert!(row.workload.contains("abc1234"));
    }
}
