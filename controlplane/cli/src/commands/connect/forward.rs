//! One request from the lent port to the gateway, and its answer, both as they stream.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use reqwest::{Client, Url};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use super::Caller;
use crate::transport;

/// Most requests at once.
const REQUESTS_MAX: usize = 256;
/// Headers of one hop (RFC 9110 section 7.6.1), and those with which a caller would name itself.
const LEFT_OUT: [HeaderName; 12] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("x-api-key"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    AUTHORIZATION,
    COOKIE,
    HOST,
];

struct Stage {
    client: Client,
    gateway: Url,
    /// `/connection`.
    prefix: String,
    caller: Caller,
    /// `127.0.0.1:8080` and `localhost:8080`.
    hosts: [String; 2],
    places: Arc<Semaphore>,
}

/// Forwards everything.
pub(super) fn router(
    client: Client,
    gateway: Url,
    connection: &str,
    caller: Caller,
    port: u16,
) -> Router {
    let stage = Stage {
        client,
        gateway,
        prefix: format!("/{connection}"),
        caller,
        hosts: [format!("127.0.0.1:{port}"), format!("localhost:{port}")],
        places: Arc::new(Semaphore::new(REQUESTS_MAX)),
    };
    Router::new().fallback(forward).with_state(Arc::new(stage))
}

async fn forward(State(stage): State<Arc<Stage>>, request: Request) -> Response {
    if let Err(why) = stage.is_meant(request.headers()) {
        return problem(StatusCode::FORBIDDEN, "not_meant", why);
    }
    let Ok(place) = stage.places.clone().try_acquire_owned() else {
        let why = "too many requests at once on this port";
        return problem(StatusCode::SERVICE_UNAVAILABLE, "overloaded", why);
    };
    let Some(url) = stage.target(request.uri()) else {
        let why = "the path does not stay below the connection";
        return problem(StatusCode::BAD_REQUEST, "bad_request", why);
    };
    let token = match stage.caller.token().await {
        Ok(token) => token,
        Err(failure) => {
            return problem(StatusCode::UNAUTHORIZED, "unauthenticated", &failure.message);
        }
    };
    match stage.send(url, request, &token).await {
        Ok(answer) => stage.answer(answer, place),
        Err(why) => problem(StatusCode::BAD_GATEWAY, "gateway_unreachable", &why),
    }
}

impl Stage {
    /// A page in a browser can make it send requests here: under another name for this machine
    /// (`Host`), or from another site (`Origin`, `Sec-Fetch-Site`). None of that is meant.
    fn is_meant(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !self.hosts.iter().any(|own| own == host) {
            return Err("the request names another host");
        }
        let is_own = |origin: &HeaderValue| {
            let origin = origin.to_str().unwrap_or_default();
            self.hosts.iter().any(|own| origin.strip_prefix("http://") == Some(own.as_str()))
        };
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let is_same_site = matches!(site, None | Some(b"same-origin" | b"none"));
        if headers.get(ORIGIN).is_none_or(is_own) && is_same_site {
            Ok(())
        } else {
            Err("pages of other sites are kept away from this port")
        }
    }

    /// The gateway's URL for a target; nothing for one that would leave the connection.
    fn target(&self, uri: &Uri) -> Option<Url> {
        let target = uri.path_and_query()?.as_str();
        let base = self.gateway.as_str().trim_end_matches('/');
        let below = format!("{base}{}/", self.prefix);
        let url = Url::parse(&format!("{base}{}{target}", self.prefix)).ok()?;
        url.as_str().starts_with(&below).then_some(url)
    }

    async fn send(
        &self,
        url: Url,
        request: Request,
        token: &Zeroizing<String>,
    ) -> Result<reqwest::Response, String> {
        let (head, body) = request.into_parts();
        let mut headers = passed_on(&head.headers);
        let bearer = Zeroizing::new(format!("Bearer {}", token.as_str()));
        let mut bearer =
            HeaderValue::from_str(&bearer).map_err(|_| "the token is none".to_owned())?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        let has_body = [CONTENT_LENGTH, TRANSFER_ENCODING]
            .iter()
            .any(|header| head.headers.contains_key(header));
        let mut sent = self.client.request(head.method, url).headers(headers);
        if has_body {
            sent = sent.body(reqwest::Body::wrap_stream(body.into_data_stream()));
        }
        sent.send().await.map_err(|error| transport::root_cause(&error))
    }

    /// The answer as it comes; its place is free again when it has ended.
    fn answer(&self, answer: reqwest::Response, place: OwnedSemaphorePermit) -> Response {
        let status = answer.status();
        let mut headers = passed_on(answer.headers());
        if let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok())
            && let Some(rest) = location.strip_prefix(&format!("{}/", self.prefix))
            && let Ok(own) = HeaderValue::from_str(&format!("/{rest}"))
        {
            headers.insert(LOCATION, own);
        }
        let stream = answer.bytes_stream().map(move |piece| {
            let _place = &place;
            piece
        });
        (status, headers, Body::from_stream(stream)).into_response()
    }
}

/// The headers that concern more than one hop.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        if !LEFT_OUT.contains(name) && !named.iter().any(|one| one == name.as_str()) {
            kept.append(name, value.clone());
        }
    }
    kept
}

/// In the shape that OpenAI's clients show to their users.
fn problem(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({"error": {"message": format!("penstock connect: {message}"),
        "type": "connect_error", "code": code, "param": null}});
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
