//! Access to the page: who may ask, and who may order.
//!
//! The server listens on loopback, and still every page in the user's browser can send requests to it. So a request
//! must name this server as its host, which a name that was bound to 127.0.0.1 later does not (DNS rebinding), and come
//! from its own page if it says where from. Orders need the token of the page's address besides, which a browser sends
//! to no other site, and other users of the machine do not know.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// Header with the token of an order. A page of another site cannot set it without being asked first.
pub(crate) const TOKEN_HEADER: &str = "x-driftless-token";

/// Names of this server, and the token of its orders.
#[derive(Debug)]
pub(crate) struct DoorKeeper {
    hosts: [String; 2],
    token: String,
}

impl DoorKeeper {
    /// Lets those in who name this port of loopback. The token is new each time.
    pub(crate) fn new(port: u16) -> Self {
        let hosts = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{port}"));
        Self { hosts, token: format!("{:032x}", rand::random::<u128>()) }
    }

    /// Address of the page, with the token.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/?token={}", self.hosts[0], self.token)
    }

    /// Returns `true` if the request is meant for this server, and comes from its own page or from no page.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let is_ours = |host: &str| self.hosts.iter().any(|ours| ours == host);
        let host = text(HOST).is_some_and(is_ours);
        let origin = text(ORIGIN).is_none_or(|origin| origin.strip_prefix("http://").is_some_and(is_ours));
        host && origin
    }

    /// Returns `true` if the request has the token.
    pub(crate) fn may_order(&self, headers: &HeaderMap) -> bool {
        headers.get(TOKEN_HEADER).is_some_and(|token| token.as_bytes() == self.token.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn only_this_server_by_its_own_names_is_asked_for() {
        let door = DoorKeeper::new(4_567);
        let admits = |pairs: &[(&'static str, &str)]| door.admits(&headers(pairs));
        assert!(admits(&[("host", "127.0.0.1:4567")]) && admits(&[("host", "localhost:4567")]));
        assert!(admits(&[("host", "127.0.0.1:4567"), ("origin", "http://127.0.0.1:4567")]));
        assert!(!admits(&[]), "no host");
        assert!(!admits(&[("host", "evil.example:4567")]), "a name that was bound to loopback");
        assert!(!admits(&[("host", "127.0.0.1:80")]) && !admits(&[("host", "127.0.0.1")]));
        for origin in ["http://evil.example", "https://127.0.0.1:4567", "http://127.0.0.1:80", "null", ""] {
            assert!(!admits(&[("host", "127.0.0.1:4567"), ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn an_order_needs_the_token_which_differs_each_time() {
        let (door, other) = (DoorKeeper::new(1), DoorKeeper::new(1));
        let token = door.url().split_once("token=").expect("a token").1.to_owned();
        let with = |token: &str| {
            HeaderMap::from_iter([(TOKEN_HEADER.parse().expect("a name"), HeaderValue::from_str(token).expect("text"))])
        };
        assert_eq!(token.len(), 32);
        assert!(door.may_order(&with(&token)) && !other.may_order(&with(&token)));
        assert!(!door.may_order(&with("")) && !door.may_order(&HeaderMap::new()));
    }
}
