//! DynamoDB in the tool's own process, served over HTTP so that every client is the real one.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow};
use dynoxide::Database;
use rusqlite::Connection;

use crate::services::own_threads::{Door, OwnThreads};
use crate::services::service::Service;

const STREAM_INDICES: &str = "
    CREATE INDEX driftless_last ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
    CREATE INDEX driftless_next ON _stream_records (table_name, shard_id, CAST(sequence_number AS INTEGER));
";

/// An in-memory DynamoDB with streams. Dropping it stops it.
#[derive(Debug)]
pub struct EmbeddedDynamoDb {
    server: OwnThreads,
    /// Name of its memory, for further connections.
    memory: String,
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
        let server = OwnThreads::start("dynamodb", move |door| serve(name, door)).await?;
        Ok(Self { server, memory })
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
        self.server.endpoint()
    }

    async fn stop(self) -> Result<()> {
        self.server.stop().await
    }
}

/// Serves a database in `memory` until the order to stop.
async fn serve(memory: String, door: Door) -> Result<()> {
    let (database, _indices) = open(&memory)?;
    let (listener, stop) = door.open().await?;
    let server = dynoxide::server::serve_with_shutdown(listener, database, stop);
    server.await.map_err(|error| anyhow!(error))
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
