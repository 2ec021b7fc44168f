//! Signing in with a browser on this machine: an authorization code with PKCE (RFC 7636), state
//! and nonce, brought to a port of 127.0.0.1 (RFC 8252).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use openidconnect::core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreTokenResponse};
use openidconnect::{AuthorizationCode, CsrfToken, Nonce, PkceCodeChallenge, RedirectUrl, Scope};

use super::browser;
use super::callback::{Answer, Callback};
use super::provider::{self, Identity, Provider};
use super::refresh::{Asked, OFFLINE_ACCESS};
use crate::failure::{Exit, Failure};
use crate::{output, terminal, transport};

/// Opens the provider's page, or only shows its address, and waits for the answer.
///
/// # Errors
/// The provider does not take PKCE with S256; nobody signed in; the answer is not the one to this
/// question, or comes from somebody else.
pub(crate) async fn sign_in(
    provider: &Provider,
    asked: &Asked,
    open_browser: bool,
) -> Result<(CoreTokenResponse, Identity), Failure> {
    let further = provider.further();
    let methods = further.code_challenge_methods_supported.as_deref();
    if methods.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
        return Err(Failure::failed("the identity provider does not take PKCE with S256"));
    }
    // Before the browser: nobody else may have the port when the answer comes.
    let callback = Callback::bind().await?;
    let redirect = RedirectUrl::new(callback.url())
        .map_err(|_| Failure::failed("the address to come back to is no URL"))?;
    let client = provider.client(&asked.client_id).set_redirect_uri(redirect);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let mut request = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .add_scopes(asked.scopes.iter().cloned().map(Scope::new))
        .set_pkce_challenge(challenge);
    if asked.scopes.iter().any(|scope| scope == OFFLINE_ACCESS) {
        // OpenID Connect Core 1.0 section 11: without it the scope is ignored.
        request = request.add_prompt(CoreAuthPrompt::Consent);
    }
    for resource in asked.wanted.resources() {
        request = request.add_extra_param("resource", resource);
    }
    let (url, state, nonce) = request.url();
    transport::address(url.as_str(), "the identity provider's authorization endpoint")?;
    output::talk(&format!("Sign in at {url}"));
    if open_browser {
        browser::open(url.as_str());
    }
    let answer = callback.answer().await?;
    let iss_promised = further.authorization_response_iss_parameter_supported.unwrap_or(false);
    let code = checked(answer, &state, provider.issuer(), iss_promised)?;
    let mut exchange =
        client.exchange_code(AuthorizationCode::new(code)).set_pkce_verifier(verifier);
    if let Some(resource) = &asked.wanted.api_resource {
        exchange = exchange.add_extra_param("resource", resource.clone());
    }
    let answer = exchange.request_async(&provider.http).await.map_err(provider::refused)?;
    let identity = provider::verified(&answer, &client.id_token_verifier(), Some(&nonce))?;
    Ok((answer, identity))
}

/// The code of an answer that belongs to this question and to this provider.
fn checked(
    answer: Answer,
    state: &CsrfToken,
    issuer: &str,
    iss_promised: bool,
) -> Result<String, Failure> {
    let given = answer.state.unwrap_or_default();
    if verify_slices_are_equal(given.as_bytes(), state.secret().as_bytes()).is_err() {
        return Err(Failure::failed("the browser came back with the answer to another question")
            .hint("sign in again; if it happens again, some page may be trying to sign you in"));
    }
    match answer.iss {
        Some(iss) if iss != issuer => {
            return Err(Failure::failed("another identity provider than the one asked answered"));
        }
        None if iss_promised => {
            return Err(Failure::failed("the answer does not say which provider it comes from"));
        }
        Some(_) | None => {}
    }
    if let Some(error) = answer.error {
        let message = format!("the identity provider refused: {}", terminal::word(&error));
        return Err(Failure::new(Exit::Denied, message));
    }
    answer.code.ok_or_else(|| Failure::failed("the browser came back without a code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(state: &str, iss: Option<&str>, error: Option<&str>) -> Answer {
        Answer {
            code: Some("code".to_owned()),
            state: Some(state.to_owned()),
            iss: iss.map(str::to_owned),
            error: error.map(str::to_owned),
        }
    }

    fn code(answer: Answer, iss_promised: bool) -> Result<String, Failure> {
        let state = CsrfToken::new("s".to_owned());
        checked(answer, &state, "https://id.example.com", iss_promised)
    }

    #[test]
    fn an_answer_to_another_question_or_of_another_provider_gives_no_code() {
        assert_eq!(code(answer("s", None, None), false).unwrap(), "code");
        assert_eq!(code(answer("s", Some("https://id.example.com"), None), true).unwrap(), "code");
        assert!(code(answer("t", None, None), false).is_err());
        assert!(code(Answer { state: None, ..answer("s", None, None) }, false).is_err());
        assert!(code(answer("s", Some("https://id.example.com/"), None), false).is_err());
        assert!(code(answer("s", Some("https://evil.example"), None), true).is_err());
        assert!(code(answer("s", None, None), true).is_err(), "the provider promised `iss`");
    }

    #[test]
    fn a_refusal_is_exit_3_and_cannot_steer_the_terminal() {
        let failure = code(answer("s", None, Some("access_denied\u{1b}[2J")), false).unwrap_err();
        assert_eq!(failure.exit, Exit::Denied);
        assert!(!failure.message.contains('\u{1b}'), "{failure}");
        // Without the right state nobody can even make it say no.
        assert_eq!(code(answer("t", None, Some("x")), false).unwrap_err().exit, Exit::Failed);
    }
}
