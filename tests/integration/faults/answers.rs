//! Answers of something that is no engine, or does not let the function through: each says what to look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use driftless_harness::function::InvocationOutcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{CountedProcess, binary};
use crate::support::{HELD, ReplicateFunction, insert};

/// Something that gives every request the same answer.
struct Canned {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Canned {
    async fn start(status: &str, headers: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(AtomicUsize::new(0));
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let _ = stream.read(&mut [0; 65_536]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, requests }
    }

    fn settings(&self) -> Vec<(String, String)> {
        [("OPENSEARCH_ENDPOINT", self.url.as_str()), ("INDEX", "i"), ("OPENSEARCH_AUTH", "none")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    async fn error(&self) -> String {
        let function = ReplicateFunction::new(self.settings()).timeout(HELD);
        let error = function.invoke(&[insert("a", 1)]).await.expect_err("no engine answers");
        assert_eq!(error.kind(), "Configuration", "{error}");
        error.to_string()
    }
}

#[tokio::test]
async fn redirects_are_a_wrong_endpoint_and_send_nothing_anywhere_else() {
    for status in ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let elsewhere = Canned::start("200 OK", "", "{}").await;
        let redirects = Canned::start(status, &format!("location: {}/login\r\n", elsewhere.url), "").await;
        let error = redirects.error().await;
        assert!(error.contains("OPENSEARCH_ENDPOINT") && error.contains("redirect"), "{error}");
        assert_eq!(elsewhere.requests.load(Ordering::Relaxed), 0, "{status}");
        assert!(redirects.requests.load(Ordering::Relaxed) > 0);
    }
}

#[tokio::test]
async fn a_403_says_whether_the_engine_or_iam_refused_and_why() {
    let action = "no permissions for [indices:admin/create] and User [name=driftless, backend_roles=[]]";
    let body = format!(r#"{{"error":{{"type":"security_exception","reason":"{action}"}},"status":403}}"#);
    let engine = Canned::start("403 Forbidden", "", &body).await.error().await;
    assert!(engine.contains(action) && engine.contains("map the function's role"), "{engine}");
    let denied = "User: arn:aws:sts::1:assumed-role/r is not authorized to perform: es:ESHttpGet";
    let iam = Canned::start("403 Forbidden", "", &format!(r#"{{"Message":"{denied}"}}"#)).await.error().await;
    assert!(iam.contains(denied) && iam.contains("access policy") && !iam.contains("map the"), "{iam}");
}

#[tokio::test]
async fn a_secret_store_or_a_credential_endpoint_that_never_answers_gets_an_answer_in_time() {
    const TIMEOUT: Duration = Duration::from_secs(4);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let silent = format!("http://{}", listener.local_addr().expect("an address"));
    // Accepted by the kernel, and never read.
    let secret =
        [("OPENSEARCH_AUTH", "basic"), ("OPENSEARCH_SECRET_ARN", "arn:aws:secretsmanager:us-east-1:1:secret:s")];
    let store = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", silent.as_str());
    let role = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", silent.as_str());
    for more in [[&secret[..], &[store]].concat(), vec![("OPENSEARCH_AUTH", "sigv4"), role]] {
        let engine = Canned::start("200 OK", "", "{}").await;
        let mut settings = engine.settings();
        settings.retain(|(name, _)| name != "OPENSEARCH_AUTH");
        settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut config = binary(settings);
        config.timeout = TIMEOUT;
        if more.contains(&role) {
            // Lambda's own credentials would be found first.
            config = config.env("AWS_ACCESS_KEY_ID", "").env("AWS_SECRET_ACCESS_KEY", "");
        }
        let started = Instant::now();
        let ended = CountedProcess::new(config).invoke(&[insert("a", 1)], None).await.expect_err("no credentials");
        assert!(matches!(ended, InvocationOutcome::FunctionError { .. }), "{ended:?}");
        assert!(started.elapsed() < TIMEOUT + Duration::from_secs(2), "{:?}", started.elapsed());
    }
}
