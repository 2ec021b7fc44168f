//! `kind: issuer`.

use super::Issuer;
use crate::address::Address;
use crate::reader::{Fields, Keys, Reader};

pub(super) const KEYS: Keys = Keys::known(&[
    "kind",
    "name",
    "issuer",
    "jwks_uri",
    "audiences",
    "user_claim",
    "groups_claim",
    "leeway_ms",
    "lifetime_ms_max",
    "token_types",
    "client_id",
]);

/// The issuer of tokens that the control plane gives to workloads, as rules name it while a
/// workload document is in force. No issuer document has this name.
pub const EXCHANGE_ISSUER: &str = "penstock";

/// The audience of these tokens.
pub const EXCHANGED_AUDIENCE: &str = "penstock";

const LEEWAY_MS_MAX: u64 = 60_000;
const LEEWAY_MS: u64 = 30_000;
const LIFETIME_MS_MAX: u64 = 86_400_000;

/// Longest id of a client, in bytes.
const CLIENT_ID_BYTES_MAX: usize = 255;

/// Largest whole number that every reader of JSON takes exactly.
const INTEGER_MAX: u64 = (1 << 53) - 1;

pub(super) fn read(name: Option<String>, fields: Fields<'_>) -> Option<Issuer> {
    let issuer = fields.required("issuer", issuer_url);
    let jwks_uri = fields.optional("jwks_uri", keys_url);
    let audiences = fields.required("audiences", |value| value.list(1, audience));
    let user_claim = fields.or("user_claim", "sub".to_owned(), Reader::string);
    let groups_claim = fields.or("groups_claim", "groups".to_owned(), Reader::string);
    let leeway_ms = fields.or("leeway_ms", LEEWAY_MS, |value| value.integer(0..=LEEWAY_MS_MAX));
    let lifetime_ms_max =
        fields.or("lifetime_ms_max", LIFETIME_MS_MAX, |value| value.integer(1..=INTEGER_MAX));
    let token_types = fields.or("token_types", default_token_types(), |value| {
        value.list(1, |item| item.text_or_empty().map(str::to_owned))
    });
    let client_id = fields.optional("client_id", client_id);
    Some(Issuer {
        name: name?,
        issuer: issuer?,
        jwks_uri: jwks_uri?,
        audiences: audiences?,
        user_claim: user_claim?,
        groups_claim: groups_claim?,
        leeway_ms: leeway_ms?,
        lifetime_ms_max: lifetime_ms_max?,
        token_types: token_types?,
        client_id: client_id?,
    })
}

/// The document by which nodes trust the tokens that the control plane with this URL gives to
/// workloads: access tokens (RFC 9068) for the gateway, of an hour at most, by a clock of ours.
pub fn exchange_issuer(url: &str) -> Issuer {
    Issuer {
        name: EXCHANGE_ISSUER.to_owned(),
        issuer: url.to_owned(),
        jwks_uri: None,
        audiences: vec![EXCHANGED_AUDIENCE.to_owned()],
        user_claim: "sub".to_owned(),
        groups_claim: "groups".to_owned(),
        leeway_ms: 5_000,
        lifetime_ms_max: 3_600_000,
        token_types: vec!["at+jwt".to_owned()],
        client_id: None,
    }
}

fn default_token_types() -> Vec<String> {
    ["JWT", "at+jwt", ""].map(str::to_owned).to_vec()
}

/// A client's id: visible ASCII (RFC 6749 appendix A.1), since it becomes part of an address.
fn client_id(value: Reader<'_>) -> Option<String> {
    let text = value.text()?;
    if text.len() > CLIENT_ID_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return value.problem("not a client's id", "visible ASCII characters, 255 at most");
    }
    value.string()
}

/// What tokens for the control plane are for.
pub(super) const API_AUDIENCE: &str = "penstock-api";

/// A token that models may be called with must never govern as well.
fn audience(value: Reader<'_>) -> Option<String> {
    if value.text()? == API_AUDIENCE {
        return value.problem(
            format!("`{API_AUDIENCE}` is the audience of the control plane"),
            "name the gateway's own, such as `penstock`",
        );
    }
    value.string()
}

/// An issuer has no query (OpenID Connect Discovery 1.0 section 4.1).
fn issuer_url(value: Reader<'_>) -> Option<String> {
    let address = trusted_address(value)?;
    if address.query.is_some() {
        return value.problem("an issuer with a query", "remove `?` and what follows");
    }
    value.string()
}

fn keys_url(value: Reader<'_>) -> Option<String> {
    trusted_address(value)?;
    value.string()
}

/// Keys decide who is trusted: they come over TLS, or from this machine.
fn trusted_address(value: Reader<'_>) -> Option<Address<'_>> {
    match Address::parse(value.text()?) {
        Ok(address) if address.secure || address.is_loopback() => Some(address),
        Ok(_) => value.problem(
            "`http://` beyond this machine",
            "write `https://`; `http://` only for 127.0.0.1, [::1] and localhost",
        ),
        Err(reason) => value.problem("not an address", reason),
    }
}
