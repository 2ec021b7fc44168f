//! An identity provider as it describes itself, and what is believed of its answers.

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod, CoreGrantType,
    CoreIdTokenVerifier, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
    CoreTokenResponse,
};
use openidconnect::{
    AccessTokenHash, AdditionalProviderMetadata, ClientId, DiscoveryError, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, ErrorResponse, IssuerUrl, Nonce, OAuth2TokenResponse,
    ProviderMetadata, RequestTokenError, TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};

use super::http::{Http, HttpError};
use crate::failure::{Exit, Failure};
use crate::transport;

/// What the library does not read by itself.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Further {
    /// RFC 8628 section 4.
    #[serde(default)]
    pub(crate) device_authorization_endpoint: Option<String>,
    /// RFC 8414 section 2.
    #[serde(default)]
    pub(crate) revocation_endpoint: Option<String>,
    /// RFC 8414 section 2.
    #[serde(default)]
    pub(crate) code_challenge_methods_supported: Option<Vec<String>>,
    /// RFC 9207 section 3.
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: Option<bool>,
}

impl AdditionalProviderMetadata for Further {}

type Metadata = ProviderMetadata<
    Further,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// The library's client, with everything that each way of signing in needs.
pub(crate) type SignInClient = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
    EndpointMaybeSet,
>;

/// Who signed in, from a verified identity token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Identity {
    /// `sub`.
    pub(crate) subject: String,
    /// For people: user name or address.
    pub(crate) name: Option<String>,
}

/// A provider that has described itself.
pub(crate) struct Provider {
    metadata: Metadata,
    token_url: TokenUrl,
    /// With what it is spoken to.
    pub(crate) http: Http,
}

impl Provider {
    /// Fetches its description (OpenID Connect Discovery 1.0) and its keys.
    ///
    /// # Errors
    /// The URL is none that may be trusted; it does not answer, or with something else.
    pub(crate) async fn discover(issuer: &str, ca: Option<&str>) -> Result<Self, Failure> {
        let url = transport::address(issuer, "the identity provider's URL")?;
        let http = Http::new(&url, ca)?;
        let issuer = IssuerUrl::new(issuer.to_owned())
            .map_err(|_| Failure::usage("the identity provider's URL can't be understood"))?;
        let metadata = Metadata::discover_async(issuer, &http).await.map_err(undiscovered)?;
        let token_url = metadata.token_endpoint().cloned().ok_or_else(|| {
            Failure::failed("the identity provider names no token endpoint in its description")
        })?;
        Ok(Self { metadata, token_url, http })
    }

    /// Its URL, exactly as it calls itself.
    pub(crate) fn issuer(&self) -> &str {
        self.metadata.issuer().as_str()
    }

    /// Where tokens come from.
    pub(crate) fn token_endpoint(&self) -> &str {
        self.token_url.as_str()
    }

    /// Endpoints and promises beyond OpenID Connect's own.
    pub(crate) fn further(&self) -> &Further {
        self.metadata.additional_metadata()
    }

    /// A public client (RFC 8252 section 8.5): a program that everybody has can't keep a secret.
    pub(crate) fn client(&self, client_id: &str) -> SignInClient {
        CoreClient::from_provider_metadata(
            self.metadata.clone(),
            ClientId::new(client_id.to_owned()),
            None,
        )
        .set_token_uri(self.token_url.clone())
    }
}

/// Who signed in, by the identity token: its signature, issuer, audience, times and, where one was
/// sent, nonce, and that the access token belongs to it where it says so.
///
/// # Errors
/// There is none, or anything of this does not hold.
pub(crate) fn verified(
    answer: &CoreTokenResponse,
    verifier: &CoreIdTokenVerifier<'_>,
    nonce: Option<&Nonce>,
) -> Result<Identity, Failure> {
    let wrong = |why: String| {
        Failure::failed(format!("the identity provider's identity token can't be trusted: {why}"))
    };
    let token = answer.id_token().ok_or_else(|| wrong("there is none".to_owned()))?;
    let claims = match nonce {
        Some(nonce) => token.claims(verifier, nonce),
        None => token.claims(verifier, |_: Option<&Nonce>| Ok(())),
    };
    let claims = claims.map_err(|error| wrong(error.to_string()))?;
    if let Some(expected) = claims.access_token_hash() {
        let algorithm = token.signing_alg().map_err(|error| wrong(error.to_string()))?;
        let key = token.signing_key(verifier).map_err(|error| wrong(error.to_string()))?;
        let hash = AccessTokenHash::from_token(answer.access_token(), algorithm, key)
            .map_err(|error| wrong(error.to_string()))?;
        if hash != *expected {
            return Err(wrong("it belongs to another access token".to_owned()));
        }
    }
    let name = claims
        .preferred_username()
        .map(|name| name.as_str().to_owned())
        .or_else(|| claims.email().map(|email| email.as_str().to_owned()));
    Ok(Identity { subject: claims.subject().as_str().to_owned(), name })
}

/// Why a token was not given, without anything of the answer but what is meant for people.
pub(crate) fn refused<T: ErrorResponse + 'static>(
    error: RequestTokenError<HttpError, T>,
) -> Failure {
    match error {
        RequestTokenError::ServerResponse(answer) => {
            Failure::new(Exit::Denied, format!("the identity provider refused: {answer}"))
        }
        RequestTokenError::Request(error) => away(&error),
        RequestTokenError::Parse(_, _) | RequestTokenError::Other(_) => {
            Failure::failed("the identity provider's answer can't be understood")
        }
    }
}

fn undiscovered(error: DiscoveryError<HttpError>) -> Failure {
    let hint = "--issuer names the provider exactly as it calls itself";
    match error {
        DiscoveryError::Request(error) => away(&error),
        DiscoveryError::Response(status, _, _) => Failure::failed(format!(
            "the identity provider answered {status} to the question for its description"
        ))
        .hint(hint),
        DiscoveryError::Validation(why) => {
            Failure::failed(format!("the identity provider's description: {why}")).hint(hint)
        }
        DiscoveryError::Parse(error) => Failure::failed(format!(
            "the identity provider's description can't be understood at {}",
            error.path()
        ))
        .hint(hint),
        // The library may add ways to fail.
        _ => Failure::failed("the identity provider's description can't be understood").hint(hint),
    }
}

fn away(error: &HttpError) -> Failure {
    Failure::failed(format!("the identity provider does not answer: {error}"))
}
