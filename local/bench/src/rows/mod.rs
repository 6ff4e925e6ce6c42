//! The rows, one module each.

pub(super) mod backlog;
pub(super) mod cost;
pub(super) mod growth;
pub(super) mod hot_key;
pub(super) mod lane_time;
pub(super) mod one_lane;
pub(super) mod real_stream;
pub(super) mod shard_limit;
pub(super) mod start;
pub(super) mod unguarded;
