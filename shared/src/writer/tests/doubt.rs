//! Decisions about a refusal, a duplicate, a slow document, and a document without a version.

use super::*;
use crate::fixtures::version_of;

#[tokio::test(start_paused = true)]
async fn a_refused_change_that_is_stale_ends_as_stale_and_never_as_rejected() {
    // The engine parses before it checks the condition. So it refuses an INSERT whose document was corrected since.
    let (writer, target) = writer();
    target.refuse(br#"{"n":1}"#, 400);
    let other = Writer::new(target.clone(), Generation::default());
    assert_eq!(apply(&other, &[change("a", 2)]).await, [Outcome::Applied]);
    assert_eq!(apply(&writer, &[insert("a", 1)]).await, [STALE]);
    // The same under a remembered state, while another process was faster.
    apply(&writer, &[insert("b", 3)]).await;
    apply(&other, &[change("b", 5)]).await;
    target.refuse(br#"{"n":4}"#, 400);
    assert_eq!(apply(&writer, &[change("b", 4)]).await, [STALE]);
    assert_eq!(writer.preview(&[insert("a", 1), change("b", 4)], options()).await.expect("configured"), [STALE, STALE]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_change_is_read_and_sent_once_more_behind_a_probe() {
    let (writer, target) = writer();
    target.refuse(br#"{"n":1}"#, 400);
    let started = Instant::now();
    assert!(matches!(apply(&writer, &[insert("a", 1)]).await[..], [Outcome::Rejected(_)]));
    assert_eq!((target.calls(), target.probes()), ((1, 2), 1));
    assert!(matches!(apply(&writer, &[change("b", 1)]).await[..], [Outcome::Rejected(_)]));
    assert_eq!((target.calls(), target.probes()), ((2, 4), 2), "also if it was read before");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_index_that_takes_no_writes_rejects_nothing() {
    let (writer, target) = writer();
    for refused in [br#"{"n":1}"#, br#"{"n":2}"#] {
        target.refuse(refused, 400);
    }
    target.fail_probes([Problem::TimedOut(Duration::from_secs(1)), Problem::Probe("index_closed_exception".into())]);
    let error = writer.apply(&[insert("a", 1), insert("b", 2)], options()).await.expect_err("a configuration error");
    assert!(error.to_string().contains("index_closed_exception"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_that_nobody_was_told_of_is_written_once_more() {
    let (writer, target) = writer();
    let written = || target.documents().into_values().map(|document| document.seq_no()).collect::<Vec<_>>();
    target.fail_writes([Fault::AnswerLost]);
    assert_eq!(apply(&writer, &[insert("a", 1)]).await, [Outcome::Duplicate]);
    assert_eq!(written(), [2], "what a read shows may not be on all copies of the shard yet");
    // This process now got an acknowledgement; another one did not.
    assert_eq!(apply(&writer, &[insert("a", 1)]).await, [Outcome::Duplicate]);
    assert_eq!(written(), [2]);
    let other = Writer::new(target.clone(), Generation::default());
    assert_eq!(apply(&other, &[insert("a", 1)]).await, [Outcome::Duplicate]);
    assert_eq!(written(), [3]);
    // After half an hour, it is on all copies; or it was never acknowledged and is delivered again by then.
    let later = ApplyOptions { written_at: Timestamp::from_millis(2 + 30 * 60 * 1_000), ..options() };
    let another = Writer::new(target.clone(), Generation::default());
    assert_eq!(another.apply(&[insert("a", 1)], later).await.expect("configured").outcomes, [Outcome::Duplicate]);
    assert_eq!(written(), [3]);
    let too_early = ApplyOptions { written_at: Timestamp::from_millis(1 + 30 * 60 * 1_000), ..options() };
    let another = Writer::new(target.clone(), Generation::default());
    assert_eq!(another.apply(&[insert("a", 1)], too_early).await.expect("configured").outcomes, [Outcome::Duplicate]);
    assert_eq!(written(), [4]);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_says_nothing_of_a_later_write_of_the_same_change() {
    let (writer, target) = writer();
    apply(&writer, &[insert("a", 1)]).await;
    let other = Writer::new(target.clone(), Generation::default());
    assert_eq!(apply(&other, &[insert("a", 1)]).await, [Outcome::Duplicate]);
    let written = || target.documents().into_values().map(|document| document.seq_no()).collect::<Vec<_>>();
    let before = written();
    assert_eq!(apply(&writer, &[insert("a", 1)]).await, [Outcome::Duplicate]);
    assert_eq!(written(), [before[0] + 1]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_document_is_found_among_its_neighbours_and_rejected_alone() {
    let (writer, target) = writer();
    let batch: Vec<_> = (0..100).map(|n| insert(&format!("k{n}"), n)).collect();
    target.slow_down(br#"{"n":70}"#);
    let report = writer.apply(&batch, long()).await.expect("configured");
    // With 50 documents, 12, and 3; then alone: 40 s, 80 s, and a last try.
    assert_eq!(report.engine_time.as_secs(), 10 + 20 + 20 + 20 + 40 + 80);
    for (n, outcome) in report.outcomes.iter().enumerate() {
        match n {
            70 => assert!(matches!(outcome, Outcome::Rejected(Problem::Suspect { .. })), "{outcome:?}"),
            _ => assert!(matches!(outcome, Outcome::Applied | Outcome::Duplicate), "{n}: {outcome:?}"),
        }
    }
    let sizes = target.request_sizes();
    assert_eq!((sizes[0], sizes.last()), (50, Some(&1)), "{sizes:?}");
    assert!(target.probes() >= 2, "the engine took others before and after the last failure");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_takes_nothing_rejects_nothing() {
    for fault in [Fault::TimedOut, Fault::Status(500)] {
        let (writer, target) = writer();
        target.fail_writes(std::iter::repeat_n(fault.clone(), 10_000));
        target.fail_probes(std::iter::repeat_n(Problem::TimedOut(Duration::from_secs(10)), 10_000));
        let outcomes = writer.apply(&[insert("a", 1), insert("b", 2)], long()).await.expect("configured").outcomes;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Failed(_))), "{fault:?}: {outcomes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_that_throws_is_sent_alone_and_rejected() {
    let (writer, target) = writer();
    target.refuse(br#"{"n":2}"#, 500);
    let outcomes = apply(&writer, &[insert("a", 1), insert("b", 2), insert("c", 3)]).await;
    let [Outcome::Applied, Outcome::Rejected(problem), Outcome::Applied] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!((problem.class(), problem.status()), ("scripted", Some(500)));
    assert_eq!(&target.request_sizes()[..2], [3, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_overrun_engine_gets_fewer_documents_at_a_time_and_more_time() {
    let (writer, target) = writer();
    let batch: Vec<_> = (0..64).map(|n| insert(&format!("k{n}"), n)).collect();
    target.fail_writes([Fault::TimedOut, Fault::TimedOut]);
    let started = Instant::now();
    let outcomes = writer.apply(&batch, long()).await.expect("configured").outcomes;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Applied), "{outcomes:?}");
    assert_eq!(target.request_sizes()[0], 4, "64, 16, then 4");
    assert!(started.elapsed() >= Duration::from_secs(10 + 20), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_document_without_a_version_is_written_over_only_where_versions_are_shown() {
    let (writer, target) = writer();
    target.put_foreign("a");
    target.fail_probes([Problem::Probe("OpenSearch does not show the _driftless.version".into())]);
    let error = writer.apply(&[insert("a", 1)], options()).await.expect_err("every document may be hidden so");
    assert!(error.to_string().contains("_driftless.version"), "{error}");
    assert_eq!(apply(&writer, &[insert("a", 1)]).await, [Outcome::Applied]);
    target.put_foreign("b");
    assert_eq!((apply(&writer, &[insert("b", 2)]).await, target.probes()), (vec![Outcome::Applied], 2), "asked once");
}

#[tokio::test(start_paused = true)]
async fn a_lowered_generation_is_no_matter_of_the_data() {
    let (writer, target) = writer();
    let raised = Writer::new(target.clone(), Generation(2));
    let newer = Change { version: version_of(2, 1), ..insert("a", 1) };
    assert_eq!(apply(&raised, &[newer]).await, [Outcome::Applied]);
    let error = writer.apply(&[change("a", 9)], options()).await.expect_err("every change of ours would be stale");
    assert!(error.to_string().contains("set GENERATION to 2"), "{error}");
    // A dead letter of the old generation is stale in a function of the new one.
    assert_eq!(apply(&raised, &[change("a", 9)]).await, [STALE]);
}
