//! `local reindex`: the steps of a re-index without downtime, each an invocation of the real function.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use driftless_display::console::{self, ProgressLine};
use driftless_harness::slices::reindex::ReindexSteps;
use driftless_harness::slices::verify::VerifySummary;
use driftless_harness::words::counted;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::pair::{Pair, PairArgs};
use crate::resumed::ended;

const FUNCTION: &str = "reindex";
/// Shadow reads and the copy of tombstones may take minutes.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Give an index another definition while it is read and written
///
/// In this order: create, `backfill --into other`, `verify --of other`, shadow, switch, and drop. Each step says what
/// comes next, may be repeated, and is taken up again where it was interrupted. Until the drop, rollback undoes the
/// switch.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    step: StepArgs,
}

#[derive(Debug, clap::Subcommand)]
enum StepArgs {
    /// Create the new index, which is written from then on, and copy the tombstones into it
    Create {
        #[command(flatten)]
        shared: CommonArgs,
        /// File with the JSON body of a create-index request; the function's INDEX_DEFINITION unless it is given
        #[arg(long, value_name = "FILE")]
        definition: Option<PathBuf>,
    },
    /// Give the index what it can be given of a definition: new fields, rules for fields to come, dynamic settings
    Apply {
        #[command(flatten)]
        shared: CommonArgs,
        /// File with the JSON body of a create-index request; the function's INDEX_DEFINITION unless it is given
        #[arg(long, value_name = "FILE")]
        definition: Option<PathBuf>,
    },
    /// Say how far the re-index is
    Status {
        #[command(flatten)]
        shared: CommonArgs,
    },
    /// Run searches on both indexes, and compare hits, counts and aggregations
    Shadow {
        #[command(flatten)]
        shared: CommonArgs,
        /// File with the searches, as _msearch takes them (NDJSON)
        #[arg(long, value_name = "FILE")]
        searches: PathBuf,
    },
    /// Let readers see the new index, in one atomic call
    Switch {
        #[command(flatten)]
        shared: CommonArgs,
        /// Switch although the gate says no
        #[arg(long)]
        force: bool,
    },
    /// Let readers see the old index again
    Rollback {
        #[command(flatten)]
        shared: CommonArgs,
    },
    /// Delete the index that readers do not see
    Drop {
        #[command(flatten)]
        shared: CommonArgs,
        /// Name of the physical index, to be sure
        #[arg(long, value_name = "NAME")]
        yes: String,
    },
    /// Take the rules of REPLICATION as those that made the index's documents, after `verify --repair`
    Accept {
        #[command(flatten)]
        shared: CommonArgs,
    },
}

#[derive(Debug, clap::Args)]
struct CommonArgs {
    #[command(flatten)]
    pair: PairArgs,
    /// Index that an entity of REPLICATION has of its own, instead of the index of all other items
    #[arg(long, value_name = "NAME")]
    entity_index: Option<String>,
    /// Print the answer as it is
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, daemon: &Daemon) -> Result<()> {
    let (shared, request) = match &args.step {
        StepArgs::Create { shared, definition } => (shared, with_definition("create", definition.as_ref())?),
        StepArgs::Apply { shared, definition } => (shared, with_definition("apply", definition.as_ref())?),
        StepArgs::Status { shared } => (shared, json!({"step": "status"})),
        StepArgs::Shadow { shared, searches } => {
            let text = std::fs::read_to_string(searches).with_context(|| format!("read {}", searches.display()))?;
            (shared, json!({"step": "shadow", "searches": text}))
        }
        StepArgs::Switch { shared, force } => (shared, json!({"step": "switch", "force": force})),
        StepArgs::Rollback { shared } => (shared, json!({"step": "rollback"})),
        StepArgs::Drop { shared, yes } => (shared, json!({"step": "drop", "index": yes})),
        StepArgs::Accept { shared } => (shared, json!({"step": "accept"})),
    };
    let pair = Pair::find(&shared.pair, daemon).await?;
    let function = pair.function(FUNCTION, TIMEOUT)?;
    let step = async {
        let mut steps = ReindexSteps::new(function, shared.entity_index.as_deref());
        let mut answer: Value = steps.take(&request).await?;
        if let StepArgs::Create { .. } = &args.step {
            steps.copy_tombstones().await?;
            answer = steps.take(&json!({"step": "status"})).await?;
        }
        steps.end().await;
        anyhow::Ok(answer)
    };
    let answer = {
        let _progress = ProgressLine::spinner("working on the indexes");
        tokio::select! {
            answer = step => answer?,
            ended = ended() => {
                ended?;
                bail!("interrupted: the same command goes on")
            }
        }
    };
    if shared.json {
        console::result(answer.to_string());
    } else {
        lines(&answer).into_iter().for_each(console::result);
    }
    let differences = answer["differences"].as_array().map_or(0, Vec::len);
    ensure!(differences == 0, "the two indexes answer differently: {}", counted(differences as u64, "difference"));
    Ok(())
}

/// Keeps the sums of a verification in the other index, as the gate of the switch. `entity_index` is the index that an
/// entity has of its own, if that one was verified.
///
/// # Errors
/// Where the function cannot be built or fails.
pub(crate) async fn note_verified(pair: &Pair, entity_index: Option<&str>, summary: &VerifySummary) -> Result<()> {
    let function = pair.other_function(FUNCTION, TIMEOUT)?;
    let mut sums = json!({
        "items": summary.items, "missing": summary.missing, "stale": summary.stale, "different": summary.different,
        "tombstone_where_item_lives": summary.tombstone_where_item_lives, "orphaned": summary.orphaned,
        "unshaped": summary.unshaped, "other_item": summary.other_item,
        "in_motion": summary.in_motion, "pending": summary.pending, "failed": summary.failed,
        "rejected": summary.rejected,
    });
    if let Some(documents) = summary.documents_in_index {
        sums["documents_in_index"] = documents.into();
    }
    let mut steps = ReindexSteps::new(function, entity_index);
    let answer = steps.take(&json!({"step": "verified", "verify": sums})).await?;
    steps.end().await;
    lines(&answer).into_iter().for_each(console::note);
    Ok(())
}

fn with_definition(step: &str, definition: Option<&PathBuf>) -> Result<Value> {
    let mut request = json!({"step": step});
    if let Some(path) = definition {
        let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        request["definition"] = serde_json::from_slice(&text).with_context(|| format!("parse {}", path.display()))?;
    }
    Ok(request)
}

/// Words an answer for people.
fn lines(answer: &Value) -> Vec<String> {
    let mut lines = vec![format!("state: {}", text(&answer["state"]))];
    for (place, what) in [("public", "readers see"), ("other", "beside it")] {
        if let Some(index) = answer[place].as_object() {
            let name = index.get("name").map(text).unwrap_or_default();
            let rest = index.iter().filter(|(member, value)| *member != "name" && !value.is_null());
            let rest: Vec<String> =
                rest.map(|(member, value)| format!("{} {}", member.replace('_', " "), text(value))).collect();
            lines.push(format!("{what}: {name} ({})", rest.join(", ")));
        }
    }
    let differences = answer["differences"].as_array().into_iter().flatten();
    lines.extend(differences.map(|difference| {
        let [search, path, old, new] = ["search", "path", "old", "new"].map(|member| text(&difference[member]));
        format!("search {search} differs at {path}: {old} and {new}")
    }));
    let leftovers = answer["leftovers"].as_array().into_iter().flatten();
    lines.extend(leftovers.map(|name| format!("left over: {}", text(name))));
    if answer["drift"].is_object() {
        lines.extend(drift_lines(&answer["drift"]));
    }
    if let Some(next) = answer["next"].as_str() {
        lines.push(format!("next: {next}"));
    }
    lines
}

/// Words the drift of an index from its definition for people.
pub(crate) fn drift_lines(drift: &Value) -> Vec<String> {
    let index = text(&drift["index"]);
    let kinds = [
        ("applicable", "which `cargo local reindex apply` gives it"),
        ("needs_reindex", "which only a re-index gives it"),
    ];
    let told = kinds.iter().filter_map(|(kind, remedy)| {
        let paths: Vec<&str> = drift[kind].as_array()?.iter().filter_map(Value::as_str).collect();
        (!paths.is_empty()).then(|| format!("{index} lacks of the definition, {remedy}: {}", paths.join(", ")))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { vec![format!("{index} is as the definition says")] } else { told }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{} {}", name.replace('_', " "), text(value)));
            format!("[{}]", members.collect::<Vec<_>>().join(", "))
        }
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_which_index_readers_see_and_what_comes_next() {
        let answer = json!({
            "step": "status", "state": "filling", "public": {"name": "orders-000001", "documents": 7},
            "other": {"name": "orders-000002", "documents": 3, "tombstones_copied": true, "shadow": {"searches": 1},
                "verified": null},
            "differences": [{"search": 1, "path": "hits.total.value", "old": "7", "new": "3"}],
            "drift": {"index": "orders-000001", "applicable": ["note", "total"], "needs_reindex": ["id (type)"]},
            "next": "backfill the other index",
        });
        let expected = [
            "state: filling",
            "readers see: orders-000001 (documents 7)",
            "beside it: orders-000002 (documents 3, shadow [searches 1], tombstones copied true)",
            "search 1 differs at hits.total.value: 7 and 3",
            "orders-000001 lacks of the definition, which `cargo local reindex apply` gives it: note, total",
            "orders-000001 lacks of the definition, which only a re-index gives it: id (type)",
            "next: backfill the other index",
        ];
        assert_eq!(lines(&answer), expected);
        let lines = drift_lines(&json!({"index": "orders-000001"}));
        assert_eq!(lines, ["orders-000001 is as the definition says"]);
    }
}
