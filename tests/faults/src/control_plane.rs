//! A control plane that a test plays: it speaks the nodes' contract over TLS, and dies, stalls or
//! lies when it is told to.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use penstock_config::documents::{Document, Source, parse};
use penstock_config::lease::{Binding, HeldSecret, LeaseAnswer, LeaseRequest, Terms, Until, seal};
use penstock_config::node::{JoinAnswer, JoinFile, JoinRequest, Position, SnapshotKey};
use penstock_config::snapshot::{FORMAT, Snapshot, SnapshotSigner, TrustedIssuer, verify};
use penstock_harness::{Message, TestIssuer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::authority::{Authority, GOOD_UNTIL};

/// How long a poll waits here for something new: shorter than what a node asks for, so that a node
/// is confirmed often.
const POLL: Duration = Duration::from_millis(200);

/// How often a wait looks whether the server ends.
const LOOK: Duration = Duration::from_millis(20);

/// Name of the cluster.
const CLUSTER: &str = "faults";

/// What the control plane does with calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Behaviour {
    /// Answers.
    Serves,
    /// Ends every connection, as one whose process is gone.
    IsDead,
    /// Takes calls and answers none.
    Stalls,
    /// Answers each poll for a snapshot with these bytes.
    Lies(Vec<u8>),
    /// Answers each poll for a snapshot with bytes that do not end.
    FloodsSnapshots,
}

struct State {
    behaviour: Behaviour,
    documents: String,
    version: u64,
    signed: Vec<u8>,
    digest: String,
    secrets: Option<Vec<(String, String)>>,
    /// How long each lease lasts from its answer on; `None`: without an end.
    lease_ms: Option<u64>,
    /// For which node leases are sealed; `None`: for the one that joined last.
    sealed_for: Option<String>,
    generation: u64,
    joined: usize,
    statuses: Vec<Value>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    signer: SnapshotSigner,
    authority: Authority,
    tls: Arc<ServerConfig>,
    stop: AtomicBool,
}

/// The running control plane. Dropping it ends it.
pub struct ControlPlane {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What is answered.
enum Reply {
    Json(u16, Vec<u8>),
    Nothing,
    Endless,
}

impl ControlPlane {
    /// Starts with these documents in force; tokens of their issuer are signed by `issuer`.
    #[must_use]
    #[track_caller]
    pub fn start(documents: &str, issuer: &TestIssuer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let authority = Authority::new();
        let tls = authority.server_config(GOOD_UNTIL);
        let (signer, _) = SnapshotSigner::generate().unwrap();
        let state = State {
            behaviour: Behaviour::Serves,
            documents: String::new(),
            version: 0,
            signed: Vec::new(),
            digest: String::new(),
            secrets: Some(Vec::new()),
            lease_ms: None,
            sealed_for: None,
            generation: 1,
            joined: 0,
            statuses: Vec::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            signer,
            authority,
            tls,
            stop: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        let control = Self { address, shared };
        control.publish(documents, issuer);
        control
    }

    /// What a node joins with.
    #[must_use]
    pub fn join_file(&self) -> String {
        let file = JoinFile {
            url: format!("https://{}", self.address),
            ca_sha256: self.shared.authority.sha256(),
            ca_pem: self.shared.authority.certificate_pem(),
            snapshot_keys: vec![self.key()],
            token: "one-time".to_owned(),
            cluster: CLUSTER.to_owned(),
        };
        serde_json::to_string(&file).unwrap()
    }

    /// The key that snapshots are signed with.
    #[must_use]
    pub fn key(&self) -> SnapshotKey {
        self.shared.signer.public()
    }

    /// Behaves so from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state().behaviour = behaviour;
        self.shared.changed.notify_all();
    }

    /// Puts documents in force, as the next version.
    #[track_caller]
    pub fn publish(&self, documents: &str, issuer: &TestIssuer) {
        let mut state = self.state();
        state.version += 1;
        state.documents = documents.to_owned();
        let position = Position { epoch: 1, version: state.version, revision: 0 };
        let snapshot = self.snapshot(documents, issuer, position, state.generation);
        state.signed = self.shared.signer.sign(&snapshot);
        let (_, digest) = verify(&[self.key()], &state.signed).unwrap();
        state.digest = digest;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// The version in force here.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// The snapshot in force here, signed.
    #[must_use]
    pub fn signed(&self) -> Vec<u8> {
        self.state().signed.clone()
    }

    /// A snapshot of the documents in force at another position, changed by the test, and signed
    /// with this control plane's key.
    #[must_use]
    #[track_caller]
    pub fn signed_with(
        &self,
        issuer: &TestIssuer,
        position: Position,
        change: impl FnOnce(&mut Snapshot),
    ) -> Vec<u8> {
        let (documents, generation) = {
            let state = self.state();
            (state.documents.clone(), state.generation)
        };
        let mut snapshot = self.snapshot(&documents, issuer, position, generation);
        change(&mut snapshot);
        self.shared.signer.sign(&snapshot)
    }

    /// Values of secrets that nodes get; `None`: the call fails.
    pub fn lease(&self, secrets: Option<&[(&str, &str)]>) {
        let lease = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.state().secrets = secrets.map(|secrets| secrets.iter().map(lease).collect());
    }

    /// Leases end so long after each answer from now on, as those that stand for a grant.
    pub fn lease_for(&self, life: Duration) {
        self.state().lease_ms = u64::try_from(life.as_millis()).ok();
    }

    /// Leases are sealed for this node from now on, whoever asks.
    pub fn seal_for(&self, node: &str) {
        self.state().sealed_for = Some(node.to_owned());
    }

    /// The last refusal that a node told.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let state = self.state();
        let told = |status: &Value| status["refused"].as_str().map(str::to_owned);
        state.statuses.iter().rev().find_map(told)
    }

    fn snapshot(
        &self,
        documents: &str,
        issuer: &TestIssuer,
        position: Position,
        credentials_generation: u64,
    ) -> Snapshot {
        let source = Source { name: "documents".to_owned(), text: documents.to_owned() };
        let issued_ms = now_ms();
        let mut snapshot = Snapshot {
            format: FORMAT,
            cluster: CLUSTER.to_owned(),
            position,
            previous: String::new(),
            issued_ms,
            expires_ms: issued_ms + 86_400_000,
            snapshot_keys: vec![self.key()],
            credentials_generation,
            issuers: Vec::new(),
            connections: Vec::new(),
            rules: Vec::new(),
            masks: Vec::new(),
            mask_cuts: std::collections::BTreeMap::new(),
        };
        for placed in parse(&[source]).unwrap() {
            match placed.document {
                Document::Issuer(document) => {
                    snapshot.issuers.push(TrustedIssuer { document, keys: vec![issuer.jwk()] });
                }
                Document::Connection(document) => snapshot.connections.push(document),
                Document::Rule(document) => snapshot.rules.push(document),
                Document::Role(_)
                | Document::Person(_)
                | Document::Webhook(_)
                | Document::Mail(_)
                | Document::Workload(_) => {}
                Document::Mask(document) => snapshot.masks.push(document),
            }
        }
        snapshot
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        // The node may leave at any time; the test sees what it needs in what was answered.
        std::thread::spawn(move || shared.serve(stream));
    }
}

impl State {
    /// What the node that joined last may have.
    fn leases(&self, request: &LeaseRequest) -> Option<LeaseAnswer> {
        let generation = self.generation;
        let lease = |(secret, value): &(String, String)| {
            let held = HeldSecret { secret: secret.clone(), generation };
            let value = (!request.have.contains(&held)).then(|| value.clone().into());
            let until = self.lease_ms.map(|left_ms| Until { ends_ms: now_ms() + left_ms, left_ms });
            (Terms { secret: secret.clone(), generation, until }, value)
        };
        let leases = self.secrets.as_ref()?.iter().map(lease).collect();
        let node = self.sealed_for.clone().unwrap_or_else(|| format!("node-{}", self.joined));
        let binding = Binding { node: &node, generation, server_ms: now_ms() };
        seal(&request.public_key, binding, leases).ok()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(LOOK))?;
        let connection = ServerConnection::new(Arc::clone(&self.tls)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        let mut received = Vec::new();
        loop {
            let request = self.read(&mut stream, &mut received)?;
            match self.answer(&request)? {
                Reply::Json(status, body) => {
                    let length = body.len();
                    write!(stream, "HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n\r\n")?;
                    stream.write_all(&body)?;
                }
                Reply::Nothing => stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?,
                Reply::Endless => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
                    while !self.is_over() {
                        stream.write_all(&[b' '; 65_536])?;
                    }
                }
            }
            stream.flush()?;
        }
    }

    fn read(
        &self,
        stream: &mut StreamOwned<ServerConnection, TcpStream>,
        received: &mut Vec<u8>,
    ) -> io::Result<Message> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some((request, taken)) = Message::read_request(received) {
                received.drain(..taken);
                return Ok(request);
            }
            if self.is_over() || self.state().behaviour == Behaviour::IsDead {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            match stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => received.extend(buffer.iter().take(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn answer(&self, request: &Message) -> io::Result<Reply> {
        let target = request.target();
        if target.starts_with("/node/v1/snapshot?") {
            return self.poll(target);
        }
        self.until_awake()?;
        let mut state = self.state();
        Ok(match target {
            "/node/v1/join" => {
                state.joined += 1;
                let asked: JoinRequest = serde_json::from_slice(&request.body)?;
                let node = format!("node-{}", state.joined);
                let certificate_pem = self.authority.sign_node(&asked.csr_pem);
                Reply::Json(200, serde_json::to_vec(&JoinAnswer { node, certificate_pem })?)
            }
            "/node/v1/leases" => match state.leases(&serde_json::from_slice(&request.body)?) {
                Some(answer) => Reply::Json(200, serde_json::to_vec(&answer)?),
                None => Reply::Json(503, Vec::new()),
            },
            "/node/v1/status" => {
                state.statuses.push(serde_json::from_slice(&request.body)?);
                Reply::Nothing
            }
            _ => Reply::Nothing,
        })
    }

    /// Waits while the control plane answers nothing.
    fn until_awake(&self) -> io::Result<()> {
        let mut state = self.state();
        while state.behaviour == Behaviour::Stalls && !self.is_over() {
            state = self.wait(state);
        }
        match state.behaviour {
            Behaviour::IsDead | Behaviour::Stalls => Err(ErrorKind::ConnectionAborted.into()),
            Behaviour::Serves | Behaviour::Lies(_) | Behaviour::FloodsSnapshots => Ok(()),
        }
    }

    fn poll(&self, target: &str) -> io::Result<Reply> {
        let holds = target.split(['?', '&']).find_map(|part| part.strip_prefix("holds="));
        let ends = Instant::now() + POLL;
        let mut state = self.state();
        while !self.is_over() {
            match &state.behaviour {
                Behaviour::IsDead => break,
                Behaviour::Stalls => {}
                Behaviour::Lies(bytes) => return Ok(Reply::Json(200, bytes.clone())),
                Behaviour::FloodsSnapshots => return Ok(Reply::Endless),
                Behaviour::Serves if holds != Some(state.digest.as_str()) => {
                    return Ok(Reply::Json(200, state.signed.clone()));
                }
                Behaviour::Serves if Instant::now() >= ends => return Ok(Reply::Nothing),
                Behaviour::Serves => {}
            }
            state = self.wait(state);
        }
        Err(ErrorKind::ConnectionAborted.into())
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
