//! Guarantees of a run as a whole: the messages it takes, those it releases, and its end.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_would_be_and_does_nothing() {
    let scene = Scene::default();
    scene.dead_letter(&modify("a", 2), "x").await;
    scene.succeed(json!({})).await;
    scene.dead_letter(&modify("a", 1), "x").await;
    scene.dead_letter(&modify("b", 3), "x").await;
    scene.range(5, 6);
    let report = scene.succeed(json!({"dry_run": true})).await;
    assert_eq!((report.changes.applied, report.changes.stale, report.left), (1, 1, 3));
    assert_eq!((scene.visible(), scene.queue.bodies().len()), (documents(&[("a", 2)]), 3));
    assert_eq!(scene.succeed(json!({"dry_run": true})).await.letters, report.letters);
}

#[tokio::test(start_paused = true)]
async fn only_letters_that_match_are_touched_and_no_more_than_asked() {
    let scene = Scene::default();
    for n in 1..=25 {
        scene.dead_letter(&modify(&format!("k{n}"), n), if n % 5 == 0 { "b" } else { "a" }).await;
    }
    let report = scene.succeed(json!({"filter": {"class": "b", "table": "T", "status": 400}})).await;
    assert_eq!((report.letters.redriven, report.letters.skipped, report.left), (5, 20, 20));
    let report = scene.succeed(json!({"max": 7})).await;
    assert_eq!((report.letters.received, report.letters.redriven, report.left), (7, 7, 13));
}

#[tokio::test(start_paused = true)]
async fn an_outage_keeps_every_dead_letter_and_stops_the_run() {
    for fault in [Fault::Unreachable, Fault::Hang, Fault::Status(503)] {
        let scene = Scene::default();
        scene.target.fail_reads(std::iter::repeat_n(fault, 100_000));
        for n in 1..=5 {
            scene.dead_letter(&modify(&format!("k{n}"), n), "x").await;
        }
        let started = Instant::now();
        let report = scene.succeed(json!({})).await;
        assert!(started.elapsed() <= Duration::from_secs(46), "{:?}", started.elapsed());
        assert_eq!((report.letters.received, report.letters.kept, report.left), (3, 3, 5));
        assert_eq!(scene.queue.waiting(Instant::now()).await, Ok(5));
    }
}

#[tokio::test(start_paused = true)]
async fn one_dead_letter_that_always_fails_stops_no_run() {
    let scene = Scene::default();
    scene.target.refuse(br#"{"n":1}"#, 503);
    scene.target.refuse(br#"{"n":2}"#, 503);
    for n in 1..=5 {
        scene.dead_letter(&modify(&format!("k{n}"), n), "x").await;
    }
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.letters.redriven, report.letters.kept, report.left), (3, 2, 2));
    assert_eq!(kept(&report), [("scripted", 2)]);
}

#[tokio::test(start_paused = true)]
async fn letters_that_always_fail_can_be_passed_over() {
    let scene = Scene::default();
    for n in 1..=3 {
        scene.target.refuse(format!(r#"{{"n":{n}}}"#).as_bytes(), 503);
        scene.dead_letter(&modify(&format!("k{n}"), n), "x").await;
    }
    scene.dead_letter(&modify("k4", 4), "x").await;
    assert_eq!(scene.succeed(json!({})).await.letters.redriven, 0, "three in a row stop a run");
    let report = scene.succeed(json!({"filter": {"not_message_id": ["1", "2", "3"]}})).await;
    assert_eq!((report.letters.redriven, report.letters.skipped, report.left), (1, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn letters_that_the_filter_passes_over_do_not_hide_later_ones() {
    let scene = Scene::default();
    for n in 1..=30 {
        scene.dead_letter(&modify(&format!("k{n}"), n), if n > 27 { "late" } else { "early" }).await;
    }
    let report = scene.succeed(json!({"max": 2, "filter": {"class": "late"}})).await;
    assert_eq!((report.letters.redriven, report.letters.skipped, report.left), (2, 27, 28));
}

#[tokio::test(start_paused = true)]
async fn letters_that_come_back_while_they_are_held_end_the_run() {
    let scene = Scene::default();
    for n in 1..=15 {
        scene.dead_letter(&modify(&format!("k{n}"), n), "x").await;
    }
    // Each receive ends the visibility timeout of the messages received before it.
    scene.queue.hide_for_one_receive();
    let report = scene.succeed(json!({"filter": {"class": "y"}})).await;
    assert_eq!((report.letters.received, report.letters.skipped, report.out_of_time), (15, 15, false));
    assert_eq!(scene.queue.waiting(Instant::now()).await, Ok(15));
}

#[tokio::test(start_paused = true)]
async fn a_short_invocation_redrives_what_it_can() {
    let scene = Scene::default();
    scene.dead_letter(&modify("a", 1), "x").await;
    let report = scene.run_for(Duration::from_secs(2), json!({})).await.expect("redriven");
    assert_eq!((report.letters.redriven, report.out_of_time), (1, false));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_configuration_gives_every_dead_letter_back() {
    let scene = Scene::default();
    for n in 1..=3 {
        scene.dead_letter(&modify(&format!("k{n}"), n), "x").await;
    }
    scene.target.fail_reads([Fault::Status(401)]);
    let error = scene.run(json!({})).await.expect_err("a wrong configuration");
    assert_eq!(error.kind(), "Configuration");
    assert_eq!(scene.queue.waiting(Instant::now()).await, Ok(3));
}

#[test]
fn a_dead_letter_is_tried_for_several_time_outs_of_the_engine() {
    for (request_timeout, expected) in [(1, 15), (10, 40), (60, 240)] {
        assert_eq!(patience(Duration::from_secs(request_timeout)), Duration::from_secs(expected));
    }
}
