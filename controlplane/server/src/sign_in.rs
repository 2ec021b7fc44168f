//! Sign-in of people on the page, by OpenID Connect: authorization code with PKCE, state and nonce
//! (OpenID Connect Core 1.0, RFC 7636, RFC 9207). Nothing is kept between the two calls: what the
//! second one needs is sealed in a cookie, which also binds both to one browser. What comes out is
//! an ID token of the person; it is good on the page alone, and ends by itself.

mod provider;

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use penstock_api::sign_in::{Begun, Returned, SignedIn};
use penstock_app::hex;
use penstock_app::state::Sealed;
use penstock_app::vault::{self, MasterKey, SealRandom};
use penstock_config::documents::Issuer;
use penstock_config::identity::Identity;
use penstock_config::settings::SignInSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use self::provider::{Provider, ProviderError};
use crate::log::{self, Level, now_ms};
use crate::random;
use crate::tokens::{Tokens, is_revoked};
use crate::worker::Handle;

/// How long a sign-in may take, in milliseconds.
const LIFETIME_MS: u64 = 600_000;
/// What cookies are sealed for. No secret has a name with a space.
const SEALED_FOR: &str = "sign-in cookie";

/// Sign-in with one issuer. Copies share it.
#[derive(Clone)]
pub(crate) struct SignIn(Arc<Shared>);

struct Shared {
    settings: SignInSettings,
    redirect: String,
    provider: Provider,
    master: Arc<MasterKey>,
    handle: Handle,
    tokens: Tokens,
}

/// What the cookie holds.
#[derive(Deserialize, Serialize, Zeroize, ZeroizeOnDrop)]
struct Kept {
    state: String,
    nonce: String,
    verifier: String,
    approval: String,
    key: String,
}

/// What a sign-in works with.
pub(crate) struct Parts {
    pub(crate) settings: SignInSettings,
    /// Where people reach the API.
    pub(crate) url: String,
    pub(crate) development: bool,
    /// Whether the issuer may be on a private network.
    pub(crate) private: bool,
    pub(crate) master: Arc<MasterKey>,
    pub(crate) handle: Handle,
    pub(crate) tokens: Tokens,
}

/// Why nobody signed in. Says nothing that came from outside.
#[derive(Debug, thiserror::Error)]
enum SignInError {
    #[error("the issuer of `sign_in` is not in force")]
    NoIssuer,
    #[error("{0}")]
    Machine(String),
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error("the answer is for another browser, too late, or of another issuer")]
    Foreign,
    #[error("the ID token does not hold, or is not for this sign-in")]
    Token,
}

impl SignIn {
    /// Connects to nothing.
    ///
    /// # Errors
    /// The machine's trusted roots can't be read.
    pub(crate) fn new(parts: Parts) -> Result<Self, String> {
        let Parts { settings, url, development, private, master, handle, tokens } = parts;
        let provider = Provider::new(development, private)?;
        let redirect = format!("{url}/sign-in/callback");
        Ok(Self(Arc::new(Shared { settings, redirect, provider, master, handle, tokens })))
    }

    /// Where somebody goes to sign in, and the cookie that they come back with.
    pub(crate) async fn begin(&self, approval: String, key: String) -> Option<Begun> {
        told(self.0.begin(approval, key).await)
    }

    /// Who came back.
    pub(crate) async fn end(&self, returned: Returned) -> Option<SignedIn> {
        told(self.0.end(&returned).await)
    }

    /// Who an ID token of a sign-in speaks for.
    pub(crate) fn identify(&self, token: &[u8]) -> Option<Identity> {
        self.0.identify(token)
    }
}

fn told<T>(result: Result<T, SignInError>) -> Option<T> {
    result.inspect_err(|error| log::line(Level::Warning, "sign_in_failed", &log::chain(error))).ok()
}

impl Shared {
    fn issuer(&self) -> Result<Issuer, SignInError> {
        let state = self.handle.state();
        let found = state.issuers().find(|issuer| issuer.name == self.settings.issuer).cloned();
        found.ok_or(SignInError::NoIssuer)
    }

    async fn begin(&self, approval: String, key: String) -> Result<Begun, SignInError> {
        let issuer = self.issuer()?;
        let endpoints = self.provider.endpoints(&issuer.issuer).await?;
        let fresh = || {
            let bytes = random::bytes::<32>().map_err(SignInError::Machine)?;
            Ok::<_, SignInError>(hex(&*bytes))
        };
        let kept = Kept { state: fresh()?, nonce: fresh()?, verifier: fresh()?, approval, key };
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, kept.verifier.as_bytes()));
        let mut location = endpoints.authorization;
        location
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.redirect)
            .append_pair("scope", &self.settings.scopes.join(" "))
            .append_pair("state", &kept.state)
            .append_pair("nonce", &kept.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(Begun {
            location: location.into(),
            cookie: self.seal(&kept)?,
            is_secure: self.redirect.starts_with("https://"),
        })
    }

    async fn end(&self, returned: &Returned) -> Result<SignedIn, SignInError> {
        let kept = self.open(&returned.cookie).ok_or(SignInError::Foreign)?;
        let issuer = self.issuer()?;
        let same = verify_slices_are_equal(kept.state.as_bytes(), returned.state.as_bytes());
        // Where a provider names itself it must be the one that was asked (RFC 9207).
        let named = returned.issuer.as_ref().is_none_or(|named| *named == issuer.issuer);
        if same.is_err() || !named {
            return Err(SignInError::Foreign);
        }
        let endpoints = self.provider.endpoints(&issuer.issuer).await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &returned.code),
            ("redirect_uri", &self.redirect),
            ("client_id", &self.settings.client_id),
            ("code_verifier", &kept.verifier),
        ];
        let token = self.provider.id_token(endpoints.token, &form).await?;
        let identity = self.identify(token.as_bytes()).ok_or(SignInError::Token)?;
        let nonce = identity.claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
        if verify_slices_are_equal(nonce.as_bytes(), kept.nonce.as_bytes()).is_err() {
            return Err(SignInError::Token);
        }
        let (approval, key) = (kept.approval.clone(), Zeroizing::new(kept.key.clone()));
        Ok(SignedIn { identity, token, approval, key })
    }

    fn identify(&self, token: &[u8]) -> Option<Identity> {
        let audiences = [self.settings.client_id.as_str()];
        let identity = self.tokens.identify_for(token, &audiences, now_ms()).ok()?;
        let ours = identity.issuer == self.settings.issuer;
        (ours && !is_revoked(&self.handle.state(), &identity, token)).then_some(identity)
    }

    fn seal(&self, kept: &Kept) -> Result<String, SignInError> {
        let machine = |error: &dyn std::error::Error| SignInError::Machine(error.to_string());
        let text = Zeroizing::new(serde_json::to_string(kept).map_err(|error| machine(&error))?);
        let random = random::bytes().map_err(SignInError::Machine)?;
        let random = SealRandom::new(&random);
        let ends_ms = now_ms().saturating_add(LIFETIME_MS);
        let Sealed { wrapped_key, ciphertext, .. } =
            vault::seal(&self.master, SEALED_FOR, ends_ms, text.as_bytes(), random)
                .map_err(|error| machine(&error))?;
        Ok(format!("{ends_ms}.{wrapped_key}.{ciphertext}"))
    }

    fn open(&self, cookie: &str) -> Option<Kept> {
        let mut parts = cookie.splitn(3, '.');
        let generation: u64 = parts.next()?.parse().ok()?;
        let left_ms = generation.checked_sub(now_ms())?;
        let (wrapped_key, ciphertext) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let sealed = Sealed { generation, wrapped_key, ciphertext };
        let text = vault::open(&self.master, SEALED_FOR, &sealed).ok()?;
        if left_ms > LIFETIME_MS {
            return None;
        }
        serde_json::from_str(&text).ok()
    }
}
