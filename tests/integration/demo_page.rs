//! The page of the demo over HTTP: who may ask and order, and each trouble, which ends with table and index equal.
//!
//! On services of its own: no other test may notice that the engine is killed. `.ci/live-page` clicks the same in a
//! browser.

use std::time::{Duration, Instant};

use driftless_demo::{Args, replicate_and_tell, set_up};
use driftless_harness::activity::POISON;
use driftless_harness::services::{EngineChoice, Existing, Jdks, Services, WantedServices};
use driftless_page::{PageArgs, Trouble};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::demo::{arguments, functions};

/// Longest time of a trouble with its proof, on a machine that runs other tests, too.
const LIMIT: Duration = Duration::from_secs(240);
/// Longest backfill and re-index before the buttons are live.
const WORK: Duration = Duration::from_secs(180);

/// Client of a page, as a browser with its address.
pub(crate) struct PageClient {
    host: String,
    token: String,
}

/// Answer of the page's server.
pub(crate) struct PageAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl PageClient {
    /// Reads host and token from the page's address.
    pub(crate) fn at(url: &str) -> Self {
        let (host, token) = url.strip_prefix("http://").and_then(|url| url.split_once("/?token=")).expect("an address");
        Self { host: host.to_owned(), token: token.to_owned() }
    }

    /// Sends a request with these headers and no other.
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Option<PageAnswer> {
        let mut stream = TcpStream::connect(&self.host).await.ok()?;
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!("{method} {path} HTTP/1.1\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(PageAnswer { status, head: head.to_lowercase(), body: body.to_owned() })
    }

    async fn status(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.send(method, path, headers).await.expect("an answer").status
    }

    async fn get(&self, path: &str) -> Option<PageAnswer> {
        self.send("GET", path, &[("Host", &self.host)]).await
    }

    /// Sends an order as the page does; gives the status.
    pub(crate) async fn order(&self, path: &str) -> u16 {
        self.status("POST", path, &[("Host", &self.host), ("X-Driftless-Token", &self.token)]).await
    }

    /// Returns the page's contents; none once the server is gone.
    pub(crate) async fn state(&self) -> Option<Value> {
        serde_json::from_str(&self.get("/state").await?.body).ok()
    }

    /// Waits until the state is as wanted, and returns it.
    pub(crate) async fn wait(&self, what: &str, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let state = self.state().await.expect("a state");
            if wanted(&state) {
                return state;
            }
            assert!(begun.elapsed() < limit, "{what}: {state}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Injects a trouble, and waits until the page says that both sides are equal again.
    pub(crate) async fn converges(&self, trouble: Trouble, limit: Duration) -> Value {
        let before = self.state().await.expect("a state")["journal"].as_array().map_or(0, Vec::len);
        assert_eq!(self.order(&format!("/troubles/{trouble}")).await, 202, "{trouble}");
        let over = |state: &Value| {
            let last = state["journal"].as_array().filter(|journal| journal.len() > before).and_then(|all| all.last());
            last.is_some_and(|last| last["kind"] == "equal" || last["kind"] == "problem")
        };
        let state = self.wait(trouble.label(), limit, |state| over(state) && !is_running(state)).await;
        let last = state["journal"].as_array().and_then(|journal| journal.last()).expect("a line");
        assert_eq!(last["kind"], "equal", "{}", state["journal"]);
        state
    }
}

fn is_running(state: &Value) -> bool {
    state["troubles"].as_array().is_some_and(|troubles| troubles.iter().any(|trouble| trouble["running"] == true))
}

/// True if the journal has such a line.
fn noted(state: &Value, text: &str) -> bool {
    let lines = state["journal"].as_array().into_iter().flatten();
    lines.filter_map(|line| line["text"].as_str()).any(|line| line.contains(text))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_trouble_of_the_page_ends_with_table_and_index_equal() {
    let args = Args { page: PageArgs { page: true, page_port: 0 }, poison: 0.0, timeout: 300, ..arguments() };
    let wanted = WantedServices { engine: Some(EngineChoice::of_tests()), ..WantedServices::default() };
    let services = Services::start_beside(wanted, &Existing::default(), &Jdks::from_env()).await.expect("services");
    let stage = set_up(&args, &services, functions()).await.expect("a stage");
    let (sender, url) = oneshot::channel();
    let run = replicate_and_tell(&args, &stage, &services, |url| {
        sender.send(url.to_owned()).expect("somebody who looks");
    });
    let person = async {
        let page = PageClient::at(&url.await.expect("an address"));
        admits_only_its_own_page(&page).await;
        page.wait("the buttons are live", WORK, |state| state["phase"] == "replicating").await;
        troubles(&page).await;
        assert_eq!(page.order("/end").await, 202);
        page.wait("the verdict", LIMIT, |state| !state["verdict"].is_null()).await
    };
    let (summary, last) = tokio::join!(run, person);
    let summary = summary.expect("proven");
    assert!(summary.equal && summary.items == summary.documents && summary.items > 0, "{summary:?}");
    assert_eq!((summary.letters_left, summary.poison, summary.dead_lettered_records), (0, 3, 3), "{summary:?}");
    assert!(summary.killed == 1 && summary.redelivered > 0 && summary.stream_seconds > 5.0, "{summary:?}");
    assert_eq!((&last["verdict"]["good"], &last["phase"]), (&Value::from(true), &"ended".into()), "{last}");
    stage.take_down().await;
    services.stop().await.expect("stopped");
}

/// Refuses other hosts, other origins and orders without the token, and says so in the page's headers.
async fn admits_only_its_own_page(page: &PageClient) {
    let (host, token) = (page.host.as_str(), page.token.as_str());
    let shown = page.get("/").await.expect("the page");
    assert!(shown.status == 200 && shown.body.contains("driftless, live"), "{}", shown.head);
    for header in ["content-security-policy: default-src 'none'", "no-store", "no-referrer", "nosniff", "deny"] {
        assert!(shown.head.contains(header), "{header}: {}", shown.head);
    }
    assert!(!shown.body.contains("{{nonce}}"));
    let kill = "/troubles/kill";
    let port = host.split_once(':').expect("a port").1;
    let rebound = format!("evil.example:{port}");
    assert_eq!(page.status("GET", "/", &[("Host", &rebound)]).await, 403, "a name that was bound to loopback");
    assert_eq!(page.status("GET", "/state", &[("Host", &rebound)]).await, 403);
    let foreign = [("Host", host), ("Origin", "http://evil.example"), ("X-Driftless-Token", token)];
    assert_eq!(page.status("POST", kill, &foreign).await, 403, "another site's page");
    assert_eq!(page.status("POST", kill, &[("Host", host)]).await, 401, "no token");
    assert_eq!(page.status("POST", "/end", &[("Host", host), ("X-Driftless-Token", "0")]).await, 401);
    assert_eq!(page.order("/troubles/none").await, 404);
    assert_eq!(page.status("GET", kill, &[("Host", host)]).await, 405, "a link injects nothing");
    assert_eq!(page.order(kill).await, 409, "backfill and re-index are at work");
}

async fn troubles(page: &PageClient) {
    let state = page.converges(Trouble::Kill, LIMIT).await;
    assert_eq!(state["mapping"]["killed"], 1, "{state}");
    let state = page.converges(Trouble::Again, LIMIT).await;
    assert!(state["mapping"]["again"].as_u64() > Some(0), "{state}");
    page.wait("duplicates are refused", LIMIT, |state| state["outcomes"]["duplicate"].as_u64() > Some(0)).await;

    let looks = async {
        let is_shown = |state: &Value| state["letters"]["waiting"].as_u64() > Some(0);
        let state = page.wait("dead letters are shown", LIMIT, is_shown).await;
        assert!(state["letters"]["causes"][0].as_str().is_some_and(|cause| cause.contains("follow_up")), "{state}");
        assert_eq!(page.order("/troubles/kill").await, 409, "one trouble at a time");
    };
    let (state, ()) = tokio::join!(page.converges(Trouble::Poison, LIMIT), looks);
    assert!(noted(&state, "3 dead letters redriven; 0 left"), "{state}");
    // What is refused must be refused again after the mapping was mended.
    page.wait("no letter is left", LIMIT, |state| state["letters"]["waiting"] == 0).await;

    let away = page.wait("the engine is shown as away", LIMIT, |state| state["sides"]["documents"].is_null());
    let (state, _) = tokio::join!(page.converges(Trouble::Engine, LIMIT), away);
    assert!(noted(&state, "OpenSearch is back after"), "{state}");

    let state = page.converges(Trouble::Stream, LIMIT).await;
    assert!(noted(&state, "that no stream carried") && !noted(&state, "found 0 changes"), "{state}");
    assert!(state["proof"]["equal"] == true && state["proof"]["differences"] == 0, "{state}");
    assert!(state["lag"]["points"].as_array().is_some_and(|points| points.len() > 3), "{state}");
    assert_eq!(state["mapping"]["lost"], 0, "{state}");
    for content in [POISON, "Fjord Bank", "acme", "m-10", "revision"] {
        assert!(!state.to_string().contains(content), "{content}: {state}");
    }
}
