//! Certificates, configurations, and a peer that is the library itself in its buffered form.

#![allow(clippy::unwrap_used, reason = "what a test set up itself is there")]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use penstock_reactor::buffer::{Buffer, Pool};
use penstock_reactor::memory::{Link, MemoryNetwork, MemoryStream, Peer, Simulation};
use penstock_reactor::network::{NetworkError, Outgoing, Received, Receiver, Sender};
use penstock_tls::{
    Authorities, Certificate, ClientCertificates, ClientTls, Failure, ServerTls, Tickets, TlsStream,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

pub const TIME_MAX: Duration = Duration::from_secs(10);

pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// An authority of a test's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate and its key, PEM.
pub struct Pair {
    pub chain: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub fn issue(&self, names: &[&str]) -> Pair {
        self.issue_with(names, |_| {})
    }

    pub fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { chain, key: key.serialize_pem() }
    }

    pub fn authorities(&self) -> Authorities {
        Authorities::from_pem(self.pem.as_bytes()).unwrap()
    }
}

impl Pair {
    pub fn load(&self) -> Certificate {
        Certificate::from_pem(self.chain.as_bytes(), self.key.as_bytes(), now()).unwrap()
    }

    pub fn certified_key(&self) -> CertifiedKey {
        let chain = CertificateDer::from_pem_slice(self.chain.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        CertifiedKey::from_der(vec![chain], key, &provider).unwrap()
    }
}

/// An authority, a server by it, a client that trusts it.
pub struct Setting {
    pub authority: Authority,
    pub tickets: Tickets,
    pub server: ServerTls,
    pub client: ClientTls,
}

impl Setting {
    pub fn new() -> Self {
        let authority = Authority::new();
        let tickets = Tickets::new().unwrap();
        let certificate = authority.issue(&["gateway.test", "127.0.0.1"]).load();
        let server = ServerTls::new(&[certificate], &ClientCertificates::None, &tickets).unwrap();
        let client = ClientTls::new(&authority.authorities(), "gateway.test", None).unwrap();
        Self { authority, tickets, server, client }
    }

    pub fn raw_config(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    pub fn raw_config_with(&self, pair: &Pair) -> ClientConfig {
        let mut config = self.raw_config(rustls::DEFAULT_VERSIONS);
        let key = SingleCertAndKey::from(pair.certified_key());
        config.client_auth_cert_resolver = Arc::new(key);
        config
    }
}

/// A test's stage: a simulation, its network, and what its pool may hold.
pub struct Stage {
    pub simulation: Simulation,
    pub network: MemoryNetwork,
}

impl Stage {
    pub fn new(seed: u64) -> Self {
        let simulation = Simulation::new(seed);
        let network = simulation.network(0, Pool::new(4 << 20));
        Self { simulation, network }
    }

    pub fn pool_bytes(&self) -> usize {
        use penstock_reactor::network::Network as _;
        self.network.pool().bytes_in_use()
    }

    /// Both sides in TLS.
    pub fn secured(&mut self, setting: &Setting, link: Link) -> Both {
        let (server, client) = self.attempt(&setting.server, &setting.client, link);
        (server.unwrap(), client.unwrap())
    }

    pub fn attempt(&mut self, server: &ServerTls, client: &ClientTls, link: Link) -> Attempt {
        let (left, right) = self.network.pair(link);
        let network = self.network.clone();
        let both = async {
            let accept = penstock_tls::accept(&network, left, server, TIME_MAX);
            let connect = penstock_tls::connect(&network, right, client, TIME_MAX);
            futures_util::future::join(accept, connect).await
        };
        self.simulation.run_until(both).unwrap()
    }
}

pub type Both = (TlsStream<MemoryStream>, TlsStream<MemoryStream>);
pub type Attempt =
    (Result<TlsStream<MemoryStream>, Failure>, Result<TlsStream<MemoryStream>, Failure>);

pub fn outgoing(parts: &[&'static [u8]]) -> Outgoing {
    let mut outgoing = Outgoing::default();
    parts.iter().for_each(|part| outgoing.push(Buffer::from_static(part)));
    outgoing
}

/// Everything until the end, and how it ended.
pub async fn read_all(receiver: &mut impl Receiver) -> (Vec<u8>, Result<(), NetworkError>) {
    let mut bytes = Vec::new();
    loop {
        match receiver.receive().await {
            Ok(Received::Data(buffer)) => {
                assert!(!buffer.is_empty());
                bytes.extend_from_slice(&buffer);
            }
            Ok(Received::End) => return (bytes, Ok(())),
            Err(error) => return (bytes, Err(error)),
        }
    }
}

pub async fn read_exactly(receiver: &mut impl Receiver, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        match receiver.receive().await.unwrap() {
            Received::Data(buffer) => bytes.extend_from_slice(&buffer),
            Received::End => panic!("ended after {} of {count} bytes", bytes.len()),
        }
    }
    bytes
}

/// The library's buffered client over a scripted peer.
pub struct RawClient {
    pub tls: ClientConnection,
    pub peer: Peer,
}

impl RawClient {
    pub fn new(config: &Arc<ClientConfig>, peer: Peer) -> Self {
        let name = "gateway.test".try_into().unwrap();
        Self { tls: ClientConnection::new(Arc::clone(config), name).unwrap(), peer }
    }

    /// Sends what the library wants sent.
    pub async fn flush(&mut self) -> Result<(), NetworkError> {
        let bytes = self.take_ciphertext();
        self.peer.write(&bytes).await
    }

    pub fn take_ciphertext(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Reads once; `false` at the end.
    pub async fn fill(&mut self) -> Result<bool, String> {
        let bytes = self.peer.read().await.map_err(|error| error.to_string())?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest).unwrap();
            if let Err(error) = self.tls.process_new_packets() {
                return Err(error.to_string());
            }
        }
        Ok(!bytes.is_empty())
    }

    pub async fn handshake(&mut self) -> Result<(), String> {
        while self.tls.is_handshaking() {
            self.flush().await.map_err(|error| error.to_string())?;
            if self.tls.is_handshaking() && !self.fill().await? {
                return Err("ended".to_owned());
            }
        }
        self.flush().await.map_err(|error| error.to_string())
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).unwrap();
        self.flush().await.unwrap();
    }

    pub async fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.tls.reader().read(&mut bytes[filled..]) {
                Ok(0) => panic!("ended"),
                Ok(read) => filled += read,
                Err(_) => assert!(self.fill().await.unwrap()),
            }
        }
        bytes
    }

    /// Lets the server accept it.
    pub fn meet(
        stage: &mut Stage,
        server: &ServerTls,
        config: ClientConfig,
        link: Link,
    ) -> (Result<TlsStream<MemoryStream>, Failure>, Self, Result<(), String>) {
        let (stream, peer) = stage.network.connected(link);
        let mut client = Self::new(&Arc::new(config), peer);
        let network = stage.network.clone();
        let both = async {
            let accept = penstock_tls::accept(&network, stream, server, TIME_MAX);
            futures_util::future::join(accept, client.handshake()).await
        };
        let (accepted, met) = stage.simulation.run_until(both).unwrap();
        (accepted, client, met)
    }
}

pub async fn send(sender: &mut impl Sender, parts: &[&'static [u8]]) -> Result<(), NetworkError> {
    sender.send(&mut outgoing(parts)).await
}
