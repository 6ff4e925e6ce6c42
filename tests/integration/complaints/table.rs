//! The table cannot lie: every test that it names exists, and no row is without an answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Beginnings of a row's last cell that names no test.
const ANSWERS: [&str; 2] = ["Does not apply: ", "Measured: "];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace").to_owned()
}

fn document() -> String {
    std::fs::read_to_string(workspace().join("docs/complaints.md")).expect("docs/complaints.md")
}

/// Returns the texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The tests that a text names: file, and function.
fn tests(text: &str) -> impl Iterator<Item = (&str, &str)> {
    quoted(text).filter_map(|code| code.split_once("::")).filter(|(file, _)| file.ends_with(".rs"))
}

/// Returns `true` if a source holds a test of this name: a function under an attribute that makes it one.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let is_test = |at: &usize| {
        let attributes = lines[..*at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        attributes.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    };
    let (plain, asynchronous) = (format!("fn {name}("), format!("async fn {name}("));
    (0..lines.len())
        .filter(|&at| lines[at].starts_with(&plain) || lines[at].starts_with(&asynchronous))
        .any(|at| is_test(&at))
}

#[test]
fn every_test_that_the_table_names_exists() {
    let document = document();
    let mut sources: BTreeMap<&str, String> = BTreeMap::new();
    let mut count = 0;
    for (file, name) in tests(&document) {
        let source = sources.entry(file).or_insert_with(|| {
            std::fs::read_to_string(workspace().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
        });
        assert!(has_test(source, name), "{file} has no test `{name}`");
        count += 1;
    }
    assert!(count > 60, "the table names {count} tests");
}

#[test]
fn every_row_names_a_test_or_says_why_there_is_none() {
    let document = document();
    let rows = document.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| reported in"));
    let mut count = 0;
    for row in rows {
        let answer = row.trim_end_matches(" |").rsplit(" | ").next().expect("a cell");
        let answered = tests(answer).next().is_some() || ANSWERS.iter().any(|words| answer.starts_with(words));
        assert!(answered, "neither a test nor a reason: {row}");
        count += 1;
    }
    assert!(count > 70, "{count} rows");
}
