//! `/approvals/{id}`: the page for people who follow the address of an approval, from a mail, a
//! message or an error. Looking at it needs no token, shows nothing of the approval, not even
//! whether there is one, decides nothing and uses nothing up: scanners of mail and previews of
//! chats follow links. Who signs in, with their provider or with a token of theirs, sees what is
//! asked for. Who then clicks, answers; for that the link must have brought a key, which is good
//! once.

mod html;

use std::net::IpAddr;

use axum::Form;
use axum::extract::{FromRequest as _, Path, Query, Request, State};
use axum::http::{HeaderName, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use penstock_app::approvals::{Channel, Vote};
use penstock_app::{Answer, Event, Refusal, Requester, sha256_hex};
use penstock_config::hold::REASON_BYTES_MAX;
use penstock_config::identity::Identity;
use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop};

pub(crate) use self::html::Notice;
use self::html::Shown;
use crate::approvals::sees;
use crate::backend::{Api, Failure};
use crate::caller::TOKEN_BYTES_MAX;
use crate::correspondence::{OnceAnswer, OnceOnly, PeerAddress};
use crate::sign_in::SignedIn;

/// Largest form, in bytes: a token and a reason, escaped.
pub(crate) const FORM_BYTES_MAX: usize = 32 * 1024;
/// Length of a key: 32 bytes as hex digits.
const KEY_BYTES: usize = 64;

/// Headers of every page for people: nothing is loaded, run, framed, kept, or sent elsewhere.
pub(crate) const PAGE_HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// What a link brings.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Link {
    /// Good for one answer about one approval; absent in links that nobody got by mail.
    #[serde(default)]
    key: String,
}

/// What people send from the page.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Sent {
    token: String,
    #[serde(default)]
    key: String,
    /// `approve` or `deny`; nothing where somebody only signs in.
    #[serde(default)]
    answer: String,
    #[serde(default)]
    reason: String,
}

/// The page before anybody signed in.
pub(crate) async fn show(State(api): State<Api>, Path(id): Path<String>, uri: Uri) -> Response {
    let link = Query::<Link>::try_from_uri(&uri).ok();
    let key = link.as_ref().map_or("", |Query(link)| key_of(&link.key));
    // Only what looks like an id is repeated.
    let id = if is_id(&id) { id.as_str() } else { "ID" };
    page(StatusCode::OK, html::welcome(id, key, api.has_sign_in()))
}

/// Somebody signs in, or answers.
pub(crate) async fn answer(
    State(api): State<Api>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let address = request.extensions().get::<PeerAddress>().map(|address| address.0);
    let sent = match Form::<Sent>::from_request(request, &()).await {
        Ok(Form(sent)) if is_id(&id) => sent,
        Ok(_) => return told(StatusCode::NOT_FOUND, Notice::Unknown),
        Err(rejection) => return told(rejection.status(), Notice::NoForm),
    };
    let token = sent.token.trim().as_bytes();
    let identity = (token.len() <= TOKEN_BYTES_MAX).then(|| api.identify_on_page(token)).flatten();
    let Some(identity) = identity else {
        return unidentified(&api, address);
    };
    if sees(&api.state(), &identity, &id).is_none() {
        return told(StatusCode::NOT_FOUND, Notice::Unknown);
    }
    match sent.answer.as_str() {
        "" => asked(&api, &id, &identity, sent.token.trim(), key_of(&sent.key), ""),
        "approve" => decide(&api, id, identity, &sent, Vote::YES).await,
        "deny" => {
            let reason = sent.reason.trim();
            if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
                return told(StatusCode::UNPROCESSABLE_ENTITY, Notice::NoReason);
            }
            let vote = Vote::Deny { reason: reason.to_owned() };
            decide(&api, id, identity, &sent, vote).await
        }
        _ => told(StatusCode::BAD_REQUEST, Notice::NoForm),
    }
}

fn unidentified(api: &Api, address: Option<IpAddr>) -> Response {
    if api.fails_too_often(address) {
        return told(StatusCode::TOO_MANY_REQUESTS, Notice::TooOften);
    }
    told(StatusCode::UNAUTHORIZED, Notice::NoToken)
}

/// The page of somebody who comes back from their provider. Nothing is decided.
pub(crate) fn after_sign_in(api: &Api, signed_in: &SignedIn) -> Response {
    let SignedIn { identity, token, approval, key } = signed_in;
    asked(api, approval, identity, token, key_of(key), "../approvals/")
}

/// What is asked for, and the buttons where the link brought a key. Nothing is decided.
fn asked(api: &Api, id: &str, identity: &Identity, token: &str, key: &str, base: &str) -> Response {
    let state = api.state();
    let Some(approval) = sees(&state, identity, id) else {
        return told(StatusCode::NOT_FOUND, Notice::Unknown);
    };
    let shown = Shown {
        id,
        user: &identity.user,
        state: state.shown_state(approval),
        summary: &approval.summary(),
        key,
        token,
        base,
    };
    page(StatusCode::OK, html::asked(&shown))
}

async fn decide(
    api: &Api,
    approval: String,
    identity: Identity,
    sent: &Sent,
    vote: Vote,
) -> Response {
    let key = key_of(&sent.key);
    if key.is_empty() {
        return told(StatusCode::FORBIDDEN, Notice::NoKey);
    }
    let once =
        OnceOnly::Link { key_sha256: sha256_hex(key.as_bytes()), approval: approval.clone() };
    let by = Requester::Identity(Box::new(identity));
    let event = Event::Vote { by, approval, vote, channel: Channel::Page };
    match api.submit_once(once, event).await {
        Ok(OnceAnswer::Used(Answer::ApprovalEnded(state))) => {
            told(StatusCode::CONFLICT, Notice::Ended(state))
        }
        Ok(OnceAnswer::Used(_)) => told(StatusCode::OK, Notice::Counted),
        Ok(OnceAnswer::NotUsable) => told(StatusCode::FORBIDDEN, Notice::NoKey),
        Ok(OnceAnswer::TooMany) => told(StatusCode::TOO_MANY_REQUESTS, Notice::TooOften),
        Err(Failure::Unavailable) => told(StatusCode::SERVICE_UNAVAILABLE, Notice::Unavailable),
        Err(Failure::Refused(refusal)) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Response {
    let text = refusal.to_string();
    let status = crate::Problem::from(refusal).status;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    told(status, Notice::Refused(text))
}

pub(crate) fn told(status: StatusCode, notice: Notice) -> Response {
    page(status, html::notice(&notice))
}

fn page(status: StatusCode, text: String) -> Response {
    (status, PAGE_HEADERS, Html(text)).into_response()
}

/// A key where it looks like one.
pub(crate) fn key_of(text: &str) -> &str {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == KEY_BYTES && text.bytes().all(digit) { text } else { "" }
}

/// `apr-` and up to 64 lower-case letters and digits.
pub(crate) fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let random = text.strip_prefix("apr-").unwrap_or_default();
    !random.is_empty() && random.len() <= 64 && random.bytes().all(plain)
}
