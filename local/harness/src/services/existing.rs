//! Services that the environment names, used instead of services of the tool's own: named and checked before they are
//! used.

use std::io::{Error as IoError, ErrorKind};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use futures::future::join_all;
use opensearch::http::Url;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wanted::{DYNAMODB_ENDPOINT, KINESIS_ENDPOINT, OPENSEARCH_ENDPOINT, SQS_ENDPOINT, WantedServices};

/// Longest wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// URLs of services that exist already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    /// URL of DynamoDB, from [`DYNAMODB_ENDPOINT`].
    pub dynamodb: Option<String>,
    /// URL of Kinesis, from [`KINESIS_ENDPOINT`].
    pub kinesis: Option<String>,
    /// URL of SQS, from [`SQS_ENDPOINT`].
    pub sqs: Option<String>,
    /// URL of the search engine, from [`OPENSEARCH_ENDPOINT`].
    pub opensearch: Option<String>,
}

impl Existing {
    /// Reads the variables; an empty one counts as absent.
    #[must_use]
    pub fn from_env() -> Self {
        let read = |name| {
            let url = std::env::var(name).ok().filter(|url| !url.is_empty());
            url.map(|url| url.trim_end_matches('/').to_owned())
        };
        Self {
            dynamodb: read(DYNAMODB_ENDPOINT),
            kinesis: read(KINESIS_ENDPOINT),
            sqs: read(SQS_ENDPOINT),
            opensearch: read(OPENSEARCH_ENDPOINT),
        }
    }

    /// Drops the services that are not wanted.
    #[must_use]
    pub fn wanted(self, wanted: WantedServices) -> Self {
        Self {
            kinesis: self.kinesis.filter(|_| wanted.kinesis),
            sqs: self.sqs.filter(|_| wanted.sqs),
            opensearch: self.opensearch.filter(|_| wanted.engine.is_some()),
            ..self
        }
    }

    /// Lines that name each service with its variable.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.named().map(|(service, variable, url)| format!("using {service} at {} ({variable})", shown(url))).collect()
    }

    /// Connects to each service, to find out early that one does not answer.
    ///
    /// # Errors
    /// Names the variable and the value of each service that does not answer, and the remedy.
    pub async fn check(&self) -> Result<()> {
        let checks = self.named().map(|(service, variable, url)| async move {
            connect(url).await.err().map(|cause| {
                format!(
                    "{service} does not answer at {variable}={}: {cause}; start it, or unset {variable} to use the \
                     tool's own (`cargo local up` starts services that go on)",
                    shown(url)
                )
            })
        });
        let problems: Vec<String> = join_all(checks).await.into_iter().flatten().collect();
        if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("\n")) }
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        [
            ("DynamoDB", DYNAMODB_ENDPOINT, &self.dynamodb),
            ("Kinesis", KINESIS_ENDPOINT, &self.kinesis),
            ("SQS", SQS_ENDPOINT, &self.sqs),
            ("OpenSearch", OPENSEARCH_ENDPOINT, &self.opensearch),
        ]
        .into_iter()
        .filter_map(|(service, variable, url)| Some((service, variable, url.as_deref()?)))
    }
}

/// The URL without a password.
fn shown(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return url.to_owned() };
    if parsed.password().is_none() {
        return url.to_owned();
    }
    // A URL that has a password can have another one.
    let _ = parsed.set_password(Some("…"));
    parsed.to_string()
}

async fn connect(url: &str) -> Result<()> {
    let url = Url::parse(url).map_err(|error| anyhow!("it is no URL ({error})"))?;
    let Some((host, port)) = url.host_str().zip(url.port_or_known_default()) else {
        bail!("it names no host and port")
    };
    let host = host.trim_matches(['[', ']']);
    let connected = timeout(CONNECT_LIMIT, TcpStream::connect((host, port))).await;
    match connected.unwrap_or_else(|_| Err(IoError::from(ErrorKind::TimedOut))) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => bail!("connection refused"),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_service_that_does_not_answer_is_named_with_its_variable_and_the_remedy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let existing = Existing { opensearch: Some(url.clone()), ..Existing::default() };
        assert_eq!(existing.lines(), [format!("using OpenSearch at {url} (OPENSEARCH_ENDPOINT)")]);
        existing.check().await.unwrap();
        drop(listener);
        let error = existing.check().await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("OpenSearch does not answer at OPENSEARCH_ENDPOINT={url}: ")), "{error}");
        assert!(error.contains("unset OPENSEARCH_ENDPOINT"), "{error}");
    }

    #[test]
    fn only_services_that_are_wanted_are_named() {
        let existing = Existing { sqs: Some("http://q".to_owned()), ..Existing::default() };
        assert_eq!(existing.wanted(WantedServices { sqs: false, ..WantedServices::default() }), Existing::default());
    }

    #[test]
    fn a_password_is_not_shown() {
        let existing = Existing { opensearch: Some("https://me:secret@host:9200".to_owned()), ..Existing::default() };
        assert!(!existing.lines()[0].contains("secret"), "{:?}", existing.lines());
    }
}
