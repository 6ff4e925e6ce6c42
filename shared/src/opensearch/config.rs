//! Settings of the engine: its endpoint, the authentication and the index.

use std::net::IpAddr;
use std::time::Duration;

use url::{Host, Url};

use super::authorities::Authorities;
use super::index_name::IndexName;
use crate::environment::Environment;

/// Time-out of one request, unless `REQUEST_TIMEOUT_MS` sets another. A bulk request of 5 MiB takes well under this,
/// and several tries fit in the template's function time-out.
const DEFAULT_REQUEST_TIMEOUT_MS: u64 = 10_000;

/// Method by which requests are authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// No authentication at all.
    None,
    /// User name and password from a Secrets Manager secret, `{"username": …, "password": …}`.
    Basic {
        /// ARN of the secret.
        secret_arn: String,
    },
    /// SigV4 for a managed domain (service `es`).
    SigV4,
    /// SigV4 for a serverless collection (service `aoss`).
    SigV4Serverless,
}

/// Settings of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Base URL, with a slash at its end.
    pub endpoint: Url,
    /// Authentication of each request to the engine.
    pub auth: Auth,
    /// Authorities that the engine's certificate must come from; the public ones without.
    pub authorities: Option<Authorities>,
    /// Public name of the index.
    pub index: IndexName,
    /// Name of the table among those that share the index, if there are several.
    pub source: Option<String>,
    /// Time-out of one request, connecting included.
    pub request_timeout: Duration,
}

impl EngineConfig {
    /// Reads `OPENSEARCH_ENDPOINT`, `INDEX`, `OPENSEARCH_AUTH`, `OPENSEARCH_SECRET_ARN`, `OPENSEARCH_CA` and
    /// `REQUEST_TIMEOUT_MS`. `None` if a problem was noted.
    pub fn from_env(env: &mut Environment<'_>) -> Option<Self> {
        let endpoint = env
            .required("OPENSEARCH_ENDPOINT", "the engine's URL, such as https://search-….es.amazonaws.com")
            .and_then(|text| endpoint(env, "OPENSEARCH_ENDPOINT", &text));
        let index = env
            .required("INDEX", "the index's public name, such as activity-history")
            .and_then(|text| IndexName::new(&text).map_err(|problem| env.problem_of("INDEX", &text, problem)).ok());
        let auth = auth(env, "");
        let authorities = Authorities::from_env(env, "");
        let request_timeout =
            env.parsed("REQUEST_TIMEOUT_MS", DEFAULT_REQUEST_TIMEOUT_MS, "a whole number of milliseconds");
        if request_timeout == 0 {
            env.problem("REQUEST_TIMEOUT_MS", "must be more than 0 milliseconds");
        }
        Some(Self {
            endpoint: endpoint?,
            auth: auth?,
            authorities,
            index: index?,
            source: None,
            request_timeout: Duration::from_millis(request_timeout),
        })
    }

    /// Reads `SECOND_OPENSEARCH_ENDPOINT`, `SECOND_OPENSEARCH_AUTH`, `SECOND_OPENSEARCH_SECRET_ARN` and
    /// `SECOND_OPENSEARCH_CA`: a second cluster, which gets the same index. `None` without one, or if a problem was
    /// noted.
    pub fn second_from_env(env: &mut Environment<'_>, first: Option<&Self>) -> Option<Self> {
        let text = env.optional("SECOND_OPENSEARCH_ENDPOINT")?;
        let endpoint = endpoint(env, "SECOND_OPENSEARCH_ENDPOINT", &text);
        let (auth, authorities) = (auth(env, "SECOND_"), Authorities::from_env(env, "SECOND_"));
        let first = first?;
        let endpoint = endpoint?;
        if endpoint == first.endpoint {
            env.problem(
                "SECOND_OPENSEARCH_ENDPOINT",
                "is OPENSEARCH_ENDPOINT: set it to another cluster, or remove it",
            );
        }
        Some(Self { endpoint, auth: auth?, authorities, ..first.clone() })
    }
}

fn endpoint(env: &mut Environment<'_>, name: &str, text: &str) -> Option<Url> {
    // Its text is not repeated: it may hold a password.
    parse_endpoint(text).map_err(|problem| env.problem(name, problem)).ok()
}

fn auth(env: &mut Environment<'_>, prefix: &str) -> Option<Auth> {
    const CHOICES: &str =
        "sigv4 (managed domain), sigv4-serverless (collection), basic (with OPENSEARCH_SECRET_ARN) or none";
    let (name, secret) = (format!("{prefix}OPENSEARCH_AUTH"), format!("{prefix}OPENSEARCH_SECRET_ARN"));
    match env.required(&name, CHOICES)?.as_str() {
        "none" => Some(Auth::None),
        "sigv4" => Some(Auth::SigV4),
        "sigv4-serverless" => Some(Auth::SigV4Serverless),
        "basic" => env
            .required(&secret, &format!("the ARN of a secret {{\"username\": …, \"password\": …}}, as {name} is basic"))
            .map(|secret_arn| Auth::Basic { secret_arn }),
        other => {
            env.problem_of(&name, other, format_args!("must be one of {CHOICES}"));
            None
        }
    }
}

fn parse_endpoint(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| format!("is no URL ({error}): set it to https://HOST"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds credentials: remove them and set OPENSEARCH_AUTH".to_owned());
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err("is plain http, which is accepted for loopback only: use https".to_owned()),
        scheme => return Err(format!("has the scheme {scheme}: use https")),
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<EngineConfig, String> {
        let lookup = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let mut env = Environment::new(&lookup);
        let config = EngineConfig::from_env(&mut env);
        env.finish().map_err(|error| error.to_string())?;
        Ok(config.expect("no problem was noted"))
    }

    #[test]
    fn every_problem_is_reported_at_once_with_its_variable() {
        let error = read(&[("REQUEST_TIMEOUT_MS", "soon"), ("INDEX", "")]).expect_err("nothing is set");
        for variable in ["OPENSEARCH_ENDPOINT", "INDEX", "OPENSEARCH_AUTH", "REQUEST_TIMEOUT_MS"] {
            assert!(error.contains(variable), "{variable}: {error}");
        }
    }

    #[test]
    fn every_way_to_authenticate_is_read() {
        for (auth, expect) in [
            ("none", Auth::None),
            ("sigv4", Auth::SigV4),
            ("sigv4-serverless", Auth::SigV4Serverless),
            ("basic", Auth::Basic { secret_arn: "arn".into() }),
        ] {
            let config = read(&[
                ("OPENSEARCH_ENDPOINT", "https://host/base"),
                ("INDEX", "i"),
                ("OPENSEARCH_AUTH", auth),
                ("OPENSEARCH_SECRET_ARN", "arn"),
            ])
            .expect("valid");
            assert_eq!((config.auth, config.endpoint.as_str()), (expect, "https://host/base/"));
        }
    }

    #[test]
    fn a_second_cluster_has_settings_of_its_own() {
        let vars = |name: &str| match name {
            "OPENSEARCH_ENDPOINT" => Some("https://first".to_owned()),
            "INDEX" => Some("i".to_owned()),
            "OPENSEARCH_AUTH" => Some("sigv4".to_owned()),
            "SECOND_OPENSEARCH_ENDPOINT" => Some("https://second".to_owned()),
            "SECOND_OPENSEARCH_AUTH" => Some("basic".to_owned()),
            _ => None,
        };
        let read = |vars: &dyn Fn(&str) -> Option<String>| {
            let mut env = Environment::new(vars);
            let first = EngineConfig::from_env(&mut env);
            let second = EngineConfig::second_from_env(&mut env, first.as_ref());
            env.finish().map(|()| second).map_err(|error| error.to_string())
        };
        let error = read(&vars).expect_err("a secret is missing");
        assert!(error.contains("SECOND_OPENSEARCH_SECRET_ARN is not set"), "{error}");
        let whole =
            |name: &str| if name == "SECOND_OPENSEARCH_SECRET_ARN" { Some("arn".to_owned()) } else { vars(name) };
        let second = read(&whole).expect("valid").expect("a second one");
        assert_eq!((second.endpoint.as_str(), second.index.public()), ("https://second/", "i"));
        assert_eq!(second.auth, Auth::Basic { secret_arn: "arn".into() });
        let same =
            |name: &str| if name == "SECOND_OPENSEARCH_ENDPOINT" { vars("OPENSEARCH_ENDPOINT") } else { whole(name) };
        assert!(read(&same).expect_err("one cluster twice").contains("another cluster"));
        let none = |name: &str| if name.starts_with("SECOND") { None } else { vars(name) };
        assert_eq!(read(&none), Ok(None));
    }

    #[track_caller]
    fn check_refused(vars: &[(&str, &str)], expect: &str) {
        let mut all = vec![("OPENSEARCH_ENDPOINT", "https://host"), ("INDEX", "i"), ("OPENSEARCH_AUTH", "none")];
        all.retain(|(name, _)| !vars.iter().any(|(other, _)| other == name));
        all.extend(vars);
        let error = read(&all).expect_err("refused");
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_remedy() {
        check_refused(&[("OPENSEARCH_ENDPOINT", "host:9200/x")], "use https");
        check_refused(&[("OPENSEARCH_ENDPOINT", "http://10.0.0.1:9200")], "loopback only");
        check_refused(&[("OPENSEARCH_ENDPOINT", "https://a:b@host")], "OPENSEARCH_AUTH");
        check_refused(&[("OPENSEARCH_AUTH", "basic")], "OPENSEARCH_SECRET_ARN is not set");
        check_refused(&[("OPENSEARCH_AUTH", "iam")], "sigv4-serverless");
        check_refused(&[("INDEX", "Activity")], "lower case");
        check_refused(&[("REQUEST_TIMEOUT_MS", "0")], "more than 0");
        assert!(
            read(&[("OPENSEARCH_ENDPOINT", "http://[::1]:9200"), ("INDEX", "i"), ("OPENSEARCH_AUTH", "none")]).is_ok()
        );
    }
}
