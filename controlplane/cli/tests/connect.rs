//! `penstock connect` against a scripted gateway: what goes up, what comes down, who is kept away.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage does not stand")]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use support::{code, penstock, stderr, write_profile};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;

type Seen = Arc<Mutex<Vec<(String, HeaderMap)>>>;

/// A gateway that streams back what it is sent, piece by piece.
async fn gateway() -> (String, Seen) {
    let seen = Seen::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(echo).with_state(seen.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, seen)
}

async fn echo(State(seen): State<Seen>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let line = format!("{} {}", head.method, head.uri);
    seen.lock().unwrap().push((line, head.headers));
    let headers = [("location", "/llama/v1/elsewhere"), ("x-kept", "yes")];
    (headers, Body::from_stream(body.into_data_stream())).into_response()
}

/// Lends a port; its address.
async fn connect(home: &Path) -> (Child, String) {
    let mut command = penstock(home, &["connect", "llama", "--port", "0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    (child, line.trim().trim_start_matches("http://").to_owned())
}

fn signed_in(home: &Path, gateway: &str) {
    let fields = json!({"gateway": gateway, "url": "http://127.0.0.1:1"});
    write_profile(home, "default", u64::MAX, &fields);
}

async fn answer(address: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// Reads until the text has come.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut came = Vec::new();
    loop {
        let seen = String::from_utf8_lossy(&came).into_owned();
        if seen.contains(text) {
            return seen;
        }
        let taken = stream.read_buf(&mut came).await.unwrap();
        assert_ne!(taken, 0, "it ended before {text:?}: {seen}");
    }
}

#[tokio::test]
async fn a_request_streams_up_and_its_answer_down_with_the_callers_own_token() {
    let (url, seen) = gateway().await;
    let home = tempfile::tempdir().unwrap();
    signed_in(home.path(), &url);
    let (_child, address) = connect(home.path()).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /v1/chat?x=1 HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer sdk-key\r\n\
         x-api-key: sdk-key\r\ncookie: a=b\r\nconnection: close, x-hop\r\nx-hop: 1\r\n\
         transfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\n5\r\nfirst\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The first piece is back before the second one is sent.
    let came = read_until(&mut stream, "first").await;
    assert!(came.starts_with("HTTP/1.1 200") && came.contains("x-kept: yes"), "{came}");
    assert!(came.contains("location: /v1/elsewhere\r\n"), "{came}");
    stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    read_until(&mut stream, "second").await;
    let seen = seen.lock().unwrap();
    let (line, headers) = &seen[0];
    assert_eq!(line, "POST /llama/v1/chat?x=1");
    let sent = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(sent("authorization").as_deref(), Some("Bearer gateway-token"));
    assert_eq!(sent("content-type").as_deref(), Some("application/json"));
    assert_eq!(sent("host").map(|host| format!("http://{host}")), Some(url));
    for name in ["x-api-key", "cookie", "x-hop"] {
        assert_eq!(sent(name), None, "{name} went up");
    }
}

#[tokio::test]
async fn pages_in_a_browser_and_paths_that_leave_the_connection_reach_nothing() {
    let (url, seen) = gateway().await;
    let home = tempfile::tempdir().unwrap();
    signed_in(home.path(), &url);
    let (_child, address) = connect(home.path()).await;
    let get = async |target: &str, host: &str, more: &str| {
        let head =
            format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{more}connection: close\r\n\r\n");
        answer(&address, &head).await.get(9..12).unwrap().to_owned()
    };
    assert_eq!(get("/v1/models", "evil.example", "").await, "403");
    assert_eq!(get("/v1/models", &address, "origin: https://evil.example\r\n").await, "403");
    assert_eq!(get("/v1/models", &address, "origin: null\r\n").await, "403");
    assert_eq!(get("/v1/models", &address, "sec-fetch-site: cross-site\r\n").await, "403");
    assert_eq!(get("/../other/v1", &address, "").await, "400");
    assert_eq!(get("/%2e%2e/other/v1", &address, "").await, "400");
    assert!(seen.lock().unwrap().is_empty());
    let own = format!("origin: http://{address}\r\nsec-fetch-site: same-origin\r\n");
    assert_eq!(get("/v1/models", &address, &own).await, "200");
}

#[tokio::test]
async fn a_gateway_that_is_away_is_502_and_nobody_signed_in_lends_nothing() {
    let home = tempfile::tempdir().unwrap();
    let output = penstock(home.path(), &["connect", "llama", "--port", "0"]).output().await;
    assert_eq!(code(&output.unwrap()), 78);
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", away.local_addr().unwrap());
    drop(away);
    signed_in(home.path(), &url);
    let (_child, address) = connect(home.path()).await;
    let head = format!("GET /v1/models HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let came = answer(&address, &head).await;
    assert!(came.starts_with("HTTP/1.1 502") && came.contains("gateway_unreachable"), "{came}");
    write_profile(home.path(), "default", u64::MAX, &json!({"url": "http://127.0.0.1:1"}));
    let output =
        penstock(home.path(), &["connect", "llama", "--port", "0"]).output().await.unwrap();
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(stderr(&output).contains("--gateway URL"), "{}", stderr(&output));
}
