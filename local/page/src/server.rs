//! HTTP server of the page, on 127.0.0.1 only.
//!
//! `GET /` is the page, `GET /state` its contents as JSON, `POST /troubles/NAME` and `POST /end` are orders. Each
//! answer forbids the browser to load anything from elsewhere, to show the page in a frame, and to tell its address.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::extract::{Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::access::DoorKeeper;
use crate::board::Board;
use crate::trouble::Trouble;

/// The page. `NONCE` is replaced in each answer: only the page's own script and style have it.
const PAGE: &str = include_str!("page.html");
const NONCE: &str = "{{nonce}}";

struct Served {
    door: DoorKeeper,
    board: Arc<Board>,
}

/// A running server; it ends when this is dropped.
pub(crate) struct PageServer {
    /// Address of the page, with the token of its orders.
    pub(crate) url: String,
    server: JoinHandle<()>,
}

impl PageServer {
    /// Serves on this port of loopback; 0 is any free one.
    ///
    /// # Errors
    /// Where the port is not free.
    pub(crate) async fn start(port: u16, board: Arc<Board>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.with_context(|| format!("bind port {port} of 127.0.0.1 for the page"))?;
        let door = DoorKeeper::new(listener.local_addr().context("read the page's port")?.port());
        let url = door.url();
        let router = router(Arc::new(Served { door, board }));
        let server = tokio::spawn(async move {
            // It ends with its task; nothing else ends it.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, server })
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn router(served: Arc<Served>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/state", get(state))
        .route("/troubles/{name}", post(trouble))
        .route("/end", post(end))
        .layer(from_fn_with_state(Arc::clone(&served), guard))
        .with_state(served)
}

/// Refuses who is not admitted, before anything else, and sets the headers of each answer.
async fn guard(State(served): State<Arc<Served>>, request: Request, next: Next) -> Response {
    let mut response = match served.door.admits(request.headers()) {
        true => next.run(request).await,
        false => refused(StatusCode::FORBIDDEN, "this server answers to its own page on this machine only"),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

async fn page() -> Result<Response, StatusCode> {
    let nonce = format!("{:032x}", rand::random::<u128>());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(CONTENT_SECURITY_POLICY, policy)], Html(PAGE.replace(NONCE, &nonce))).into_response())
}

async fn state(State(served): State<Arc<Served>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], served.board.published().to_string())
}

async fn trouble(State(served): State<Arc<Served>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    if !served.door.may_order(&headers) {
        return unknown_token();
    }
    let Some(trouble) = Trouble::named(&name) else {
        return refused(StatusCode::NOT_FOUND, "there is no such trouble");
    };
    match served.board.order(trouble) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(refusal) => refused(StatusCode::CONFLICT, &refusal),
    }
}

async fn end(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    if !served.door.may_order(&headers) {
        return unknown_token();
    }
    served.board.end();
    StatusCode::ACCEPTED.into_response()
}

fn unknown_token() -> Response {
    refused(StatusCode::UNAUTHORIZED, "the token is missing or wrong: open the address that the terminal shows")
}

fn refused(status: StatusCode, reason: &str) -> Response {
    (status, Json(json!({"error": reason}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_from_elsewhere_and_its_script_and_style_have_the_nonce() {
        for foreign in ["https://", "src=", "@import", "url(", "innerHTML", "eval("] {
            assert!(!PAGE.contains(foreign), "{foreign}");
        }
        assert_eq!(PAGE.matches(&format!("<script nonce=\"{NONCE}\">")).count(), 1);
        assert_eq!(PAGE.matches(&format!("<style nonce=\"{NONCE}\">")).count(), 1);
        assert_eq!(PAGE.matches("<script").count() + PAGE.matches("<style").count(), 2);
        assert!(!PAGE.contains(" style=\"") && !PAGE.contains(" onclick="), "the policy would refuse them");
        assert!(PAGE.contains("<noscript>"));
    }
}
