//! Certificate authorities of one's own, for an engine whose certificate no public authority has issued.
//!
//! They replace the public ones. Nothing switches verification off.

use std::fmt;

use crate::environment::Environment;

/// Beginning of a certificate in PEM.
const PEM: &str = "-----BEGIN CERTIFICATE-----";

/// Certificates of authorities, at least one, each of which the client can use.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities {
    pem: String,
}

impl Authorities {
    /// Reads `OPENSEARCH_CA`, after a prefix: PEM text, or the path of a file with it. `None` if it is unset, or a
    /// problem was noted.
    pub(super) fn from_env(env: &mut Environment<'_>, prefix: &str) -> Option<Self> {
        let name = format!("{prefix}OPENSEARCH_CA");
        let value = env.optional(&name)?;
        read(&value).map_err(|problem| env.problem(&name, problem)).ok()
    }

    pub(super) fn certificates(&self) -> Vec<reqwest::Certificate> {
        certificates(&self.pem).expect("invariant: `Authorities` was made from this text")
    }
}

/// Tells how many there are: a whole bundle would fill a page.
impl fmt::Debug for Authorities {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Authorities({})", self.pem.matches(PEM).count())
    }
}

fn read(value: &str) -> Result<Authorities, String> {
    if value.starts_with("-----") {
        return parse(value.to_owned()).map_err(|problem| format!("holds {problem}"));
    }
    let text = std::fs::read_to_string(value).map_err(|error| {
        format!(
            "names the file {value}, which cannot be read ({error}): it must be in the deployment package or a layer; or \
             give the certificates themselves, in PEM"
        )
    })?;
    parse(text).map_err(|problem| format!("names the file {value}, which holds {problem}"))
}

fn parse(pem: String) -> Result<Authorities, String> {
    let trusted = certificates(&pem)?;
    if trusted.is_empty() {
        return Err(format!("no certificate in PEM: it must have lines {PEM}, with line breaks kept"));
    }
    // The client reads them when it is built.
    let client = reqwest::Client::builder().tls_certs_only(trusted).build();
    client.map(|_| Authorities { pem }).map_err(|_| "a certificate that cannot be read".to_owned())
}

fn certificates(pem: &str) -> Result<Vec<reqwest::Certificate>, String> {
    reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| "a certificate that is not in PEM".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opensearch::http::Method;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::aws_lc_rs;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use url::Url;

    use super::super::auth::Signing;
    use super::super::http::{HttpClient, Request};
    use super::*;

    // `tls/make` makes them.
    const OURS: &str = include_str!("tls/authority.pem");
    const ANOTHER: &str = include_str!("tls/another-authority.pem");
    const SERVER: &str = include_str!("tls/server.pem");
    const SERVER_ELSEWHERE: &str = include_str!("tls/server-elsewhere.pem");
    const KEY: &str = include_str!("tls/server.key");

    /// Starts a server with this certificate, which answers 200 to everything, and returns its port.
    async fn server(certificate: &str) -> u16 {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("protocols")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a certificate with its key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
            }
        });
        port
    }

    async fn answer(port: u16, trusted: Option<&str>) -> Result<u16, String> {
        let vars = |name: &str| trusted.filter(|_| name == "OPENSEARCH_CA").map(str::to_owned);
        let mut env = Environment::new(&vars);
        let authorities = Authorities::from_env(&mut env, "");
        env.finish().expect("valid");
        let endpoint = Url::parse(&format!("https://127.0.0.1:{port}/")).expect("a URL");
        let client = HttpClient::new(endpoint, Signing { credentials: None, service: "es" }, authorities.as_ref());
        let answer = client.send(Request { method: Method::Get, path: "/", body: None }).await;
        answer.map(|answer| answer.status).map_err(|problem| problem.to_string())
    }

    #[tokio::test]
    async fn a_private_authority_is_trusted_where_it_is_set_and_no_other_is() {
        let port = server(SERVER).await;
        assert_eq!(answer(port, Some(OURS)).await, Ok(200));
        for trusted in [None, Some(ANOTHER)] {
            let problem = answer(port, trusted).await.expect_err("not trusted");
            assert!(problem.contains("its certificate is not trusted"), "{problem}");
        }
    }

    #[tokio::test]
    async fn a_certificate_for_another_host_is_refused_whoever_issued_it() {
        let port = server(SERVER_ELSEWHERE).await;
        let problem = answer(port, Some(OURS)).await.expect_err("another host");
        assert!(problem.contains("its certificate is not trusted"), "{problem}");
    }

    #[track_caller]
    fn check_refused(value: &str, expect: &str) {
        let vars = |name: &str| (name == "SECOND_OPENSEARCH_CA").then(|| value.to_owned());
        let mut env = Environment::new(&vars);
        assert_eq!(Authorities::from_env(&mut env, "SECOND_"), None);
        let error = env.finish().expect_err("refused").to_string();
        assert!(error.contains("SECOND_OPENSEARCH_CA") && error.contains(expect), "{error}");
    }

    #[test]
    fn what_holds_no_certificate_is_refused_when_settings_are_read() {
        check_refused("/nowhere.pem", "cannot be read");
        check_refused(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "no certificate in PEM");
        // A console's form that drops line breaks.
        check_refused(&OURS.replace('\n', " "), "holds");
        check_refused(&format!("{PEM}\nAAAA\n-----END CERTIFICATE-----"), "cannot be read");
    }

    #[test]
    fn a_bundle_in_a_file_has_all_its_authorities() {
        let file = std::env::temp_dir().join(format!("driftless-authorities-{}.pem", std::process::id()));
        std::fs::write(&file, format!("{OURS}{ANOTHER}")).expect("written");
        let authorities = read(file.to_str().expect("text")).expect("valid");
        std::fs::remove_file(&file).expect("removed");
        assert_eq!((authorities.certificates().len(), format!("{authorities:?}")), (2, "Authorities(2)".to_owned()));
    }
}
