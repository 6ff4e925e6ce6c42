//! Reads one shard to its end and hands its records to the shard's lanes.
//!
//! A lane is as many lanes as the parallelization factor; a record's lane follows from its partition key, so the order
//! of each key is kept. How far the reader may be ahead of the lanes is bounded in bytes.

use std::sync::Arc;

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    lane::{Lane, MappingState},
    read_ahead::ReadAhead,
    record::StreamRecord,
    stream::{ChangeStream, ShardId, ShardIterator, ShardPosition, StreamError, StreamPage},
};

/// Reader of one shard, and its lanes.
pub(super) struct ShardReader {
    shared: Arc<MappingState>,
    stream: Arc<dyn ChangeStream>,
    shard: ShardId,
    /// Start of the next iterator: after the last record that was read.
    position: ShardPosition,
    iterator: Option<ShardIterator>,
    budget: ReadAhead,
    lanes: Vec<mpsc::UnboundedSender<Vec<StreamRecord>>>,
}

impl ShardReader {
    /// Delivers the whole shard; returns once it is over, and tells whether all of its records are finished.
    pub(super) async fn run(
        shared: Arc<MappingState>,
        stream: Arc<dyn ChangeStream>,
        shard: ShardId,
        position: ShardPosition,
    ) -> bool {
        let budget = ReadAhead::new(shared.config.parallelization_factor);
        let mut tasks = JoinSet::new();
        let lanes = lanes(&shared, &shard, &budget, &mut tasks);
        let (id, iterator) = (shard.clone(), None);
        let reader = Self { shared: Arc::clone(&shared), stream, shard: id, position, iterator, budget, lanes };
        // A lane ends only after the reader has; one that ends earlier panicked.
        tokio::select! {
            biased;
            () = reader.read() => {}
            Some(_) = tasks.join_next() => return false,
        }
        while let Some(lane) = tasks.join_next().await {
            if lane.is_err() {
                return false;
            }
        }
        shared.progress.finished(&shard);
        true
    }

    /// Reads until the shard is over; dropping the senders then ends the lanes.
    async fn read(mut self) {
        let (interval, limit) = (self.shared.config.poll_interval, self.stream.kind().read_limit());
        let mut failures = 0;
        loop {
            let start = Instant::now();
            match self.page().await {
                Ok(page) => {
                    failures = 0;
                    let count = page.records.len();
                    self.hand_over(page.records).await;
                    if page.next.is_none() {
                        return;
                    }
                    self.iterator = page.next;
                    if count == 0 {
                        self.shared.progress.caught_up(&self.shard, start);
                    }
                    // A full page says that there is more; otherwise the base rate holds.
                    if count < limit {
                        sleep_until(start + interval).await;
                    }
                }
                Err(error) => {
                    failures += 1;
                    self.recover(&error);
                    sleep(self.shared.config.retry_backoff.delay(failures)).await;
                }
            }
        }
    }

    async fn page(&mut self) -> Result<StreamPage, StreamError> {
        let iterator = match self.iterator.take() {
            Some(iterator) => iterator,
            None => self.stream.iterator(&self.shard, &self.position).await?,
        };
        // Kept where the read fails for another reason than its age: a new iterator at LATEST would skip records.
        let iterator = self.iterator.insert(iterator);
        self.stream.records(iterator, self.stream.kind().read_limit()).await
    }

    fn recover(&mut self, error: &StreamError) {
        let counters = &self.shared.progress.counters;
        match error {
            StreamError::ExpiredIterator => {
                tracing::debug!(shard = %self.shard, "the shard iterator expired; going on with a new one");
                self.iterator = None;
            }
            StreamError::TrimmedData => {
                counters.trimmed.add(1);
                tracing::error!(shard = %self.shard, "unread records were trimmed; going on with the oldest");
                (self.iterator, self.position) = (None, ShardPosition::TrimHorizon);
            }
            StreamError::Other(_) => {
                counters.stream_errors.add(1);
                tracing::warn!(shard = %self.shard, %error, "the stream could not be read");
            }
        }
    }

    async fn hand_over(&mut self, mut records: Vec<StreamRecord>) {
        let Some(last) = records.last() else { return };
        self.position = ShardPosition::After(last.sequence_number().clone());
        let counters = &self.shared.progress.counters;
        counters.records_read.add(records.len());
        counters.records_in_flight.add(records.len());
        if let Some(observer) = &self.shared.observer {
            observer.read(&records);
        }
        // A read is at most 1 MB on AWS; a local database may return more than the budget has room for.
        while !records.is_empty() {
            let rest = records.split_off(ReadAhead::fitting(&records));
            self.hand_over_part(std::mem::replace(&mut records, rest)).await;
        }
    }

    async fn hand_over_part(&self, records: Vec<StreamRecord>) {
        self.budget.take(&records).await;
        let mut parts = vec![Vec::new(); self.lanes.len()];
        for record in records {
            parts[record.lane(self.lanes.len())].push(record);
        }
        for (lane, part) in self.lanes.iter().zip(parts) {
            if !part.is_empty() {
                // A lane that panicked is gone; its shard then never counts as finished.
                let _ = lane.send(part);
            }
        }
    }
}

/// Starts a shard's lanes in `tasks`.
fn lanes(
    shared: &Arc<MappingState>,
    shard: &ShardId,
    budget: &ReadAhead,
    tasks: &mut JoinSet<()>,
) -> Vec<mpsc::UnboundedSender<Vec<StreamRecord>>> {
    let start = |_| {
        let (sender, inbox) = mpsc::unbounded_channel();
        let lane = Lane::new(Arc::clone(shared), shard.clone(), budget.clone(), inbox);
        tasks.spawn(lane.run());
        sender
    };
    (0..shared.config.parallelization_factor).map(start).collect()
}
