//! Verifications: the table's side in segments, then documents without items from the index's side, and the verdict.
//!
//! `equal` is said only if it is proven. Documents without an item are ruled out by counts where those prove it, and by
//! the whole listing of the index everywhere else. The counts prove it if the index had as many documents before the
//! table was read as items were found in it, each with its document, and no change was written meanwhile. The function
//! shows recent changes as its `lag_ms`.

use std::time::Duration;

use anyhow::{Context, Result};
use driftless::opensearch::Drift;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::sleep;
use verify::report::{Example, VerifyReport, behind, proof};

use super::state::{Counts, WorkState};
use super::work::LongWork;
use crate::function::FunctionConfig;

/// A little more than the default refresh interval: counts and listings see what was refreshed.
const REFRESH: Duration = Duration::from_millis(1_100);
/// Default of the function for the time between two looks.
const SETTLE_MS: u64 = 10_000;
const MOST_EXAMPLES: usize = 10;

/// Search for documents without an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrphanSearch {
    /// Counts, and lists the index where the counts prove nothing. Only counts where ids do not show their keys.
    #[default]
    Proof,
    /// Lists the whole index. Only counts where ids do not show their keys.
    Listing,
    /// Compares the counts of table and index.
    Count,
    /// Lists the whole index, and fails where ids do not show their keys.
    Full,
    /// Looks for none: the verdict is never `equal`.
    None,
}

/// A verification that has not begun.
#[derive(Clone, Debug)]
pub struct Verification {
    /// The function `verify`, configured for table and index.
    pub function: FunctionConfig,
    /// Request of each part of the table's side.
    pub request: Value,
    /// Number of segments; none for keys or a prefix.
    pub segments: Option<u32>,
    /// Search for documents without an item.
    pub orphans: OrphanSearch,
}

/// State of a verification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerifyState {
    /// Documents of the index before the table was read.
    pub counted_before: Option<u64>,
    /// State of the table's side.
    pub items: WorkState,
    /// Documents of the index after it was read.
    pub counted_after: Option<u64>,
    /// State of the index's side, once it is begun.
    pub documents: Option<WorkState>,
}

/// Certainty that there is no document without an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphansLookedFor {
    /// The whole index was listed.
    Listed,
    /// The counts rule them out.
    Counted,
    /// The request names the keys, and each was looked at on both sides.
    ByKey,
    /// They were counted, and the counts prove nothing. Where ids do not show their keys, nothing else can be done.
    CountsProveNothing,
    /// Nobody looked for them.
    NotLookedFor,
}

/// Sums of a verification, with the verdict.
#[derive(Clone, Debug, Serialize)]
pub struct VerifySummary {
    /// True if table and index are proven equal, false if something differs or did before its repair. `None` if nothing
    /// differs in what was compared, and that was not everything.
    pub equal: Option<bool>,
    /// Items that were compared.
    pub items: u64,
    /// Documents of the index, or those that were compared.
    pub documents: u64,
    /// Items without a document.
    pub missing: u64,
    /// Documents that are not what their items give.
    pub stale: u64,
    /// Documents of another form.
    pub different: u64,
    /// Tombstones where an item lives.
    pub tombstone_where_item_lives: u64,
    /// Documents without an item.
    pub orphaned: u64,
    /// Items whose document is that of another item, because both keys give one id.
    pub other_item: u64,
    /// Items that `REPLICATION` gives no document.
    pub unshaped: u64,
    /// Undecided, because they kept changing.
    pub in_motion: u64,
    /// Those in motion that may only wait for a change, because the stream is behind.
    pub pending: u64,
    /// Differences that were repaired.
    pub repaired: u64,
    /// Differences whose document the engine refuses.
    pub rejected: u64,
    /// Differences that may be repaired later.
    pub failed: u64,
    /// Consumed read capacity units.
    pub rcu: f64,
    /// Longest time from a change to its write, of documents that were written lately.
    pub lag_ms: u64,
    /// Certainty that there is no document without an item.
    pub orphans: OrphansLookedFor,
    /// True if ids do not show their keys, so that the index cannot be listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden_keys: bool,
    /// Conclusion that a sample allows.
    pub sample: Option<String>,
    /// Statement that the stream is behind, and what to do, if that leaves something undecided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// First differences that were found.
    pub examples: Vec<Example>,
    /// Time of all runs.
    pub seconds: f64,
    /// Drift of the index from the function's definition, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// Documents that the index counts, as far as they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents_in_index: Option<u64>,
}

impl Verification {
    /// Returns the state before the first invocation.
    #[must_use]
    pub fn begin(&self) -> VerifyState {
        let items = WorkState::new(self.segments.unwrap_or(1));
        VerifyState { counted_before: None, items, counted_after: None, documents: None }
    }

    /// Does what `state` shows as open, and updates it after each answer.
    ///
    /// # Errors
    /// As [`LongWork::run`].
    pub async fn run(&self, state: &mut VerifyState, mut on_answer: impl FnMut(&VerifyState)) -> Result<VerifySummary> {
        let counts = matches!(self.orphans, OrphanSearch::Proof | OrphanSearch::Listing | OrphanSearch::Count)
            && !self.is_part();
        if counts && state.counted_before.is_none() {
            sleep(REFRESH).await;
            state.counted_before = Some(self.count().await?);
        }
        let mut shown = state.clone();
        self.work(self.request.clone(), self.segments)
            .run(&mut state.items, |items| {
                shown.items.clone_from(items);
                on_answer(&shown);
            })
            .await?;
        if counts && state.counted_after.is_none() {
            state.counted_after = Some(self.count().await?);
        }
        let lists = match self.orphans {
            OrphanSearch::Full => true,
            OrphanSearch::Proof => !self.is_part() && !state.counts_prove()? && !state.hides_keys()?,
            OrphanSearch::Listing => !self.is_part() && !state.hides_keys()?,
            OrphanSearch::Count | OrphanSearch::None => false,
        };
        if lists {
            if state.documents.is_none() {
                // What a repair wrote, too.
                sleep(REFRESH).await;
            }
            let mut request = self.request.clone();
            request["orphans"] = "full".into();
            let mut shown = state.clone();
            let documents = state.documents.get_or_insert_with(|| WorkState::new(1));
            let show = |documents: &WorkState| {
                shown.documents = Some(documents.clone());
                on_answer(&shown);
            };
            self.work(request, None).run(documents, show).await?;
        }
        self.summary(state)
    }

    /// Adds the answers up.
    ///
    /// # Errors
    /// Fails if they are not those of a verification.
    pub fn summary(&self, state: &VerifyState) -> Result<VerifySummary> {
        let VerifyReport { counts: items, lag_ms, mut examples, drift, .. } = state.items.report()?;
        let listed: VerifyReport = state.documents.as_ref().map(WorkState::report).transpose()?.unwrap_or_default();
        let documents = listed.counts;
        examples.extend(listed.examples);
        examples.truncate(MOST_EXAMPLES);
        let orphans = match &state.documents {
            Some(documents) if documents.is_done() => OrphansLookedFor::Listed,
            _ if self.request.get("keys").is_some() => OrphansLookedFor::ByKey,
            _ if state.counts_prove()? => OrphansLookedFor::Counted,
            _ if state.counted_after.is_some() => OrphansLookedFor::CountsProveNothing,
            _ => OrphansLookedFor::NotLookedFor,
        };
        let share = self.share();
        let mut summary = VerifySummary {
            equal: None,
            items: items.items,
            documents: items.documents + items.orphaned.max(documents.orphaned),
            missing: items.missing + documents.missing,
            stale: items.stale + documents.stale,
            different: items.different + documents.different,
            tombstone_where_item_lives: items.tombstone_where_item_lives + documents.tombstone_where_item_lives,
            orphaned: items.orphaned + documents.orphaned,
            other_item: items.other_item + documents.other_item,
            unshaped: items.unshaped + documents.unshaped,
            in_motion: items.in_motion + documents.in_motion,
            pending: items.pending + documents.pending,
            repaired: items.repaired + documents.repaired,
            rejected: items.rejected + documents.rejected,
            failed: items.failed + documents.failed,
            rcu: items.rcu + documents.rcu,
            lag_ms: lag_ms.max(listed.lag_ms),
            orphans,
            hidden_keys: state.hides_keys()?,
            sample: (share < 1.0).then(|| proof(items.items, items.differences())),
            behind: behind(items.pending + documents.pending, lag_ms.max(listed.lag_ms)),
            examples,
            seconds: state.items.seconds + state.documents.as_ref().map_or(0.0, |state| state.seconds),
            drift,
            documents_in_index: state.counted_after,
        };
        summary.equal = match summary.differences() {
            0 if self.is_whole(orphans) && summary.in_motion == 0 && state.is_done() => Some(true),
            0 => None,
            _ => Some(false),
        };
        Ok(summary)
    }

    /// Returns `true` if all that the request names was looked at from both sides.
    fn is_whole(&self, orphans: OrphansLookedFor) -> bool {
        use OrphansLookedFor::{ByKey, Counted, Listed};
        self.share() >= 1.0 && matches!(orphans, Listed | Counted | ByKey)
    }

    /// Returns `true` if only a part of the table is compared, for which the index's counts mean nothing.
    fn is_part(&self) -> bool {
        self.share() < 1.0 || self.request.get("keys").is_some() || self.request.get("prefix").is_some()
    }

    fn share(&self) -> f64 {
        self.request.get("sample").and_then(Value::as_f64).unwrap_or(1.0)
    }

    fn work(&self, request: Value, segments: Option<u32>) -> LongWork {
        let settle = self.request.get("settle_ms").and_then(Value::as_u64).unwrap_or(SETTLE_MS);
        let pauses = Duration::from_millis(settle.saturating_mul(2));
        LongWork { segments, pauses, ..LongWork::new(self.function.clone(), request) }
    }

    /// Counts the documents of the index.
    async fn count(&self) -> Result<u64> {
        let mut request = json!({"keys": [], "orphans": "count"});
        for shared in ["table", "index", "entity_index", "settle_ms"] {
            if let Some(value) = self.request.get(shared) {
                request[shared] = value.clone();
            }
        }
        let mut state = WorkState::new(1);
        self.work(request, None).run(&mut state, |_| ()).await?;
        state.report::<VerifyReport>()?.documents_in_index.context("find the number of documents in the answer")
    }
}

impl VerifyState {
    /// Returns the sums of the side that is at work.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.documents.as_ref().unwrap_or(&self.items).counts()
    }

    fn is_done(&self) -> bool {
        self.items.is_done() && self.documents.as_ref().is_none_or(WorkState::is_done)
    }

    /// Returns `true` if ids do not show their keys, so that the index cannot be listed.
    fn hides_keys(&self) -> Result<bool> {
        Ok(self.items.report::<VerifyReport>()?.hidden_keys)
    }

    fn counts_prove(&self) -> Result<bool> {
        let VerifyReport { counts, lag_ms, .. } = self.items.report()?;
        let agree = self.counted_before == Some(counts.items) && self.counted_after == Some(counts.items);
        Ok(agree
            && counts.missing == 0
            && counts.tombstone_where_item_lives == 0
            && counts.in_motion == 0
            && lag_ms == 0)
    }
}

impl VerifySummary {
    /// Returns the number of differences, repaired ones included.
    #[must_use]
    pub fn differences(&self) -> u64 {
        let named = self.missing + self.stale + self.different + self.orphaned + self.tombstone_where_item_lives;
        named + self.other_item + self.unshaped
    }

    /// Returns `true` if nothing differs, nothing is undecided, and nothing that was asked for stayed unknown.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences() == 0 && self.in_motion == 0 && self.orphans != OrphansLookedFor::CountsProveNothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verification(request: Value, orphans: OrphanSearch) -> Verification {
        Verification { function: FunctionConfig::new("verify", "/verify"), request, segments: Some(1), orphans }
    }

    /// State after a table of ten items that all have their documents.
    fn state(counted: Option<u64>, lag_ms: u64) -> VerifyState {
        let counts = json!({
            "read": 10, "items": 10, "documents": 10, "missing": 0, "stale": 0, "different": 0, "orphaned": 0,
            "tombstone_where_item_lives": 0, "in_motion": 0, "repaired": 0, "rejected": 0, "failed": 0, "rcu": 5.0,
        });
        let answer = json!({"cursor": null, "done": true, "equal": true, "counts": counts, "lag_ms": lag_ms});
        let mut items = WorkState::new(1);
        assert!(items.parts[0].take(answer.to_string().as_bytes()).expect("an answer"));
        VerifyState { counted_before: counted, items, counted_after: counted, documents: None }
    }

    #[track_caller]
    fn check(request: Value, state: &VerifyState, equal: Option<bool>, orphans: OrphansLookedFor) {
        let summary = verification(request, OrphanSearch::Proof).summary(state).expect("a summary");
        assert_eq!((summary.equal, summary.orphans), (equal, orphans));
    }

    #[test]
    fn equal_is_said_only_where_documents_without_items_are_ruled_out() {
        check(json!({}), &state(Some(10), 0), Some(true), OrphansLookedFor::Counted);
        check(json!({}), &state(None, 0), None, OrphansLookedFor::NotLookedFor);
        check(json!({}), &state(Some(11), 0), None, OrphansLookedFor::CountsProveNothing);
        // An item that was written meanwhile may make up for a document that has none.
        check(json!({}), &state(Some(10), 120), None, OrphansLookedFor::CountsProveNothing);
        let mut listed = state(Some(11), 0);
        listed.documents = Some(listed.items.clone());
        check(json!({}), &listed, Some(true), OrphansLookedFor::Listed);
        listed.documents = Some(WorkState::new(1));
        check(json!({}), &listed, None, OrphansLookedFor::CountsProveNothing);
    }

    #[test]
    fn an_index_whose_ids_hide_their_keys_is_counted_and_never_listed() {
        let hidden = |counted, lag_ms| {
            let mut state = state(Some(counted), lag_ms);
            let answer = json!({"cursor": null, "done": true, "hidden_keys": true, "counts": {}}).to_string();
            assert!(state.items.parts[0].take(answer.as_bytes()).expect("an answer"));
            state
        };
        for (state, equal, orphans) in [
            (hidden(10, 0), Some(true), OrphansLookedFor::Counted),
            (hidden(11, 0), None, OrphansLookedFor::CountsProveNothing),
            (hidden(10, 120), None, OrphansLookedFor::CountsProveNothing),
        ] {
            assert!(state.hides_keys().expect("an answer"));
            check(json!({}), &state, equal, orphans);
        }
        assert!(!state(Some(10), 0).hides_keys().expect("an answer"));
    }

    #[test]
    fn what_may_be_pending_leaves_the_verdict_open_and_says_what_to_do() {
        let mut state = state(Some(10), 0);
        let late = json!({
            "cursor": null, "done": true, "equal": false, "lag_ms": 90_000, "counts": {"in_motion": 2, "pending": 2},
        });
        assert!(state.items.parts[0].take(late.to_string().as_bytes()).expect("an answer"));
        state.documents = Some(state.items.clone());
        let summary = verification(json!({}), OrphanSearch::Proof).summary(&state).expect("a summary");
        assert_eq!((summary.equal, summary.is_clean(), summary.pending), (None, false, 4));
        assert!(summary.behind.expect("a statement").starts_with("the stream is 90 s behind, and 4 of"));
    }

    #[test]
    fn a_sample_or_a_prefix_proves_nothing_about_the_rest() {
        check(json!({"sample": 0.5}), &state(None, 0), None, OrphansLookedFor::NotLookedFor);
        check(json!({"prefix": {"id": {"S": "a"}}}), &state(None, 0), None, OrphansLookedFor::NotLookedFor);
        check(json!({"keys": [{"id": {"S": "a"}}]}), &state(None, 0), Some(true), OrphansLookedFor::ByKey);
    }
}
