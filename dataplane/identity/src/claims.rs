//! Claims whose signature holds (RFC 7519 section 4.1), typed strictly: a claim of a wrong type is
//! refused, never taken for an absent one.

use penstock_config::documents::Issuer;
use penstock_config::identity::Identity;
use serde_json::{Map, Value};

use crate::error::TokenError;
use crate::{GROUPS_MAX, intent};

/// Longest subject and user in bytes (OpenID Connect Core section 2).
const NAME_BYTES_MAX: usize = 255;

/// Longest leeway whatever a document says, in milliseconds.
const LEEWAY_MS_MAX: u64 = 60_000;

/// From when until when a token counts, leeway included, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    /// The first moment.
    pub(crate) not_before_ms: u64,
    /// The first moment when it no longer counts.
    pub(crate) expires_ms: u64,
}

/// Checks everything that the claims say, and makes the identity.
pub(crate) fn check<A: AsRef<str>>(
    claims: Map<String, Value>,
    issuer: &Issuer,
    audiences: &[A],
    now_ms: u64,
) -> Result<(Identity, Validity), TokenError> {
    if claims.contains_key("cnf") {
        return Err(TokenError::SenderConstrained);
    }
    let validity = validity(&claims, issuer, now_ms)?;
    check_audience(&claims, audiences)?;
    let identity = identity(claims, issuer)?;
    Ok((identity, validity))
}

fn validity(
    claims: &Map<String, Value>,
    issuer: &Issuer,
    now_ms: u64,
) -> Result<Validity, TokenError> {
    let leeway_ms = issuer.leeway_ms.min(LEEWAY_MS_MAX);
    let expires_at_ms = time_ms(claims, "exp")?.ok_or(TokenError::Time)?;
    let issued_at_ms = time_ms(claims, "iat")?;
    let not_before_ms = time_ms(claims, "nbf")?.unwrap_or(0).max(issued_at_ms.unwrap_or(0));
    let validity = Validity {
        not_before_ms: not_before_ms.saturating_sub(leeway_ms),
        expires_ms: expires_at_ms.saturating_add(leeway_ms),
    };
    if now_ms >= validity.expires_ms {
        return Err(TokenError::Expired);
    }
    if now_ms < validity.not_before_ms {
        return Err(TokenError::NotYetValid);
    }
    let lifetime_ms = expires_at_ms.saturating_sub(issued_at_ms.unwrap_or(now_ms));
    if lifetime_ms > issuer.lifetime_ms_max {
        return Err(TokenError::Lifetime);
    }
    Ok(validity)
}

/// A time claim, which counts seconds: an unsigned integer, written as one (not `1e3` or `1.0`).
fn time_ms(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(seconds)) => match seconds.as_u64() {
            Some(seconds) => Ok(Some(seconds.saturating_mul(1000))),
            None => Err(TokenError::Time),
        },
        Some(_) => Err(TokenError::Time),
    }
}

/// A text that is one of ours, or an array of texts that contains one (RFC 7519 section 4.1.3).
fn check_audience<A: AsRef<str>>(
    claims: &Map<String, Value>,
    audiences: &[A],
) -> Result<(), TokenError> {
    let ours = |name: &str| audiences.iter().any(|audience| audience.as_ref() == name);
    let named = match claims.get("aud") {
        Some(Value::String(name)) => ours(name),
        Some(Value::Array(names)) => {
            let mut any = false;
            for name in names {
                any |= ours(name.as_str().ok_or(TokenError::Audience)?);
            }
            any
        }
        _ => false,
    };
    if named { Ok(()) } else { Err(TokenError::Audience) }
}

fn identity(mut claims: Map<String, Value>, issuer: &Issuer) -> Result<Identity, TokenError> {
    let subject = name(claims.get("sub")).ok_or(TokenError::Subject)?;
    let email_verified = claims.get("email_verified") == Some(&Value::Bool(true));
    if issuer.user_claim == "email" && !email_verified {
        return Err(TokenError::EmailUnverified);
    }
    let user = match at_path(&claims, &issuer.user_claim) {
        Place::Found(value) => name(Some(value)).ok_or(TokenError::User)?,
        Place::Absent | Place::Blocked => return Err(TokenError::User),
    };
    let groups = groups(&claims, &issuer.groups_claim)?;
    let intent = intent::read(&claims)?;
    if !email_verified {
        // Anybody can say that an address is theirs: no rule on `claims` may believe it.
        claims.remove("email");
    }
    Ok(Identity { issuer: issuer.name.clone(), subject, user, groups, claims, intent })
}

/// A text that may name somebody: 1 to 255 bytes, no control characters. It is compared by bytes
/// and never normalised.
fn name(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?;
    let sound = (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    sound.then(|| text.to_owned())
}

/// A text is one group; an absent claim is no groups.
fn groups(claims: &Map<String, Value>, path: &str) -> Result<Vec<String>, TokenError> {
    let place = at_path(claims, path);
    check_overage(claims, path, &place)?;
    match place {
        Place::Absent => Ok(Vec::new()),
        Place::Found(Value::String(group)) => Ok(vec![group.clone()]),
        Place::Found(Value::Array(groups)) if groups.len() > GROUPS_MAX => {
            Err(TokenError::GroupsOverage)
        }
        Place::Found(Value::Array(groups)) => groups
            .iter()
            .map(|group| group.as_str().map(str::to_owned).ok_or(TokenError::Groups))
            .collect(),
        Place::Found(_) | Place::Blocked => Err(TokenError::Groups),
    }
}

/// An identity provider that leaves a claim out because it is too large says so: by a distributed
/// claim (OpenID Connect Core section 5.6.2), or, Microsoft's in the implicit flow, by `hasgroups`.
fn check_overage(
    claims: &Map<String, Value>,
    path: &str,
    place: &Place<'_>,
) -> Result<(), TokenError> {
    let distributed = match claims.get("_claim_names") {
        None => false,
        Some(Value::Object(names)) => {
            let first = path.split('.').next().unwrap_or(path);
            names.contains_key(path) || names.contains_key(first)
        }
        Some(_) => return Err(TokenError::Groups),
    };
    let left_out =
        matches!(place, Place::Absent) && claims.get("hasgroups") == Some(&Value::Bool(true));
    if distributed || left_out { Err(TokenError::GroupsOverage) } else { Ok(()) }
}

/// What stands at a path.
enum Place<'a> {
    /// This.
    Found(&'a Value),
    /// Nothing.
    Absent,
    /// The path leads through something that is no object.
    Blocked,
}

/// A claim of exactly that name (names may contain dots), or a walk through objects by its parts.
fn at_path<'a>(claims: &'a Map<String, Value>, path: &str) -> Place<'a> {
    if let Some(value) = claims.get(path) {
        return Place::Found(value);
    }
    let mut parts = path.split('.');
    let Some(mut value) = parts.next().and_then(|first| claims.get(first)) else {
        return Place::Absent;
    };
    for part in parts {
        let Value::Object(members) = value else {
            return Place::Blocked;
        };
        match members.get(part) {
            Some(member) => value = member,
            None => return Place::Absent,
        }
    }
    Place::Found(value)
}
