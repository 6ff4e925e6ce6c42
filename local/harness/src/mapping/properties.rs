//! Whatever the function does, and however the shards split: no record is lost, the order of each key is kept, and
//! parents come before children.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU64,
    sync::{Arc, Mutex},
    time::Duration,
};

use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    FailureMessage, MappingConfig, MappingFaults, MappingStats, RetryBackoff,
    record::{StreamRecord, StreamSequence},
    response::{Verdict, verdict},
    stream::{ChangeStream, READ_LIMIT, ShardId, ShardPosition},
    testing::{Bench, ScriptedFunction, SeenInvocation, function_error, quick_config, record, success},
};
use crate::function::InvocationOutcome;

/// Events of the stream, in this order.
#[derive(Clone, Debug)]
enum MappingEvent {
    Push(u8),
    Split,
    Roll,
}

#[derive(Clone, Debug)]
struct Case {
    steps: Vec<MappingEvent>,
    config: MappingConfig,
    /// Of 100 invocations, so many go wrong by chance.
    flakiness: u32,
    /// Batches with one of these keys fail, every time.
    poison: HashSet<u8>,
    seed: u64,
}

fn steps() -> impl Strategy<Value = Vec<MappingEvent>> {
    let step = prop_oneof![20 => (0u8..12).prop_map(MappingEvent::Push), 1 => Just(MappingEvent::Split), 1 => Just(MappingEvent::Roll)];
    prop::collection::vec(step, 0..80)
}

prop_compose! {
    fn settings()(
        batch_size in 1usize..12,
        parallelization_factor in 1usize..5,
        maximum_retry_attempts in 0u32..4,
        bisect_batch_on_function_error: bool,
        report_batch_item_failures: bool,
        redeliver_every in prop::option::of(1u64..5),
        redelivered_batches in 1usize..4,
        lose_answer_every in prop::option::of(2u64..6),
    ) -> MappingConfig {
        let faults = MappingFaults {
            redeliver_every: redeliver_every.and_then(NonZeroU64::new),
            redelivered_batches,
            lose_answer_every: lose_answer_every.and_then(NonZeroU64::new),
            ..MappingFaults::default()
        };
        MappingConfig {
            batch_size, parallelization_factor, maximum_retry_attempts: Some(maximum_retry_attempts),
            bisect_batch_on_function_error, report_batch_item_failures, faults,
            retry_backoff: RetryBackoff { initial: Duration::ZERO, maximum: Duration::ZERO }, ..quick_config()
        }
    }
}

prop_compose! {
    fn cases()(
        steps in steps(),
        config in settings(),
        flakiness in prop_oneof![Just(0u32), Just(20), Just(60)],
        poison in prop::collection::hash_set(0u8..12, 0..3),
        seed: u64,
    ) -> Case {
        Case { steps, config, flakiness, poison, seed }
    }
}

impl Case {
    /// The function: poison fails, chance fails, and a failure has any of the forms that a function has.
    fn function(&self) -> Arc<ScriptedFunction> {
        let (flakiness, poison) = (self.flakiness, self.poison.clone());
        let random = Mutex::new(StdRng::seed_from_u64(self.seed));
        ScriptedFunction::instant(move |call| {
            let mut random = random.lock().unwrap();
            let poisoned = call.keys.iter().position(|key| poison.contains(&key.parse().unwrap()));
            let failing = poisoned
                .or_else(|| random.random_ratio(flakiness, 100).then(|| random.random_range(0..call.numbers.len())));
            let Some(failing) = failing else {
                return success();
            };
            match random.random_range(0..6) {
                0 => function_error(),
                1 => InvocationOutcome::TimedOut,
                2 => InvocationOutcome::Exited(None),
                3 => InvocationOutcome::Response("no JSON".into()),
                _ => SeenInvocation::failures(&call.numbers[failing..=failing]),
            }
        })
    }

    /// Plays the steps on the bench's stream.
    fn fill(&self, bench: &Bench) {
        for step in &self.steps {
            let shard = &bench.stream.open_shards()[0];
            match step {
                MappingEvent::Push(key) => bench.push(&key.to_string()),
                MappingEvent::Split => drop(bench.stream.split(shard).unwrap()),
                MappingEvent::Roll => drop(bench.stream.roll(shard).unwrap()),
            }
        }
    }
}

/// Input and output of one run.
struct Run {
    parents: HashMap<ShardId, Option<ShardId>>,
    records: HashMap<ShardId, Vec<StreamRecord>>,
    calls: Vec<SeenInvocation>,
    messages: Vec<FailureMessage>,
    stats: MappingStats,
    config: MappingConfig,
}

impl Run {
    async fn of(case: &Case) -> Self {
        let bench = Bench::new(case.function());
        case.fill(&bench);
        let stats = bench.drain(case.config.clone()).await;
        let (mut parents, mut records) = (HashMap::new(), HashMap::new());
        for shard in bench.stream.shards().await.unwrap() {
            let iterator = bench.stream.iterator(&shard.id, &ShardPosition::TrimHorizon).await.unwrap();
            let page = bench.stream.records(&iterator, READ_LIMIT).await.unwrap();
            records.insert(shard.id.clone(), page.records);
            parents.insert(shard.id, shard.parent);
        }
        let (calls, messages) = (bench.function.calls(), bench.messages.messages());
        Self { parents, records, calls, messages, stats, config: case.config.clone() }
    }

    /// The call in which each record first succeeded.
    fn first_successes(&self) -> HashMap<&str, usize> {
        let mut successes = HashMap::new();
        for (index, call) in self.calls.iter().enumerate() {
            let records: Vec<_> = call.numbers.iter().map(|number| record(number, "any")).collect();
            let succeeded = match verdict(&call.outcome, &records, self.config.report_batch_item_failures) {
                Verdict::Succeeded => records.len(),
                Verdict::FailedFrom(checkpoint) => checkpoint,
                Verdict::Failed => 0,
            };
            for number in &call.numbers[..succeeded] {
                successes.entry(number.as_str()).or_insert(index);
            }
        }
        successes
    }

    /// The records that the on-failure messages stand for.
    fn dead(&self) -> HashSet<&str> {
        let factor = self.config.parallelization_factor;
        let mut dead = HashSet::new();
        for message in &self.messages {
            let batch = message.batch.range();
            let number = |text: &str| StreamSequence::new(text);
            let range = number(&batch.start_sequence_number)..=number(&batch.end_sequence_number);
            let shard = &self.records[&ShardId::new(&batch.shard_id)];
            let first = shard.iter().find(|record| record.sequence_number() == range.start()).unwrap();
            let lane = first.lane(factor);
            let of_batch = shard.iter().filter(|record| range.contains(record.sequence_number()));
            let of_batch: Vec<_> = of_batch.filter(|record| record.lane(factor) == lane).collect();
            assert_eq!(of_batch.len(), batch.batch_size, "{message:?}");
            dead.extend(of_batch.iter().map(|record| record.sequence_number().as_str()));
        }
        dead
    }

    fn check_nothing_is_lost(&self) {
        let (successes, dead) = (self.first_successes(), self.dead());
        let all: Vec<_> = self.records.values().flatten().map(|record| record.sequence_number().as_str()).collect();
        for number in &all {
            assert!(successes.contains_key(number) || dead.contains(number), "{number} is lost");
            let redelivered = self.config.faults.redeliver_every.is_some();
            assert!(redelivered || successes.contains_key(number) != dead.contains(number), "{number} ended twice");
        }
        assert_eq!(successes.len() as u64, self.stats.records_delivered);
        assert_eq!(all.len() as u64, self.stats.records_read);
        assert_eq!((self.stats.records_lost, self.stats.records_in_flight), (0, 0));
    }

    fn check_the_order_of_each_key(&self) {
        let successes = self.first_successes();
        let mut last: HashMap<String, (StreamSequence, usize)> = HashMap::new();
        let mut records: Vec<_> = self.records.values().flatten().collect();
        records.sort_by_key(|record| record.sequence_number().clone());
        for record in records {
            let Some(&call) = successes.get(record.sequence_number().as_str()) else {
                continue;
            };
            let key = format!("{}", record.hash());
            if let Some((number, before)) = last.insert(key, (record.sequence_number().clone(), call)) {
                assert!(before <= call, "{} came before {number} of the same key", record.sequence_number());
            }
        }
        for call in &self.calls {
            assert!(call.numbers.is_sorted(), "a batch out of order: {:?}", call.numbers);
        }
    }

    fn check_parents_come_first(&self) {
        let calls_of = |shard: &ShardId| {
            let numbers: HashSet<_> =
                self.records[shard].iter().map(|record| record.sequence_number().as_str()).collect();
            self.calls.iter().filter(move |call| numbers.contains(call.numbers[0].as_str()))
        };
        for shard in self.parents.keys() {
            let Some(start) = calls_of(shard).map(|call| call.start).min() else {
                continue;
            };
            let mut ancestor = self.parents[shard].as_ref();
            while let Some(id) = ancestor {
                assert!(calls_of(id).all(|call| call.end <= start), "{shard} started before {id} was finished");
                ancestor = self.parents[id].as_ref();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_record_ends_delivered_or_in_a_message_in_the_order_of_its_key(case in cases()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let run = runtime.block_on(Run::of(&case));
        run.check_nothing_is_lost();
        run.check_the_order_of_each_key();
        run.check_parents_come_first();
    }
}
