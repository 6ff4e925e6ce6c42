//! The proxy before a service that writes down what reaches it.

use std::sync::Mutex as StdMutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

/// Answers every request `{"ok":1}`; keeps what it read.
#[derive(Clone, Default)]
struct EchoService {
    read: Arc<StdMutex<Vec<u8>>>,
}

impl EchoService {
    async fn start() -> (Self, Proxy) {
        let service = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(&format!("http://{}", listener.local_addr().unwrap())).await.unwrap();
        let accepting = service.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().serve(connection));
            }
        });
        (service, proxy)
    }

    async fn serve(self, mut connection: TcpStream) {
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = connection.read(&mut bytes).await {
            self.read.lock().unwrap().extend(&bytes[..count]);
            if bytes[..count].ends_with(b"body") {
                connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"ok\":1}").await.unwrap();
            }
        }
    }

    fn read(&self) -> String {
        String::from_utf8(self.read.lock().unwrap().clone()).unwrap()
    }

    async fn has_read(&self, text: &str) {
        let found = async {
            while !self.read().contains(text) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LIMIT, found).await.unwrap_or_else(|_| panic!("the service read {:?}", self.read()));
    }
}

fn request(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody")
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address).await.unwrap()
}

/// Sends a request and reads until `end`, or until the connection is closed.
async fn ask(client: &mut TcpStream, path: &str, end: &str) -> String {
    client.write_all(request(path).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = async {
        while end.is_empty() || !answer.ends_with(end.as_bytes()) {
            match client.read_buf(&mut answer).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
    };
    timeout(LIMIT, read).await.expect("an answer or an end");
    String::from_utf8(answer).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"ok\":1}";

#[tokio::test]
async fn what_passes_is_unchanged_on_one_connection() {
    let (service, proxy) = EchoService::start().await;
    let mut client = connect(&proxy).await;
    for path in ["/one", "/two"] {
        assert_eq!(ask(&mut client, path, "}").await, OK);
    }
    assert_eq!(service.read(), request("/one") + &request("/two"));
    assert_eq!((proxy.requests(""), proxy.requests("two")), (2, 1));
}

#[tokio::test]
async fn a_cut_request_reaches_the_service_as_far_as_was_asked() {
    let (service, proxy) = EchoService::start().await;
    proxy.every(ProxyFault::CutRequest(0));
    assert_eq!(ask(&mut connect(&proxy).await, "/a", "").await, "");
    proxy.every(ProxyFault::CutRequest(7));
    assert_eq!(ask(&mut connect(&proxy).await, "/b", "").await, "");
    service.has_read("POST /b").await;
    assert_eq!(service.read(), "POST /b");
}

#[tokio::test]
async fn a_cut_answer_is_cut_after_the_work_was_done() {
    let (service, proxy) = EchoService::start().await;
    proxy.every(ProxyFault::CutAnswer(0));
    assert_eq!(ask(&mut connect(&proxy).await, "/a", "").await, "");
    assert_eq!(service.read(), request("/a"));
    proxy.every(ProxyFault::CutAnswer(12));
    assert_eq!(ask(&mut connect(&proxy).await, "/b", "").await, "HTTP/1.1 200");
}

#[tokio::test]
async fn a_truncated_answer_is_well_formed_and_the_connection_goes_on() {
    let (_service, proxy) = EchoService::start().await;
    let mut client = connect(&proxy).await;
    proxy.next("", [ProxyFault::Truncate(3)]);
    let truncated = ask(&mut client, "/a", "{\"o").await;
    assert_eq!(truncated, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{\"o");
    assert_eq!(ask(&mut client, "/b", "}").await, OK);
}

#[tokio::test]
async fn delays_are_before_or_after_the_work() {
    let (service, proxy) = EchoService::start().await;
    let delay = Duration::from_millis(100);
    proxy.next("", [ProxyFault::DelayRequest(delay), ProxyFault::DelayAnswer(delay)]);
    let mut client = connect(&proxy).await;
    client.write_all(request("/gone").as_bytes()).await.unwrap();
    drop(client);
    service.has_read("/gone").await;
    let start = Instant::now();
    let mut client = connect(&proxy).await;
    let (answer, ()) = tokio::join!(ask(&mut client, "/slow", "}"), async {
        service.has_read("/slow").await;
        assert!(start.elapsed() < delay, "{:?}", start.elapsed());
    });
    assert_eq!(answer, OK);
    assert!(start.elapsed() >= delay);
}

#[tokio::test]
async fn a_swallowed_request_is_never_answered_and_nothing_reaches_the_service() {
    let (service, proxy) = EchoService::start().await;
    proxy.on("/_bulk", ProxyFault::Swallow);
    let mut client = connect(&proxy).await;
    let asked = timeout(Duration::from_millis(100), ask(&mut client, "/i/_bulk", "")).await;
    assert!(asked.is_err(), "{asked:?}");
    assert_eq!(ask(&mut connect(&proxy).await, "/i/_mget", "}").await, OK);
    assert_eq!(service.read(), request("/i/_mget"));
}

#[tokio::test]
async fn single_requests_have_their_fault_before_what_is_set_for_all() {
    let (service, proxy) = EchoService::start().await;
    proxy.on("/a", ProxyFault::Answer(429));
    proxy.next("/a", [ProxyFault::Answer(503), ProxyFault::Pass]);
    let mut client = connect(&proxy).await;
    let mut statuses = Vec::new();
    for path in ["/b", "/a", "/a", "/a"] {
        statuses.push(ask(&mut client, path, "}").await[9..12].to_owned());
    }
    assert_eq!(statuses, ["200", "503", "200", "429"]);
    assert_eq!((proxy.requests("/a"), proxy.answers("/a")), (3, 1));
    proxy.pass();
    assert_eq!(ask(&mut client, "/a", "}").await, OK);
    assert_eq!(service.read(), request("/b") + &request("/a") + &request("/a"));
}

#[tokio::test]
async fn connections_are_refused_and_accepted_again_on_the_same_port() {
    let (_service, proxy) = EchoService::start().await;
    let mut client = connect(&proxy).await;
    assert_eq!(ask(&mut client, "/a", "}").await, OK);
    proxy.refuse().await;
    assert_eq!(ask(&mut client, "/a", "").await, "", "an open connection ends with the listener");
    let refused = TcpStream::connect(proxy.address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    proxy.accept().await.unwrap();
    assert_eq!(ask(&mut connect(&proxy).await, "/a", "}").await, OK);
}

#[tokio::test]
async fn a_service_that_does_not_run_ends_the_connection() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start(&format!("http://{closed}")).await.unwrap();
    assert_eq!(ask(&mut connect(&proxy).await, "/a", "").await, "");
    assert!(Proxy::start("https://host").await.is_err());
}
