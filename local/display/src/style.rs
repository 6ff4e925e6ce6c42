//! Colours of the tool's lines, as ANSI sequences. The console takes them out where they are not wanted.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

/// Marks a verdict that is good.
#[must_use]
pub fn good(text: impl Display) -> String {
    styled(AnsiColor::Green.on_default().bold(), text)
}

/// Marks a verdict that is bad, or an error.
#[must_use]
pub fn bad(text: impl Display) -> String {
    styled(AnsiColor::Red.on_default().bold(), text)
}

/// Marks a value that deserves a look.
#[must_use]
pub fn warning(text: impl Display) -> String {
    styled(AnsiColor::Yellow.on_default(), text)
}

/// Marks the heading of some lines.
#[must_use]
pub fn heading(text: impl Display) -> String {
    styled(AnsiColor::Yellow.on_default().bold(), text)
}

/// Marks a command to type.
#[must_use]
pub fn command(text: impl Display) -> String {
    styled(AnsiColor::Cyan.on_default(), text)
}

fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}
