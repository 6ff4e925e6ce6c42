//! DynamoDB in the tool's own process, served over HTTP so that every client is the real one.
//!
//! It has threads of its own: SQLite blocks, and neither a test's single-threaded runtime nor the tool's should wait
//! for it.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use dynoxide::Database;
use rusqlite::Connection;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::services::service::Service;

/// Requests under way at the stop get this long to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
const THREADS: usize = 2;
const STREAM_INDICES: &str = "
    CREATE INDEX driftless_last ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
    CREATE INDEX driftless_next ON _stream_records (table_name, shard_id, CAST(sequence_number AS INTEGER));
";

/// An in-memory DynamoDB with streams. Dropping it stops it.
#[derive(Debug)]
pub struct EmbeddedDynamoDb {
    endpoint: String,
    /// Name of its memory, for further connections.
    memory: String,
    /// Dropping it is the order to stop.
    running: oneshot::Sender<()>,
    /// Resolves when the server has ended.
    ended: oneshot::Receiver<Result<()>>,
}

impl EmbeddedDynamoDb {
    /// Starts it on a free loopback port; it accepts requests when this returns.
    ///
    /// # Errors
    /// Where no port or thread is to be had.
    pub async fn start() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // SQLite's own in-memory file system: a name that begins with a slash is shared within the process.
        let memory = format!("file:/driftless-{number}?vfs=memdb");
        let name = memory.clone();
        let (bound, port) = oneshot::channel();
        let (running, stop) = oneshot::channel();
        let (report, ended) = oneshot::channel();
        thread::Builder::new()
            .name("dynamodb".to_owned())
            .spawn(move || {
                // Nobody listens any more when the service was dropped.
                let _ = report.send(serve(&name, bound, stop));
            })
            .context("start the thread of the embedded DynamoDB")?;
        match port.await {
            Ok(port) => Ok(Self { endpoint: format!("http://127.0.0.1:{port}"), memory, running, ended }),
            Err(_) => {
                let outcome = ended.await.unwrap_or_else(|_| Err(anyhow!("its thread panicked")));
                Err(outcome.err().unwrap_or_else(|| anyhow!("it ended at once"))).context("start the embedded DynamoDB")
            }
        }
    }

    /// Gives a table an index in the order of its parallel scans. Without it, each page of such a scan sorts the whole
    /// table: a scan of a million items takes hours instead of a minute.
    ///
    /// # Errors
    /// Where there is no such table.
    pub fn index_scan(&self, table: &str) -> Result<()> {
        let connection = Connection::open(&self.memory).context("open the database once more")?;
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let (index, table) = (quoted(&format!("driftless_scan_{table}")), quoted(table));
        let statement = format!("CREATE INDEX IF NOT EXISTS {index} ON {table} (hash_prefix, pk, sk)");
        connection.execute_batch(&statement).context("create the index of a scan")
    }
}

impl Service for EmbeddedDynamoDb {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    async fn stop(self) -> Result<()> {
        drop(self.running);
        self.ended.await.context("wait for the embedded DynamoDB")?
    }
}

/// Runs until `stop` resolves or its sender is dropped.
fn serve(memory: &str, bound: oneshot::Sender<u16>, stop: oneshot::Receiver<()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("dynamodb")
        .enable_all()
        .build()
        .context("start the runtime of the embedded DynamoDB")?;
    let outcome = runtime.block_on(async move {
        let (database, _indices) = open(memory)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("bind a port")?;
        let port = listener.local_addr().context("read the port")?.port();
        let (stopping, drained) = oneshot::channel();
        let server = dynoxide::server::serve_with_shutdown(listener, database, async move {
            // An error means that the sender was dropped, which is the order to stop.
            let _ = stop.await;
            let _ = stopping.send(());
        });
        let _ = bound.send(port);
        tokio::select! {
            ended = server => ended.map_err(|error| anyhow!(error)),
            () = drain(drained) => Ok(()),
        }
    });
    runtime.shutdown_background();
    outcome
}

/// Opens a database in memory, and gives its stream two indices that it does not have by itself.
///
/// Each write looks for the stream's highest sequence number, and each read for the next ones: both walk over all
/// records of the table, so that the 6,000th write takes ten times as long as the first. The indices end that. They are
/// made by a second connection to the same memory, which must live as long as the indices are to.
fn open(memory: &str) -> Result<(Database, Connection)> {
    let database = Database::new(memory).map_err(|error| anyhow!("open the database: {error}"))?;
    let indices = Connection::open(memory).context("open the database a second time")?;
    indices.execute_batch(STREAM_INDICES).context("create the indices of the stream")?;
    Ok((database, indices))
}

/// Ends the wait for clients that never finish their request.
async fn drain(stopping: oneshot::Receiver<()>) {
    let _ = stopping.await;
    tokio::time::sleep(DRAIN_LIMIT).await;
}
