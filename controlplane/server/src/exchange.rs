//! `POST /token`: a workload's token becomes one of the control plane's own (RFC 8693). In: a form
//! with a token of an issuer in force. Out: a token of minutes, or an error as RFC 6749 section 5.2
//! has it. Never: a token in a log, in an act, in an answer to somebody else.

mod form;
mod rates;
mod signer;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER};
use axum::http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use penstock_api::{Failure, Problem};
use penstock_app::exchange::{Exchange, ExchangeEvent, ExchangeRefusal, Exchanged, details};
use penstock_app::{Answer, Event, Refusal, hex, sha256_hex};
use penstock_config::documents::EXCHANGED_AUDIENCE;
use penstock_config::identity::{Access, Identity};
use penstock_identity::TokenError;
use serde_json::json;

use self::form::Form;
use self::rates::Rates;
pub(crate) use self::signer::TokenSigner;
use crate::listener::Peer;
use crate::log::{self, Level, now_ms};
use crate::random;
use crate::tokens::Tokens;
use crate::worker::Handle;

/// Largest form, in bytes.
const FORM_BYTES_MAX: usize = 32 * 1024;
/// Calls of one address that fail, a minute; further ones of any kind wait.
const FAILURES_MAX: u32 = 60;
/// Tokens that one identity gets, a minute: a matrix of jobs begins at once.
const TOKENS_MAX: u32 = 600;
/// Bits of an IPv6 address that one customer has by itself.
const IPV6_PREFIX_BITS: u32 = 64;

/// The grant (RFC 8693 section 2.1).
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// What tokens may be called (RFC 8693 section 3). Each of them must be a JWT.
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// What the exchange works with. Copies share it.
#[derive(Clone)]
pub(crate) struct Exchanges(Arc<Shared>);

struct Shared {
    handle: Handle,
    tokens: Tokens,
    signer: TokenSigner,
    failures: Rates<IpAddr>,
    issued: Rates<(String, String)>,
}

/// An answer that is no token.
struct OauthError {
    status: StatusCode,
    /// One of RFC 6749 section 5.2, RFC 8693 section 2.2.2, RFC 9396 section 5.
    code: &'static str,
    description: String,
    retry_after: Option<Duration>,
}

/// What a call asks for.
struct Question {
    token: zeroize::Zeroizing<String>,
    workload: Option<String>,
    details: Option<Vec<Access>>,
    /// How the caller calls what it wants.
    issued_type: &'static str,
}

impl Exchanges {
    pub(crate) fn new(handle: Handle, tokens: Tokens, signer: TokenSigner) -> Self {
        let now = Instant::now();
        let (failures, issued) = (Rates::new(FAILURES_MAX, now), Rates::new(TOKENS_MAX, now));
        Self(Arc::new(Shared { handle, tokens, signer, failures, issued }))
    }
}

/// The route, to be merged with the API's.
pub(crate) fn router(exchanges: Exchanges) -> Router {
    Router::new()
        .route("/token", post(token).fallback(|| async { Problem::method() }))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(exchanges)
}

async fn token(State(exchanges): State<Exchanges>, request: Request) -> Response {
    let shared = &*exchanges.0;
    let address = request.extensions().get::<Peer>().and_then(|peer| peer.address);
    // Where the system does not say from where a connection comes, all of these are one address.
    let address = customer(address.unwrap_or(IpAddr::from([0, 0, 0, 0])));
    // A call that holds is answered whatever others of its address did: behind one address there
    // may be many, and none of them may lock the rest out.
    match shared.answer(request).await {
        Ok(answer) => answer,
        Err(error) if error.status.is_client_error() => {
            if let Some(wait) = shared.failures.wait(&address, Instant::now()) {
                return slow_down("too many calls that failed", wait).into_response();
            }
            shared.failures.count(address, Instant::now());
            error.into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// The address by which callers are told apart.
fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let mask = u128::MAX << (128 - IPV6_PREFIX_BITS);
            std::net::Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

impl Shared {
    async fn answer(&self, request: Request) -> Result<Response, OauthError> {
        check_head(request.headers(), request.uri().query())?;
        let bytes = Bytes::from_request(request, &()).await.map_err(|rejection| {
            let status = rejection.status();
            let description = "the body can't be read, or has more than 32 KiB";
            OauthError { status, ..invalid_request(description) }
        })?;
        let form = Form::parse(&bytes).map_err(|error| invalid_request(&error.to_string()))?;
        let Question { token, workload, details, issued_type } = question(&form)?;
        let identity = self.verified(token.as_bytes())?;
        let key = (identity.issuer.clone(), identity.subject.clone());
        if let Some(wait) = self.issued.wait(&key, Instant::now()) {
            return Err(slow_down("too many tokens for one identity", wait));
        }
        let id = random::bytes::<16>().map_err(|error| failed("random", &error))?;
        let token_sha256 = sha256_hex(token.as_bytes());
        let id = hex(&*id);
        let exchange = Exchange { identity, token_sha256, workload, details, id };
        let Exchanged { claims, expires_in_s } = self.submit(exchange).await?;
        self.issued.count(key, Instant::now());
        let token = self.signer.sign(&claims).map_err(|error| failed("sign", &error))?;
        let answer = json!({
            "access_token": &*token,
            "issued_token_type": issued_type,
            "token_type": "Bearer",
            "expires_in": expires_in_s,
            "authorization_details": claims.get("authorization_details"),
        });
        Ok((StatusCode::OK, unstored(), Json(answer)).into_response())
    }

    /// Who the token speaks for. It must be for the audience of a workload.
    fn verified(&self, token: &[u8]) -> Result<Identity, OauthError> {
        let state = self.handle.state();
        let audiences = state.exchange_audiences();
        if audiences.is_empty() {
            // Nobody's token holds: not even its key is worth a look.
            let description = "no workload document is in force";
            return Err(OauthError::new("unauthorized_client", description));
        }
        let error = match self.tokens.identify_for(token, &audiences, now_ms()) {
            Ok(identity) => return Ok(identity),
            Err(error) => error,
        };
        log::line(Level::Warning, "exchange_refused", error.label());
        if let TokenError::UnknownKey { issuer, kid } = error
            && state.is_worth_fetching(&issuer, &kid, now_ms())
        {
            self.handle.mention(Event::UnknownKey { issuer, kid });
        }
        let description = "the subject token does not hold: its issuer, signature, type, times, or \
            audience, which must be a workload document's";
        Err(OauthError::new("invalid_grant", description))
    }

    async fn submit(&self, exchange: Exchange) -> Result<Exchanged, OauthError> {
        match self.handle.submit(Event::Exchange(Box::new(ExchangeEvent::Asked(exchange)))).await {
            Ok(Answer::Exchanged(exchanged)) => Ok(*exchanged),
            Ok(_) => Err(failed("exchange", "an answer to another question")),
            Err(Failure::Refused(Refusal::Exchange(refusal))) => Err(refusal.into()),
            Err(Failure::Refused(_) | Failure::Unavailable) => Err(OauthError {
                status: StatusCode::SERVICE_UNAVAILABLE,
                ..OauthError::new("temporarily_unavailable", "the store is not available")
            }),
        }
    }
}

/// What can be said before the body: a form, whose parameters are all in it, from somebody who is
/// known by the form alone.
fn check_head(headers: &HeaderMap, query: Option<&str>) -> Result<(), OauthError> {
    if headers.contains_key(AUTHORIZATION) {
        return Err(OauthError {
            status: StatusCode::UNAUTHORIZED,
            ..OauthError::new("invalid_client", "only the subject token says who calls")
        });
    }
    if query.is_some() {
        return Err(invalid_request("parameters belong into the body"));
    }
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let kind = kinds.next().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kinds.next().is_some() || !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(invalid_request("the body must be application/x-www-form-urlencoded"));
    }
    Ok(())
}

/// The parameters of RFC 8693 section 2.1. Unknown ones are ignored (RFC 6749 section 3.2); those
/// that would ask for something which is not given are refused.
fn question(form: &Form) -> Result<Question, OauthError> {
    match form.get("grant_type") {
        Some(GRANT_TYPE) => {}
        Some(_) => {
            let description = "the one grant type here is token exchange (RFC 8693)";
            return Err(OauthError::new("unsupported_grant_type", description));
        }
        None => return Err(invalid_request("grant_type is missing")),
    }
    let refused = [
        ("client_secret", "invalid_client", "only the subject token says who calls"),
        ("client_assertion", "invalid_client", "only the subject token says who calls"),
        ("actor_token", "invalid_request", "nobody acts for somebody else here"),
        ("actor_token_type", "invalid_request", "nobody acts for somebody else here"),
        ("scope", "invalid_scope", "authorization_details say what a token is for, scopes do not"),
        ("resource", "invalid_target", "the one audience is penstock"),
    ];
    for (name, code, description) in refused {
        if form.get(name).is_some() {
            return Err(OauthError::new(code, description));
        }
    }
    if form.get("audience").is_some_and(|audience| audience != EXCHANGED_AUDIENCE) {
        return Err(OauthError::new("invalid_target", "the one audience is penstock"));
    }
    if !matches!(form.get("subject_token_type"), Some(JWT | ID_TOKEN | ACCESS_TOKEN)) {
        let description = "subject_token_type must be jwt, id_token or access_token (RFC 8693)";
        return Err(invalid_request(description));
    }
    let issued_type = match form.get("requested_token_type") {
        None | Some(ACCESS_TOKEN) => ACCESS_TOKEN,
        Some(JWT) => JWT,
        Some(_) => {
            return Err(invalid_request("requested_token_type must be jwt or access_token"));
        }
    };
    let token = form.get("subject_token");
    let token = token.ok_or_else(|| invalid_request("subject_token is missing"))?;
    let details =
        form.get("authorization_details").map(details).transpose().map_err(|error| {
            OauthError::new("invalid_authorization_details", &error.to_string())
        })?;
    Ok(Question {
        token: token.to_owned().into(),
        workload: form.get("client_id").map(str::to_owned),
        details,
        issued_type,
    })
}

impl OauthError {
    fn new(code: &'static str, description: &str) -> Self {
        let description = description.to_owned();
        Self { status: StatusCode::BAD_REQUEST, code, description, retry_after: None }
    }
}

fn invalid_request(description: &str) -> OauthError {
    OauthError::new("invalid_request", description)
}

fn slow_down(description: &str, wait: Duration) -> OauthError {
    OauthError {
        status: StatusCode::TOO_MANY_REQUESTS,
        retry_after: Some(wait),
        ..OauthError::new("temporarily_unavailable", description)
    }
}

/// The caller learns that it failed; the log says why.
fn failed(event: &'static str, text: &str) -> OauthError {
    log::line(Level::Error, event, text);
    OauthError {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        ..OauthError::new("server_error", "the log of the control plane says more")
    }
}

impl From<ExchangeRefusal> for OauthError {
    fn from(refusal: ExchangeRefusal) -> Self {
        let code = match refusal {
            ExchangeRefusal::NoWorkload | ExchangeRefusal::Proposal => "unauthorized_client",
            ExchangeRefusal::Ambiguous => "invalid_request",
            ExchangeRefusal::Ended | ExchangeRefusal::Subject | ExchangeRefusal::Revoked => {
                "invalid_grant"
            }
            ExchangeRefusal::Nothing | ExchangeRefusal::Size => "invalid_authorization_details",
            ExchangeRefusal::NotReady => return failed("exchange", &refusal.to_string()),
        };
        Self::new(code, &refusal.to_string())
    }
}

/// No cache keeps an answer (RFC 6749 section 5.1).
fn unstored() -> [(HeaderName, &'static str); 2] {
    [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")]
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        let Self { status, code, description, retry_after } = self;
        let body = json!({"error": code, "error_description": description});
        let mut response = (status, unstored(), Json(body)).into_response();
        if let Some(wait) = retry_after {
            let seconds = wait.as_secs().saturating_add(1);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6749 section 5.2 wants a scheme named; none is of use here.
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
