//! Tests of the error policy.

use super::*;

#[test]
fn the_policy_is_decided_by_status() {
    use Treatment::{Configuration, Reject, Retry};
    let refusal = |status| Refusal { status, kind: "any".into(), reason: "".into() };
    for (status, item, request) in [
        (200, Retry, Configuration),
        (302, Retry, Configuration),
        (400, Reject, Configuration),
        (401, Configuration, Configuration),
        (403, Retry, Configuration),
        (404, Configuration, Configuration),
        (409, Retry, Configuration),
        (413, Reject, Configuration),
        (418, Reject, Configuration),
        (429, Retry, Retry),
        (500, Retry, Retry),
        (503, Retry, Retry),
        (599, Retry, Retry),
    ] {
        assert_eq!(Problem::Item(refusal(status)).treatment(), item, "item {status}");
        assert_eq!(Problem::Request(refusal(status)).treatment(), request, "request {status}");
    }
    let timed_out = Problem::TimedOut(Duration::from_secs(1));
    let unordered = Problem::Unordered("".into());
    for problem in
        [Problem::Unreachable("".into()), timed_out, Problem::Protocol("".into()), Problem::Contended(1), unordered]
    {
        assert_eq!(problem.treatment(), Retry);
    }
    let suspect = Problem::Suspect { failures: 3, last: Box::new(Problem::Item(refusal(500))) };
    assert_eq!((suspect.treatment(), suspect.status()), (Reject, Some(500)));
    assert_eq!((Problem::Dropped.treatment(), Problem::Probe("".into()).treatment()), (Reject, Configuration));
    let forbidden = Refusal { status: 403, kind: "security_exception".into(), reason: "".into() };
    assert_eq!(Problem::Item(forbidden).treatment(), Configuration, "no write block");
}

#[test]
fn a_403_says_who_refused() {
    let error = |kind: &str, reason: &str| {
        let refusal = Refusal { status: 403, kind: kind.into(), reason: reason.into() };
        ConfigurationError::from_problem(&Problem::Request(refusal)).to_string()
    };
    let engine = error("security_exception", "no permissions for [indices:admin/create] and User [name=r]");
    assert!(engine.contains("indices:admin/create") && engine.contains("map the function's role"), "{engine}");
    let iam = error(Refusal::AWS, "User: r is not authorized to perform: es:ESHttpPost");
    assert!(iam.contains("es:ESHttpPost") && iam.contains("access policy"), "{iam}");
    assert!(!iam.contains("map the function's role"), "{iam}");
    assert!(iam.contains("IAM or the domain's access policy refuses"), "{iam}");
}

#[test]
fn a_configuration_error_names_its_cause() {
    let refusal = |status| Refusal { status, kind: "any".into(), reason: "".into() };
    let error = |problem| ConfigurationError::from_problem(&problem).to_string();
    assert_eq!(error(Problem::Probe("the index is closed".into())), "the index is closed");
    let redirect = error(Problem::Request(refusal(302)));
    assert!(redirect.contains("a redirect") && redirect.contains("OPENSEARCH_ENDPOINT"), "{redirect}");
    let gone = error(Problem::Item(refusal(404)));
    assert!(gone.contains("404 (any): the index of INDEX"), "{gone}");
}

#[test]
fn only_time_outs_and_the_servers_own_errors_may_lie_in_the_document() {
    let item = |status| Problem::Item(Refusal { status, kind: "any".into(), reason: "".into() });
    for status in [500, 501, 505, 599] {
        assert!(item(status).may_lie_in_the_document(), "{status}");
    }
    // A gateway says so while the engine is away.
    for status in [400, 403, 429, 502, 503, 504] {
        assert!(!item(status).may_lie_in_the_document(), "{status}");
    }
    assert!(Problem::TimedOut(Duration::from_secs(1)).may_lie_in_the_document());
    assert!(!Problem::Unreachable("".into()).may_lie_in_the_document());
}
