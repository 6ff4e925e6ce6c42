//! The shards of a stream in memory: who owns which key, what was split, what was trimmed.

use anyhow::{Context, Result, ensure};

use super::{
    record::StreamRecord,
    stream::{ShardId, ShardPosition, StreamError},
};

#[derive(Debug)]
pub(super) struct MemoryShards {
    pub(super) shards: Vec<MemoryShard>,
    pub(super) last_number: u128,
    /// Iterators of an earlier epoch are expired.
    pub(super) epoch: u64,
}

#[derive(Debug)]
pub(super) struct MemoryShard {
    pub(super) id: ShardId,
    pub(super) parent: Option<ShardId>,
    pub(super) adjacent_parent: Option<ShardId>,
    pub(super) closed: bool,
    /// The part of the space of partition keys, as hashes, that this shard owns while it is open.
    first_hash: u64,
    last_hash: u64,
    pub(super) records: Vec<StreamRecord>,
    /// Number of records that are gone from the start of `records`; positions count them.
    pub(super) trimmed: usize,
}

impl MemoryShards {
    pub(super) fn find(&mut self, id: &ShardId) -> Result<&mut MemoryShard> {
        self.shards.iter_mut().find(|shard| shard.id == *id).with_context(|| format!("find the shard {id}"))
    }

    pub(super) fn owner(&mut self, hash: u64) -> Result<&mut MemoryShard> {
        let owner =
            self.shards.iter_mut().find(|shard| !shard.closed && (shard.first_hash..=shard.last_hash).contains(&hash));
        owner.context("find an open shard for the change")
    }

    pub(super) fn open(&mut self, parent: Option<&ShardId>, first_hash: u64, last_hash: u64) -> ShardId {
        let id = ShardId::new(&format!("shardId-{:020}-memory", self.shards.len()));
        self.shards.push(MemoryShard {
            id: id.clone(),
            parent: parent.cloned(),
            adjacent_parent: None,
            closed: false,
            first_hash,
            last_hash,
            records: Vec::new(),
            trimmed: 0,
        });
        id
    }

    pub(super) fn range(&mut self, id: &ShardId) -> Result<(u64, u64)> {
        self.find(id).map(|shard| (shard.first_hash, shard.last_hash))
    }

    pub(super) fn end(&mut self, id: &ShardId) -> Result<(u64, u64)> {
        let shard = self.find(id)?;
        ensure!(!shard.closed, "the shard {id} has ended already");
        shard.closed = true;
        Ok((shard.first_hash, shard.last_hash))
    }
}

impl MemoryShard {
    pub(super) fn index(&self, position: &ShardPosition) -> Result<usize, StreamError> {
        let end = self.trimmed + self.records.len();
        let (number, skip) = match position {
            ShardPosition::TrimHorizon => return Ok(self.trimmed),
            ShardPosition::Latest => return Ok(end),
            ShardPosition::At(number) => (number, 0),
            ShardPosition::After(number) => (number, 1),
        };
        match self.records.binary_search_by(|record| record.sequence_number().cmp(number)) {
            Ok(index) => Ok(self.trimmed + index + skip),
            Err(0) if self.trimmed > 0 => Err(StreamError::TrimmedData),
            Err(index) => Ok(self.trimmed + index),
        }
    }
}
