//! The developer's tool: real services on this machine, Lambda's event source mapping, load, replay and the demo.
//!
//! # Layout
//! - [`services`]: DynamoDB, SQS and a search engine, started and stopped; [`table`]: a table to write to.
//! - [`load`]: an open-loop load generator.
//! - [`proxy`]: stands between a function and a service, and goes wrong on purpose.
//! - [`function`]: a function's process behind the Lambda Runtime API; [`replay`]: sample events into it.
//! - [`demo`]: all of it, played; [`compare`]: whether table and index hold the same.
//! - [`letters`], [`redrive`](mod@redrive): what waits in the dead-letter queue, and writing it again.
//! - [`mapping`]: a stream's records into functions, with Lambda's semantics.
//! - [`bench`](mod@bench): how fast all of it is, [`chart`]: drawn; [`size`]: what a deployment needs and costs.
//! - [`cli`]: the command line, one module per subcommand; [`console`]: all output.

pub mod bench;
pub mod chart;
pub mod cli;
pub mod compare;
pub mod console;
pub mod demo;
pub mod function;
pub mod letters;
pub mod load;
pub mod mapping;
pub mod proxy;
pub mod redrive;
pub mod replay;
pub mod services;
pub mod simulate;
pub mod size;
pub mod table;
