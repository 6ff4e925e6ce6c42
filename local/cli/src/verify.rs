//! `local verify`: compares a table with its index in both directions with the real function, and repairs if asked.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use driftless_display::console;
use driftless_display::style;
use driftless_harness::slices::verify::{OrphanSearch, OrphansLookedFor, Verification, VerifySummary};
use driftless_harness::words::counted;
use serde_json::{Value, json};

use crate::backfill::{asked, positive};
use crate::daemon::Daemon;
use crate::pair::{Pair, PairArgs};
use crate::reindex;
use crate::resumed::Resumed;
use crate::selection::{Indices, ItemProgress, SelectionArgs};

/// Compare a table with its index, byte for byte and in both directions, while writes go on
///
/// Items are compared first, then documents without an item are looked for: by counts where they prove that there are
/// none, by listing the index everywhere else. The exit code is 1 where anything differs, also if it was repaired: the
/// proof is a run that finds nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pair: PairArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Make documents equal to their items where they differ
    #[arg(long)]
    repair: bool,
    /// Compare this share of the items, drawn at random
    #[arg(long, value_name = "P", value_parser = share)]
    sample: Option<f64>,
    /// Search for documents without an item; the counts, and the listing unless they prove that there are none
    #[arg(long, value_name = "SEARCH")]
    orphans: Option<OrphanSearchArg>,
    /// The index to compare, during a re-index
    #[arg(long, value_name = "INDEX", value_parser = clap::builder::EnumValueParser::<Indices>::new())]
    of: Option<Indices>,
    /// Least time between two looks at what differs; the function's is 10000
    #[arg(long, value_name = "MS")]
    settle_ms: Option<u64>,
    /// Longest time of one invocation, 5 to 900; more than twice as long as --settle-ms
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..=900))]
    timeout: u64,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Search for documents without an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OrphanSearchArg {
    /// None at all; the verdict is never `equal`
    None,
    /// By counts only, which prove nothing while writes go on
    Count,
    /// By listing the index, whose ids must show their keys
    Full,
}

impl Args {
    fn orphans(&self) -> OrphanSearch {
        match self.orphans {
            Some(OrphanSearchArg::None) => OrphanSearch::None,
            Some(OrphanSearchArg::Count) => OrphanSearch::Count,
            Some(OrphanSearchArg::Full) => OrphanSearch::Full,
            // The gate of a re-index wants the listing.
            None if self.of == Some(Indices::Other) && self.selection.is_whole() && self.sample.is_none() => {
                OrphanSearch::Listing
            }
            None => OrphanSearch::Proof,
        }
    }

    fn request(&self) -> Value {
        let mut request = json!({});
        if self.repair {
            request["repair"] = true.into();
        }
        if let Some(sample) = self.sample {
            request["sample"] = sample.into();
        }
        if let Some(of) = self.of {
            request["index"] = of.name().into();
        }
        if let Some(settle_ms) = self.settle_ms {
            request["settle_ms"] = settle_ms.into();
        }
        request
    }
}

pub(crate) async fn run(args: Args, daemon: &Daemon) -> Result<()> {
    ensure!(args.of != Some(Indices::All), "--of is one index: public or other");
    ensure!(
        args.orphans != Some(OrphanSearchArg::Full) || args.selection.is_whole(),
        "--orphans full lists the whole index: leave --key and --prefix out"
    );
    let pair = Pair::find(&args.pair, daemon).await?;
    let mut request = args.request();
    let segments = args.selection.add_to(&mut request);
    let function = pair.function("verify", Duration::from_secs(args.timeout))?;
    let verification = Verification { function, request, segments, orphans: args.orphans() };
    let asked = asked(&json!([verification.request, args.orphans.map(|search| format!("{search:?}"))]), segments);
    let resumed = Resumed::new(daemon, "verify", &pair, &asked);
    let mut state = resumed.state(|| verification.begin()).await;
    let total = if args.selection.is_whole() { pair.facts.items } else { 0 };
    let progress = ItemProgress::new("item", total, 0);
    let mut listing: Option<ItemProgress> = None;
    let compared = resumed.run(&mut state, async |state| {
        verification
            .run(state, |state| {
                let read = state.counts().whole("read");
                match state.documents {
                    None => progress.reach(read),
                    Some(_) => listing.get_or_insert_with(|| ItemProgress::new("document", total, 0)).reach(read),
                }
            })
            .await
    });
    let summary = compared.await;
    drop((progress, listing));
    let summary = summary?;
    show(&summary, args.json)?;
    let unproven = matches!(summary.orphans, OrphansLookedFor::NotLookedFor | OrphansLookedFor::CountsProveNothing);
    let whole = args.selection.is_whole() && args.sample.is_none() && !unproven;
    if args.of == Some(Indices::Other) && whole && !args.repair {
        reindex::note_verified(&pair, args.selection.entity_index(), &summary).await?;
    }
    ensure!(summary.is_clean(), "{}", what_is_wrong(&summary));
    Ok(())
}

fn what_is_wrong(summary: &VerifySummary) -> String {
    match summary.differences() {
        0 if summary.pending > 0 => summary.behind.clone().unwrap_or_default(),
        0 if summary.in_motion > 0 => {
            format!("{} kept changing and could not be compared: run it again", counted(summary.in_motion, "item"))
        }
        0 if summary.hidden_keys => {
            "the counts do not prove that every document has an item, and an index whose ids do not show their keys \
             cannot be listed: run it again five minutes after the last change"
                .to_owned()
        }
        0 => "the counts do not prove that every document has an item: leave `--orphans count` out".to_owned(),
        differences if summary.repaired == differences => {
            format!("{} repaired: the proof is a run that finds nothing", counted(differences, "difference"))
        }
        differences => format!("table and index differ: {}", counted(differences, "difference")),
    }
}

fn show(summary: &VerifySummary, json: bool) -> Result<()> {
    for example in &summary.examples {
        let kind = serde_json::to_value(example.kind).context("name the difference")?;
        let paths = if example.paths.is_empty() { String::new() } else { format!(": {}", example.paths.join(", ")) };
        console::note(format!("{} {}{paths}", kind.as_str().unwrap_or_default(), example.document_id));
    }
    if let Some(drift) = &summary.drift {
        let drift = serde_json::to_value(drift).context("name the drift")?;
        reindex::drift_lines(&drift).into_iter().for_each(console::note);
    }
    if json {
        console::result(serde_json::to_string(summary).context("write the result")?);
        return Ok(());
    }
    let kinds = [
        (summary.missing, "missing"),
        (summary.stale, "stale"),
        (summary.different, "different"),
        (summary.tombstone_where_item_lives, "deleted though their items live"),
        (summary.orphaned, "without an item"),
        (summary.other_item, "with the document of another item"),
        (summary.unshaped, "refused by the rules of REPLICATION"),
        (summary.in_motion - summary.pending, "in motion"),
        (summary.pending, "pending"),
        (summary.repaired, "repaired"),
        (summary.rejected, "refused"),
        (summary.failed, "not repaired"),
    ];
    let kinds = kinds.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}"));
    let kinds: Vec<String> = kinds.collect();
    let (items, documents) = (counted(summary.items, "item"), counted(summary.documents, "document"));
    let compared = format!("{items}, {documents}, {:.1} s", summary.seconds);
    let verdict = match summary.equal {
        Some(true) => style::good("equal"),
        Some(false) => style::bad("not equal"),
        None if summary.pending > 0 => style::warning("undecided, because the stream is behind"),
        None => style::warning("no difference found, and not everything was looked at"),
    };
    let kinds = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
    console::result(format!("{verdict}{kinds} ({compared})"));
    if let Some(sample) = &summary.sample {
        console::result(sample);
    }
    // Beside differences, which are the error.
    if let Some(behind) = summary.behind.as_ref().filter(|_| summary.differences() > 0) {
        console::note(behind);
    }
    if summary.equal.is_none() && summary.orphans == OrphansLookedFor::NotLookedFor {
        console::note("documents without an item were not looked for");
    }
    Ok(())
}

fn share(text: &str) -> Result<f64, String> {
    positive(text).ok().filter(|share| *share <= 1.0).ok_or_else(|| format!("{text} is not above 0 and at most 1"))
}
