//! Replication: the rules that make a document of an item, declared in `REPLICATION` and read at start.
//!
//! Every path that writes documents asks here: the stream, the backfill, a redrive, a repair and verify. So an item has
//! one document and one id, whatever brings it. Without rules, the document is the whole item.
//!
//! # Layout
//! - [`config`]: the TOML text; `compile`: its keys, checked together; `plan`: the result, and what it gives to items.
//! - `id`: the form of document ids; `entity_index`: the index of a key's entity.
//! - [`path`]: attribute paths; `rules`: the rules as a tree of paths; `shape`: rules applied to an item.
//! - `keyed_hash`, `date`, `inflate`, `derive`: single conversions. [`filter`]: jq. `expiry`: items that time to live
//!   deletes.
//!
//! The steps, in their order: inflate, `where`, the entity's rules, derive, the rules of each path (leave out, hash,
//! date, JSON text, rename), `document`.

mod compile;
pub mod config;
mod date;
mod derive;
mod entity_index;
mod expiry;
pub mod filter;
mod id;
mod inflate;
mod keyed_hash;
pub mod path;
mod plan;
mod rules;
mod section_paths;
mod shape;

pub use keyed_hash::HashKey;
pub use plan::{Fingerprints, Replication, SharedSource};
pub use shape::ShapeError;

#[cfg(test)]
mod tests;
