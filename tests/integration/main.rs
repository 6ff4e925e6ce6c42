//! The guarantees, on the real services. One binary, so that the services are started once; every test has an index,
//! and a table where it needs one, of its own.
//!
//! Tests run in the order of their names. The longest come early, so that none runs alone at the end.

mod backfill;
mod cargo_lambda;
mod changing_sources;
mod commands;
mod complaints;
mod convergence;
mod definition;
mod demo;
mod demo_page;
mod documents;
mod events;
mod expiry;
mod faults;
mod guard;
mod heartbeat;
mod hostile;
mod index;
mod kinesis;
mod kinesis_events;
mod loading;
mod many_writers;
mod proposal;
mod purge;
mod readme;
mod regions;
mod reindex;
mod replication;
mod scale;
mod searching;
mod simulation;
mod stage;
mod streams;
mod support;
mod verify;
