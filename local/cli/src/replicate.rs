//! `local replicate`: brings the changes of any table with a stream into an index, as Lambda would.

use std::convert::Infallible;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use driftless_display::console::{self, ProgressLine};
use driftless_harness::freshness::Freshness;
use driftless_harness::lag::Lag;
use driftless_harness::mapping::stream::ChangeStream;
use driftless_harness::mapping::{EventSourceMapping, MappingConfig, MappingFaults, MappingStats, SinceStream};
use driftless_harness::outcomes::{FunctionCounts, Tally};
use driftless_harness::replay::LogLine;
use driftless_harness::words::counted;
use driftless_page::PageArgs;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::daemon::Daemon;
use crate::kinesis::KinesisFeed;
use crate::live::{self, LiveReplication};
use crate::pair::{Pair, PairArgs};
use crate::resumed::ended;

const REFRESH: Duration = Duration::from_millis(250);
/// Longer than any stream takes to drain that Ctrl-C does not end first.
const NO_LIMIT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Retries before a batch becomes an on-failure message, as the template has it. Without a queue there is no end.
const RETRIES: u32 = 3;

/// Bring the changes of a table with a stream into an index
///
/// It reads the stream from its oldest record on, up to a day back, with Lambda's semantics, until Ctrl-C. It may be
/// started again at any time: changes that were applied before are recognised. Items that are older than the stream are
/// for `cargo local backfill`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pair: PairArgs,
    /// File with the settings and mappings of the index, if it does not exist yet
    #[arg(long, value_name = "FILE")]
    definition: Option<PathBuf>,
    /// The most records in one invocation, 1 to 10000
    #[arg(long, default_value_t = MappingConfig::default().batch_size, value_name = "N")]
    batch_size: usize,
    /// Parallelization factor, 1 to 10: lanes of each shard, each with its own process
    #[arg(long, default_value_t = MappingConfig::default().parallelization_factor, value_name = "N")]
    factor: usize,
    /// Source of the changes: the table's stream, or Kinesis, which a bridge fills from that stream
    #[arg(long, value_enum, default_value_t)]
    source: ChangeSource,
    /// Seed of what goes wrong on the way into Kinesis: records late and repeated, equal times, shards split and merged
    #[arg(long, value_name = "SEED")]
    disorder: Option<u64>,
    /// Leave out changes that were made before this time, in seconds since 1970, as if their source began then
    #[arg(long, value_name = "SECONDS")]
    since: Option<u32>,
    /// End when the stream has drained
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    page: PageArgs,
    /// The function's timeout, 1 to 900
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout: u64,
}

/// Source of a table's changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ChangeSource {
    /// DynamoDB Streams of the table
    #[default]
    Streams,
    /// Kinesis Data Streams for DynamoDB
    Kinesis,
}

pub(crate) async fn run(args: Args, daemon: &Daemon) -> Result<()> {
    let takes_kinesis = args.source == ChangeSource::Kinesis;
    ensure!(takes_kinesis || args.disorder.is_none(), "--disorder is for `--source kinesis`");
    let mut pair = Pair::find(&args.pair, daemon).await?;
    let table_stream = pair.stream().await?;
    let key = table_stream.partition_key().to_owned();
    let table_stream: Arc<dyn ChangeStream> = match args.since {
        Some(since) => Arc::new(SinceStream::new(Arc::new(table_stream), 1_000 * i64::from(since))),
        None => Arc::new(table_stream),
    };
    let queue = pair.dead_letter_queue().await?;
    match &queue {
        Some((url, _)) => console::note(format!("dead letters go to {url}")),
        None => console::note("no queue for dead letters: a change that OpenSearch refuses is retried until Ctrl-C"),
    }
    let name = match args.source {
        ChangeSource::Streams => "replicate",
        ChangeSource::Kinesis => "replicate-kinesis",
    };
    let mut function = pair.function(name, Duration::from_secs(args.timeout))?.env("TABLE_ARN", &pair.facts.arn);
    if let Some(definition) = &args.definition {
        let path = definition.canonicalize().with_context(|| format!("find {}", definition.display()))?;
        let path = path.to_str().context("read the path of the definition as text")?.to_owned();
        function.environment.insert("INDEX_DEFINITION".to_owned(), path);
    }
    let (tally, freshness) = (Tally::default(), Arc::new(Freshness::with(Lag::by_the_stream())));
    let page = match args.page.page {
        true => {
            ensure!(!args.once, "--page goes on until Ctrl-C, and --once ends when the stream has drained: give one");
            let url = queue.as_ref().map(|(url, _)| url.as_str());
            Some(LiveReplication::open(&args.page, &pair, url, &freshness, &tally).await?)
        }
        false => None,
    };
    function.stdout_lines = Some(lines(tally.lines()));
    let feed = match args.source {
        ChangeSource::Streams => None,
        ChangeSource::Kinesis => {
            Some(KinesisFeed::start(&pair, (Arc::clone(&table_stream), &key), args.disorder).await?)
        }
    };
    let (stream, defaults): (Arc<dyn ChangeStream>, _) = match &feed {
        None => (table_stream, MappingConfig::default()),
        Some(feed) => (Arc::new(feed.stream()), MappingConfig::kinesis()),
    };
    let config = MappingConfig {
        batch_size: args.batch_size,
        parallelization_factor: args.factor,
        maximum_retry_attempts: queue.is_some().then_some(RETRIES),
        bisect_batch_on_function_error: true,
        report_batch_item_failures: true,
        faults: if page.is_some() { live::FAULTS } else { MappingFaults::default() },
        ..defaults
    };
    let on_failure = queue.map(|(_, queue)| queue);
    let mapping = EventSourceMapping::start_observed(
        config,
        stream,
        Arc::new(function),
        on_failure,
        Some(Arc::clone(&freshness) as _),
    );
    let mapping = mapping.await?;
    console::note(format!(
        "replicating the table {} to the index {} at {}{}",
        pair.facts.name,
        pair.index,
        pair.engine(),
        if args.once { "" } else { "; Ctrl-C ends it" }
    ));
    let all = async {
        if let Some(feed) = &feed {
            feed.wait_until_put(NO_LIMIT).await?;
        }
        mapping.wait_until_drained(NO_LIMIT).await
    };
    let drained = tokio::select! {
        drained = all, if args.once => drained,
        ended = ended() => ended,
        () = serve(page.as_ref(), &mapping, &freshness) => Ok(()),
        never = show(&mapping, &tally, &freshness.lag) => match never {},
    };
    mapping.end_idle().await;
    let counts = tally.settled().await;
    if let Some(page) = &page {
        page.conclude(&line(&mapping.stats(), &counts, None), &mapping, &freshness).await;
    }
    let stats = mapping.shutdown().await;
    console::result(line(&stats, &counts, None));
    drained?;
    ensure!(stats.records_lost == 0, "{} were given up without a queue", counted(stats.records_lost, "record"));
    Ok(())
}

/// Serves the page, if there is one, until somebody there ends the replication.
async fn serve(page: Option<&LiveReplication>, mapping: &EventSourceMapping, freshness: &Freshness) {
    match page {
        Some(page) => page.serve(mapping, freshness).await,
        None => pending().await,
    }
}

/// Shows counts and lag for ever.
async fn show(mapping: &EventSourceMapping, tally: &Tally, lag: &Lag) -> Infallible {
    let progress = ProgressLine::spinner("waiting for changes");
    loop {
        tokio::time::sleep(REFRESH).await;
        progress.say(line(&mapping.stats(), &tally.counts(), lag.last_ms()));
    }
}

fn line(stats: &MappingStats, counts: &FunctionCounts, lag_ms: Option<f64>) -> String {
    let needless = counts.duplicate + counts.stale + counts.superseded;
    let mut line = format!(
        "{} delivered: {} applied, {needless} needless, {} refused; {} under way",
        counted(stats.records_delivered, "change"),
        counts.applied,
        counts.rejected,
        stats.records_in_flight
    );
    if stats.dead_letters > 0 {
        line = format!("{line}; {}", counted(stats.dead_letters, "on-failure message"));
    }
    if let Some(lag_ms) = lag_ms {
        line = format!("{line}; lag {:.1} s", lag_ms / 1_000.0);
    }
    line
}

/// Passes the function's lines on to `metrics`, and shows its warnings and errors.
fn lines(metrics: UnboundedSender<String>) -> UnboundedSender<String> {
    let (sender, mut lines) = unbounded_channel::<String>();
    tokio::spawn(async move {
        let mut last = String::new();
        while let Some(line) = lines.recv().await {
            // A function that waits for a mended configuration says the same again and again.
            if let Some(logged) = LogLine::parse(&line).filter(|logged| logged.message != last) {
                console::note(format!("  {} {logged}", logged.level));
                last = logged.message;
            }
            // Nobody counts any more.
            let _ = metrics.send(line);
        }
    });
    sender
}
