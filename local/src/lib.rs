//! The developer's tool: real services on this machine, and load for them.
//!
//! # Layout
//!
//! - [`services`]: DynamoDB, SQS and a search engine, started and stopped
//! - [`load`]: an open-loop load generator
//! - [`table`]: a table to write to
//! - [`cli`]: the command line, one module per subcommand
//! - [`console`]: all output

pub mod cli;
pub mod console;
pub mod load;
pub mod services;
pub mod table;
