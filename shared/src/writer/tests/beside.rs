//! Two indexes that get the same changes.

use super::*;

fn pair() -> (Writer<MemoryTarget>, MemoryTarget, MemoryTarget) {
    let ((own, own_target), (second, second_target)) = (writer(), writer());
    (own.beside("i-000001", "i-000002", second), own_target, second_target)
}

#[tokio::test(start_paused = true)]
async fn each_index_guards_itself() {
    let (both, own, second) = pair();
    apply(&Writer::new(own.clone(), Generation::default()), &[remove("a", 5)]).await;
    assert_eq!(apply(&both, &[change("a", 4), change("b", 1)]).await, [STALE, Outcome::Applied]);
    shows(&own, &[("b", r#"{"n":1}"#)]);
    shows(&second, &[("a", r#"{"n":4}"#), ("b", r#"{"n":1}"#)]);
    // What one index has and the other has not is written there, and counts as applied.
    apply(&Writer::new(own.clone(), Generation::default()), &[change("c", 7)]).await;
    assert_eq!(apply(&both, &[change("c", 7)]).await, [Outcome::Applied]);
    assert_eq!(apply(&both, &[change("c", 7)]).await, [Outcome::Duplicate]);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_done_when_both_indexes_have_ended_it() {
    let (both, own, second) = pair();
    second.fail_writes(std::iter::repeat_n(Fault::Unreachable, 1_000));
    assert!(matches!(apply(&both, &[change("a", 1)]).await[..], [Outcome::Failed(_)]));
    shows(&own, &[("a", r#"{"n":1}"#)]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_one_index_names_it() {
    for (refusing, name) in [(0, "i-000001"), (1, "i-000002")] {
        let (both, own, second) = pair();
        let targets = [&own, &second];
        targets[refusing].refuse(br#"{"n":2}"#, 400);
        let outcome = apply(&both, &[change("a", 2)]).await.remove(0);
        let Outcome::Rejected(problem) = &outcome else { panic!("{outcome:?}") };
        assert!(matches!(problem, Problem::OneIndex { index, .. } if &**index == name), "{problem:?}");
        assert_eq!((problem.treatment(), problem.status()), (Treatment::Reject, Some(400)));
        shows(targets[refusing], &[]);
        shows(targets[1 - refusing], &[("a", r#"{"n":2}"#)]);
        let said = crate::dead_letter::Rejection::from_problem(problem);
        assert!(said.reason.contains(name) && said.status == Some(400), "{said:?}");
    }
    let (both, own, second) = pair();
    [own, second].iter().for_each(|target| target.refuse(br#"{"n":2}"#, 400));
    assert!(matches!(apply(&both, &[change("a", 2)]).await[..], [Outcome::Rejected(Problem::Item(_))]));
}
