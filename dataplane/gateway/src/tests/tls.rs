//! TLS on both sides: what is promised to callers, and how model servers are met.

use std::io::{Read as _, Write as _};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use penstock_reactor::buffer::Buffer;
use penstock_reactor::memory::{Link, MemoryNetwork, MemoryStream, Peer};
use penstock_reactor::network::{
    Network as _, Outgoing, Received, Receiver as _, Sender as _, Stream,
};
use penstock_tls::{
    Authorities, Certificate, ClientCertificates, ClientTls, Failure, ServerTls, Tickets,
    TlsReceiver, TlsSender,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use super::stage::{Answer, DOCUMENTS, Stage, chat, get};
use crate::client;
use crate::node::drain;

const HANDSHAKE_MAX: Duration = Duration::from_secs(60);
const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

struct Pair {
    chain: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, name: &str) -> Pair {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { chain, key: key.serialize_pem() }
    }

    fn server(&self, name: &str) -> Arc<ServerTls> {
        let pair = self.issue(name);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let certificate =
            Certificate::from_pem(pair.chain.as_bytes(), pair.key.as_bytes(), now).unwrap();
        let tickets = Tickets::new().unwrap();
        Arc::new(ServerTls::new(&[certificate], &ClientCertificates::None, &tickets).unwrap())
    }

    fn client(&self, name: &str) -> ClientTls {
        let authorities = Authorities::from_pem(self.pem.as_bytes()).unwrap();
        ClientTls::new(&authorities, name, None).unwrap()
    }

    /// A model server's configuration; `clients`: who issues the certificates that it asks for.
    fn model_server(&self, name: &str, clients: Option<&Self>) -> Arc<ServerConfig> {
        let pair = self.issue(name);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                let root = CertificateDer::from_pem_slice(clients.pem.as_bytes()).unwrap();
                roots.add(root).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![CertificateDer::from_pem_slice(pair.chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }
}

/// A stage whose callers come in TLS.
fn secured(authority: &Authority) -> Stage {
    let stage = unready(DOCUMENTS);
    stage.core.node.tls.store(Some(authority.server("gateway.test")));
    stage
}

/// The same, before its certificates are there.
fn unready(documents: &str) -> Stage {
    let settings = "{}\ntls: {certificates: [{chain_file: /chain, key_file: /key}]}";
    Stage::limited(1, Link::default(), documents, settings)
}

/// Documents with a model server in TLS; `tls`: members of the connection's `tls`.
fn https(tls: &str) -> String {
    let endpoint = format!("endpoints: [\"https://127.0.0.1:8080\"]\ntls: {{{tls}}}");
    DOCUMENTS.replace("endpoints: [\"http://127.0.0.1:8080\"]", &endpoint)
}

fn pinned(authority: &Authority, more: &str) -> String {
    let ca = serde_json::to_string(&authority.pem).unwrap();
    https(&format!("ca: {ca}{more}"))
}

/// A caller in TLS.
struct Caller {
    receiver: TlsReceiver<<MemoryStream as Stream>::Receiver>,
    sender: TlsSender<<MemoryStream as Stream>::Sender>,
    resumed: bool,
}

impl Caller {
    fn connect(stage: &mut Stage, tls: &ClientTls) -> Result<Self, Failure> {
        let (ours, theirs) = stage.network.pair(Link::default());
        stage.network.spawn(client::serve(Rc::clone(&stage.core), ours));
        let network: MemoryNetwork = stage.network.clone();
        let connect = penstock_tls::connect(&network, theirs, tls, HANDSHAKE_MAX);
        let stream = stage.simulation.run_until(connect).unwrap()?;
        let resumed = stream.is_resumed();
        let (receiver, sender) = stream.split();
        Ok(Self { receiver, sender, resumed })
    }

    async fn write(&mut self, text: &str) {
        let mut outgoing = Outgoing::default();
        outgoing.push(Buffer::from_static(text.to_owned().leak().as_bytes()));
        self.sender.send(&mut outgoing).await.unwrap();
    }

    async fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end) {
            match self.receiver.receive().await.unwrap() {
                Received::Data(buffer) => bytes.extend_from_slice(&buffer),
                Received::End => break,
            }
        }
        bytes
    }
}

/// The model server's side of TLS.
struct ModelServer {
    tls: ServerConnection,
    peer: Peer,
}

impl ModelServer {
    fn new(config: &Arc<ServerConfig>, peer: Peer) -> Self {
        Self { tls: ServerConnection::new(Arc::clone(config)).unwrap(), peer }
    }

    async fn flush(&mut self) {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        let _ = self.peer.write(&bytes).await;
    }

    /// Reads a request's head and body; `None` when the other side goes.
    async fn request(&mut self) -> Option<String> {
        let mut text = Vec::new();
        while !text.ends_with(b"]}") && !text.ends_with(b"\r\n\r\n") {
            self.flush().await;
            let bytes = self.peer.read().await.ok().filter(|bytes| !bytes.is_empty())?;
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                self.tls.read_tls(&mut rest).unwrap();
                if self.tls.process_new_packets().is_err() {
                    self.flush().await;
                    return None;
                }
            }
            let _ = self.tls.reader().read_to_end(&mut text);
        }
        Some(String::from_utf8(text).unwrap())
    }

    async fn answer(&mut self) {
        self.tls.writer().write_all(WHOLE).unwrap();
        self.flush().await;
    }
}

/// One request by a plain caller to a model server of this configuration; what the caller got.
fn asked(stage: &mut Stage, config: &Arc<ServerConfig>) -> Answer {
    let token = stage.token("ann", &["engineers"]);
    let mut caller = stage.caller(Link::default());
    let request = get("/llama/v1/models", &token).replace("Host:", "Connection: close\r\nHost:");
    let Stage { simulation, upstream, .. } = stage;
    let play = async {
        let mut server = ModelServer::new(config, upstream.accept().await);
        while server.request().await.is_some() {
            server.answer().await;
        }
    };
    let ask = async {
        caller.write(request.as_bytes()).await.unwrap();
        Answer::parse(&caller.read_to_end().await.unwrap())
    };
    let both = async {
        let (mut play, mut ask) = (Box::pin(play), Box::pin(ask));
        tokio::select! { answer = &mut ask => answer, () = &mut play => ask.await }
    };
    simulation.run_until(both).unwrap()
}

fn accepted(stage: &Stage, result: &str) -> u64 {
    let results = stage.core.counters.tls_accepted.by_result();
    results.filter(|(known, _)| *known == result).map(|(_, count)| count).sum()
}

fn connected(stage: &Stage, result: &str) -> u64 {
    let results = stage.core.counters.tls_connected.by_result();
    results.filter(|(known, _)| *known == result).map(|(_, count)| count).sum()
}

#[test]
fn a_caller_in_tls_is_served_and_resumes() {
    let authority = Authority::new("callers");
    let mut stage = secured(&authority);
    let tls = authority.client("gateway.test");
    let request = chat(&stage.token("ann", &["engineers"]));
    for resumed in [false, true] {
        let mut caller = Caller::connect(&mut stage, &tls).unwrap();
        assert_eq!(caller.resumed, resumed);
        let Stage { simulation, upstream, .. } = &mut stage;
        let served = async {
            caller.write(&request).await;
            let mut server = upstream.accept().await;
            server.read_until(b"]}").await.unwrap();
            server.write(WHOLE).await.unwrap();
            caller.read_until(b"{}").await
        };
        assert_eq!(Answer::parse(&simulation.run_until(served).unwrap()).status, 200);
    }
    assert_eq!((accepted(&stage, "full"), accepted(&stage, "resumed")), (1, 1));
}

#[test]
fn clear_text_to_an_address_in_tls_is_neither_read_nor_answered() {
    let mut stage = secured(&Authority::new("callers"));
    let request = chat(&stage.token("ann", &["engineers"]));
    let mut caller = stage.caller(Link::default());
    let answer = stage.simulation.run_until(async {
        caller.write(request.as_bytes()).await.unwrap();
        caller.read_to_end().await
    });
    // At most an alert (RFC 8446 section 6).
    assert!(!answer.unwrap().unwrap_or_default().starts_with(b"HTTP"));
    assert_eq!(accepted(&stage, "not_tls"), 1);
    assert!(stage.log().is_empty());
    assert!(!stage.reached_upstream());
    assert_eq!(stage.core.counters.clients_open.read(), 0);
}

#[test]
fn without_a_certificate_nobody_is_let_in() {
    let mut stage = unready(DOCUMENTS);
    let mut caller = stage.caller(Link::default());
    let answer = stage.simulation.run_until(async {
        let _ = caller.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        caller.read_to_end().await
    });
    assert!(answer.unwrap().unwrap_or_default().is_empty());
}

#[test]
fn a_handshake_that_takes_too_long_ends_and_is_counted() {
    let mut stage = secured(&Authority::new("callers"));
    let mut caller = stage.caller(Link::default());
    let end = stage.simulation.run_until(async {
        caller.write(&[22, 3, 1]).await.unwrap();
        caller.read_to_end().await
    });
    assert!(end.unwrap().unwrap_or_default().is_empty());
    assert_eq!(accepted(&stage, "timeout"), 1);
    let reached = |(key, count)| (key == "tls_handshake_ms_max").then_some(count);
    assert_eq!(stage.core.counters.limits_reached().find_map(reached), Some(1));
    let limit = Duration::from_millis(stage.core.limits().tls_handshake_ms_max);
    assert_eq!(stage.simulation.now(), limit);
}

#[test]
fn a_drain_does_not_wait_for_a_handshake() {
    let mut stage = secured(&Authority::new("callers"));
    let mut caller = stage.caller(Link::default());
    stage.simulation.run_until(caller.write(&[22, 3, 1])).unwrap().unwrap();
    stage.simulation.settle();
    assert_eq!(stage.core.counters.clients_open.read(), 1);
    let begun = stage.simulation.now();
    stage.core.node.draining.store(true, Ordering::Relaxed);
    stage.simulation.run_until(drain(Rc::clone(&stage.core))).unwrap();
    assert!(stage.simulation.now() - begun < Duration::from_secs(1));
    assert_eq!(stage.core.counters.clients_open.read(), 0);
}

#[test]
fn a_new_certificate_is_for_new_handshakes_and_open_connections_go_on() {
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    let mut stage = secured(&before);
    let mut caller = Caller::connect(&mut stage, &before.client("gateway.test")).unwrap();
    stage.core.node.tls.store(Some(after.server("gateway.test")));
    let denied = get("/llama/v1/nothing", &stage.token("ann", &["engineers"]));
    let served = async {
        caller.write(&denied).await;
        caller.read_until(b"}}}").await
    };
    assert_eq!(Answer::parse(&stage.simulation.run_until(served).unwrap()).status, 403);
    assert!(Caller::connect(&mut stage, &after.client("gateway.test")).is_ok());
    let refused = Caller::connect(&mut stage, &before.client("gateway.test"));
    assert!(matches!(refused, Err(Failure::Certificate(_))));
    stage.simulation.settle();
    assert_eq!(accepted(&stage, "refused"), 1);
}

#[test]
fn a_model_server_in_tls_is_reached_by_the_authority_of_its_connection() {
    let authority = Authority::new("models");
    let mut stage = Stage::with(1, Link::default(), &pinned(&authority, ""));
    let answer = asked(&mut stage, &authority.model_server("127.0.0.1", None));
    assert_eq!(answer.status, 200);
    assert_eq!(connected(&stage, "full"), 1);
}

#[test]
fn a_model_server_that_does_not_hold_gets_no_byte_of_a_request() {
    let (authority, other) = (Authority::new("models"), Authority::new("other"));
    let names_it = ", server_name: model.test";
    let issuer = "the peer's certificate is from an authority that is not trusted";
    let name = "the peer's certificate is for another name";
    for (documents, config, detail) in [
        (pinned(&other, ""), authority.model_server("127.0.0.1", None), issuer),
        (pinned(&authority, ""), authority.model_server("model.test", None), name),
        (pinned(&authority, names_it), authority.model_server("127.0.0.1", None), name),
    ] {
        let mut stage = Stage::with(1, Link::default(), &documents);
        let answer = asked(&mut stage, &config);
        assert_eq!((answer.status, &answer.error()["code"]), (502, &"upstream_tls".into()));
        assert_eq!(connected(&stage, "certificate"), 1);
        let log = stage.log();
        assert_eq!(
            (&log[0]["reason"], &log[0]["detail"]),
            (&"upstream_tls".into(), &detail.into())
        );
    }
}

#[test]
fn a_model_server_that_wants_a_certificate_is_told_from_one_that_resets() {
    let authority = Authority::new("models");
    let mut stage = Stage::with(1, Link::default(), &pinned(&authority, ""));
    let config = authority.model_server("127.0.0.1", Some(&authority));
    let answer = asked(&mut stage, &config);
    assert_eq!((answer.status, &answer.error()["code"]), (502, &"upstream_tls".into()));
}

#[test]
fn a_client_certificate_that_is_not_here_is_503_and_nothing_is_connected() {
    let authority = Authority::new("models");
    let wanted = ", client_certificate: {secret: not-here}";
    let mut stage = Stage::with(1, Link::default(), &pinned(&authority, wanted));
    let token = stage.token("ann", &["engineers"]);
    let request = get("/llama/v1/models", &token).replace("Host:", "Connection: close\r\nHost:");
    let answer = stage.refusal(request.as_bytes());
    assert_eq!((answer.status, &answer.error()["code"]), (503, &"credential_unavailable".into()));
    assert!(!stage.reached_upstream());
}

#[test]
fn a_kept_connection_is_used_under_its_own_trust_only() {
    let (authority, other) = (Authority::new("models"), Authority::new("other"));
    let mut stage = Stage::with(1, Link::default(), &pinned(&authority, ""));
    let config = authority.model_server("127.0.0.1", None);
    let token = stage.token("ann", &["engineers"]);
    let request = get("/llama/v1/models", &token);
    let mut caller = stage.caller(Link::default());
    let Stage { simulation, upstream, .. } = &mut stage;
    let once = async {
        caller.write(request.as_bytes()).await.unwrap();
        let mut server = ModelServer::new(&config, upstream.accept().await);
        server.request().await.unwrap();
        server.answer().await;
        caller.read_until(b"{}").await.unwrap();
        server
    };
    let mut server = simulation.run_until(once).unwrap();
    // The same trust in another policy: the same connection.
    stage.enforce(&pinned(&authority, "").replace("[infer.*", "[infer.*, metrics"));
    let again = async {
        caller.write(request.as_bytes()).await.unwrap();
        server.request().await.unwrap();
        server.answer().await;
        caller.read_until(b"{}").await.unwrap()
    };
    stage.simulation.run_until(again).unwrap();
    assert_eq!(stage.core.counters.upstream_reuses.read(), 1);
    // Another trust: it is closed at once, and what follows is verified anew.
    stage.enforce(&pinned(&other, ""));
    assert!(stage.simulation.run_until(server.request()).unwrap().is_none());
    assert_eq!(asked(&mut stage, &config).status, 502);
    assert_eq!(stage.core.counters.upstream_reuses.read(), 1);
}

#[test]
fn a_connection_with_a_wrong_authority_does_not_mark_a_server_down_for_another() {
    let (authority, other) = (Authority::new("models"), Authority::new("other"));
    let wrong = pinned(&other, "");
    let (issuer, rest) = DOCUMENTS.split_once("---\n").unwrap();
    let (clear, _) = rest.split_once("---\n").unwrap();
    let clear = clear.replace("name: llama", "name: clear");
    let documents = wrong.replace(issuer, &format!("{issuer}---\n{clear}"));
    let mut stage = Stage::with(1, Link::default(), &documents);
    let config = authority.model_server("127.0.0.1", None);
    for _ in 0..5 {
        assert_eq!(asked(&mut stage, &config).status, 502);
    }
    let in_force = stage.core.in_force().unwrap();
    for (upstream, targets) in in_force.all_targets() {
        let is_wrong = upstream.document.name == "llama";
        let now = stage.core.network.now();
        assert_eq!(targets[0].authority, "127.0.0.1:8080");
        assert_eq!(targets[0].state.is_left_alone(now), is_wrong);
    }
}
