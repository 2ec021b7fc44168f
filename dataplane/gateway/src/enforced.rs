//! What a node enforces: one snapshot compiled for lookup. Made on the sync thread, read by every
//! core, immutable. Credentials that go into a header are not in it: see [`crate::leases`].

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::{Endpoint as EndpointState, EndpointKey, Endpoints};
use crate::leases::Leases;
use crate::masking::{Choices, CoreMask, CoreMasks, EnforcedMask, Masks};
use crate::queue::Queue;
use crate::upstream_tls::{self, Digest, Security, UpstreamTlsConfigs};
use aws_lc_rs::digest::{SHA256, digest};
use penstock_config::catalogue::Table;
use penstock_config::certificates::client_certificate;
use penstock_config::decision::{ConnectionIndex, Policy};
use penstock_config::documents::{Connection, Endpoint, Issuer, Mask, Rule};
use penstock_config::node::Position;
use penstock_config::snapshot::Snapshot;
use penstock_identity::Issuers;
use rustls::sign::CertifiedKey;

/// A compiled snapshot.
pub(crate) struct Enforced {
    /// Where it stands.
    pub(crate) position: Position,
    /// Not to be enforced after this, milliseconds since the Unix epoch.
    pub(crate) expires_ms: u64,
    /// Generation of the secrets that its documents go with.
    pub(crate) credentials_generation: u64,
    /// Verification keys.
    pub(crate) issuers: Issuers,
    /// Rules.
    pub(crate) policy: Policy,
    trusted: HashMap<String, Trust>,
    /// Paths of body members that reviewers see, by the name of the rule.
    shows: HashMap<String, Vec<String>>,
    upstreams: Vec<Upstream>,
    /// By name of a connection: exchanges that began under an earlier position end.
    mask_cuts: BTreeMap<String, Position>,
}

/// What of an issuer's document an identity rests on, as a digest: where it is, for whom it speaks,
/// and which claims name a user and groups.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Trust([u8; 32]);

impl Trust {
    fn of(issuer: &Issuer) -> Self {
        let parts = (&issuer.issuer, &issuer.audiences, &issuer.user_claim, &issuer.groups_claim);
        // A tuple of texts always has a JSON form; without one the digest matches no other.
        let text = serde_json::to_vec(&parts).unwrap_or_default();
        let mut trust = Self::default();
        trust.0.copy_from_slice(digest(&SHA256, &text).as_ref());
        trust
    }
}

/// One connection, ready for use.
pub(crate) struct Upstream {
    /// The document.
    pub(crate) document: Connection,
    /// Its operations.
    pub(crate) table: Table,
    /// Its endpoints, at least one.
    pub(crate) endpoints: Vec<Target>,
    /// Its mask.
    pub(crate) mask: Option<Arc<EnforcedMask>>,
    /// What that does here; there where its mask is.
    pub(crate) choices: Option<Arc<Choices>>,
    /// Its mask's analyser.
    pub(crate) analyzer: Option<Target>,
    /// What requests to it rest on.
    pub(crate) footing: Footing,
}

/// What of a connection a request rests on, as a digest: its document, the certificate that its
/// servers are shown, and its mask's document.
#[derive(Clone, Copy)]
pub(crate) struct Footing(Option<Digest>);

impl Footing {
    fn of(
        connection: &Connection,
        certificate: &ClientCertificate,
        mask: Option<&EnforcedMask>,
    ) -> Self {
        let Ok(document) = serde_json::to_vec(connection) else { return Self(None) };
        let shown = match certificate {
            ClientCertificate::None | ClientCertificate::Missing => None,
            ClientCertificate::Held(_, digest) => Some(digest.as_slice()),
        };
        let mask = mask.map(|mask| mask.digest.as_slice());
        Self(Some(upstream_tls::digest(&[Some(document.as_slice()), shown, mask])))
    }

    /// Whether it is the same. What has no digest is like nothing.
    pub(crate) fn is(self, other: Self) -> bool {
        self.0.is_some() && self.0 == other.0
    }
}

/// One endpoint, ready for use.
#[derive(Clone)]
pub(crate) struct Target {
    /// Where it is.
    pub(crate) endpoint: Endpoint,
    /// `Host` of its requests.
    pub(crate) authority: String,
    /// How connections to it are secured.
    pub(crate) security: Security,
}

/// An endpoint as one core uses it.
pub(crate) struct CoreTarget {
    /// Where it is.
    pub(crate) target: Target,
    /// How it does.
    pub(crate) state: Rc<EndpointState>,
}

impl std::ops::Deref for CoreTarget {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.target
    }
}

/// What the servers of a connection are shown as the gateway's own certificate.
pub(crate) enum ClientCertificate {
    /// They ask for none.
    None,
    /// They ask for one and this node does not have it: requests are refused.
    Missing,
    /// A chain and the key that signs with it, and a digest of the secret that they came from. They
    /// are in ordinary memory: the TLS library signs with them.
    Held(Arc<CertifiedKey>, [u8; 32]),
}

/// A snapshot that can't be enforced; it is refused whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    /// The rules do not compile.
    #[error("the policy does not compile: {0}")]
    Policy(String),
    /// A connection's table does not compile.
    #[error("the operations of connection {name} do not compile: {problem}")]
    Table {
        /// The connection.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A connection without endpoints.
    #[error("connection {0} has no endpoint")]
    NoEndpoint(String),
    /// A mask that does not compile.
    #[error("mask {name} does not compile: {problem}")]
    Mask {
        /// The mask.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A connection whose mask is not there.
    #[error("connection {0} has a mask that is not there")]
    NoMask(String),
}

impl Enforced {
    /// Compiles a verified snapshot. Keys that don't pass, and TLS that can't be set up, are left
    /// out; the second value says which.
    ///
    /// # Errors
    /// A part that does not compile: the whole snapshot is refused.
    pub(crate) fn compile(
        snapshot: &Snapshot,
        leases: &Leases,
        configs: &mut UpstreamTlsConfigs,
        masks: &mut Masks,
    ) -> Result<(Self, Vec<String>), CompileError> {
        let documents: Vec<_> = snapshot.issuers.iter().map(|one| one.document.clone()).collect();
        let policy = Policy::compile(&documents, &snapshot.connections, &snapshot.rules)
            .map_err(CompileError::Policy)?;
        let (issuers, problems) = Issuers::compile(&snapshot.issuers);
        let mut problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        configs.begin();
        let generation = snapshot.credentials_generation;
        let compiled_masks = compile_masks(&snapshot.masks, masks)?;
        let upstreams = snapshot
            .connections
            .iter()
            .map(|connection| {
                let certificate = ClientCertificate::compile(connection, leases, generation);
                let mask = mask_of(connection, &compiled_masks)?;
                Upstream::compile(connection, &certificate, mask, configs, &mut problems)
            })
            .collect::<Result<_, _>>()?;
        let compiled = Self {
            position: snapshot.position,
            expires_ms: snapshot.expires_ms,
            credentials_generation: generation,
            issuers,
            policy,
            shows: shows(&snapshot.rules),
            trusted: documents.iter().map(|one| (one.name.clone(), Trust::of(one))).collect(),
            upstreams,
            mask_cuts: snapshot.mask_cuts.clone(),
        };
        Ok((compiled, problems))
    }

    /// What an issuer is trusted for, by the name of its document.
    pub(crate) fn trust(&self, issuer: &str) -> Option<Trust> {
        self.trusted.get(issuer).copied()
    }

    /// Exchanges on a connection that began under an earlier position than this end: its masks are
    /// others now.
    pub(crate) fn mask_cut(&self, connection: &str) -> Option<Position> {
        self.mask_cuts.get(connection).copied()
    }

    /// Paths of body members that reviewers of a rule see.
    pub(crate) fn shows(&self, rule: &str) -> &[String] {
        self.shows.get(rule).map(Vec::as_slice).unwrap_or_default()
    }

    /// The connection at an index that [`Policy::connection`] gave.
    pub(crate) fn upstream(&self, index: ConnectionIndex) -> Option<&Upstream> {
        self.upstreams.get(usize::try_from(index.0).ok()?)
    }

    /// Whether a connection leads over this TLS configuration.
    pub(crate) fn has_tls(&self, id: u64) -> bool {
        self.upstreams
            .iter()
            .flat_map(Upstream::targets)
            .any(|target| target.security.id() == Some(id))
    }

    /// All connections.
    pub(crate) fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }
}

fn compile_masks(
    documents: &[Mask],
    masks: &mut Masks,
) -> Result<HashMap<String, Arc<EnforcedMask>>, CompileError> {
    let one = |document: &Mask| {
        let name = document.name.clone();
        match masks.of(document) {
            Ok(mask) => Ok((name, mask)),
            Err(problem) => Err(CompileError::Mask { name, problem }),
        }
    };
    documents.iter().map(one).collect()
}

/// A connection without its mask would be one in clear text.
fn mask_of(
    connection: &Connection,
    masks: &HashMap<String, Arc<EnforcedMask>>,
) -> Result<Option<Arc<EnforcedMask>>, CompileError> {
    let Some(name) = &connection.mask else { return Ok(None) };
    let mask = masks.get(name).ok_or_else(|| CompileError::NoMask(connection.name.clone()))?;
    Ok(Some(Arc::clone(mask)))
}

fn shows(rules: &[Rule]) -> HashMap<String, Vec<String>> {
    let shown = |rule: &Rule| {
        let show = rule.approval.as_ref().map(|approval| approval.show.clone())?;
        (!show.is_empty()).then(|| (rule.name.clone(), show))
    };
    rules.iter().filter_map(shown).collect()
}

impl Upstream {
    fn compile(
        connection: &Connection,
        certificate: &ClientCertificate,
        mask: Option<Arc<EnforcedMask>>,
        configs: &mut UpstreamTlsConfigs,
        problems: &mut Vec<String>,
    ) -> Result<Self, CompileError> {
        let (table, _) =
            Table::build(connection.protocol, connection.version.as_deref(), &connection.table)
                .map_err(|(row, problem)| CompileError::Table {
                    name: connection.name.clone(),
                    problem: format!("row {row}: {problem}"),
                })?;
        let mut endpoints = Vec::with_capacity(connection.endpoints.len());
        for endpoint in &connection.endpoints {
            let security = configs.of(connection, endpoint, certificate).unwrap_or_else(|why| {
                problems.push(format!("connection {}: {why}", connection.name));
                Security::Impossible
            });
            endpoints.push(Target::new(endpoint, security));
        }
        if endpoints.is_empty() {
            return Err(CompileError::NoEndpoint(connection.name.clone()));
        }
        let footing = Footing::of(connection, certificate, mask.as_deref());
        let choices = mask.as_ref().map(|mask| Arc::new(Choices::of(mask, &connection.name)));
        let analyzer = mask.as_deref().and_then(|mask| analyzer(mask, configs, problems));
        let document = connection.clone();
        Ok(Self { document, table, endpoints, mask, choices, analyzer, footing })
    }

    /// Everything that requests to it lead to: its endpoints, and its mask's analyser.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.endpoints.iter().chain(&self.analyzer)
    }

    /// Whether the certificate that its servers are shown is here, where they are shown one.
    pub(crate) fn has_its_certificate(&self) -> bool {
        self.endpoints.iter().all(|target| target.security.has_its_certificate())
    }
}

/// How the analyser of a mask is reached.
fn analyzer(
    mask: &EnforcedMask,
    configs: &mut UpstreamTlsConfigs,
    problems: &mut Vec<String>,
) -> Option<Target> {
    let (is_secure, endpoint) = mask.analyzer()?;
    let security = if is_secure {
        configs.of_host(&endpoint.host).unwrap_or_else(|why| {
            problems.push(format!("the analyser of mask {}: {why}", mask.document.name));
            Security::Impossible
        })
    } else {
        Security::Clear
    };
    Some(Target::new(&endpoint, security))
}

impl Target {
    fn new(endpoint: &Endpoint, security: Security) -> Self {
        let host = if endpoint.host.contains(':') {
            format!("[{}]", endpoint.host)
        } else {
            endpoint.host.clone()
        };
        let default = if security.is_clear() { 80 } else { 443 };
        let authority =
            if endpoint.port == default { host } else { format!("{host}:{}", endpoint.port) };
        Self { endpoint: endpoint.clone(), authority, security }
    }

    /// What its state is kept under.
    pub(crate) fn key(&self) -> EndpointKey {
        (self.authority.clone(), self.security.id())
    }
}

impl ClientCertificate {
    /// The control plane keeps no other value under such a name; one that comes all the same is
    /// like none.
    fn compile(connection: &Connection, leases: &Leases, generation: u64) -> Self {
        let Some(secret) = connection.client_certificate_secret() else { return Self::None };
        let Some(value) = leases.value(secret, generation) else { return Self::Missing };
        let Ok(text) = std::str::from_utf8(value.bytes()) else { return Self::Missing };
        let mut value_digest = [0; 32];
        value_digest.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        match client_certificate(text) {
            Ok(certificate) => Self::Held(Arc::new(certificate), value_digest),
            Err(_) => Self::Missing,
        }
    }
}

/// Addresses of host names, found off the reactors.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    addresses: HashMap<(String, u16), Vec<SocketAddr>>,
}

impl Resolved {
    /// Addresses by host and port.
    pub(crate) fn new(addresses: HashMap<(String, u16), Vec<SocketAddr>>) -> Self {
        Self { addresses }
    }

    /// The addresses of an endpoint; a literal address needs no look-up.
    pub(crate) fn addresses(&self, endpoint: &Endpoint) -> Vec<SocketAddr> {
        if let Ok(address) = endpoint.host.parse() {
            return vec![SocketAddr::new(address, endpoint.port)];
        }
        let key = (endpoint.host.clone(), endpoint.port);
        self.addresses.get(&key).cloned().unwrap_or_default()
    }
}

/// The policy as one core holds it: endpoints are the core's own copies, so that an exchange keeps
/// the one that it uses without holding the policy, or touching a count that another core touches.
pub(crate) struct CoreView {
    enforced: Arc<Enforced>,
    targets: Vec<Rc<[Rc<CoreTarget>]>>,
    queues: Vec<Rc<Queue>>,
    masks: Vec<Option<Rc<CoreMask>>>,
    began: Rc<Position>,
}

impl CoreView {
    /// A view for the core that calls.
    pub(crate) fn new(
        enforced: Arc<Enforced>,
        endpoints: &Endpoints,
        masks: &CoreMasks,
        now: Duration,
    ) -> Self {
        let one = |target: &Target| {
            let target = target.clone();
            let state = endpoints.of(target.key(), now);
            Rc::new(CoreTarget { target, state })
        };
        let own = |upstream: &Upstream| upstream.endpoints.iter().map(one).collect();
        let targets = enforced.upstreams.iter().map(own).collect();
        let queue = |upstream: &Upstream| endpoints.queue(&upstream.document.name);
        let queues = enforced.upstreams.iter().map(queue).collect();
        let masks = enforced.upstreams.iter().map(|one| CoreMask::of(one, masks)).collect();
        let began = Rc::new(enforced.position);
        Self { enforced, targets, queues, masks, began }
    }

    /// Whether it is a view of this policy.
    pub(crate) fn is(&self, enforced: &Arc<Enforced>) -> bool {
        Arc::ptr_eq(&self.enforced, enforced)
    }

    /// Its position, to be kept by exchanges that begin under it.
    pub(crate) fn began(&self) -> Rc<Position> {
        Rc::clone(&self.began)
    }

    /// Each connection with its endpoints.
    pub(crate) fn all_targets(&self) -> impl Iterator<Item = (&Upstream, &Rc<[Rc<CoreTarget>]>)> {
        self.enforced.upstreams.iter().zip(&self.targets)
    }

    /// The queue before a connection's endpoints.
    pub(crate) fn queue(&self, index: ConnectionIndex) -> Option<&Rc<Queue>> {
        self.queues.get(usize::try_from(index.0).ok()?)
    }

    /// The mask of a connection.
    pub(crate) fn mask(&self, index: ConnectionIndex) -> Option<&Rc<CoreMask>> {
        self.masks.get(usize::try_from(index.0).ok()?)?.as_ref()
    }

    /// Whether a connection of this name has a mask.
    pub(crate) fn masks_connection(&self, name: &str) -> bool {
        self.policy.connection(name).is_some_and(|index| self.mask(index).is_some())
    }

    /// The endpoints of a connection.
    pub(crate) fn targets(&self, index: ConnectionIndex) -> Option<&Rc<[Rc<CoreTarget>]>> {
        self.targets.get(usize::try_from(index.0).ok()?)
    }
}

impl std::ops::Deref for CoreView {
    type Target = Enforced;

    fn deref(&self) -> &Enforced {
        &self.enforced
    }
}

/// A pointer to what is enforced that all threads share.
pub(crate) type Published = arc_swap::ArcSwapOption<Enforced>;

/// The same for addresses.
pub(crate) type PublishedAddresses = arc_swap::ArcSwap<Resolved>;

#[cfg(test)]
mod tests;
