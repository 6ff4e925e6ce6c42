//! The input of the formula: a load, and the deployment that carries it.

use crate::limits::{CONCURRENT_EXECUTIONS, MEMORY_OF_ONE_PROCESSOR_MB, PARTITION_BYTES, PARTITION_WRITE_UNITS};
use crate::limits::{RECORD_BYTES_PER_ITEM_BYTE, RECORD_ENVELOPE_BYTES, WRITE_UNIT_BYTES};

/// Bytes of a line of metrics beside the values of single invocations, as row B13 of the benchmark sees them.
/// Lambda's own lines of successful invocations are switched off.
const LOG_BYTES: f64 = 750.0;
/// Bytes that an invocation adds to a line: its values of two metrics.
pub(crate) const VALUE_BYTES: f64 = 14.0;
/// Invocations that one line holds at most; a busy process writes a line per second.
const INVOCATIONS_PER_LINE: f64 = 100.0;

/// A load, and the deployment that carries it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Writes per second at the peak.
    pub rate: f64,
    /// Writes per second on average.
    pub average: f64,
    /// Number of items in the table.
    pub items: u64,
    /// Size of an item in bytes.
    pub item_bytes: u64,
    /// Number of open shards, if known.
    pub shards: Option<u64>,
    /// The only batch size to consider.
    pub batch_size: Option<u64>,
    /// The lag to stay under, in milliseconds.
    pub lag_ms: f64,
    /// Memory of the function, in MB.
    pub memory_mb: u64,
    /// Time that Lambda adds between two invocations of a lane.
    pub overhead_ms: f64,
    /// Time that a request to OpenSearch takes beyond what was measured.
    pub round_trip_ms: f64,
    /// Share of changes whose documents are read first.
    pub unseen: f64,
    /// Bytes of a line of metrics, without the values of single invocations.
    pub log_bytes: f64,
    /// Concurrent executions that the account has left.
    pub concurrency: f64,
}

impl Default for Scenario {
    /// Defaults of the command line, at one write per second.
    fn default() -> Self {
        Self {
            rate: 1.0,
            average: 1.0,
            items: 0,
            item_bytes: 1_000,
            shards: None,
            batch_size: None,
            lag_ms: 1_000.0,
            memory_mb: 256,
            overhead_ms: 5.0,
            round_trip_ms: 2.0,
            unseen: 0.5,
            log_bytes: LOG_BYTES,
            concurrency: CONCURRENT_EXECUTIONS,
        }
    }
}

impl Scenario {
    /// Time of an invocation on Lambda, without the network between the two:
    /// `cpu_ms` of a whole processor, and `engine_ms` of waiting for OpenSearch.
    pub fn work_ms(&self, cpu_ms: f64, engine_ms: f64, records: f64) -> f64 {
        let processor = (self.memory_mb as f64 / MEMORY_OF_ONE_PROCESSOR_MB).min(1.0);
        // One bulk request, and a read before it if one of the records is of an unknown document.
        let requests = 2.0 - (1.0 - self.unseen).powf(records);
        cpu_ms / processor + engine_ms + self.round_trip_ms * requests
    }

    /// Number of open shards: at least one per partition, and the table has partitions for its writes or for its bytes.
    pub(crate) fn open_shards(&self) -> u64 {
        let for_writes = self.rate * self.write_units() / PARTITION_WRITE_UNITS;
        let for_bytes = self.items as f64 * self.item_bytes as f64 / PARTITION_BYTES;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at least one, and checked to be small"
        )]
        let least = for_writes.max(for_bytes).ceil().max(1.0) as u64;
        self.shards.unwrap_or(least)
    }

    /// Write units of one write.
    pub(crate) fn write_units(&self) -> f64 {
        (self.item_bytes as f64 / WRITE_UNIT_BYTES).ceil()
    }

    /// Size of a stream record in an event.
    pub(crate) fn record_bytes(&self) -> f64 {
        (self.item_bytes as f64).mul_add(RECORD_BYTES_PER_ITEM_BYTE, RECORD_ENVELOPE_BYTES)
    }

    /// Bytes that one process logs per second.
    /// It writes a line for each invocation at low rates, and a line per second or per hundred invocations at others.
    pub(crate) fn log_bytes_per_second(&self, invocations: f64) -> f64 {
        invocations.min(1.0).max(invocations / INVOCATIONS_PER_LINE) * self.log_bytes + invocations * VALUE_BYTES
    }
}
