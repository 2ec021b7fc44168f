//! `penstock login`, `penstock logout` and `penstock whoami`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::{self, DEV_ADMINISTRATOR, Place, Target};
use crate::commands::token::not_empty;
use crate::commands::versions::at;
use crate::failure::{Exit, Failure};
use crate::output::{self, OutputArguments};
use crate::profiles::{self, Profile, Profiles, Purpose, Wanted};
use crate::sign_in::provider::{Identity, Provider};
use crate::sign_in::refresh::{self, Asked, OFFLINE_ACCESS};
use crate::sign_in::{browser, claims, device, loopback};
use crate::terminal::{Page, word};
use crate::{sources, timestamp, transport};

/// Longest call for the list of issuers.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest list of issuers, in bytes.
const LIST_BYTES_MAX: usize = 1 << 20;

/// Arguments of `penstock login`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock login --url https://penstock.example.com      by browser, or by code where there is none
  penstock login --device                                again, with a code on another device
  penstock login --profile work --url https://penstock.example.com --issuer company
  penstock login --url URL --issuer https://id.example.com --client-id penstock --ca authority.pem

Sign-in is with an issuer of the documents: by an authorization code with PKCE that a browser
brings to a port of 127.0.0.1, or by a code that is typed on any device (RFC 8628). The identity
provider must know this program as a public client, with the redirect URL http://127.0.0.1/callback
on any port, and give it JWTs for two audiences: penstock-api for the control plane, and that of
the gateway. It is asked for them by `resource` (RFC 8707).

Tokens lie in $XDG_CONFIG_HOME/penstock/profiles/NAME.json, readable by its owner alone, and are
refreshed by themselves. `penstock token` prints the gateway's one.")]
pub(crate) struct LoginArguments {
    /// URL of the control plane [default: the profile's]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// URL of the gateway, for `penstock connect`
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    /// URL of the identity provider, or name of its issuer document [default: the only one]
    #[arg(long, value_name = "ISSUER", value_parser = not_empty)]
    issuer: Option<String>,
    /// As what this program is known there [default: as the issuer document says, else penstock]
    #[arg(long, value_name = "ID", value_parser = not_empty)]
    client_id: Option<String>,
    /// With a code that is typed on another device
    #[arg(long, conflicts_with = "loopback")]
    device: bool,
    /// With a browser on this machine
    #[arg(long)]
    loopback: bool,
    /// Show the address to open, and open no browser
    #[arg(long)]
    no_browser: bool,
    /// Authorities to trust beside the system's: a file with certificates in PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Audience of the gateway's tokens, as the issuer document lists it [default: penstock]
    #[arg(long, value_name = "AUDIENCE", value_parser = not_empty)]
    audience: Option<String>,
    /// `resource` for the control plane, empty for none [default: urn:penstock-api]
    #[arg(long, value_name = "URI")]
    api_resource: Option<String>,
    /// `resource` for the gateway, empty for none [default: urn: and the audience]
    #[arg(long, value_name = "URI")]
    gateway_resource: Option<String>,
    /// Scopes beside openid, separated by commas; offline_access is what refreshes
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', default_value = OFFLINE_ACCESS)]
    scopes: Vec<String>,
}

/// A row of `GET /api/v1/login`.
#[derive(Debug, Deserialize)]
struct SignInIssuer {
    name: String,
    issuer: String,
    client_id: String,
}

/// Whom to ask.
struct Issuer {
    url: String,
    client_id: String,
}

/// Signs in and writes the profile.
pub(crate) async fn login(target: &Target, arguments: &LoginArguments) -> Result<(), Failure> {
    let profiles = Profiles::locate()?;
    let name = target.profile.as_deref().unwrap_or(profiles::DEFAULT);
    // One that can't be read is replaced.
    let before = profiles.read(name).unwrap_or_default();
    let url = arguments.url.clone().or_else(|| before.as_ref().map(|profile| profile.url.clone()));
    let url = url.ok_or_else(|| {
        Failure::usage("which control plane?").hint("penstock login --url https://…")
    })?;
    transport::address(&url, "the control plane's URL")?;
    if let Some(gateway) = &arguments.gateway {
        transport::address(gateway, "the gateway's URL")?;
    }
    let before = before.filter(|profile| profile.url == url);
    let ca = match &arguments.ca {
        Some(file) => Some(sources::read_text(file)?),
        None => before.as_ref().and_then(|profile| profile.ca.clone()),
    };
    let issuer = issuer(arguments, before.as_ref(), &url, ca.as_deref()).await?;
    let provider = Provider::discover(&issuer.url, ca.as_deref()).await?;
    let scopes = arguments.scopes.iter().filter(|scope| !scope.is_empty()).cloned().collect();
    let wanted = wanted(arguments, before.as_ref());
    let asked = Asked { client_id: issuer.client_id, scopes, wanted };
    let (answer, identity) = if with_device(arguments, &provider) {
        device::sign_in(&provider, &asked, tokio::time::sleep).await?
    } else {
        loopback::sign_in(&provider, &asked, !arguments.no_browser).await?
    };
    let _lock = profiles.lock(name).await?;
    let gateway = arguments.gateway.clone().or_else(|| before.and_then(|profile| profile.gateway));
    let mut profile = new_profile(url, gateway, ca, &provider, asked, identity);
    refresh::keep(&mut profile, &answer, Purpose::Api)?;
    profiles.write(name, &profile)?;
    if profile.token(Purpose::Gateway, timestamp::now_ms()).is_none() {
        // Without it the control plane can be used all the same.
        if let Err(failure) = refresh::refresh(&mut profile, Purpose::Gateway).await {
            output::talk(&format!("warning: no token for the gateway: {failure}"));
            if let Some(hint) = failure.hint {
                output::talk(&format!("hint: {hint}"));
            }
        }
        profiles.write(name, &profile)?;
    }
    let who = profile.name.as_deref().unwrap_or(&profile.subject);
    output::talk(&format!("signed in as {} (profile {name})", word(who)));
    Ok(())
}

fn with_device(arguments: &LoginArguments, provider: &Provider) -> bool {
    let has_device = provider.further().device_authorization_endpoint.is_some();
    arguments.device || (!arguments.loopback && has_device && !browser::is_likely())
}

fn new_profile(
    url: String,
    gateway: Option<String>,
    ca: Option<String>,
    provider: &Provider,
    asked: Asked,
    identity: Identity,
) -> Profile {
    Profile {
        url,
        gateway,
        ca,
        issuer: provider.issuer().to_owned(),
        client_id: asked.client_id,
        token_endpoint: provider.token_endpoint().to_owned(),
        revocation_endpoint: provider.further().revocation_endpoint.clone(),
        wanted: asked.wanted,
        subject: identity.subject,
        name: identity.name,
        api_token: None,
        gateway_token: None,
        refresh_token: None,
    }
}

fn wanted(arguments: &LoginArguments, before: Option<&Profile>) -> Wanted {
    let before = before.map(|profile| &profile.wanted);
    let gateway_audience =
        arguments.audience.clone().or_else(|| before.map(|wanted| wanted.gateway_audience.clone()));
    let gateway_audience = gateway_audience.unwrap_or_else(|| "penstock".to_owned());
    let resource =
        |given: &Option<String>, before: Option<&Option<String>>, default: &str| match given {
            Some(uri) if uri.is_empty() => None,
            Some(uri) => Some(uri.clone()),
            None => before.cloned().unwrap_or_else(|| Some(format!("urn:{default}"))),
        };
    // Another audience is another resource, whatever was asked for before.
    let kept = before.filter(|wanted| wanted.gateway_audience == gateway_audience);
    Wanted {
        api_resource: resource(
            &arguments.api_resource,
            before.map(|wanted| &wanted.api_resource),
            access::API_AUDIENCE,
        ),
        gateway_resource: resource(
            &arguments.gateway_resource,
            kept.map(|wanted| &wanted.gateway_resource),
            &gateway_audience,
        ),
        gateway_audience,
    }
}

/// Whom to ask: as the arguments say, or the profile, or the control plane's documents.
async fn issuer(
    arguments: &LoginArguments,
    before: Option<&Profile>,
    url: &str,
    ca: Option<&str>,
) -> Result<Issuer, Failure> {
    let given = arguments.client_id.clone();
    let client_id =
        |known: Option<String>| given.clone().or(known).unwrap_or_else(|| "penstock".to_owned());
    let named = match &arguments.issuer {
        Some(issuer) if issuer.contains("://") => {
            let known = before.filter(|profile| profile.issuer == *issuer);
            let known = known.map(|profile| profile.client_id.clone());
            return Ok(Issuer { url: issuer.clone(), client_id: client_id(known) });
        }
        Some(name) => Some(name.as_str()),
        None => None,
    };
    if let (Some(profile), None) = (before, named) {
        let known = Some(profile.client_id.clone());
        return Ok(Issuer { url: profile.issuer.clone(), client_id: client_id(known) });
    }
    let chosen = choose(known_issuers(url, ca).await?, named)?;
    Ok(Issuer { url: chosen.issuer, client_id: client_id(Some(chosen.client_id)) })
}

fn choose(mut issuers: Vec<SignInIssuer>, named: Option<&str>) -> Result<SignInIssuer, Failure> {
    if let Some(name) = named {
        issuers.retain(|issuer| issuer.name == name);
    }
    let hint = "--issuer URL or NAME";
    match (issuers.pop(), issuers.len()) {
        (Some(only), 0) => Ok(only),
        (Some(last), _) => {
            let lines = issuers
                .iter()
                .chain([&last])
                .map(|issuer| format!("{}  {}", word(&issuer.name), word(&issuer.issuer)));
            Err(Failure::usage("several issuers: say which").hint(hint).details(lines.collect()))
        }
        (None, _) => match named {
            Some(name) => Err(Failure::new(
                Exit::NotFound,
                format!("no issuer document with a client_id is named {}", word(name)),
            )
            .hint(hint)),
            None => Err(Failure::failed("the control plane names no issuer to sign in with")
                .hint("--issuer URL and --client-id ID, or `client_id` in an issuer document")),
        },
    }
}

/// The issuers that the control plane names to everybody. None where it does not know the
/// question.
async fn known_issuers(url: &str, ca: Option<&str>) -> Result<Vec<SignInIssuer>, Failure> {
    let base = transport::address(url, "the control plane's URL")?;
    let client = transport::client(transport::is_loopback(&base), ca, Some(CALL_TIMEOUT))?;
    let address = format!("{}/api/v1/login", base.as_str().trim_end_matches('/'));
    let answer = client.get(address).send().await.map_err(|error| {
        let cause = transport::root_cause(&error);
        Failure::failed(format!("the control plane at {base} does not answer: {cause}"))
    })?;
    if !answer.status().is_success() {
        return Ok(Vec::new());
    }
    let unfit = || Failure::failed(format!("is {base} a Penstock control plane?"));
    let content = transport::read(answer, LIST_BYTES_MAX).await.map_err(|_| unfit())?;
    serde_json::from_slice(&content).map_err(|_| unfit())
}

/// Removes the profile, and tells the identity provider.
pub(crate) async fn logout(target: &Target) -> Result<(), Failure> {
    let profiles = Profiles::locate()?;
    let name = target.profile.as_deref().unwrap_or(profiles::DEFAULT);
    let _lock = profiles.lock(name).await?;
    // One that can't be read is removed all the same.
    let profile = profiles.read(name).unwrap_or_default();
    profiles.remove(name)?;
    let told = match &profile {
        Some(profile) => refresh::revoke(profile).await,
        None => Ok(true),
    };
    match told {
        Ok(true) => {}
        Ok(false) => output::talk("warning: the identity provider was not told"),
        Err(failure) => output::talk(&format!("warning: {failure}")),
    }
    output::talk(&format!("signed out (profile {name})"));
    Ok(())
}

/// Arguments of `penstock whoami`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock whoami
  penstock whoami --output json | jq .subject

What the credential says of itself; whether the control plane believes it, a call shows.")]
pub(crate) struct WhoamiArguments {
    #[command(flatten)]
    format: OutputArguments,
}

/// Says as whom calls are made.
pub(crate) fn whoami(target: &Target, arguments: &WhoamiArguments) -> Result<(), Failure> {
    let said = match access::place(target)? {
        Place::State(state) => {
            let record = state.existing_record()?;
            json!({"source": "development state", "url": record.api, "issuer": record.issuer,
                "subject": DEV_ADMINISTRATOR})
        }
        Place::Profile(profiles, name) => {
            let profile = profiles.existing(&name)?;
            json!({"source": format!("profile {name}"), "url": profile.url,
                "issuer": profile.issuer, "subject": profile.subject, "name": profile.name,
                "api_token_expires_ms": profile.api_token.map(|token| token.expires_ms),
                "gateway_token_expires_ms": profile.gateway_token.map(|token| token.expires_ms),
                "refreshed": profile.refresh_token.is_some()})
        }
        Place::Environment(url, token) => {
            let claims = claims::of(&token).unwrap_or_default();
            json!({"source": "PENSTOCK_URL and PENSTOCK_TOKEN", "url": url,
                "issuer": claims.get("iss"), "subject": claims.get("sub"),
                "api_token_expires_ms": claims::expires_ms(&claims)})
        }
    };
    output::one(&said, arguments.format.output, page)
}

fn page(said: &Value) -> String {
    const FIELDS: [(&str, &str); 5] = [
        ("source", "source"),
        ("url", "url"),
        ("issuer", "issuer"),
        ("subject", "subject"),
        ("name", "name"),
    ];
    let mut page = Page::default();
    for (title, field) in FIELDS {
        if let Some(text) = said.get(field).and_then(Value::as_str) {
            page.line(title, &if field == "source" { text.to_owned() } else { word(text) });
        }
    }
    for (title, field) in
        [("api token", "api_token_expires_ms"), ("gateway token", "gateway_token_expires_ms")]
    {
        if said.get(field).is_some_and(Value::is_u64) {
            page.line(title, &format!("until {}", at(said, field)));
        }
    }
    if let Some(refreshed) = said.get("refreshed").and_then(Value::as_bool) {
        page.line("refreshed", if refreshed { "by itself" } else { "not: sign in again" });
    }
    page.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuers() -> Vec<SignInIssuer> {
        let issuer = |name: &str| SignInIssuer {
            name: name.to_owned(),
            issuer: format!("https://{name}.example"),
            client_id: "cli".to_owned(),
        };
        vec![issuer("a"), issuer("b")]
    }

    #[test]
    fn one_issuer_is_taken_and_of_several_one_must_be_named() {
        assert_eq!(choose(issuers(), Some("a")).unwrap().issuer, "https://a.example");
        let failure = choose(issuers(), None).unwrap_err();
        assert_eq!((failure.exit, failure.details.len()), (Exit::Usage, 2));
        assert_eq!(choose(issuers(), Some("c")).unwrap_err().exit, Exit::NotFound);
        assert_eq!(choose(Vec::new(), None).unwrap_err().exit, Exit::Failed);
        assert!(choose(issuers().into_iter().take(1).collect(), None).is_ok());
    }
}
