//! Output of the tool: results on standard output, everything else on standard error.
//!
//! Progress is drawn only where standard error is a terminal, so that logs of a pipeline stay readable.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::EnvFilter;

const TICK: Duration = Duration::from_millis(120);

/// Prints a line of the result.
pub fn result(line: impl AsRef<str>) {
    // A reader that went away (`local status | head -1`) is no failure.
    let _ = writeln!(std::io::stdout(), "{}", line.as_ref());
}

/// Prints a line about the result.
pub fn note(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", line.as_ref());
}

/// Prints an error with its causes.
pub fn error(error: &anyhow::Error) {
    note(format!("error: {error:#}"));
}

/// Sends log events to standard error; `RUST_LOG` replaces the filter.
pub fn show_logs(filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
}

/// A line or bar that shows progress, and vanishes when it is dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Creates a line for something of unknown length.
    #[must_use]
    pub fn spinner(message: &str) -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
        Self::drawn(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()), style, message)
    }

    /// Creates a bar for `length` steps.
    #[must_use]
    pub fn bar(length: u64, message: &str) -> Self {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({elapsed})");
        Self::drawn(ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr()), style, message)
    }

    /// Replaces the message beside the bar.
    pub fn say(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }

    /// Moves the bar to this step.
    pub fn reach(&self, position: u64) {
        self.0.set_position(position);
    }

    fn drawn(bar: ProgressBar, style: Result<ProgressStyle, indicatif::style::TemplateError>, message: &str) -> Self {
        bar.set_style(style.expect("the templates above are valid"));
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
