//! SigV4 of a request, as a managed domain (`es`) and a serverless collection (`aoss`) verify it. Pure: credentials and
//! time are given.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

/// Service and region that a signature is for.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) service: &'a str,
    pub(super) region: &'a str,
}

/// Signs a request with all its headers and its body, by headers that it adds.
pub(super) fn sign(
    request: &mut reqwest::Request,
    credentials: Credentials,
    scope: Scope<'_>,
    time: SystemTime,
) -> Result<(), String> {
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    // A serverless collection refuses a request without it.
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .name(scope.service)
        .region(scope.region)
        .time(time)
        .settings(settings)
        .build()
        .map_err(|error| format!("the request cannot be signed: {error}"))?;
    let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
    let (method, url) = (request.method().as_str(), request.url().as_str());
    let signed = SignableRequest::new(method, url, headers, SignableBody::Bytes(body))
        .and_then(|signable| aws_sigv4::http_request::sign(signable, &parameters.into()))
        .map_err(|error| format!("the request cannot be signed: {error}"))?;
    let (headers, _) = signed.into_parts().0.into_parts();
    for header in headers {
        let name = HeaderName::from_static(header.name());
        let mut value = HeaderValue::from_str(header.value()).map_err(|error| error.to_string())?;
        // The client prints its requests in its own errors.
        value.set_sensitive(header.sensitive() || name == AUTHORIZATION);
        request.headers_mut().insert(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde::Deserialize;

    use super::*;

    /// Requests with the signatures that botocore, another implementation, gives them; three are AWS's own examples.
    /// `.ci/local_cloud/signing_vectors.py` makes the file.
    const VECTORS: &str = include_str!("signing-vectors.json");

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        service: String,
        region: String,
        access_key: String,
        secret_key: String,
        session_token: Option<String>,
        /// Time of the signature, in seconds since 1970.
        time: u64,
        method: String,
        url: String,
        headers: BTreeMap<String, String>,
        body: Option<String>,
        /// Headers that the signature adds.
        signed: BTreeMap<String, String>,
    }

    impl Vector {
        fn request(&self) -> reqwest::Request {
            let method = self.method.parse().expect("a method");
            let mut request = reqwest::Request::new(method, self.url.parse().expect("a URL"));
            for (name, value) in &self.headers {
                let name: HeaderName = name.parse().expect("a name");
                request.headers_mut().insert(name, value.parse().expect("a value"));
            }
            *request.body_mut() = self.body.clone().map(reqwest::Body::from);
            request
        }

        fn sign(&self, request: &mut reqwest::Request) {
            let token = self.session_token.clone();
            let credentials = Credentials::new(&self.access_key, &self.secret_key, token, None, "vector");
            let scope = Scope { service: &self.service, region: &self.region };
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(self.time);
            sign(request, credentials, scope, time).expect("signed");
        }
    }

    fn vectors() -> Vec<Vector> {
        serde_json::from_str(VECTORS).expect("vectors")
    }

    #[test]
    fn signatures_are_those_of_aws_examples_and_of_another_implementation() {
        for vector in vectors() {
            let mut request = vector.request();
            vector.sign(&mut request);
            for (name, value) in &vector.signed {
                let given = request.headers().get(name).and_then(|value| value.to_str().ok());
                assert_eq!(given, Some(value.as_str()), "{}: {name}", vector.name);
            }
            assert_eq!(request.headers().len(), vector.headers.len() + vector.signed.len(), "{}", vector.name);
        }
    }

    #[test]
    fn a_change_of_anything_that_is_sent_changes_the_signature() {
        let vectors = vectors();
        let vector = vectors.iter().find(|vector| vector.name == "bulk to a domain").expect("the vector");
        let signature = |change: fn(&mut reqwest::Request)| {
            let mut request = vector.request();
            change(&mut request);
            vector.sign(&mut request);
            request.headers()["authorization"].clone()
        };
        let unchanged = signature(|_| ());
        let changes: [fn(&mut reqwest::Request); 4] = [
            |request| *request.method_mut() = reqwest::Method::PUT,
            |request| request.url_mut().set_path("/another/_bulk"),
            |request| request.url_mut().set_query(Some("require_alias=false")),
            |request| *request.body_mut() = Some("{}\n".into()),
        ];
        for change in changes {
            assert_ne!(signature(change), unchanged);
        }
    }

    #[test]
    fn credentials_never_show_in_a_debug_print() {
        for vector in vectors() {
            let mut request = vector.request();
            vector.sign(&mut request);
            let printed = format!("{request:?}");
            assert!(!printed.contains("Signature="), "{}", vector.name);
            for secret in vector.session_token.iter().chain([&vector.secret_key]) {
                assert!(!printed.contains(secret), "{}", vector.name);
            }
        }
    }
}
