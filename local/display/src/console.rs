//! Lines of the tool for its user: results on standard output, everything else on standard error.
//!
//! Colours and progress are for terminals: a pipe gets plain lines, and so does a terminal where `NO_COLOR` is set.
//! Lines and log events are printed above a progress bar, never into it.

use std::io::{Result as IoResult, Write};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::EnvFilter;

const TICK: Duration = Duration::from_millis(120);

/// Every bar that is drawn now.
static BARS: LazyLock<MultiProgress> = LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));

/// Lines printed since [`record`], in colour.
static RECORD: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Prints a line of the result.
pub fn result(line: impl AsRef<str>) {
    record_line(line.as_ref());
    // A reader that went away (`local status | head -1`) is no failure.
    let _ = BARS.suspend(|| writeln!(anstream::stdout(), "{}", line.as_ref()));
}

/// Prints a line about the result.
pub fn note(line: impl AsRef<str>) {
    record_line(line.as_ref());
    let _ = BARS.suspend(|| writeln!(anstream::stderr(), "{}", line.as_ref()));
}

/// Prints an error with its causes.
pub fn error(error: &anyhow::Error) {
    note(format!("{} {error:#}", crate::style::bad("error:")));
}

/// Keeps every line from now on, for a picture of the terminal.
pub fn record() {
    *recorded_lines() = Some(Vec::new());
}

/// Takes the lines that were printed since [`record`], with their colours as ANSI sequences.
#[must_use]
pub fn recorded() -> Vec<String> {
    recorded_lines().take().unwrap_or_default()
}

fn record_line(line: &str) {
    if let Some(lines) = recorded_lines().as_mut() {
        lines.extend(line.split('\n').map(str::to_owned));
    }
}

fn recorded_lines() -> MutexGuard<'static, Option<Vec<String>>> {
    RECORD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends log events to standard error; `RUST_LOG` replaces the filter.
pub fn show_logs(filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let colours = AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| AboveBars)
        .with_ansi(colours)
        .with_target(false)
        .without_time()
        .init();
}

/// Standard error above the progress bars. A log event comes in one write.
struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, text: &[u8]) -> IoResult<usize> {
        record_line(String::from_utf8_lossy(text).trim_end_matches('\n'));
        BARS.suspend(|| std::io::stderr().write(text))
    }

    fn flush(&mut self) -> IoResult<()> {
        std::io::stderr().flush()
    }
}

/// A line or a bar that shows progress. Vanishes when it is dropped.
#[derive(Debug)]
pub struct ProgressLine(ProgressBar);

impl ProgressLine {
    /// Draws a spinner, for work of unknown length.
    #[must_use]
    pub fn spinner(message: &str) -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
        Self::drawn(ProgressBar::no_length(), style, message)
    }

    /// Draws a bar of `length` steps.
    #[must_use]
    pub fn bar(length: u64, message: &str) -> Self {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({elapsed})");
        Self::drawn(ProgressBar::new(length), style, message)
    }

    /// Replaces the message beside the bar.
    pub fn say(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }

    /// Moves the bar to a position.
    pub fn reach(&self, position: u64) {
        self.0.set_position(position);
    }

    fn drawn(bar: ProgressBar, style: Result<ProgressStyle, indicatif::style::TemplateError>, message: &str) -> Self {
        let bar = BARS.add(bar);
        bar.set_style(style.expect("the templates above are valid"));
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        BARS.remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_log_events_are_recorded_as_they_are_printed() {
        record();
        note(crate::style::good("equal"));
        AboveBars.write_all(b" INFO ready\n").expect("standard error takes it");
        assert_eq!(recorded(), ["\u{1b}[1m\u{1b}[32mequal\u{1b}[0m", " INFO ready"]);
        assert!(recorded().is_empty());
    }
}
