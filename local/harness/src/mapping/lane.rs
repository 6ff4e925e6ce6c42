//! One lane of a shard: it delivers the records of its partition keys in order, one batch at a time, in an execution
//! environment of its own, until every record is delivered or given up.

use std::{collections::VecDeque, num::NonZeroU64, sync::Arc};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};

use super::{
    batch::{Delivery, FollowUp, batch_length},
    config::{MappingConfig, MappingFaults},
    environments::{Environments, LaneEnvironment},
    on_failure::{Condition, FailureMessage, OnFailure},
    read_ahead::ReadAhead,
    record::{StreamRecord, payload},
    requested::RequestedFaults,
    response::{Verdict, verdict},
    stats::{Counter, MappingProgress},
    stream::{ShardId, StreamKind},
};
use crate::function::{Invocation, ProcessFault, epoch_ms};

/// Observer of the records of a mapping. Called in the tasks of readers and lanes, so it must not block.
pub trait Observe: Send + Sync {
    /// Takes records that were delivered for the first time, when the function has reported them as done.
    fn delivered(&self, records: &[StreamRecord]);

    /// Takes records that were read from the stream.
    fn read(&self, _records: &[StreamRecord]) {}

    /// Takes records that were delivered for the first time, or given up.
    fn finished(&self, _records: &[StreamRecord]) {}
}

/// State that all lanes of a mapping share.
pub(super) struct MappingState {
    pub(super) config: MappingConfig,
    pub(super) stream_arn: String,
    pub(super) stream_kind: StreamKind,
    pub(super) environments: Environments,
    pub(super) on_failure: Option<Arc<dyn OnFailure>>,
    pub(super) observer: Option<Arc<dyn Observe>>,
    pub(super) progress: MappingProgress,
    /// Numbers the invocations, for faults on purpose.
    pub(super) attempts: Counter,
    /// Faults that were asked for and have not happened.
    pub(super) requested: RequestedFaults,
}

/// Lane of a shard, with its records and its environment.
pub(super) struct Lane {
    shared: Arc<MappingState>,
    shard: ShardId,
    /// Bytes that the shard's reader may read ahead; a record gives its own back when it is finished.
    budget: ReadAhead,
    inbox: mpsc::UnboundedReceiver<Vec<StreamRecord>>,
    waiting: VecDeque<StreamRecord>,
    environment: LaneEnvironment,
    /// The last successful batches, kept for redelivery on purpose.
    recent: VecDeque<Vec<StreamRecord>>,
    /// Batches that were delivered as a whole.
    successes: u64,
}

impl Lane {
    pub(super) fn new(
        shared: Arc<MappingState>,
        shard: ShardId,
        budget: ReadAhead,
        inbox: mpsc::UnboundedReceiver<Vec<StreamRecord>>,
    ) -> Self {
        let (waiting, recent) = (VecDeque::new(), VecDeque::new());
        let environment = shared.environments.slot();
        Self { shared, shard, budget, inbox, waiting, environment, recent, successes: 0 }
    }

    /// Delivers until the reader ends, and everything that it read is finished.
    pub(super) async fn run(mut self) {
        while let Some(batch) = self.next_batch().await {
            if self.shared.config.faults.redelivers() {
                self.finish_and_redeliver(batch).await;
            } else {
                self.finish(batch).await;
            }
        }
        if let Some(environment) = self.environment.lock().await.take() {
            self.shared.environments.give_back(environment);
        }
    }

    /// As [`finish`](Self::finish), and every so often, or when asked to, delivers the last successful batches again.
    async fn finish_and_redeliver(&mut self, batch: Delivery) {
        let shared = Arc::clone(&self.shared);
        let counters = &shared.progress.counters;
        // Held for the whole time, so that the mapping is not drained between a batch and its redelivery.
        counters.records_in_flight.add(1);
        let records = batch.records.clone();
        if self.finish(batch).await {
            self.successes += 1;
            self.recent.push_back(records);
            let kept = shared.config.faults.redelivered_batches.max(1);
            self.recent.drain(..self.recent.len().saturating_sub(kept));
            let every = shared.config.faults.redeliver_every;
            let due = every.is_some_and(|every| self.successes.is_multiple_of(every.get()));
            if due || shared.requested.take_redelivery() {
                for records in self.recent.clone() {
                    counters.redelivered_batches.add(1);
                    counters.records_in_flight.add(records.len());
                    self.finish(Delivery { redelivered: true, ..Delivery::new(records) }).await;
                }
            }
        }
        counters.records_in_flight.subtract(1);
    }

    /// Waits for records, and then for a full batch or the end of the batching window.
    async fn next_batch(&mut self) -> Option<Delivery> {
        if self.waiting.is_empty() {
            self.waiting.extend(self.inbox.recv().await?);
        }
        let window_end = Instant::now() + self.shared.config.batching_window;
        loop {
            while let Ok(records) = self.inbox.try_recv() {
                self.waiting.extend(records);
            }
            let (length, full) = batch_length(self.waiting.iter(), self.shared.config.batch_size);
            if !full
                && !self.shared.config.batching_window.is_zero()
                && let Ok(Some(records)) = timeout_at(window_end, self.inbox.recv()).await
            {
                self.waiting.extend(records);
                continue;
            }
            return Some(Delivery::new(self.waiting.drain(..length).collect()));
        }
    }

    /// Delivers a batch, with all retries and splits that it takes. Tells whether nothing of it was given up.
    async fn finish(&mut self, batch: Delivery) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut pending = VecDeque::from([batch]);
        let mut last = None;
        let mut all_delivered = true;
        let mut failed_launches = 0;
        while let Some(mut batch) = pending.pop_front() {
            if let Some(expired) = batch.expired(&shared.config, epoch_ms()) {
                all_delivered = false;
                self.give_up(expired, Condition::RecordAgeExceeded, last.as_ref()).await;
            }
            if batch.records.is_empty() {
                continue;
            }
            match self.invoke(&batch).await {
                // "Before invocation" in AWS's words: tried again until the records are too old, without using up a
                // retry.
                Err(error) => {
                    failed_launches += 1;
                    tracing::warn!(shard = %self.shard, "the function could not be invoked: {error:#}");
                    shared.progress.counters.launch_errors.add(1);
                    pending.push_front(batch);
                    sleep(shared.config.retry_backoff.delay(failed_launches)).await;
                }
                Ok((invocation, fault)) => {
                    failed_launches = 0;
                    batch.invocations += 1;
                    let then = self.account(batch, &invocation, fault);
                    last = Some(invocation);
                    all_delivered &= self.follow_up(then, &mut pending, last.as_ref()).await;
                }
            }
        }
        all_delivered
    }

    /// Accounts for what an invocation did with `batch`, and tells what follows for the rest of it.
    fn account(&self, batch: Delivery, invocation: &Invocation, fault: Option<ProcessFault>) -> FollowUp {
        let config = &self.shared.config;
        let verdict = verdict(&invocation.outcome, &batch.records, config.report_batch_item_failures);
        match fault {
            Some(fault) if verdict == Verdict::Failed => self.report_fault(fault),
            _ => self.report(&batch, invocation, verdict),
        }
        let redelivered = batch.redelivered;
        let decision = batch.decide(verdict, config);
        if !redelivered {
            self.shared.progress.counters.records_delivered.add(decision.delivered.len());
            if let Some(observer) = &self.shared.observer {
                observer.delivered(&decision.delivered);
            }
        }
        self.settle(&decision.delivered, redelivered);
        decision.then
    }

    /// Puts what is to be delivered again to the front of `pending`. Tells whether nothing was given up.
    async fn follow_up(&self, then: FollowUp, pending: &mut VecDeque<Delivery>, last: Option<&Invocation>) -> bool {
        let counters = &self.shared.progress.counters;
        match then {
            FollowUp::Done => {}
            FollowUp::Bisect(parts) => {
                counters.bisects.add(1);
                parts.into_iter().rev().for_each(|part| pending.push_front(part));
            }
            FollowUp::Retry(batch) => {
                counters.retries.add(1);
                let delay = self.shared.config.retry_backoff.delay(batch.retries);
                pending.push_front(batch);
                sleep(delay).await;
            }
            FollowUp::GiveUp(batch) => {
                self.give_up(batch, Condition::RetryAttemptsExhausted, last).await;
                return false;
            }
        }
        true
    }

    async fn invoke(&self, batch: &Delivery) -> anyhow::Result<(Invocation, Option<ProcessFault>)> {
        let shared = &self.shared;
        let mut slot = self.environment.lock().await;
        let environment = match &mut *slot {
            Some(environment) => environment,
            empty => empty.insert(shared.environments.borrow().await?),
        };
        if !shared.config.invocation_overhead.is_zero() {
            sleep(shared.config.invocation_overhead).await;
        }
        let counters = &shared.progress.counters;
        let kill_after = shared.config.faults.kill_after;
        let fault = due_fault(&shared.config.faults, shared.attempts.add(1))
            .or_else(|| shared.requested.take_kill().then_some(ProcessFault::KillAfter(kill_after)));
        let invocation = environment.invoke(payload(&batch.records), fault).await?;
        counters.invocations.add(1);
        counters.faults.add(usize::from(fault.is_some()));
        shared.progress.invoked(invocation.duration);
        Ok((invocation, fault))
    }

    fn report(&self, batch: &Delivery, invocation: &Invocation, verdict: Verdict) {
        if verdict == Verdict::Succeeded {
            return;
        }
        let counters = &self.shared.progress.counters;
        let error = invocation.outcome.is_function_error();
        if error { &counters.function_errors } else { &counters.failed_responses }.add(1);
        let (request_id, records, shard) = (&invocation.request_id, batch.records.len(), &self.shard);
        tracing::info!(request_id, records, %shard, ?verdict, "a batch failed: {}", invocation.outcome);
    }

    fn report_fault(&self, fault: ProcessFault) {
        self.shared.progress.counters.function_errors.add(1);
        let when = match fault {
            ProcessFault::KillAfter(_) => "in the middle of an invocation",
            ProcessFault::LoseAnswer => "before Lambda got its answer",
        };
        tracing::info!("on purpose, the function's process was killed {when}; its batch is delivered again");
    }

    /// Sends what is given up to the on-failure destination, as often as it takes.
    async fn give_up(&self, batch: Delivery, condition: Condition, last: Option<&Invocation>) {
        let shared = &self.shared;
        let counters = &shared.progress.counters;
        // Only an invocation with these very records is told of.
        let last = last.filter(|_| batch.invocations > 0);
        let about = (shared.environments.function_arn(), shared.stream_arn.as_str(), &self.shard);
        let message = FailureMessage::new(shared.stream_kind, about, &batch, condition, last, epoch_ms());
        let (Some(message), Some(on_failure)) = (message, &shared.on_failure) else {
            counters.records_lost.add(batch.records.len());
            tracing::error!(shard = %self.shard, records = batch.records.len(), ?condition, "records were discarded");
            return self.settle(&batch.records, batch.redelivered);
        };
        let mut refusals = 0;
        let event = payload(&batch.records);
        while let Err(error) = on_failure.send(&message, &event).await {
            refusals += 1;
            counters.refused_dead_letters.add(1);
            tracing::warn!(shard = %self.shard, "the on-failure destination refused a message: {error:#}");
            sleep(shared.config.retry_backoff.delay(refusals)).await;
        }
        counters.dead_letters.add(1);
        counters.dead_lettered_records.add(batch.records.len());
        self.settle(&batch.records, batch.redelivered);
    }

    fn settle(&self, records: &[StreamRecord], redelivered: bool) {
        if !redelivered {
            self.budget.give_back(records);
            if let Some(observer) = &self.shared.observer {
                observer.finished(records);
            }
        }
        self.shared.progress.counters.records_in_flight.subtract(records.len());
    }
}

/// Chooses the fault of the invocation `number`, if it suffers one.
fn due_fault(faults: &MappingFaults, number: u64) -> Option<ProcessFault> {
    let due = |every: Option<NonZeroU64>| every.is_some_and(|every| number.is_multiple_of(every.get()));
    if due(faults.kill_during_every) {
        Some(ProcessFault::KillAfter(faults.kill_after))
    } else if due(faults.lose_answer_every) {
        Some(ProcessFault::LoseAnswer)
    } else {
        None
    }
}
