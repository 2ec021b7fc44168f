//! Credentials of model servers that this node may use now. Made on the sync thread, read by every
//! core where a head is written, and replaced whole, so that the end of a lease waits for no
//! snapshot. Values stand in locked memory alone; the sync thread keeps each set until no core
//! reads it, so that they are zeroised there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use penstock_config::documents::{Connection, CredentialScheme};
use penstock_config::lease::{MASK_KEY, MASK_KEY_BYTES, mask_key};
use penstock_reactor::locked::{Arena, ArenaFull, Locked};
use penstock_reactor::network::Network;
use zeroize::Zeroizing;

use crate::core::{Core, Report};
use crate::enforced::{CoreView, Enforced, Upstream};
use crate::reason::Reason;

/// How long a request that may go waits for the credential that goes with it.
const LEASE_WAIT_MAX: Duration = Duration::from_secs(2);

/// How often it looks meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(5);

const BEARER: &[u8] = b"Bearer ";
const BASIC: &[u8] = b"Basic ";

/// What a node may use now, by name of the secret.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    by_secret: HashMap<String, Leased>,
}

/// A pointer to it that all threads share.
pub(crate) type PublishedLeases = arc_swap::ArcSwap<Leases>;

/// One secret. A value goes with documents of its own generation or a later one: while cores still
/// enforce older ones, the value before goes with those.
#[derive(Clone, Debug)]
pub(crate) struct Leased {
    newest: Value,
    before: Option<Value>,
}

/// One value of a secret, in the forms in which headers have it.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    /// The generation of the secrets with which it was set: it names the value.
    generation: u64,
    /// `Bearer ` and the value.
    bearer: Arc<Locked>,
    /// `Basic ` and the value in base64, where a connection asks for it.
    basic: Option<Arc<Locked>>,
}

/// The header that carries a credential.
#[derive(Clone, Copy)]
pub(crate) struct Injected<'l> {
    /// Lower-case name.
    pub(crate) name: &'l [u8],
    /// Value, with its scheme.
    pub(crate) value: &'l [u8],
    /// Which of the secret's values it is.
    pub(crate) generation: u64,
}

impl Leases {
    /// Those of these names.
    pub(crate) fn new(by_secret: HashMap<String, Leased>) -> Self {
        Self { by_secret }
    }

    /// The value of a secret that goes with documents of this generation; none: this node may not
    /// have it, or not yet.
    pub(crate) fn value(&self, secret: &str, generation: u64) -> Option<&Value> {
        self.by_secret.get(secret)?.at(generation)
    }

    /// The cluster's mask key, for values that are hashed under documents of this generation; none:
    /// this node has it not yet.
    pub(crate) fn mask_key(&self, generation: u64) -> Option<Zeroizing<[u8; MASK_KEY_BYTES]>> {
        mask_key(self.value(MASK_KEY, generation)?.bytes()).ok()
    }

    /// The header that a connection's requests need; none where its server wants none.
    ///
    /// # Errors
    /// The server wants one, and it is not here.
    pub(crate) fn header<'l>(
        &'l self,
        upstream: &'l Upstream,
        in_force: &Enforced,
    ) -> Result<Option<Injected<'l>>, Reason> {
        let Some(wanted) = &upstream.document.credential else { return Ok(None) };
        let value = self.value(&wanted.secret, in_force.credentials_generation);
        let value = value.ok_or(Reason::CredentialUnavailable)?;
        let name = wanted.header.as_bytes();
        let generation = value.generation;
        let value = value.in_scheme(wanted.scheme).ok_or(Reason::CredentialUnavailable)?;
        Ok(Some(Injected { name, value, generation }))
    }

    /// Whether everything that a connection's requests need is here.
    fn suffices(&self, upstream: &Upstream, in_force: &Enforced) -> bool {
        self.header(upstream, in_force).is_ok() && upstream.has_its_certificate()
    }
}

impl Leased {
    /// Its only value.
    pub(crate) fn new(value: Value) -> Self {
        Self { newest: value, before: None }
    }

    fn at(&self, generation: u64) -> Option<&Value> {
        let mut values = std::iter::once(&self.newest).chain(&self.before);
        values.find(|value| value.generation <= generation)
    }

    /// The newest value's generation.
    pub(crate) fn generation(&self) -> u64 {
        self.newest.generation
    }

    /// Takes a newer value; `enforced`: the generation of the documents in force, with which one of
    /// the values before goes on.
    pub(crate) fn replace(&mut self, value: Value, enforced: u64) {
        let before = self.at(enforced).cloned();
        self.before = before.filter(|before| before.generation != value.generation);
        self.newest = value;
    }

    /// Whether there is a value that only older documents than these go with.
    pub(crate) fn outlives(&self, enforced: u64) -> bool {
        self.before.is_some() && self.newest.generation <= enforced
    }

    /// Lets go of the value before.
    pub(crate) fn forget_before(&mut self) {
        self.before = None;
    }

    /// Makes its values ready for the scheme `basic`.
    ///
    /// # Errors
    /// No locked memory is left.
    pub(crate) fn prepare_basic(&mut self, arena: &Arena) -> Result<(), ArenaFull> {
        let mut values = std::iter::once(&mut self.newest).chain(&mut self.before);
        values.try_for_each(|value| value.prepare_basic(arena))
    }
}

impl Value {
    /// Copies a value into locked memory.
    ///
    /// # Errors
    /// There is no room left.
    pub(crate) fn new(arena: &Arena, generation: u64, value: &[u8]) -> Result<Self, ArenaFull> {
        let length = BEARER.len().saturating_add(value.len());
        let bearer = arena.fill(length, |room| {
            let (scheme, rest) = room.split_at_mut(BEARER.len());
            scheme.copy_from_slice(BEARER);
            rest.copy_from_slice(value);
        })?;
        Ok(Self { generation, bearer: Arc::new(bearer), basic: None })
    }

    fn prepare_basic(&mut self, arena: &Arena) -> Result<(), ArenaFull> {
        if self.basic.is_some() {
            return Ok(());
        }
        let encoded = base64::encoded_len(self.bytes().len(), true).ok_or(ArenaFull)?;
        let length = encoded.checked_add(BASIC.len()).ok_or(ArenaFull)?;
        let basic = arena.fill(length, |room| {
            let (scheme, rest) = room.split_at_mut(BASIC.len());
            scheme.copy_from_slice(BASIC);
            // The room is as long as what goes there; were it not, it would stay zero, which is no
            // header's value.
            let _ = STANDARD.encode_slice(self.bytes(), rest);
        })?;
        self.basic = Some(Arc::new(basic));
        Ok(())
    }

    /// The secret itself.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bearer.get(BEARER.len()..).unwrap_or_default()
    }

    /// As a header has it; none where nobody asked for that scheme.
    pub(crate) fn in_scheme(&self, scheme: CredentialScheme) -> Option<&[u8]> {
        match scheme {
            CredentialScheme::Bearer => Some(&self.bearer),
            CredentialScheme::Raw => Some(self.bytes()),
            CredentialScheme::Basic => self.basic.as_ref().map(|basic| &***basic),
        }
    }
}

/// Secrets of connections that ask for the scheme `basic`.
pub(crate) fn in_basic(connections: &[Connection]) -> impl Iterator<Item = &str> {
    let credentials = connections.iter().filter_map(|one| one.credential.as_ref());
    let basic = credentials.filter(|one| one.scheme == CredentialScheme::Basic);
    basic.map(|one| one.secret.as_str())
}

/// Waits until this node has what requests to a connection need: a grant may be younger than its
/// lease. No policy is held meanwhile.
///
/// # Errors
/// [`Reason::CredentialUnavailable`] after [`LEASE_WAIT_MAX`]; or no policy is in force.
pub(crate) async fn wait<N: Network>(core: &Core<N>, connection: &str) -> Result<(), Reason> {
    let ends = core.network.now().saturating_add(LEASE_WAIT_MAX);
    let mut asked = false;
    loop {
        if is_here(core, &*core.in_force()?, connection) {
            return Ok(());
        }
        if core.network.now() >= ends {
            return Err(Reason::CredentialUnavailable);
        }
        if !asked {
            // A full queue: the grant itself is told to the sync thread too.
            asked = core.reports.try_send(Report::LeaseWanted).is_ok();
        }
        core.network.sleep(LOOK_EVERY).await;
    }
}

/// A connection that is gone needs nothing: what comes next says so.
fn is_here<N: Network>(core: &Core<N>, in_force: &CoreView, connection: &str) -> bool {
    let index = in_force.policy.connection(connection);
    let upstream = index.and_then(|index| in_force.upstream(index));
    upstream.is_none_or(|upstream| core.node.leases.load().suffices(upstream, in_force))
}

#[cfg(test)]
pub(crate) mod tests;
