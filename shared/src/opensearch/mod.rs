//! OpenSearch (and Elasticsearch, through the same API): the only module that knows HTTP and bulk JSON.
//!
//! [`EngineConfig`] holds endpoint and credentials, and [`Engine`] is the client, one per process.
//! [`Engine::ensure_index`] makes sure of the index, and [`OpenSearchTarget`] is the [`Target`](crate::target::Target)
//! on it. No write ever creates an index (`require_alias`).

mod auth;
mod authorities;
mod bulk;
mod config;
mod copies;
mod definition;
mod documents;
mod drift;
mod engine;
mod flat_settings;
mod http;
mod identity;
mod index;
mod index_meta;
mod index_name;
mod mget;
mod probe;
mod readers;
mod refresh;
mod refresh_interval;
mod reindex;
mod requests;
mod signature;
mod target;

pub use auth::AuthError;
#[cfg(feature = "function")]
pub(crate) use auth::read_hash_key;
pub use authorities::Authorities;
pub use config::{Auth, EngineConfig};
pub use copies::{CopyState, DocumentCopy, IndexRole};
pub use definition::IndexDefinition;
#[cfg(feature = "function")]
pub(crate) use definition::json_object;
pub use drift::Drift;
pub use engine::Engine;
pub use identity::Identity;
pub use index::{EnsureError, IndexRequirements, PhysicalIndex, WrittenIndexes};
pub use index_name::{IndexName, WriteAlias};
pub use refresh_interval::RefreshInterval;
pub use reindex::{IndexPair, ReindexRecord, ReindexedIndex, Shadowed, SourceProof, StoppedRefresh, Verified};
pub use target::OpenSearchTarget;
