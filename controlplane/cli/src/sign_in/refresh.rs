//! Which tokens are kept, and new ones from a refresh token (RFC 6749 section 6).

use openidconnect::core::{CoreClient, CoreTokenResponse};
use openidconnect::{
    ClientId, ErrorResponseType, IssuerUrl, JsonWebKeySet, OAuth2TokenResponse, RefreshToken,
    RequestTokenError, TokenUrl,
};
use zeroize::Zeroizing;

use super::http::Http;
use super::{claims, provider};
use crate::access::API_AUDIENCE;
use crate::failure::{Exit, Failure};
use crate::profiles::{Profile, Profiles, Purpose, Token, Wanted};
use crate::secret::Secret;
use crate::{terminal, timestamp, transport};

/// The scope with which a refresh token is asked for.
pub(crate) const OFFLINE_ACCESS: &str = "offline_access";
/// How long a token is used that does not say when it ends, in milliseconds.
const UNKNOWN_LIFE_MS: u64 = 60_000;

/// What the identity provider is asked for at a sign-in.
pub(crate) struct Asked {
    /// As what this command line is known.
    pub(crate) client_id: String,
    /// Scopes beside `openid`.
    pub(crate) scopes: Vec<String>,
    /// Resources and audiences.
    pub(crate) wanted: Wanted,
}

impl Wanted {
    /// Values of `resource`.
    pub(crate) fn resources(&self) -> impl Iterator<Item = String> {
        [&self.api_resource, &self.gateway_resource].into_iter().flatten().cloned()
    }

    fn resource(&self, purpose: Purpose) -> Option<&String> {
        match purpose {
            Purpose::Api => self.api_resource.as_ref(),
            Purpose::Gateway => self.gateway_resource.as_ref(),
        }
    }

    fn audience(&self, purpose: Purpose) -> &str {
        match purpose {
            Purpose::Api => API_AUDIENCE,
            Purpose::Gateway => &self.gateway_audience,
        }
    }
}

/// A token of the profile that lasts a little longer: the one that is kept, or a new one.
///
/// # Errors
/// Nobody is signed in, or not any more; the provider does not answer.
pub(crate) async fn fresh(
    profiles: &Profiles,
    name: &str,
    purpose: Purpose,
) -> Result<Zeroizing<String>, Failure> {
    let profile = profiles.existing(name)?;
    if let Some(token) = profile.token(purpose, timestamp::now_ms()) {
        return Ok(token.token.copy());
    }
    let _lock = profiles.lock(name).await?;
    // Another command may have done it in the meantime.
    let mut profile = profiles.existing(name)?;
    if profile.token(purpose, timestamp::now_ms()).is_none() {
        let asked = refresh(&mut profile, purpose).await;
        // Whatever came is kept: the old refresh token may not hold any more.
        profiles.write(name, &profile)?;
        asked.map_err(|failure| again(failure, name))?;
    }
    // A new token is used whatever is left of it: the next one would be no better.
    let token =
        profile.newest_token(purpose).filter(|token| token.expires_ms > timestamp::now_ms());
    token.map(|token| token.token.copy()).ok_or_else(|| {
        again(Failure::new(Exit::Denied, "the identity provider's tokens end at once"), name)
    })
}

/// Gets new tokens for a purpose and puts them, and a new refresh token, into the profile.
///
/// # Errors
/// There is no refresh token, or it does not hold any more; the token that came is not good for
/// the purpose.
pub(crate) async fn refresh(profile: &mut Profile, purpose: Purpose) -> Result<(), Failure> {
    let Some(refresh_token) = &profile.refresh_token else {
        return Err(Failure::new(Exit::Denied, "the sign-in has ended"));
    };
    let unfit = |_| Failure::machine("the profile holds a URL that can't be understood");
    let issuer = transport::address(&profile.issuer, "the identity provider's URL")?;
    let http = Http::new(&issuer, profile.ca.as_deref())?;
    let client = CoreClient::new(
        ClientId::new(profile.client_id.clone()),
        IssuerUrl::new(profile.issuer.clone()).map_err(unfit)?,
        JsonWebKeySet::default(),
    )
    .set_token_uri(TokenUrl::new(profile.token_endpoint.clone()).map_err(unfit)?);
    let old = RefreshToken::new(refresh_token.reveal().to_owned());
    let mut request = client.exchange_refresh_token(&old);
    if let Some(resource) = profile.wanted.resource(purpose) {
        request = request.add_extra_param("resource", resource.clone());
    }
    match request.request_async(&http).await {
        Ok(answer) => keep(profile, &answer, purpose),
        Err(error) => {
            let ended = matches!(&error, RequestTokenError::ServerResponse(answer)
                if is_invalid_grant(answer.error()));
            if ended {
                profile.refresh_token = None;
                return Err(Failure::new(Exit::Denied, "the sign-in has ended"));
            }
            Err(provider::refused(error))
        }
    }
}

fn is_invalid_grant(error: &impl ErrorResponseType) -> bool {
    serde_json::to_value(error).is_ok_and(|name| name == "invalid_grant")
}

/// Puts what an answer holds into the profile: the access token for each purpose that it is good
/// for, and the refresh token, which replaces the old one (rotation, RFC 9700 section 4.14.2).
///
/// # Errors
/// The access token is not good for the purpose.
pub(crate) fn keep(
    profile: &mut Profile,
    answer: &CoreTokenResponse,
    purpose: Purpose,
) -> Result<(), Failure> {
    if let Some(token) = answer.refresh_token() {
        profile.refresh_token = Some(Secret::new(token.secret().clone()));
    }
    let text = answer.access_token().secret();
    let claims = claims::of(text).ok_or_else(|| {
        Failure::failed(
            "the identity provider gave a token that is no JWT, which nobody can verify",
        )
        .hint("let it give JWTs as access tokens for this client")
    })?;
    let now_ms = timestamp::now_ms();
    let life_ms = answer.expires_in().and_then(|life| u64::try_from(life.as_millis()).ok());
    let ends = [claims::expires_ms(&claims), life_ms.map(|ms| now_ms.saturating_add(ms))];
    let expires_ms =
        ends.into_iter().flatten().min().unwrap_or(now_ms.saturating_add(UNKNOWN_LIFE_MS));
    let audiences = claims::audiences(&claims);
    let token = || Some(Token { token: Secret::new(text.clone()), expires_ms });
    if audiences.contains(&profile.wanted.audience(Purpose::Api)) {
        profile.api_token = token();
    }
    if audiences.contains(&profile.wanted.audience(Purpose::Gateway)) {
        profile.gateway_token = token();
    }
    let wanted = profile.wanted.audience(purpose);
    if audiences.contains(&wanted) {
        return Ok(());
    }
    let given: Vec<String> = audiences.iter().map(|audience| terminal::word(audience)).collect();
    let given = if given.is_empty() { "nobody".to_owned() } else { given.join(", ") };
    Err(Failure::failed(format!(
        "the identity provider gave a token for {given}, not for {wanted}"
    ))
    .hint("--api-resource, --gateway-resource and --scopes say what it is asked for"))
}

fn again(failure: Failure, name: &str) -> Failure {
    match failure.exit {
        Exit::Denied => failure.hint(format!("penstock login --profile {name}")),
        Exit::Failed | Exit::Usage | Exit::NotFound | Exit::Conflict | Exit::Machine => failure,
    }
}

/// Tells the provider that a refresh token is not used any more (RFC 7009). Says whether it was
/// told.
pub(crate) async fn revoke(profile: &Profile) -> Result<bool, Failure> {
    let (Some(endpoint), Some(token)) = (&profile.revocation_endpoint, &profile.refresh_token)
    else {
        return Ok(false);
    };
    let url = transport::address(endpoint, "the identity provider's revocation endpoint")?;
    let http = Http::new(&url, profile.ca.as_deref())?;
    let status = http
        .post_form(
            &url,
            &[
                ("token", token.reveal()),
                ("token_type_hint", "refresh_token"),
                ("client_id", &profile.client_id),
            ],
        )
        .await
        .map_err(|error| Failure::failed(format!("the sign-in was not revoked: {error}")))?;
    Ok(status.is_success())
}
