//! Limits of AWS, with their sources, and sizes that they apply to.

/// Write units per second of a partition, one per KB of an item. A partition is one open shard of the stream.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>
pub(crate) const PARTITION_WRITE_UNITS: f64 = 1_000.0;
/// Bytes that a write unit writes. The same page.
pub(crate) const WRITE_UNIT_BYTES: f64 = 1_024.0;
/// Bytes that a partition holds: about 10 GB.
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
/// Invocations per second of an account, as a multiple of its concurrent executions.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html>
pub(crate) const INVOCATIONS_PER_EXECUTION: f64 = 10.0;
/// Execution environments that Lambda adds to a function within an interval.
/// <https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html>
pub(crate) const SCALING_ENVIRONMENTS: f64 = 1_000.0;
/// Seconds of that interval.
pub(crate) const SCALING_INTERVAL_S: f64 = 10.0;
/// Most bytes of an event. The page of the concurrent executions.
pub(crate) const PAYLOAD_BYTES: f64 = 6e6;
/// Polls of a shard by Lambda, per second.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>
pub(crate) const POLLS_PER_SECOND: f64 = 4.0;
/// Most records of one poll of a shard.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html>
pub(crate) const POLL_RECORDS: f64 = 1_000.0;
/// Most bytes of one poll. The same page.
pub(crate) const POLL_BYTES: f64 = 1_048_576.0;
/// Memory at which a function has one whole processor; below, its share shrinks with it.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
pub(crate) const MEMORY_OF_ONE_PROCESSOR_MB: f64 = 1_769.0;
/// Bytes of a record per byte of its item.
/// A record carries two images, and DynamoDB's JSON makes 1.5 bytes of each byte.
pub(crate) const RECORD_BYTES_PER_ITEM_BYTE: f64 = 2.0 * 1.5;
/// Bytes of a record beside its images.
pub(crate) const RECORD_ENVELOPE_BYTES: f64 = 500.0;
