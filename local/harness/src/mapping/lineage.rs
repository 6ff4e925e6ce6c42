//! Lineage of the shards of a stream: a shard waits for its parent, siblings run side by side.
//!
//! "A parent shard is processed before its children" is what keeps the order of a key across a split ("Working with
//! streams", DynamoDB developer guide). A parent is over when all of its records are finished, retries included.

use std::collections::{HashMap, HashSet};

use super::{
    config::StartingPosition,
    stream::{Shard, ShardId, ShardPosition},
};

/// The shards of a stream, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    first_listing_seen: bool,
    waiting: HashMap<ShardId, (Shard, ShardPosition)>,
    started: HashSet<ShardId>,
    finished: HashSet<ShardId>,
}

impl Lineage {
    /// Takes in a listing of the stream.
    pub(super) fn learn(&mut self, shards: Vec<Shard>, starting_position: StartingPosition) {
        // Only shards that exist at the start begin at LATEST; records of later ones are all new.
        let position = match starting_position {
            StartingPosition::Latest if !self.first_listing_seen => ShardPosition::Latest,
            StartingPosition::Latest | StartingPosition::TrimHorizon => ShardPosition::TrimHorizon,
        };
        self.first_listing_seen = true;
        for shard in shards {
            if !self.started.contains(&shard.id) {
                self.waiting.entry(shard.id.clone()).or_insert_with(|| (shard, position.clone()));
            }
        }
    }

    pub(super) fn finish(&mut self, shard: ShardId) {
        self.finished.insert(shard);
    }

    /// The shards that may start now; they count as started from here on.
    pub(super) fn ready(&mut self) -> Vec<(ShardId, ShardPosition)> {
        let known = |id: &ShardId| self.waiting.contains_key(id) || self.started.contains(id);
        let mut ready: Vec<_> = self
            .waiting
            .values()
            // A parent that is not listed was trimmed: there is nothing to wait for.
            .filter(|(shard, _)| {
                let mut parents = shard.parent.iter().chain(&shard.adjacent_parent);
                parents.all(|parent| !known(parent) || self.finished.contains(parent))
            })
            .map(|(shard, position)| (shard.id.clone(), position.clone()))
            .collect();
        ready.sort_by(|(left, _), (right, _)| left.cmp(right));
        for (id, _) in &ready {
            self.waiting.remove(id);
            self.started.insert(id.clone());
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, parent: Option<&str>) -> Shard {
        Shard { id: ShardId::new(id), parent: parent.map(ShardId::new), adjacent_parent: None, closed: false }
    }

    fn ready(lineage: &mut Lineage) -> Vec<String> {
        lineage.ready().into_iter().map(|(id, _)| id.to_string()).collect()
    }

    #[test]
    fn children_wait_for_their_parent_and_siblings_run_side_by_side() {
        let mut lineage = Lineage::default();
        let shards = vec![shard("c1", Some("b")), shard("b", Some("a")), shard("a", None), shard("c2", Some("b"))];
        lineage.learn(shards, StartingPosition::TrimHorizon);
        assert_eq!(ready(&mut lineage), ["a"]);
        assert!(ready(&mut lineage).is_empty());
        lineage.finish(ShardId::new("a"));
        assert_eq!(ready(&mut lineage), ["b"]);
        lineage.finish(ShardId::new("b"));
        assert_eq!(ready(&mut lineage), ["c1", "c2"]);
    }

    #[test]
    fn a_merged_shard_waits_for_both_parents() {
        let mut lineage = Lineage::default();
        let merged = Shard { adjacent_parent: Some(ShardId::new("b")), ..shard("c", Some("a")) };
        lineage.learn(vec![shard("a", None), shard("b", None), merged], StartingPosition::TrimHorizon);
        assert_eq!(ready(&mut lineage), ["a", "b"]);
        lineage.finish(ShardId::new("a"));
        assert!(ready(&mut lineage).is_empty());
        lineage.finish(ShardId::new("b"));
        assert_eq!(ready(&mut lineage), ["c"]);
    }

    #[test]
    fn a_parent_that_is_no_longer_listed_is_not_waited_for() {
        let mut lineage = Lineage::default();
        lineage.learn(vec![shard("b", Some("gone"))], StartingPosition::TrimHorizon);
        assert_eq!(ready(&mut lineage), ["b"]);
    }

    #[test]
    fn latest_holds_for_the_shards_of_the_first_listing_only() {
        let mut lineage = Lineage::default();
        lineage.learn(vec![shard("a", None)], StartingPosition::Latest);
        assert_eq!(lineage.ready(), [(ShardId::new("a"), ShardPosition::Latest)]);
        lineage.finish(ShardId::new("a"));
        lineage.learn(vec![shard("a", None), shard("b", Some("a"))], StartingPosition::Latest);
        assert_eq!(lineage.ready(), [(ShardId::new("b"), ShardPosition::TrimHorizon)]);
    }
}
