//! `REPLICATION`: the configuration that says which items have a document, and what it holds.

pub mod filter;
