//! Signing in with a code that is typed on another device (RFC 8628).

use std::time::Duration;

use openidconnect::core::{CoreDeviceAuthorizationResponse, CoreTokenResponse};
use openidconnect::{
    DeviceAuthorizationUrl, DeviceCodeErrorResponseType, RequestTokenError, Scope,
};

use super::provider::{self, Identity, Provider};
use super::refresh::Asked;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::terminal;
use crate::transport;

/// A code is waited for no longer, whatever the provider says.
const CODE_LIFE_MAX: Duration = Duration::from_secs(30 * 60);
/// Shortest and longest pause between two questions, whatever the provider says.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Shows a code and waits until somebody has approved it. `sleep` is what passes between two
/// questions.
///
/// # Errors
/// The provider has no such way; the code was refused or has expired.
pub(crate) async fn sign_in<S, F>(
    provider: &Provider,
    asked: &Asked,
    sleep: S,
) -> Result<(CoreTokenResponse, Identity), Failure>
where
    S: Fn(Duration) -> F,
    F: Future<Output = ()>,
{
    let url = provider.further().device_authorization_endpoint.clone().ok_or_else(|| {
        Failure::failed("the identity provider has no device flow").hint("use --loopback")
    })?;
    let url = DeviceAuthorizationUrl::new(url)
        .map_err(|_| Failure::failed("the device endpoint's URL can't be understood"))?;
    let client = provider.client(&asked.client_id).set_device_authorization_url(url);
    let mut request =
        client.exchange_device_code().add_scopes(asked.scopes.iter().cloned().map(Scope::new));
    for resource in asked.wanted.resources() {
        request = request.add_extra_param("resource", resource);
    }
    let details: CoreDeviceAuthorizationResponse =
        request.request_async(&provider.http).await.map_err(provider::refused)?;
    show(&details)?;

    let mut poll = client
        .exchange_device_access_token(&details)
        .set_max_backoff_interval(Duration::from_secs(30));
    if let Some(resource) = &asked.wanted.api_resource {
        poll = poll.add_extra_param("resource", resource.clone());
    }
    let life = details.expires_in().min(CODE_LIFE_MAX);
    let (shortest, longest) = PAUSE;
    let pause = |asked: Duration| sleep(asked.clamp(shortest, longest));
    let answer = poll.request_async(&provider.http, pause, Some(life)).await.map_err(ended)?;
    let identity = provider::verified(&answer, &client.id_token_verifier(), None)?;
    Ok((answer, identity))
}

/// Tells where to type what.
fn show(details: &CoreDeviceAuthorizationResponse) -> Result<(), Failure> {
    let page = details.verification_uri().as_str();
    transport::address(page, "the address that the identity provider wants to be opened")?;
    let code = details.user_code().secret();
    output::talk(&format!("On any device, open {page}"));
    output::talk(&format!("and type the code {}", terminal::word(code)));
    if let Some(complete) = details.verification_uri_complete() {
        let complete = complete.secret();
        if transport::address(complete, "").is_ok() {
            output::talk(&format!("or open {complete} and compare the code"));
        }
    }
    output::talk("Only if you began this yourself. Waiting ...");
    Ok(())
}

fn ended(
    error: RequestTokenError<super::http::HttpError, openidconnect::DeviceCodeErrorResponse>,
) -> Failure {
    if let RequestTokenError::ServerResponse(answer) = &error {
        match answer.error() {
            DeviceCodeErrorResponseType::ExpiredToken => {
                return Failure::failed("nobody typed the code in time")
                    .hint("penstock login --device");
            }
            DeviceCodeErrorResponseType::AccessDenied => {
                return Failure::new(Exit::Denied, "the sign-in was refused on the other device");
            }
            DeviceCodeErrorResponseType::AuthorizationPending
            | DeviceCodeErrorResponseType::SlowDown
            | DeviceCodeErrorResponseType::Basic(_) => {}
        }
    }
    provider::refused(error)
}
