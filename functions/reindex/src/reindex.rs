//! The steps. Each looks at the indexes first, does what is left of it, and says what comes next.

use std::sync::Arc;
use std::time::Duration;

use driftless::function::{FunctionError, Settings, Slice};
use driftless::opensearch::{
    Engine, EnsureError, Identity, IndexPair, IndexRequirements, OpenSearchTarget, ReindexRecord, ReindexedIndex,
    Shadowed, SourceProof, StoppedRefresh, Verified,
};
use driftless::outcome::{ConfigurationError, Problem};
use driftless::replication::Fingerprints;
use driftless::table::selection::Cursor;
use driftless::target::{Documents as _, Listed};
use driftless::time::Timestamp;
use driftless::writer::Writer;
use serde_json::Value;

use crate::definition;
use crate::gate::gate;
use crate::report::{IndexReport, OtherReport, ReindexProgress, ReindexReport};
use crate::request::{ReindexRequest, VerifyTotals};
use crate::shadow::{self, Place};
use crate::tombstones;

/// Answer to steps that no alias can do.
const TWO_CLUSTERS: &str = "the two indexes are in two clusters, and no alias leads from one to the other: point readers \
     at the other cluster; then swap OPENSEARCH_ENDPOINT and SECOND_OPENSEARCH_ENDPOINT (with AUTH and SECRET_ARN), so \
     that the way back stays open; at the end remove the SECOND_ variables";

/// Time between the last refresh of the old index and the switch. What a function writes to both indexes stands in
/// both well before.
const SETTLE: Duration = Duration::from_secs(1);

/// Parts of the function.
#[derive(Debug, Clone)]
pub struct Reindex<'f> {
    /// Client of the engine.
    pub engine: Arc<Engine>,
    /// Client of the second cluster, if the new index is there.
    pub second: Option<Arc<Engine>>,
    /// Settings of the function's environment.
    pub settings: &'f Settings,
    /// Times of the invocation.
    pub slice: Slice,
    /// Clock for the times in the re-index's record.
    pub now: fn() -> Timestamp,
}

impl Reindex<'_> {
    /// Does one step. `tombstones` needs the writer on the new index.
    ///
    /// # Errors
    /// Fails if the request or the deployment is wrong, or the engine refuses the step.
    pub async fn run(
        &self,
        request: ReindexRequest,
        other: Option<&Writer<OpenSearchTarget>>,
    ) -> Result<ReindexReport, FunctionError> {
        let pair = self.restored(self.pair().await?).await?;
        let step = request.step().to_owned();
        let mut report = ReindexReport::default();
        match request {
            ReindexRequest::Status {} => {
                report.drift = definition::drift(&self.engine, &pair, self.settings, self.slice.deadline).await?;
            }
            ReindexRequest::Apply { definition } => {
                let definition = definition::definition(self.settings, definition.as_ref())?;
                let left = definition::apply(&self.engine, &pair, &definition, self.slice.deadline).await?;
                report.drift = Some(left);
            }
            ReindexRequest::Create { definition } => self.create(&pair, definition).await?,
            ReindexRequest::Tombstones { cursor } => {
                let writer = other.ok_or_else(|| wrong("tombstones needs a second index: begin with create"))?;
                self.copy_tombstones(&pair, writer, cursor, &mut report).await?;
            }
            ReindexRequest::Verified { verify } => self.verified(&pair, verify).await?,
            ReindexRequest::Shadow { searches } => self.shadow(&pair, &searches, &mut report).await?,
            ReindexRequest::Switch { force } => self.switch(&pair, force).await?,
            ReindexRequest::Rollback {} => self.roll_back(&pair).await?,
            ReindexRequest::Drop { index } => self.drop(&pair, &index).await?,
            ReindexRequest::Accept {} => self.accept(&pair.public).await?,
        }
        self.describe(step, report).await
    }

    async fn create(&self, pair: &IndexPair, definition: Option<Value>) -> Result<(), FunctionError> {
        match (progress(pair), &pair.other) {
            (ReindexProgress::None, _) => {}
            // An earlier try has created it.
            (ReindexProgress::Filling, _) => return Ok(()),
            (ReindexProgress::Switched, other) => {
                let name = other.as_ref().map_or("", |other| &other.index.name);
                return Err(wrong(&format!("`{name}` is still written, from the re-index before: drop it first")));
            }
        }
        let definition = definition::definition(self.settings, definition.as_ref())?;
        self.engine
            .create_beside(&pair.public, &definition, self.rules(), (self.now)(), self.slice.deadline)
            .await
            .map(drop)
            .map_err(FunctionError::from)
    }

    /// Creates the index of the second cluster, if it is not there. It has the source of the first one.
    ///
    /// # Errors
    /// Fails if the definition is wrong, or a cluster cannot be reached.
    pub async fn create_in_second(&self, request: &ReindexRequest) -> Result<(), FunctionError> {
        let (Some(second), ReindexRequest::Create { definition }) = (&self.second, request) else { return Ok(()) };
        let definition = definition::definition(self.settings, definition.as_ref())?;
        let deadline = self.slice.deadline;
        let first = self.engine.index_pair(deadline).await?.public;
        let identity = Identity { rules: self.rules(), ..first.identity() };
        let wanted = IndexRequirements {
            identity: &identity,
            create: Some(&definition),
            takes_over: false,
            keeps_expired: self.keeps_expired(),
        };
        second.ensure_index(wanted, deadline).await?;
        let new = second.index_pair(deadline).await?.public;
        if new.record.is_none() {
            let record = ReindexRecord {
                from: format!("{} of {}", first.index.name, self.settings.engine.endpoint),
                created_at: Some((self.now)()),
                ..ReindexRecord::default()
            };
            self.keep(&new, &record).await?;
        }
        Ok(())
    }

    async fn copy_tombstones(
        &self,
        pair: &IndexPair,
        writer: &Writer<OpenSearchTarget>,
        cursor: Option<Cursor>,
        report: &mut ReindexReport,
    ) -> Result<(), FunctionError> {
        let new = filling(pair, "tombstones")?;
        let from = match cursor {
            Some(Cursor::SeqNo(from)) => from,
            None => {
                // What is not refreshed is not listed.
                self.refresh(&pair.public).await?;
                0
            }
            Some(_) => return Err(wrong("cursor is not one of this step: leave it out to begin anew")),
        };
        let source = OpenSearchTarget::new(Arc::clone(&self.engine), pair.public.index.clone());
        let now = (self.now)();
        let listed = tombstones::copied(self.keeps_expired(), now);
        let (next, counts) = tombstones::copy(&source, writer, (listed, from), self.slice, now).await?;
        if next.is_none() {
            let copied_at = Some((self.now)());
            let record = self.proved(new, |proof| SourceProof { tombstones_copied_at: copied_at, ..proof });
            self.keep(new, &record).await?;
        }
        report.done = Some(next.is_none());
        report.cursor = next.map(Cursor::SeqNo);
        report.counts = Some(counts);
        Ok(())
    }

    async fn verified(&self, pair: &IndexPair, verify: VerifyTotals) -> Result<(), FunctionError> {
        let new = filling(pair, "verified")?;
        let verified = Verified { at: (self.now)(), items: verify.items, differences: verify.differences() };
        self.keep(new, &self.proved(new, |proof| SourceProof { verified: Some(verified), ..proof })).await
    }

    async fn shadow(&self, pair: &IndexPair, searches: &str, report: &mut ReindexReport) -> Result<(), FunctionError> {
        let new = filling(pair, "shadow")?;
        let searches = shadow::read(searches)?;
        let names = self.engine.index();
        let old = Place { engine: &self.engine, alias: names.public() };
        let new_place = match &self.second {
            Some(second) => Place { engine: second, alias: names.public() },
            None => Place { engine: &self.engine, alias: names.other() },
        };
        let shadowed = shadow::run(&searches, [old, new_place], self.slice.deadline).await?;
        report.differences = shadowed.differences;
        let shadow =
            Shadowed { at: (self.now)(), searches: shadowed.searches as u64, different: shadowed.different as u64 };
        self.keep(new, &ReindexRecord { shadow: Some(shadow), ..record_of(new) }).await
    }

    async fn switch(&self, pair: &IndexPair, force: bool) -> Result<(), FunctionError> {
        // An earlier try has moved the alias.
        if progress(pair) == ReindexProgress::Switched {
            return Ok(());
        }
        let new = filling(pair, "switch")?;
        if !force {
            gate(&record_of(new), &new.sources()).map_err(|problem| wrong(&problem))?;
        }
        if self.second.is_some() {
            return Err(wrong(TWO_CLUSTERS));
        }
        self.swap(&pair.public, new, new).await
    }

    async fn roll_back(&self, pair: &IndexPair) -> Result<(), FunctionError> {
        if self.second.is_some() {
            return Err(wrong(TWO_CLUSTERS));
        }
        match (progress(pair), &pair.other) {
            (ReindexProgress::Switched, Some(old)) => self.swap(&pair.public, old, &pair.public).await,
            // An earlier try has moved the alias.
            (ReindexProgress::Filling, _) => Ok(()),
            _ => Err(wrong("there is nothing to roll back to: only one index is written")),
        }
    }

    /// Moves the public alias. Readers of the new index find all that they have found in the old one: the old one's
    /// refreshes stop first, and the new one is refreshed after everything that was visible has been written to it.
    async fn swap(
        &self,
        from: &ReindexedIndex,
        to: &ReindexedIndex,
        new: &ReindexedIndex,
    ) -> Result<(), FunctionError> {
        let deadline = self.slice.deadline;
        let (from_name, to_name) = (&from.index.name, &to.index.name);
        let before = self.engine.refresh_interval(from_name, deadline).await?;
        let stopped = StoppedRefresh { index: from_name.clone(), before: before.clone() };
        let record = record_of(new);
        self.keep(new, &ReindexRecord { stopped_refresh: Some(stopped), ..record.clone() }).await?;
        match self.engine.set_refresh_interval(from_name, Some("-1"), deadline).await {
            Ok(()) => tokio::time::sleep(SETTLE).await,
            // Serverless collections refresh as they like.
            Err(Problem::Request(refusal)) if matches!(refusal.status, 400 | 403) => {
                tracing::warn!(
                    status = refusal.status,
                    "refreshes cannot be stopped: readers may miss the last second"
                );
            }
            Err(problem) => return Err(problem.into()),
        }
        self.engine.refresh(to_name, deadline).await?;
        self.engine.move_public_alias(from_name, to_name, deadline).await?;
        self.restore(from_name, before.as_deref()).await?;
        self.keep(new, &ReindexRecord { stopped_refresh: None, ..record }).await
    }

    /// Returns the fingerprints of the rules in `REPLICATION`.
    fn keeps_expired(&self) -> bool {
        self.settings.read_options.replication.keeps_expired()
    }

    fn rules(&self) -> Fingerprints {
        self.settings.read_options.replication.fingerprints()
    }

    /// Takes the rules of `REPLICATION` as those that made the public index's documents.
    async fn accept(&self, public: &ReindexedIndex) -> Result<(), FunctionError> {
        let (own, stored) = (self.rules(), public.identity().rules);
        if own.ids != stored.ids {
            return Err(wrong("accept takes other rules for documents, not for their ids: choose another INDEX"));
        }
        self.engine.note_rules(public, &own, self.slice.deadline).await.map_err(FunctionError::from)
    }

    async fn drop(&self, pair: &IndexPair, name: &str) -> Result<(), FunctionError> {
        let deadline = self.slice.deadline;
        if self.second.is_some() {
            return Err(wrong(TWO_CLUSTERS));
        }
        if pair.public.index.name == name {
            return Err(wrong(&format!("`{name}` is the index that readers see: it is not dropped")));
        }
        if let Some(other) = pair.other.as_ref().filter(|other| other.index.name == name) {
            return self.engine.drop_index(other, deadline).await.map_err(FunctionError::from);
        }
        let leftovers = self.engine.leftovers(deadline).await?;
        if !leftovers.iter().any(|left| left == name) {
            return Err(wrong("index names no second index of this name: see status"));
        }
        self.engine.delete_unused(name, deadline).await.map_err(FunctionError::from)
    }

    /// Restores the refreshes that a switch which died has stopped.
    async fn restored(&self, pair: IndexPair) -> Result<IndexPair, FunctionError> {
        let both = std::iter::once(&pair.public).chain(&pair.other);
        let held = both.filter_map(|index| Some((index, index.record.as_ref()?.stopped_refresh.as_ref()?))).next();
        let Some((index, StoppedRefresh { index: stopped, before })) = held else { return Ok(pair) };
        self.restore(stopped, before.as_deref()).await?;
        let record = ReindexRecord { stopped_refresh: None, ..record_of(index) };
        self.keep(index, &record).await?;
        self.pair().await
    }

    async fn restore(&self, index: &str, interval: Option<&str>) -> Result<(), FunctionError> {
        match self.engine.set_refresh_interval(index, interval, self.slice.deadline).await {
            // Dropped since, or an engine that takes no such setting.
            Err(Problem::Request(refusal)) if matches!(refusal.status, 400 | 403 | 404) => Ok(()),
            answer => answer.map_err(FunctionError::from),
        }
    }

    async fn describe(&self, step: String, report: ReindexReport) -> Result<ReindexReport, FunctionError> {
        let pair = self.pair().await?;
        let leftovers = self.engine.leftovers(self.slice.deadline).await?;
        let state = progress(&pair);
        let public = self.counted(&self.engine, &pair.public).await?;
        let other = match &pair.other {
            None => None,
            Some(index) => {
                let new = if state == ReindexProgress::Switched { &pair.public } else { index };
                let engine = self.second.as_ref().unwrap_or(&self.engine);
                Some(OtherReport::new(self.counted(engine, index).await?, &record_of(new), self.engine.source()))
            }
        };
        let next = next(&pair, state, &leftovers);
        Ok(ReindexReport { step, state, public, other, next, leftovers, ..report })
    }

    async fn counted(&self, engine: &Arc<Engine>, index: &ReindexedIndex) -> Result<IndexReport, FunctionError> {
        let target = OpenSearchTarget::new(Arc::clone(engine), index.index.clone());
        let documents = target.count(Listed::Live, self.slice.deadline).await?;
        Ok(IndexReport { name: index.index.name.clone(), documents })
    }

    async fn pair(&self) -> Result<IndexPair, FunctionError> {
        let mut pair = self.engine.index_pair(self.slice.deadline).await?;
        if let Some(second) = &self.second {
            pair.other = match second.index_pair(self.slice.deadline).await {
                Ok(other) => Some(other.public),
                Err(EnsureError::Configuration(ConfigurationError::Identity { .. })) => None,
                Err(error) => return Err(error.into()),
            };
        }
        Ok(pair)
    }

    async fn refresh(&self, index: &ReindexedIndex) -> Result<(), FunctionError> {
        self.engine.refresh(&index.index.name, self.slice.deadline).await.map_err(FunctionError::from)
    }

    /// Returns the record with one more proof of this function's table.
    fn proved(&self, new: &ReindexedIndex, proved: impl FnOnce(SourceProof) -> SourceProof) -> ReindexRecord {
        let mut record = record_of(new);
        let proof = proved(record.proof(self.engine.source()));
        match self.engine.source() {
            Some(source) => drop(record.sources.insert(source.to_owned(), proof)),
            None => {
                let SourceProof { tombstones_copied_at, verified } = proof;
                record = ReindexRecord { tombstones_copied_at, verified, ..record };
            }
        }
        record
    }

    /// Keeps the record in the new index.
    async fn keep(&self, index: &ReindexedIndex, record: &ReindexRecord) -> Result<(), FunctionError> {
        let engine = self.second.as_ref().unwrap_or(&self.engine);
        engine.keep_record(index, record, self.slice.deadline).await.map_err(FunctionError::from)
    }
}

/// Derives the progress from which of the two indexes was made from the other.
pub(crate) fn progress(pair: &IndexPair) -> ReindexProgress {
    let Some(other) = &pair.other else { return ReindexProgress::None };
    let is_from = |new: &ReindexedIndex, old: &ReindexedIndex| {
        new.record.as_ref().is_some_and(|record| record.from == old.index.name)
    };
    if is_from(&pair.public, other) { ReindexProgress::Switched } else { ReindexProgress::Filling }
}

/// Returns the new index while it is filled.
fn filling<'p>(pair: &'p IndexPair, step: &str) -> Result<&'p ReindexedIndex, FunctionError> {
    match (progress(pair), &pair.other) {
        (ReindexProgress::Filling, Some(new)) => Ok(new),
        (ReindexProgress::Switched, _) => {
            Err(wrong(&format!("{step} comes before switch: roll back first, or begin anew")))
        }
        _ => Err(wrong(&format!("{step} needs a second index: begin with create"))),
    }
}

fn next(pair: &IndexPair, state: ReindexProgress, leftovers: &[String]) -> String {
    match (state, &pair.other) {
        (ReindexProgress::Filling, Some(new)) => match gate(&record_of(new), &new.sources()) {
            Ok(()) => "switch".to_owned(),
            Err(missing) => missing,
        },
        (ReindexProgress::Switched, Some(old)) => {
            format!("watch the new index; rollback for as long as you may need it, then drop `{}`", old.index.name)
        }
        _ => match leftovers.first() {
            Some(left) => format!("drop `{left}`: nobody reads or writes it"),
            None => "create begins a re-index".to_owned(),
        },
    }
}

fn record_of(index: &ReindexedIndex) -> ReindexRecord {
    index.record.clone().unwrap_or_default()
}

fn wrong(problem: &str) -> FunctionError {
    FunctionError::Request(problem.to_owned())
}
