//! Decisions about the next round: what is sent, after which pause, with how much time, and when to stop.

use super::busy::Busy;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_first_conflict_is_followed_up_without_a_pause_and_met_only_once() {
    let (writer, target) = writer();
    let other = Writer::new(target.clone(), Generation::default());
    apply(&writer, &[insert("a", 1)]).await;
    apply(&other, &[change("a", 5)]).await;
    let started = Instant::now();
    assert_eq!(apply(&writer, &[change("a", 2)]).await, [STALE]);
    assert_eq!(started.elapsed(), Duration::ZERO);
    let (reads, writes) = target.calls();
    assert_eq!(apply(&writer, &[change("a", 3)]).await, [STALE]);
    assert_eq!(target.calls(), (reads + 1, writes), "the state of the conflict is not remembered");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_never_gets_its_turn_is_left_to_lambda() {
    let writer = Writer::new(Busy::default(), Generation::default());
    writer.target().precede((1..1_000).map(|sequence| change("a", sequence)));
    let outcomes = writer.apply(&[change("a", 5_000)], long()).await.expect("configured").outcomes;
    assert_eq!(outcomes, [Outcome::Failed(Problem::Contended(16))]);
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_a_conflict_is_no_longer_followed_up() {
    let (writer, target) = writer();
    apply(&Writer::new(target.clone(), Generation::default()), &[insert("a", 1)]).await;
    let now = ApplyOptions { deadline: Instant::now(), ..options() };
    let outcomes = writer.apply(&[insert("a", 2)], now).await.expect("configured").outcomes;
    assert_eq!(outcomes, [Outcome::Failed(Problem::Contended(1))]);
}

#[tokio::test(start_paused = true)]
async fn a_document_whose_read_failed_is_not_written_in_that_round() {
    let (writer, target) = writer();
    target.fail_reads([Fault::Unreachable]);
    assert_eq!(apply(&writer, &[insert("a", 1), change("b", 2)]).await, [Outcome::Applied, Outcome::Applied]);
    assert_eq!(target.request_sizes(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_timed_out_gets_twice_the_time() {
    let (writer, target) = writer();
    target.fail_reads([Fault::TimedOut, Fault::TimedOut]);
    let report = writer.apply(&[change("a", 1)], long()).await.expect("configured");
    assert_eq!(report.outcomes, [Outcome::Applied]);
    assert_eq!((report.engine_time.as_secs(), report.round_trips), (10 + 20, 4));
}

#[tokio::test(start_paused = true)]
async fn an_error_gets_no_more_time_than_before() {
    let (writer, target) = writer();
    target.fail_writes([Fault::Status(500), Fault::TimedOut]);
    let report = writer.apply(&[insert("a", 1)], long()).await.expect("configured");
    assert_eq!(report.engine_time.as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_slow_engine_gets_more_time_in_the_next_batch_until_it_answers() {
    let (writer, target) = writer();
    for (number, seconds) in [(1, 10), (2, 20), (3, 40), (4, 40)] {
        time_out(&writer, &target, number, seconds).await;
    }
    assert_eq!(apply(&writer, &[insert("b", 1)]).await, [Outcome::Applied]);
    time_out(&writer, &target, 5, 20).await;
}

/// Asserts that a request of the writer's next batch times out after this time.
async fn time_out(writer: &Writer<MemoryTarget>, target: &MemoryTarget, number: u64, seconds: u64) {
    target.fail_writes([Fault::TimedOut]);
    // Less than the shortest pause, and so too little for a second request.
    let deadline = Instant::now() + Duration::from_secs(seconds) + Duration::from_millis(15);
    let options = ApplyOptions { deadline, ..options() };
    let outcomes = writer.apply(&[insert("a", number)], options).await.expect("configured").outcomes;
    let [Outcome::Failed(Problem::TimedOut(after))] = outcomes[..] else { panic!("{outcomes:?}") };
    assert!((seconds * 1_000..seconds * 1_000 + 5).contains(&(after.as_millis() as u64)), "{after:?}, not {seconds} s");
}

#[tokio::test(start_paused = true)]
async fn after_a_rejection_the_change_before_it_keeps_a_request_of_its_own() {
    let (writer, target) = writer();
    target.refuse(br#"{"n":2}"#, 500);
    // Until the rejection, the other document cannot be read.
    target.fail_reads(std::iter::repeat_n(Fault::Unreachable, 9));
    let changes = [insert("a", 1), change("a", 2), change("b", 3)];
    let outcomes = writer.apply(&changes, long()).await.expect("configured").outcomes;
    assert!(matches!(outcomes[..], [Outcome::Applied, Outcome::Rejected(_), Outcome::Applied]), "{outcomes:?}");
    assert_eq!(target.request_sizes(), [1; 11], "nine times the second change, then the others");
}

#[tokio::test(start_paused = true)]
async fn a_preview_gives_the_outcomes_of_a_write_and_writes_nothing() {
    let (writer, target) = writer();
    apply(&writer, &[insert("a", 2)]).await;
    let changes = [change("a", 1), insert("b", 3), change("b", 4)];
    let outcomes = writer.preview(&changes, options()).await.expect("configured");
    assert_eq!(outcomes, [STALE, Outcome::Superseded, Outcome::Applied]);
    assert_eq!(target.calls(), (1, 1));
    target.fail_reads([Fault::Unreachable]);
    let outcomes = writer.preview(&[change("a", 3)], options()).await.expect("configured");
    assert!(matches!(outcomes[..], [Outcome::Failed(_)]), "{outcomes:?}");
}
