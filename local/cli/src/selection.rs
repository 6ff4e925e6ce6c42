//! Options that select items: all of them in segments, single keys, or one partition key; and their progress.

use std::time::Instant;

use clap::ValueEnum;
use driftless_display::console::ProgressLine;
use driftless_harness::words::counted;
use serde_json::Value;

/// Items that a command works on.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SelectionArgs {
    /// Number of segments, each with a process of its own
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    segments: u32,
    /// Only the item with this key, in DynamoDB JSON: {"id": {"S": "a"}}; may be given several times
    #[arg(long, value_name = "JSON", value_parser = json, conflicts_with_all = ["segments", "prefix"])]
    key: Vec<Value>,
    /// Only the items of this partition key, and of these those whose sort key begins so, in DynamoDB JSON
    #[arg(long, value_name = "JSON", value_parser = json, conflicts_with = "segments")]
    prefix: Option<Value>,
    /// Index that an entity of REPLICATION has of its own, instead of the index of all other items
    #[arg(long, value_name = "NAME")]
    entity_index: Option<String>,
}

/// Indexes of a public name, of which a re-index makes two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Indices {
    /// Every index that is written
    All,
    /// The one that readers see
    Public,
    /// The one that a re-index fills
    Other,
}

impl SelectionArgs {
    /// Adds the members that select items. Returns the number of segments, if there are any.
    pub(crate) fn add_to(&self, request: &mut Value) -> Option<u32> {
        if !self.key.is_empty() {
            request["keys"] = self.key.clone().into();
        }
        if let Some(prefix) = &self.prefix {
            request["prefix"] = prefix.clone();
        }
        if let Some(entity_index) = &self.entity_index {
            request["entity_index"] = entity_index.as_str().into();
        }
        self.is_whole().then_some(self.segments)
    }

    /// Returns the index that an entity has of its own, if the work is on that one.
    pub(crate) fn entity_index(&self) -> Option<&str> {
        self.entity_index.as_deref()
    }

    /// Returns `true` if the whole table is selected.
    pub(crate) fn is_whole(&self) -> bool {
        self.key.is_empty() && self.prefix.is_none()
    }
}

impl Indices {
    /// Name of the choice in a function's request.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Public => "public",
            Self::Other => "other",
        }
    }
}

/// Progress of a run: a bar with the rate and the time that is left, as far as the number of items is known.
pub(crate) struct ItemProgress {
    progress: ProgressLine,
    noun: &'static str,
    total: u64,
    /// Items that were done before, and when this run began.
    begun: (u64, Instant),
}

impl ItemProgress {
    /// Draws it. `total` is DynamoDB's estimate; 0 is unknown.
    pub(crate) fn new(noun: &'static str, total: u64, done: u64) -> Self {
        let text = format!("{}…", counted(2, noun).trim_start_matches("2 "));
        let progress = if total > 0 { ProgressLine::bar(total, &text) } else { ProgressLine::spinner(&text) };
        Self { progress, noun, total, begun: (done, Instant::now()) }
    }

    /// Shows so many items as done.
    pub(crate) fn reach(&self, done: u64) {
        self.progress.reach(done.min(self.total));
        let (before, start) = self.begun;
        self.progress.say(line(
            self.noun,
            self.total,
            done,
            done.saturating_sub(before),
            start.elapsed().as_secs_f64(),
        ));
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded figures are shown"
)]
fn line(noun: &str, total: u64, done: u64, in_this_run: u64, seconds: f64) -> String {
    let rate = in_this_run as f64 / seconds.max(0.001);
    let mut line = format!("{}, {:.0} per second", counted(done, noun), rate);
    if total > 0 {
        let left = total.saturating_sub(done) as f64 / rate.max(0.001);
        line = format!("{line}, about {} s left of about {total}", left.ceil() as u64);
    }
    line
}

/// Parses JSON on the command line.
pub(crate) fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("expected DynamoDB JSON, such as {{\"id\": {{\"S\": \"a\"}}}}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_a_rate_and_an_estimate() {
        assert_eq!(line("item", 1_000, 400, 200, 2.0), "400 items, 100 per second, about 6 s left of about 1000");
        assert_eq!(line("item", 0, 1, 1, 1.0), "1 item, 1 per second");
    }
}
