//! `local find`: shows where the data of one item still is, and how to erase it there.

use std::time::Duration;

use anyhow::{Context, Result};
use driftless::change::ReadOptions;
use driftless::dead_letter::DeadLetterMessage;
use driftless::function::{Settings, connect};
use driftless::opensearch::{CopyState, DocumentCopy, IndexRole};
use driftless::table::Key;
use driftless::table::dynamodb::DynamoDbTable;
use driftless::table::{Consistency, Table as _};
use driftless_display::{console, style};
use driftless_harness::list_dead_letters::{peek, queue_at};
use driftless_harness::services::SQS_ENDPOINT;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::daemon::Daemon;
use crate::pair::{Pair, PairArgs};

const LIMIT: Duration = Duration::from_secs(60);
/// Dead letters that are looked through.
const MOST_LETTERS: usize = 10_000;

/// Show where the data of one item still is: table, indexes, dead letters
///
/// For an erasure that must leave nothing. Says for each place what removes it from there. Changes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pair: PairArgs,
    /// The item's key in DynamoDB JSON, such as '{"id": {"S": "a"}}'
    #[arg(long)]
    key: String,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Places of an item's data.
#[derive(Debug, Serialize)]
struct Places {
    document_id: String,
    item: bool,
    documents: Vec<DocumentCopy>,
    /// Dead letters of the item, with its content.
    dead_letters: usize,
    /// On-failure messages, which hold no content: the stream has that for 24 hours.
    on_failure_messages: usize,
}

pub(crate) async fn run(args: Args, daemon: &Daemon) -> Result<()> {
    let pair = Pair::find(&args.pair, daemon).await?;
    let environment = pair.variables();
    let settings = Settings::from_env(&|name| environment.get(name).cloned()).context("read the settings")?;
    let deadline = Instant::now() + LIMIT;
    let table = DynamoDbTable::with_client(pair.tables.clone(), &pair.facts.name);
    let schema = table.describe(deadline).await.context("describe the table")?;
    let key: Value = serde_json::from_str(&args.key).context("read --key: expected DynamoDB JSON")?;
    let key = Key::from_json(&key, &schema).context("read --key")?;
    let ReadOptions { replication, partition_key, .. } = &settings.read_options;
    let id = replication.document_id(key.attributes(), partition_key.as_deref()).context("make the document's id")?;
    let item = table.get(std::slice::from_ref(&key), Consistency::Strong, deadline).await.context("read the item")?;
    let engine = connect(&settings.engine, deadline).await.context("connect to OpenSearch")?;
    let documents = engine.copies(&id, deadline).await.context("look into the indexes")?;
    let mut places = Places {
        document_id: id.to_string(),
        item: item.items.iter().any(Option::is_some),
        documents,
        dead_letters: 0,
        on_failure_messages: 0,
    };
    if let Some(url) = &settings.dead_letter_queue_url {
        let queue = queue_at(environment.get(SQS_ENDPOINT).map(String::as_str), url);
        for entry in peek(&queue, MOST_LETTERS).await? {
            match entry.letter {
                Ok(DeadLetterMessage::Record(letter)) => {
                    places.dead_letters += usize::from(letter.document_id.as_deref() == Some(id.as_str()));
                }
                Ok(DeadLetterMessage::Range(_)) => places.on_failure_messages += 1,
                Err(_) => {}
            }
        }
    }
    match args.json {
        true => console::result(serde_json::to_string(&places).context("write the result")?),
        false => lines(&places, settings.dead_letter_queue_url.is_some()).into_iter().for_each(console::result),
    }
    Ok(())
}

fn lines(places: &Places, has_queue: bool) -> Vec<String> {
    let mut lines = vec![style::heading(format!("document {}", places.document_id))];
    lines.push(match places.item {
        true => "table        the item is there: delete it first, else it comes back".to_owned(),
        false => "table        no item".to_owned(),
    });
    for DocumentCopy { index, role, state } in &places.documents {
        let said = match (state, role) {
            (CopyState::Absent, _) => "nothing".to_owned(),
            (CopyState::Tombstone, _) => "a tombstone, without content: `purge` removes it after its age".to_owned(),
            (CopyState::Unknown, _) => "the index does not answer: open it, or delete it".to_owned(),
            (CopyState::Document, IndexRole::Leftover) => {
                format!("the document: `cargo local reindex drop --yes {index}` removes the index")
            }
            (CopyState::Document, _) => "the document: deleting the item removes it".to_owned(),
        };
        lines.push(format!("{index}  {said}"));
    }
    lines.push(match (has_queue, places.dead_letters) {
        (false, _) => "dead letters  not looked for: set DEAD_LETTER_QUEUE_URL".to_owned(),
        (true, 0) => "dead letters  none of this item".to_owned(),
        (true, count) => format!(
            "dead letters  {count} with its content: `cargo local redrive --discard --document-id {}` removes them",
            places.document_id
        ),
    });
    if places.on_failure_messages > 0 {
        lines.push(format!(
            "              {} on-failure messages hold no content, only ranges of the stream",
            places.on_failure_messages
        ));
    }
    lines
}
