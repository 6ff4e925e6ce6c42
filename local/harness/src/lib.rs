//! The harness that the tests, the benchmark, the simulation and the command line drive: real services on this machine,
//! and Lambda's side of them.
//!
//! # Layout
//! - [`services`]: DynamoDB, SQS and a search engine, started and stopped; [`table`]: a table to write to.
//! - [`load`]: an open-loop load generator; [`activity`]: realistic items for it.
//! - [`function`]: a function's process behind the Lambda Runtime API; [`outcomes`]: what it says of its records.
//! - [`mapping`]: a stream's records into functions, with Lambda's semantics; [`lag`], [`freshness`]: how fresh the
//!   index is.
//! - [`proxy`]: stands between a function and a service, and goes wrong on purpose.
//! - [`replay`]: sample events into a function; [`redrive`](mod@redrive): the function that redrives, invoked.
//! - [`sample`]: records and items, as a configuration of documents makes them.
//! - [`slices`]: long work of a function, slice after slice: backfill, verify, purge, and the steps of a re-index.
//! - [`list_dead_letters`]: what waits in the dead-letter queue; [`compare`](mod@compare): whether table and index hold
//!   the same; [`compare_indexes`](mod@compare_indexes): whether two indexes do.
//! - [`proposal`]: a definition of the index, proposed from sampled items.
//! - [`stable_hash`]: what keys and seeds decide by; [`words`]: numbers with their nouns.

pub mod activity;
pub mod compare;
pub mod compare_indexes;
pub mod freshness;
pub mod function;
pub mod lag;
pub mod list_dead_letters;
pub mod load;
pub mod mapping;
pub mod outcomes;
pub mod proposal;
pub mod proxy;
pub mod redrive;
pub mod replay;
pub mod sample;
pub mod services;
pub mod slices;
pub mod stable_hash;
pub mod table;
pub mod words;
