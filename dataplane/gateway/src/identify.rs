//! Identify: the one token of a request, verified, and what follows from it. Without a valid token
//! every path gives the same answer.

use std::rc::Rc;

use penstock_config::decision::SubjectRules;
use penstock_config::identity::Identity;
use penstock_config::node::UnknownKey;
use penstock_config::target::Target;
use penstock_identity::{TokenCache, TokenError};
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::Network;

use crate::accept::Request;
use crate::client::Client;
use crate::core::{Core, InForce, Known, Report};
use crate::live::Marks;
use crate::pipeline::Ending;
use crate::reason::Reason;
use crate::session::Session;

/// A request of somebody known.
pub(crate) struct Identified {
    /// The head's bytes.
    pub(crate) head: Buffer,
    /// The target.
    pub(crate) target: Target,
    known: Rc<Known>,
}

impl Identified {
    /// What was verified, and under which policy.
    pub(crate) fn known(&self) -> &Rc<Known> {
        &self.known
    }

    /// Who asks.
    pub(crate) fn identity(&self) -> &Rc<Identity> {
        &self.known.identity
    }

    /// The rules that concern them.
    pub(crate) fn rules(&self) -> &SubjectRules {
        &self.known.rules
    }
}

/// Verifies the request's token.
pub(crate) fn identify<N: Network>(
    core: &Core<N>,
    client: &Client<N>,
    request: Request,
    session: &mut Session,
) -> Result<Identified, Ending> {
    let in_force = core.in_force()?;
    let token = token(client, &request.head)?;
    let known = known(core, client, &in_force, token)?;
    not_revoked(core, &known)?;
    session.identity = Some(Rc::clone(&known.identity));
    let Some(target) = request.target else { return Err(Reason::Method.into()) };
    Ok(Identified { head: request.head, target, known })
}

/// The policy in force now, and the caller as it sees them: after a wait the policy may be another
/// one, and the token may have expired.
pub(crate) fn anew<N: Network>(
    core: &Core<N>,
    client: &Client<N>,
    identified: &mut Identified,
) -> Result<InForce, Reason> {
    let in_force = core.in_force()?;
    let is_current = identified.known.generation == core.generation();
    if !is_current || core.wall_ms() >= identified.known.expires_ms {
        let token = token(client, &identified.head)?;
        identified.known = known(core, client, &in_force, token)?;
    }
    not_revoked(core, &identified.known)?;
    Ok(in_force)
}

/// What was revoked does not count, whether it was verified before or now.
fn not_revoked<N: Network>(core: &Core<N>, known: &Known) -> Result<(), Reason> {
    if core.live.is_revoked(&known.marks) {
        return Err(Reason::Unauthenticated("revoked"));
    }
    Ok(())
}

/// The token's bytes: from `Authorization: Bearer` or `x-api-key`, never from both, never two.
fn token<'h, N: Network>(client: &Client<N>, head: &'h [u8]) -> Result<&'h [u8], Reason> {
    let mut authorizations = client.head.find(head, "authorization");
    let mut keys = client.head.find(head, "x-api-key");
    let (authorization, key) = (authorizations.next(), keys.next());
    if authorizations.next().is_some() || keys.next().is_some() {
        return Err(Reason::ambiguous("more than one token"));
    }
    match (authorization, key) {
        (Some(_), Some(_)) => Err(Reason::ambiguous("more than one token")),
        (Some(value), None) => bearer(value).ok_or(Reason::Unauthenticated("scheme")),
        (None, Some(value)) => Ok(value),
        (None, None) => Err(Reason::Unauthenticated("none")),
    }
}

/// `Bearer`, in any case (RFC 9110 section 11.1), one space, the token.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.starts_with(b" ")).then_some(token)
}

fn known<N: Network>(
    core: &Core<N>,
    client: &Client<N>,
    in_force: &InForce,
    token: &[u8],
) -> Result<Rc<Known>, Reason> {
    let now_ms = core.wall_ms();
    let key = TokenCache::<Rc<Known>>::key(token);
    if let Some(known) = core.tokens.borrow_mut().get(&key, now_ms) {
        core.counters.tokens_cached.add(1);
        return Ok(Rc::clone(known));
    }
    let (address, now) = (client.peer.ip(), core.network.now());
    if !core.failures.may_try(address, now) {
        return Err(Reason::RateLimited);
    }
    core.counters.tokens_verified.add(1);
    let verified = in_force.issuers.verify(token, now_ms).map_err(|error| {
        core.failures.failed(address, now);
        refusal(core, error)
    })?;
    let known = Rc::new(Known {
        rules: in_force.policy.subject_rules(&verified.identity),
        trust: in_force.trust(&verified.identity.issuer).unwrap_or_default(),
        key_thumbprint: verified.key_thumbprint,
        marks: Marks::of(token, &verified.identity),
        expires_ms: verified.expires_ms,
        generation: core.generation(),
        identity: Rc::new(verified.identity),
    });
    core.tokens.borrow_mut().insert(
        key,
        verified.expires_ms,
        verified.not_before_ms,
        Rc::clone(&known),
    );
    Ok(known)
}

/// The caller gets one answer for every fault; the label is for the log. A key that nobody knows is
/// reported: the control plane alone fetches.
fn refusal<N: Network>(core: &Core<N>, error: TokenError) -> Reason {
    let label = error.label();
    if let TokenError::UnknownKey { issuer, kid } = error {
        let _ = core.reports.try_send(Report::UnknownKey(UnknownKey { issuer, kid }));
    }
    Reason::Unauthenticated(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_has_no_case_and_takes_exactly_one_space() {
        assert_eq!(bearer(b"bEaReR abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"Bearer  abc"), None);
        assert_eq!(bearer(b"Basic abc"), None);
        assert_eq!(bearer(b"Bearer"), None);
    }
}
