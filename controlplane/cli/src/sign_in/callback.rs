//! The address on this machine that a browser comes back to (RFC 8252 section 7.3): bound before
//! the browser is opened, it takes one answer and closes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use openidconnect::url::form_urlencoded;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::failure::Failure;

/// Path that the browser comes back to.
const PATH: &str = "/callback";
/// Longest wait for a person in a browser.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5 * 60);
/// Longest wait until the browser has its page.
const PAGE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Most parameters of an answer.
const PARAMETERS_MAX: usize = 32;
const PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <title>Penstock</title><p>Penstock has the answer: go back to the terminal, which says whether \
    you are signed in. You can close this page.</p></html>";

/// The parameters of an answer (RFC 6749 section 4.1.2, RFC 9207).
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The authorization code.
    pub(crate) code: Option<String>,
    /// The state that was sent.
    pub(crate) state: Option<String>,
    /// Who answers.
    pub(crate) iss: Option<String>,
    /// Why not.
    pub(crate) error: Option<String>,
}

/// A bound address.
pub(crate) struct Callback {
    listener: TcpListener,
    address: SocketAddr,
}

#[derive(Clone)]
struct Stage {
    /// The `Host` under which the address was handed out: a page that was led here by another
    /// name is not the provider's.
    host: Arc<str>,
    answers: mpsc::Sender<String>,
}

impl Callback {
    /// Takes a free port of 127.0.0.1.
    pub(crate) async fn bind() -> Result<Self, Failure> {
        let unbound = |error: std::io::Error| {
            Failure::machine(format!("no port of 127.0.0.1 can be taken: {error}"))
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(unbound)?;
        let address = listener.local_addr().map_err(unbound)?;
        Ok(Self { listener, address })
    }

    /// The URL that the browser comes back to.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Waits for the one answer.
    ///
    /// # Errors
    /// None came in time; it holds a parameter twice.
    pub(crate) async fn answer(self) -> Result<Answer, Failure> {
        let (sender, mut answers) = mpsc::channel(1);
        let (close, closed) = oneshot::channel::<()>();
        let stage = Stage { host: self.address.to_string().into(), answers: sender };
        let router = Router::new().fallback(page).with_state(stage);
        let server = axum::serve(self.listener, router).with_graceful_shutdown(async {
            let _ = closed.await;
        });
        let mut server = tokio::spawn(server.into_future());
        let query = timeout(ANSWER_WAIT_MAX, answers.recv()).await;
        let _ = close.send(());
        if timeout(PAGE_WAIT_MAX, &mut server).await.is_err() {
            server.abort();
        }
        match query {
            Ok(Some(query)) => parse(&query),
            Ok(None) | Err(_) => Err(Failure::failed("nobody signed in within five minutes")
                .hint("penstock login --device")),
        }
    }
}

async fn page(
    State(stage): State<Stage>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Response {
    let meant = request.method() == axum::http::Method::GET
        && request.uri().path() == PATH
        && headers.get(header::HOST).is_some_and(|host| host.as_bytes() == stage.host.as_bytes());
    if !meant {
        return StatusCode::NOT_FOUND.into_response();
    }
    // A second answer finds no place: the first one counts.
    if stage.answers.try_send(query.unwrap_or_default()).is_err() {
        return StatusCode::GONE.into_response();
    }
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONNECTION, "close"),
    ];
    (headers, Html(PAGE)).into_response()
}

/// Reads a query; no parameter may stand in it twice (RFC 6749 section 3.1).
fn parse(query: &str) -> Result<Answer, Failure> {
    let mut answer = Answer::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()).take(PARAMETERS_MAX) {
        let place = match &*name {
            "code" => &mut answer.code,
            "state" => &mut answer.state,
            "iss" => &mut answer.iss,
            "error" => &mut answer.error,
            _ => continue,
        };
        if place.replace(value.into_owned()).is_some() {
            return Err(Failure::failed("the browser came back with two answers in one"));
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(address: SocketAddr, host: &str, target: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn one_answer_is_taken_and_then_the_address_is_closed() {
        let callback = Callback::bind().await.unwrap();
        let (address, url) = (callback.address, callback.url());
        assert_eq!(url, format!("http://127.0.0.1:{}/callback", address.port()));
        let answer = tokio::spawn(callback.answer());
        let host = address.to_string();
        assert!(get(address, &host, "/favicon.ico").await.starts_with("HTTP/1.1 404"));
        let led_here = get(address, "evil.example", "/callback?code=x").await;
        assert!(led_here.starts_with("HTTP/1.1 404"), "{led_here}");
        let page = get(address, &host, "/callback?code=a%2Fb&state=s&iss=i&x=%3Cb%3E").await;
        assert!(page.starts_with("HTTP/1.1 200") && page.contains("no-store"), "{page}");
        assert!(!page.contains("a/b") && !page.contains("<b>"), "{page}");
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(answer.code.as_deref(), Some("a/b"));
        assert_eq!((answer.state.as_deref(), answer.iss.as_deref()), (Some("s"), Some("i")));
        assert!(TcpStream::connect(address).await.is_err(), "it still listens");
    }

    #[test]
    fn a_parameter_that_stands_twice_makes_an_answer_worthless() {
        assert!(parse("code=a&state=b").is_ok());
        assert!(parse("code=a&code=b").is_err());
        assert!(parse("state=a&state=a").is_err());
    }
}
