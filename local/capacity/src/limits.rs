//! What AWS allows, with the sources. Quotas that AWS raises on request are told apart.

/// A partition takes so many write units per second, one per KB of an item, and is one open shard of the stream.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>
pub(crate) const PARTITION_WRITE_UNITS: f64 = 1_000.0;
/// A write unit writes so many bytes. The same page.
pub(crate) const WRITE_UNIT_BYTES: f64 = 1_024.0;
/// A partition holds so many bytes: about 10 GB.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.Partitions.html>
pub(crate) const PARTITION_BYTES: f64 = 10e9;
/// Write units per second of one table, by default.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>
pub(crate) const TABLE_WRITE_UNITS: f64 = 40_000.0;
/// Concurrent batches of one shard.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html>
pub(crate) const PARALLELIZATION_FACTOR: u64 = 10;
/// Concurrent executions of an account in one region, by default; new accounts start with less.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub(crate) const CONCURRENT_EXECUTIONS: f64 = 1_000.0;
/// An event's size. The same page.
pub(crate) const PAYLOAD_BYTES: f64 = 6e6;
/// How often Lambda polls a shard, per second.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>
pub(crate) const POLLS_PER_SECOND: f64 = 4.0;
/// What one poll of a shard returns at most: so many records, or so many bytes.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html>
pub(crate) const POLL_RECORDS: f64 = 1_000.0;
/// The bytes of it.
pub(crate) const POLL_BYTES: f64 = 1_048_576.0;
/// Memory at which a function has one whole processor; below, its share shrinks with it.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
pub(crate) const MEMORY_OF_ONE_PROCESSOR_MB: f64 = 1_769.0;
