//! A core on the in-memory network, with a policy, an issuer, and a model server that the test
//! plays.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crossbeam_channel::Receiver;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use penstock_config::documents::{Document, Source, parse};
use penstock_config::lease::MASK_KEY;
use penstock_config::node::Position;
use penstock_config::settings::DataplaneSettings;
use penstock_config::snapshot::{Snapshot, TrustedIssuer};
use penstock_reactor::buffer::Pool;
use penstock_reactor::memory::{Link, Listener, MemoryNetwork, Peer, Simulation};
use penstock_reactor::network::Network as _;
use serde_json::{Value, json};

use crate::access_log::Entry;
use crate::client;
use crate::core::{Core, Node};
use crate::counters::Counters;
use crate::enforced::Enforced;
use crate::leases::tests::{leases, leases_of};
use crate::letters::DeskMail;
use crate::masking::Masks;
use crate::upstream_tls::UpstreamTlsConfigs;

/// Wall clock of every test at its start.
const NOW_SECONDS: u64 = 1_800_000_000;

/// Mail to the sync thread that waits at most.
const DESK: usize = 64;

/// The model's own credential.
pub(crate) const MODEL_KEY: &str = "the-models-own-key";

/// Documents that most tests use.
pub(crate) const DOCUMENTS: &str = r#"
kind: issuer
name: company
issuer: https://id.example.com
audiences: [penstock]
groups_claim: groups
---
kind: connection
name: llama
protocol: llamacpp
version: b11434
endpoints: ["http://127.0.0.1:8080"]
credential: {secret: llama-key, scheme: bearer}
---
kind: rule
name: engineers-infer
effect: allow
subjects: [{groups: [engineers]}]
operations: ["infer.*", list, embed]
---
kind: rule
name: ci-lists
effect: allow
subjects: [{groups: [ci]}]
operations: [list]
---
kind: rule
name: nobody-reads-predictions
effect: deny
operations: [read.predictions]
"#;

/// One core and all that stands around it.
pub(crate) struct Stage {
    pub(crate) simulation: Simulation,
    pub(crate) core: Rc<Core<MemoryNetwork>>,
    pub(crate) upstream: Listener,
    pub(crate) network: MemoryNetwork,
    log: Receiver<Entry>,
    /// What the core writes to the sync thread.
    pub(crate) desk: tokio::sync::mpsc::Receiver<DeskMail>,
    key: Ed25519KeyPair,
    pkcs8: Vec<u8>,
    version: u64,
    /// The value of the model's own credential in the next policy.
    pub(crate) model_key: String,
    configs: UpstreamTlsConfigs,
    masks: Masks,
    /// Up to where exchanges are cut by their masks from the next policy on.
    pub(crate) mask_cuts: BTreeMap<String, Position>,
    /// The key that values are hashed with, in the next policy: base64.
    pub(crate) mask_key: Option<&'static str>,
}

impl Stage {
    /// A stage with the usual documents and plain links.
    pub(crate) fn new() -> Self {
        Self::with(1, Link::default(), DOCUMENTS)
    }

    /// A stage of one's own.
    pub(crate) fn with(seed: u64, upstream_link: Link, documents: &str) -> Self {
        Self::limited(seed, upstream_link, documents, "{}")
    }

    /// A stage whose settings have limits of their own, as YAML.
    pub(crate) fn limited(seed: u64, upstream_link: Link, documents: &str, limits: &str) -> Self {
        let settings = settings(limits);
        let simulation = Simulation::new(seed);
        simulation.set_wall(Duration::from_secs(NOW_SECONDS));
        let network = simulation.network(0, Pool::new(settings.limits.buffer_bytes_per_core_max));
        let address: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let upstream = simulation.listen(address, upstream_link);
        let (log_to, log) = crossbeam_channel::bounded(1_024);
        let (reports, _) = tokio::sync::mpsc::channel(16);
        let (to_desk, desk) = tokio::sync::mpsc::channel(DESK);
        let node = Arc::new(Node::new(settings));
        node.confirmed_ms.store(NOW_SECONDS * 1_000, std::sync::atomic::Ordering::Release);
        let counters = Arc::new(Counters::default());
        let core = Rc::new(Core::new(network.clone(), node, 0, counters, log_to, reports, to_desk));
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&aws_lc_rs::rand::SystemRandom::new())
            .unwrap()
            .as_ref()
            .to_vec();
        let key = Ed25519KeyPair::from_pkcs8(&pkcs8).unwrap();
        let configs = UpstreamTlsConfigs::new(None).unwrap();
        let (version, model_key) = (0, MODEL_KEY.to_owned());
        let mut stage = Self {
            simulation,
            core,
            upstream,
            network,
            log,
            desk,
            key,
            pkcs8,
            version,
            model_key,
            configs,
            masks: Masks::default(),
            mask_cuts: BTreeMap::new(),
            mask_key: None,
        };
        stage.enforce(documents);
        stage
    }

    /// Puts documents in force, as the sync thread does.
    pub(crate) fn enforce(&mut self, documents: &str) {
        self.version += 1;
        let snapshot = self.snapshot(documents);
        let mut secrets = vec![("llama-key", self.model_key.as_str())];
        secrets.extend(self.mask_key.map(|key| (MASK_KEY, key)));
        let leases = leases_of(self.model_key_generation(), &secrets);
        let (enforced, problems) =
            Enforced::compile(&snapshot, &leases, &mut self.configs, &mut self.masks).unwrap();
        assert_eq!(problems, Vec::<String>::new());
        self.core.node.leases.store(Arc::new(leases));
        self.core.node.published.store(Some(Arc::new(enforced)));
        let core = Rc::clone(&self.core);
        self.simulation.run_until(async move { core.refresh().await }).unwrap();
    }

    /// Why documents can't be enforced.
    pub(crate) fn refused(&mut self, documents: &str) -> String {
        let snapshot = self.snapshot(documents);
        let leases = leases("llama-key", 1, MODEL_KEY);
        let compiled = Enforced::compile(&snapshot, &leases, &mut self.configs, &mut self.masks);
        compiled.err().unwrap().to_string()
    }

    /// Which value of the model's own credential this is: another one has another number.
    fn model_key_generation(&self) -> u64 {
        u64::from(self.model_key != MODEL_KEY).saturating_add(1)
    }

    fn snapshot(&self, documents: &str) -> Snapshot {
        let source = Source { name: "test".to_owned(), text: documents.to_owned() };
        let placed = parse(&[source]).unwrap();
        let mut snapshot = Snapshot {
            format: 1,
            cluster: "test".to_owned(),
            position: Position { epoch: 1, version: self.version, revision: 0 },
            previous: String::new(),
            snapshot_keys: Vec::new(),
            issued_ms: NOW_SECONDS * 1_000,
            expires_ms: (NOW_SECONDS + 86_400) * 1_000,
            credentials_generation: self.model_key_generation(),
            issuers: Vec::new(),
            connections: Vec::new(),
            rules: Vec::new(),
            masks: Vec::new(),
            mask_cuts: self.mask_cuts.clone(),
        };
        for one in placed {
            match one.document {
                Document::Issuer(document) => {
                    snapshot.issuers.push(TrustedIssuer { document, keys: vec![self.jwk()] });
                }
                Document::Connection(document) => snapshot.connections.push(document),
                Document::Rule(document) => snapshot.rules.push(document),
                Document::Mask(document) => snapshot.masks.push(document),
                Document::Role(_)
                | Document::Person(_)
                | Document::Webhook(_)
                | Document::Mail(_)
                | Document::Workload(_) => {}
            }
        }
        snapshot
    }

    fn jwk(&self) -> serde_json::Map<String, Value> {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key().as_ref());
        let key = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
                         "kid": "one", "x": x});
        key.as_object().unwrap().clone()
    }

    /// The company signs with another key from now on; the old one is gone with the next policy.
    pub(crate) fn replace_key(&mut self) {
        let random = aws_lc_rs::rand::SystemRandom::new();
        self.pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&random).unwrap().as_ref().to_vec();
        self.key = Ed25519KeyPair::from_pkcs8(&self.pkcs8).unwrap();
    }

    /// A token of the company for these groups.
    pub(crate) fn token(&self, user: &str, groups: &[&str]) -> String {
        let now = self.core.wall_ms() / 1_000;
        let claims = json!({"iss": "https://id.example.com", "sub": user, "aud": "penstock",
                            "groups": groups, "jti": format!("jti-{user}"), "iat": now,
                            "exp": now + 600});
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some("one".to_owned());
        encode(&header, &claims, &EncodingKey::from_ed_der(&self.pkcs8)).unwrap()
    }

    /// A caller's end of a new connection.
    pub(crate) fn caller(&mut self, link: Link) -> Peer {
        let (stream, peer) = self.network.connected(link);
        let core = Rc::clone(&self.core);
        self.network.spawn(client::serve(core, stream));
        peer
    }

    /// Lines of the access log so far.
    pub(crate) fn log(&mut self) -> Vec<Value> {
        self.simulation.settle();
        let line = |entry| match entry {
            Entry::Line(line) => serde_json::from_slice(&line).unwrap(),
            Entry::End => Value::Null,
        };
        self.log.try_iter().map(line).collect()
    }

    /// Whether a connection to the model server was ever opened.
    pub(crate) fn reached_upstream(&mut self) -> bool {
        self.simulation.settle();
        self.upstream.try_accept().is_some()
    }

    /// What a caller gets for raw bytes, to the end of its connection; the model server is not
    /// there.
    pub(crate) fn refusal(&mut self, request: &[u8]) -> Answer {
        let mut caller = self.caller(Link::default());
        let request = request.to_vec();
        let bytes = self
            .simulation
            .run_until(async move {
                caller.write(&request).await.unwrap();
                caller.finish();
                caller.read_to_end().await.unwrap()
            })
            .unwrap();
        Answer::parse(&bytes)
    }
}

fn settings(limits: &str) -> DataplaneSettings {
    let text = format!("listen: 127.0.0.1:0\nstate_dir: state\nlimits: {limits}\n");
    DataplaneSettings::parse(&Source { name: "test".to_owned(), text }).unwrap()
}

/// A chat request for the model server, to one that answers with a stream or whole.
pub(crate) fn chat(token: &str) -> String {
    post("/llama/v1/chat/completions", token, r#"{"model":"m","messages":[{"role":"user"}]}"#)
}

/// A POST with a JSON body.
pub(crate) fn post(target: &str, token: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A GET.
pub(crate) fn get(target: &str, token: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// A parsed answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Splits head and body; the body as it stands on the wire.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, _) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let body = bytes.get(head.len() + 4..).unwrap_or_default().to_vec();
        Self { status, head: head.to_ascii_lowercase(), body }
    }

    /// The `error` object.
    pub(crate) fn error(&self) -> Value {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        body["error"].clone()
    }
}
