//! The one HTTP client, with what the `opensearch` crate's transport has no setting for: a time limit for connecting, one
//! for a connection that nobody answers on, and no redirects. That crate's names, paths and credentials are used all the same.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use opensearch::auth::Credentials;
use opensearch::http::Method;
use opensearch::http::headers::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use url::Url;

use super::auth::Signing;
use super::engine::Request;
use crate::outcome::Problem;

/// An address that does not answer is given up after this, and the next one is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection on which what was sent is not even received is given up after this: the node, or the way to it, is gone.
/// An engine that is slow receives, and has the whole time of a request.
const UNRECEIVED_TIMEOUT: Duration = Duration::from_millis(1_500);
/// A connection on which an answer is waited for is asked for a sign of life so often. The kernel counts in seconds.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// An HTTP client of one engine.
#[derive(Debug)]
pub(super) struct HttpClient {
    client: reqwest::Client,
    endpoint: Url,
    signing: Signing,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl HttpClient {
    pub(super) fn new(endpoint: Url, signing: Signing) -> Self {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE)
            // A redirected bulk would be a GET somewhere else, or items on their way to another host.
            .redirect(Policy::none());
        #[cfg(target_os = "linux")]
        let client = client.tcp_user_timeout(UNRECEIVED_TIMEOUT);
        let client = client.build().expect("invariant: a client without certificates of its own can be built");
        Self { client, endpoint, signing }
    }

    /// Sends a request and receives its answer, whatever time that takes.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Answer, Problem> {
        let answer = self.client.execute(self.signed(request).await?).await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(unreachable)?;
        Ok(Answer { status, body })
    }

    async fn signed(&self, request: Request<'_>) -> Result<reqwest::Request, Problem> {
        let url = self.endpoint.join(request.path.trim_start_matches('/'));
        let url = url.map_err(|error| Problem::Protocol(format!("the path of a request: {error}").into()))?;
        let mut sent = reqwest::Request::new(method(request.method), url);
        let headers = sent.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The client would ask for gzip, and the engine compress two hundred bytes for every write.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        *sent.body_mut() = request.body.map(reqwest::Body::from);
        match &self.signing.credentials {
            None => Ok(sent),
            Some(Credentials::Basic(user, password)) => {
                let builder = reqwest::RequestBuilder::from_parts(self.client.clone(), sent);
                builder.basic_auth(user, Some(password)).build().map_err(unreachable)
            }
            Some(_) => {
                self.sign(&mut sent).await.map_err(|error| Problem::Unreachable(error.into()))?;
                Ok(sent)
            }
        }
    }

    async fn sign(&self, request: &mut reqwest::Request) -> Result<(), String> {
        let Some(Credentials::AwsSigV4(provider, region)) = &self.signing.credentials else { return Ok(()) };
        let credentials = provider.provide_credentials().await.map_err(|error| format!("no credentials: {error}"))?;
        let identity = credentials.into();
        let mut settings = SigningSettings::default();
        // A serverless collection refuses a request without it.
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .name(self.signing.service)
            .region(region.as_ref())
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| format!("the request cannot be signed: {error}"))?;
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let (method, url) = (request.method().as_str(), request.url().as_str());
        let signed = SignableRequest::new(method, url, headers, SignableBody::Bytes(body))
            .and_then(|signable| sign(signable, &parameters.into()))
            .map_err(|error| format!("the request cannot be signed: {error}"))?;
        let (headers, _) = signed.into_parts().0.into_parts();
        for header in headers {
            let name = HeaderName::from_static(header.name());
            let mut value = HeaderValue::from_str(header.value()).map_err(|error| error.to_string())?;
            value.set_sensitive(header.sensitive());
            request.headers_mut().insert(name, value);
        }
        Ok(())
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

/// The client's error with its causes: none of them holds a body.
fn unreachable(error: reqwest::Error) -> Problem {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    Problem::Unreachable(text.into())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    use super::*;

    fn client(port: u16) -> HttpClient {
        let endpoint = Url::parse(&format!("http://127.0.0.1:{port}/")).expect("a URL");
        HttpClient::new(endpoint, Signing { credentials: None, service: "es" })
    }

    async fn fails_within(client: &HttpClient, body: usize, limit: Duration) {
        let request = Request { method: Method::Post, path: "/_bulk", body: Some(vec![b'x'; body].into()) };
        let started = Instant::now();
        let Err(problem) = client.send(request).await else { panic!("nobody answers") };
        assert!(matches!(problem, Problem::Unreachable(_)), "{problem:?}");
        assert!(started.elapsed() < limit, "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_costs_a_second() {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
        let listener = socket.listen(1).expect("listens");
        let address = listener.local_addr().expect("an address");
        // Nobody accepts, and the queue is full: the kernel answers no further attempt, like a host that is gone.
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
        // Accepted, and never read: what does not fit in the buffers stays unreceived.
        let held = tokio::spawn(async move { listener.accept().await.map(|(stream, _)| Box::leak(Box::new(stream))) });
        // Twice the time-out: the kernel looks at its own intervals.
        fails_within(&client(port), 64 << 20, 2 * UNRECEIVED_TIMEOUT).await;
        held.abort();
    }
}
