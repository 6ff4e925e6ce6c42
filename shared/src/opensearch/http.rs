//! The HTTP client, with settings that the `opensearch` crate's transport lacks: a time-out for connecting, another for
//! unacknowledged bytes, and no redirects. That crate's names, paths and credentials are used nevertheless.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;
use bytes::Bytes;
use opensearch::auth::Credentials;
use opensearch::http::Method;
use opensearch::http::headers::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use url::Url;

use super::auth::Signing;
use super::authorities::Authorities;
use super::signature::{Scope, sign};
use crate::outcome::Problem;

/// Time-out of a connection attempt. The next address is tried afterwards.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Time-out for bytes that the peer does not acknowledge: the node, or the way to it, is gone. A slow engine
/// acknowledges, and has the request's whole time-out.
const UNRECEIVED_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Interval of TCP keepalive probes on a connection that waits for an answer. The kernel counts in seconds.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// An HTTP client for one engine.
#[derive(Debug)]
pub(super) struct HttpClient {
    client: reqwest::Client,
    endpoint: Url,
    signing: Signing,
}

/// A request, in the engine's terms.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Path with its query, percent-encoded.
    pub(super) path: &'a str,
    pub(super) body: Option<Bytes>,
}

/// An answer, whatever its status.
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl HttpClient {
    /// Builds the client. Certificates are always verified: against `authorities`, or else the public ones.
    pub(super) fn new(endpoint: Url, signing: Signing, authorities: Option<&Authorities>) -> Self {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE)
            // A redirect would turn a bulk request into a GET, or send items to another host.
            .redirect(Policy::none());
        #[cfg(target_os = "linux")]
        let client = client.tcp_user_timeout(UNRECEIVED_TIMEOUT);
        let client = match authorities {
            Some(authorities) => client.tls_certs_only(authorities.certificates()),
            None => client,
        };
        let client = client.build().expect("invariant: `Authorities` has only certificates that a client can trust");
        Self { client, endpoint, signing }
    }

    /// Sends a request and receives its answer, without a time-out of its own.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<HttpAnswer, Problem> {
        let answer = self
            .client
            .execute(self.signed(request).await?)
            .await
            .map_err(|error| unreachable(&self.endpoint, error))?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(|error| unreachable(&self.endpoint, error))?;
        Ok(HttpAnswer { status, body })
    }

    async fn signed(&self, request: Request<'_>) -> Result<reqwest::Request, Problem> {
        let url = self.endpoint.join(request.path.trim_start_matches('/'));
        let url = url.map_err(|error| Problem::Protocol(format!("the path of a request: {error}").into()))?;
        let mut sent = reqwest::Request::new(method(request.method), url);
        let headers = sent.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The client would ask for gzip. The engine would then compress two hundred bytes for every write.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        *sent.body_mut() = request.body.map(reqwest::Body::from);
        match &self.signing.credentials {
            None => Ok(sent),
            Some(Credentials::Basic(user, password)) => {
                let builder = reqwest::RequestBuilder::from_parts(self.client.clone(), sent);
                builder.basic_auth(user, Some(password)).build().map_err(|error| unreachable(&self.endpoint, error))
            }
            Some(Credentials::AwsSigV4(provider, region)) => {
                let credentials = provider.provide_credentials().await;
                credentials
                    .map_err(|error| format!("no credentials: {error}"))
                    .and_then(|credentials| {
                        let scope = Scope { service: self.signing.service, region: region.as_ref() };
                        sign(&mut sent, credentials, scope, SystemTime::now())
                    })
                    .map_err(|error| Problem::Unreachable(error.into()))?;
                Ok(sent)
            }
            Some(_) => Err(Problem::Unreachable("`auth` makes no such credentials".into())),
        }
    }
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Put => reqwest::Method::PUT,
        Method::Post => reqwest::Method::POST,
        Method::Delete => reqwest::Method::DELETE,
        Method::Head => reqwest::Method::HEAD,
    }
}

/// Words the client's error with its causes, and with the engine's address instead of the whole URL. None of them holds
/// a body.
fn unreachable(endpoint: &Url, error: reqwest::Error) -> Problem {
    let address = endpoint.origin().ascii_serialization();
    let is_connect = error.is_connect();
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    let mut is_tls = false;
    while let Some(cause) = source {
        let io = cause.downcast_ref::<std::io::Error>();
        // What the system refuses has kinds of its own.
        is_tls |= io.is_some_and(|io| matches!(io.kind(), ErrorKind::InvalidData | ErrorKind::Other));
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    if is_connect && is_tls && endpoint.scheme() == "https" {
        text.push_str("; either the server does not speak TLS, or its certificate is not trusted");
    }
    Problem::Unreachable(format!("{address}: {text}").into())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    use super::*;

    fn client(port: u16) -> HttpClient {
        let endpoint = Url::parse(&format!("http://127.0.0.1:{port}/")).expect("a URL");
        HttpClient::new(endpoint, Signing { credentials: None, service: "es" }, None)
    }

    async fn fails_within(client: &HttpClient, body: usize, limit: Duration) {
        let request = Request { method: Method::Post, path: "/_bulk", body: Some(vec![b'x'; body].into()) };
        let started = Instant::now();
        let Err(problem) = client.send(request).await else { panic!("nobody answers") };
        assert!(matches!(problem, Problem::Unreachable(_)), "{problem:?}");
        assert!(started.elapsed() < limit, "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_named_once_and_without_its_path() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let request = Request { method: Method::Post, path: "/i/_bulk?filter_path=a%2Cb", body: None };
        let Err(problem) = client(port).send(request).await else { panic!("nobody listens") };
        let text = problem.to_string();
        assert_eq!(text.matches(&format!("127.0.0.1:{port}")).count(), 1, "{text}");
        assert!(text.contains("Connection refused") && !text.contains("filter_path"), "{text}");
    }

    #[tokio::test]
    async fn a_server_without_tls_is_told_from_one_that_is_away() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("accepted");
            let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            stream.writable().await.expect("connected");
            stream.try_write(answer).expect("answered");
            tokio::time::sleep(Duration::from_secs(1)).await;
        });
        let endpoint = Url::parse(&format!("https://127.0.0.1:{port}/")).expect("a URL");
        let client = HttpClient::new(endpoint, Signing { credentials: None, service: "es" }, None);
        let request = Request { method: Method::Get, path: "/", body: None };
        let Err(problem) = client.send(request).await else { panic!("no TLS there") };
        assert!(problem.to_string().contains("does not speak TLS"), "{problem}");
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_costs_a_second() {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
        let listener = socket.listen(1).expect("listens");
        let address = listener.local_addr().expect("an address");
        // Nobody accepts, and the queue is full. The kernel ignores further attempts, like a host that is gone.
        let mut waiting = Vec::new();
        while let Ok(connected) = tokio::time::timeout(CONNECT_TIMEOUT / 4, TcpStream::connect(address)).await {
            waiting.push(connected.expect("connected"));
        }
        fails_within(&client(address.port()), 1, 2 * CONNECT_TIMEOUT).await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_on_which_nothing_is_received_costs_two_seconds() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let port = listener.local_addr().expect("an address").port();
        // The peer accepts and never reads. Bytes that do not fit in the buffers stay unacknowledged.
        let held = tokio::spawn(async move { listener.accept().await.map(|(stream, _)| Box::leak(Box::new(stream))) });
        // Twice the time-out, because the kernel checks it at intervals of its own.
        fails_within(&client(port), 64 << 20, 2 * UNRECEIVED_TIMEOUT).await;
        held.abort();
    }
}
