//! Troubles of the demo's page: each is injected, and put right as an operator would.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::{AttributeValue, StreamSpecification, StreamViewType};
use driftless::queue::Queue as _;
use driftless_harness::activity::{ActivityItems, POISON};
use driftless_harness::load::ItemMaker as _;
use driftless_harness::mapping::{DynamoDbStream, EventSourceMapping};
use driftless_harness::services::{client_error, streams_client};
use driftless_harness::words::counted;
use driftless_page::{PageJournal, until};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep, timeout};

use crate::recovery::{self, OWN_ENGINE};
use crate::run::DemoRun;

/// Longest wait for the next invocation.
const NEXT_INVOCATION: Duration = Duration::from_secs(30);
/// Poison items of one trouble.
const POISON_ITEMS: u64 = 3;
/// Longest way from a poison item to its dead letter.
const LETTER_LIMIT: Duration = Duration::from_secs(30);
/// Time for which dead letters wait, as they would for a person.
const LOOK: Duration = Duration::from_secs(3);
/// Time for which the engine is away before it is started again.
const AWAY: Duration = Duration::from_secs(5);
/// Time for which the table has no stream.
const NO_STREAM: Duration = Duration::from_secs(1);
/// Longest time that the old mapping takes for what it has read.
const OLD_MAPPING: Duration = Duration::from_secs(10);

/// Kills the function's process in the middle of its next invocation.
pub(crate) async fn kill(run: &DemoRun<'_>, journal: &PageJournal) -> Result<()> {
    let killed = || run.stage.mapping.stats().faults;
    let before = killed();
    let ask = EventSourceMapping::kill_next;
    fault(run, ask, "an invocation", || killed() > before).await?;
    journal.note("a process was killed in the middle of an invocation, and its batch is delivered again");
    Ok(())
}

/// Delivers the last batches once more.
pub(crate) async fn deliver_again(run: &DemoRun<'_>, journal: &PageJournal) -> Result<()> {
    let again = || run.stage.mapping.stats().redelivered_batches;
    let before = again();
    fault(run, EventSourceMapping::deliver_again, "a batch", || again() > before).await?;
    journal.note("the last batches are delivered once more");
    Ok(())
}

async fn fault(
    run: &DemoRun<'_>,
    ask: impl FnOnce(&EventSourceMapping),
    what: &str,
    happened: impl Fn() -> bool,
) -> Result<()> {
    let mapping = run.stage.mapping.running().context("find an event source mapping that runs")?;
    ask(&mapping);
    let waited = until(what, NEXT_INVOCATION, happened).await;
    mapping.withdraw_faults();
    waited
}

/// Writes items that the engine refuses, lets their dead letters wait, mends the mapping, and redrives.
pub(crate) async fn poison(run: &DemoRun<'_>, journal: &PageJournal) -> Result<()> {
    let stage = run.stage;
    for _ in 0..POISON_ITEMS {
        let number = run.next_poison();
        // Behind the keys of the load and of the items that the table held.
        let key = stage.held.numbers.end + number;
        let mut item = ActivityItems::default().item(key, &mut StdRng::seed_from_u64(number), number);
        item.insert("follow_up".to_owned(), AttributeValue::S(POISON.to_owned()));
        let put = stage.tables.put_item().table_name(&stage.table).set_item(Some(item)).send();
        put.await.map_err(client_error).context("put a poison item")?;
    }
    journal.note(format!("{} with a text where the index expects a date", counted(POISON_ITEMS, "item")));
    letters(run).await?;
    journal.note(format!("{} in the queue, and the stream goes on", counted(POISON_ITEMS, "dead letter")));
    sleep(LOOK).await;
    let recovery = run.redrive().await?;
    run.add_recovery(recovery);
    let words = counted(recovery.redriven, "dead letter");
    journal.note(format!("the mapping was mended, and {words} redriven; {} left", recovery.left));
    // So that the next poison is some, too.
    recovery::set_mapping(stage, recovery::FollowUp::Strict).await
}

/// Waits until the poison of one trouble has its dead letters.
async fn letters(run: &DemoRun<'_>) -> Result<()> {
    let arrived = async {
        loop {
            let waiting = run.stage.queue.waiting(Instant::now() + LETTER_LIMIT).await.context("read the queue")?;
            if waiting >= POISON_ITEMS {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(LETTER_LIMIT, arrived).await.context("wait for the dead letters of the poison")?
}

/// Kills the engine, and starts it again.
pub(crate) async fn stop_engine(run: &DemoRun<'_>, journal: &PageJournal) -> Result<()> {
    let engine = run.services.opensearch().context(OWN_ENGINE)?;
    let begun = Instant::now();
    engine.kill().await.context("kill the engine")?;
    journal.note("OpenSearch was killed; changes wait in the stream");
    sleep(AWAY).await;
    engine.restart().await.context("start the engine again")?;
    run.add_outage(begun.elapsed());
    journal.note(format!("OpenSearch is back after {:.1} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

/// Replaces the table's stream, and puts a new mapping behind the new one.
pub(crate) async fn recreate_stream(run: &DemoRun<'_>, journal: &PageJournal) -> Result<()> {
    let stage = run.stage;
    set_stream(run, false).await.context("disable the stream")?;
    let before = run.meter.done();
    journal.note("the stream is disabled, and writes go on");
    // On AWS, a disabled stream can be read for a day. What this mapping leaves over, verify finds.
    let _ = until("the old stream's end", OLD_MAPPING, || stage.freshness.waiting().changes == 0).await;
    stage.mapping.end().await;
    sleep(NO_STREAM).await;
    set_stream(run, true).await.context("enable a stream")?;
    let streams = streams_client(run.services.dynamodb_endpoint());
    let stream = DynamoDbStream::of_table(&stage.tables, streams, &stage.table).await?;
    stage.mapping.begin(Arc::new(stream)).await.context("start a mapping of the new stream")?;
    let missed = run.meter.done() - before;
    journal.note(format!("a new mapping reads the new stream; about {} came meanwhile", counted(missed, "write")));
    Ok(())
}

async fn set_stream(run: &DemoRun<'_>, enabled: bool) -> Result<()> {
    let stream = StreamSpecification::builder().stream_enabled(enabled);
    let stream = if enabled { stream.stream_view_type(StreamViewType::NewAndOldImages) } else { stream };
    let stream = stream.build().context("define the stream")?;
    let update = run.stage.tables.update_table().table_name(&run.stage.table).stream_specification(stream);
    update.send().await.map_err(client_error)?;
    Ok(())
}
