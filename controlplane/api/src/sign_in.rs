//! `/sign-in`: how people sign in on the page, where the installation has an issuer for that. Both
//! calls are followed links: they decide nothing.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use penstock_config::identity::Identity;
use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::backend::{Api, Later};
use crate::page;

/// Name of the cookie between the two calls.
const COOKIE: &str = "penstock-sign-in";
/// How long it stays, in seconds.
const COOKIE_LIFETIME_S: u32 = 600;
/// Longest code of a provider, in bytes.
const CODE_BYTES_MAX: usize = 4_096;

/// A sign-in that began.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub location: String,
    /// What it comes back with; sealed.
    pub cookie: String,
    /// Whether the page is reached over TLS.
    pub is_secure: bool,
}

/// What a browser came back with.
#[derive(Debug)]
pub struct Returned {
    /// Of the provider.
    pub code: Zeroizing<String>,
    /// What was sent along.
    pub state: String,
    /// The provider's `iss`, where it says so (RFC 9207).
    pub issuer: Option<String>,
    /// What the browser kept.
    pub cookie: String,
}

/// Who came back.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub identity: Identity,
    /// Their ID token, which is good on the page.
    pub token: Zeroizing<String>,
    /// The approval that they came for.
    pub approval: String,
    /// The key that their link brought; may be empty.
    pub key: Zeroizing<String>,
}

/// Signs people in on the page.
pub trait SignIn: Send + Sync + 'static {
    /// Whether there is an issuer for that.
    fn has_sign_in(&self) -> bool;

    /// Begins; none where the provider can't be asked.
    fn begin_sign_in(&self, approval: String, key: String) -> Later<'_, Option<Begun>>;

    /// Ends; none where nobody signed in.
    fn end_sign_in(&self, returned: Returned) -> Later<'_, Option<SignedIn>>;

    /// Who a token from the page's form speaks for: one for the API, or an ID token of a sign-in.
    fn identify_on_page(&self, token: &[u8]) -> Option<Identity>;
}

/// From the page.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Begin {
    approval: String,
    #[serde(default)]
    key: String,
}

/// From the provider.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Callback {
    code: String,
    state: String,
    #[serde(default)]
    iss: Option<String>,
}

/// Sends the browser to the provider.
pub(crate) async fn begin(State(api): State<Api>, uri: Uri) -> Response {
    let Ok(Query(begin)) = Query::<Begin>::try_from_uri(&uri) else {
        return page::told(StatusCode::BAD_REQUEST, page::Notice::NoForm);
    };
    if !page::is_id(&begin.approval) {
        return page::told(StatusCode::NOT_FOUND, page::Notice::Unknown);
    }
    let key = page::key_of(&begin.key).to_owned();
    let Ok(Some(begun)) = api.begin_sign_in(begin.approval.clone(), key).await else {
        return page::told(StatusCode::SERVICE_UNAVAILABLE, page::Notice::NoProvider);
    };
    let secure = if begun.is_secure { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={}; Max-Age={COOKIE_LIFETIME_S}; Path=/; HttpOnly; SameSite=Lax{secure}",
        begun.cookie
    );
    let headers = [(header::LOCATION, begun.location), (header::SET_COOKIE, cookie)];
    (StatusCode::SEE_OTHER, page::PAGE_HEADERS, headers).into_response()
}

/// Shows what is asked for to whoever came back.
pub(crate) async fn callback(State(api): State<Api>, headers: HeaderMap, uri: Uri) -> Response {
    let returned = Query::<Callback>::try_from_uri(&uri).ok().and_then(|Query(callback)| {
        let cookie = cookie_of(&headers)?;
        let fits = callback.code.len() <= CODE_BYTES_MAX;
        fits.then(|| Returned {
            code: Zeroizing::new(callback.code.clone()),
            state: callback.state.clone(),
            issuer: callback.iss.clone(),
            cookie,
        })
    });
    let signed_in = match returned {
        Some(returned) => api.end_sign_in(returned).await.ok().flatten(),
        None => None,
    };
    let mut response = match signed_in {
        Some(signed_in) => page::after_sign_in(&api, &signed_in),
        None => page::told(StatusCode::UNAUTHORIZED, page::Notice::NotSignedIn),
    };
    let gone = format!("{COOKIE}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax");
    if let Ok(gone) = gone.parse() {
        response.headers_mut().insert(header::SET_COOKIE, gone);
    }
    response
}

/// The one cookie of that name.
fn cookie_of(headers: &HeaderMap) -> Option<String> {
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
    let mut found = fields.flat_map(|field| field.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then(|| value.to_owned())
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}
