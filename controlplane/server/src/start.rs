//! From settings to a running server.

#[cfg(test)]
mod tests;

use std::env::VarError;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use penstock_app::exchange::{ExchangeEvent, TokenIssuer};
use penstock_app::vault::{self, KEY_BYTES, MasterKey};
use penstock_app::{Event, Refusal, Requester, State, Tuning, hex};
use penstock_config::diagnostics::Diagnostic;
use penstock_config::documents::{Document, RoleName, Source, check_references, parse};
use penstock_config::node::SnapshotKey;
use penstock_config::settings::{ControlplaneSettings, TlsFiles};
use penstock_config::snapshot::SnapshotSigner;
use penstock_store::Store;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::authority::{Authority, hosts};
use crate::backend::{JoinTemplate, ServerBackend};
use crate::correspondence::Mailroom;
use crate::exchange::{self, Exchanges, TokenSigner};
use crate::fetch::Fetcher;
use crate::files::{check_private, lock, make_folder, read_or_make_key};
use crate::listener::{API_HEAD_TIMEOUT, Listener, NODE_HEAD_TIMEOUT, Peer, STRANGERS_MAX, bind};
use crate::live::Heard;
use crate::log::{self, Level};
use crate::nodes::{self, Nodes};
use crate::notify::{Delivery, Mailer, Poster};
use crate::presence::Presence;
use crate::random;
use crate::sign_in::{self, SignIn};
use crate::tokens::Tokens;
use crate::worker::{Command, Handle, Parts, Worker};

/// The state of `penstock dev` says so by a file of this name.
const DEVELOPMENT_FILE: &str = "development";
/// The environment's encryption key.
const ENCRYPTION_KEY: &str = "PENSTOCK_ENCRYPTION_KEY";
/// The key that exchanged tokens are signed with, in the state. Without it another one is made, and
/// the tokens of the last minutes count no more.
const TOKEN_KEY_FILE: &str = "token.key";
/// How long a start waits for the first answers of issuers.
const FIRST_KEYS_TIMEOUT: Duration = Duration::from_secs(6);
/// Largest settings or first-run file, in bytes.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// One sentence.
    #[error("penstock-controlplane: {0}")]
    Sentence(String),
    /// Every problem of a file.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Diagnostic>),
}

impl From<String> for StartError {
    fn from(sentence: String) -> Self {
        Self::Sentence(sentence)
    }
}

/// How to start.
pub struct Options {
    /// The settings.
    pub settings: ControlplaneSettings,
    /// The state is one of `penstock dev`.
    pub development: bool,
    /// Secrets to set, by name.
    pub secrets: Vec<(String, Zeroizing<String>)>,
    /// Times.
    pub tuning: Tuning,
}

impl Options {
    /// What the settings say, and nothing for development.
    pub fn new(settings: ControlplaneSettings) -> Self {
        let tuning = Tuning {
            snapshot_lifetime_ms: settings.snapshot_lifetime_ms,
            jwks_refresh_ms: settings.jwks_refresh_ms,
            ..Tuning::default()
        };
        Self { settings, development: false, secrets: Vec::new(), tuning }
    }
}

/// A running server.
pub struct Server {
    api: String,
    nodes: String,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    worker: JoinHandle<()>,
    store: Store,
    _lock: File,
}

impl Server {
    /// Where the API listens: `http://127.0.0.1:4000`.
    pub fn api_url(&self) -> &str {
        &self.api
    }

    /// Where nodes find the control plane.
    pub fn nodes_url(&self) -> &str {
        &self.nodes
    }

    /// Waits until a part of the server ends that never should: then nothing more can be changed,
    /// or nobody served.
    pub async fn failed(&mut self) {
        let listeners = self.listeners.iter_mut();
        let parts = std::iter::once(&mut self.worker).chain(listeners);
        // Whether it panicked or ended is told by the log.
        let _ = futures_util::future::select_all(parts).await;
    }

    /// Takes no more calls, lets those under way end for 5 s, and closes the store.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.listeners.into_iter().chain([self.worker]) {
            // A task that panicked has ended too; one that has said so is not asked again.
            if !task.is_finished() {
                let _ = task.await;
            }
        }
        self.store.close().await;
    }
}

/// Reads settings and what they name, and finds every problem that shows without changing anything.
///
/// # Errors
/// Every problem, each with its place.
pub fn check(path: &Path, development: bool) -> Result<ControlplaneSettings, StartError> {
    let settings = ControlplaneSettings::parse(&source(path)?).map_err(StartError::Problems)?;
    let marked = settings.state_dir.join(DEVELOPMENT_FILE).exists();
    if development && !marked {
        return Err(StartError::Sentence(format!(
            "the state in {} is not a development state, which `penstock dev` makes: start without \
             --development",
            settings.state_dir.display()
        )));
    }
    if !development && marked {
        return Err(StartError::Sentence(format!(
            "the state in {} is a development state, whose keys anybody on this machine may have \
             used: make a new one",
            settings.state_dir.display()
        )));
    }
    if let Some(file) = &settings.first_run_file {
        first_run(file)?;
    }
    if let Some(smtp) = &settings.smtp {
        Mailer::open(smtp, development)?;
    }
    Ok(settings)
}

fn source(path: &Path) -> Result<Source, StartError> {
    let unreadable = |error| format!("{} can't be read: {error}", path.display());
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("{} is larger than 8 MiB", path.display()).into());
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    Ok(Source { name: path.display().to_string(), text })
}

/// The documents of a first-run file: they must give somebody the role admin.
fn first_run(path: &Path) -> Result<Vec<Document>, StartError> {
    let sources = [source(path)?];
    let placed = parse(&sources).map_err(StartError::Problems)?;
    let documents: Vec<Document> = placed.iter().map(|p| p.document.clone()).collect();
    check_references(&documents, &sources, &placed).map_err(StartError::Problems)?;
    let issuer = documents.iter().any(|d| matches!(d, Document::Issuer(_)));
    let admin =
        documents.iter().any(|d| matches!(d, Document::Role(r) if r.role == RoleName::Admin));
    if issuer && admin {
        return Ok(documents);
    }
    Err(StartError::Problems(vec![Diagnostic {
        file: path.display().to_string(),
        line: 1,
        column: 1,
        message: "no issuer, or no role admin: nobody could govern".to_owned(),
        hint: Some("add a document `kind: issuer` and one `kind: role` with `role: admin`".into()),
    }]))
}

/// Opens or makes the state, and serves.
///
/// # Errors
/// One sentence, or every problem of a file.
pub async fn start(options: Options) -> Result<Server, StartError> {
    let Options { settings, development, secrets, mut tuning } = options;
    tuning.development = development;
    // Fails where a provider is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    make_folder(&settings.state_dir)?;
    let lock = lock(&settings.state_dir)?;
    let keys = Keys::open(&settings)?;
    let authority = Arc::new(Authority::open(&settings.state_dir.join("ca"))?);
    let api = bind(settings.listen, "listen").await?;
    let nodes = bind(settings.nodes_listen, "nodes_listen").await?;
    let store = open_store(&settings.state_dir).await?;
    tuning.approval_url = people_url(&settings, &api)?;
    let run = hex(&*random::bytes::<16>()?);
    let durable = store.load().await.map_err(|e| store_failed(&e))?;
    let state = State::new(durable, tuning).with_run(run);
    open_all(&state, &keys.master)?;
    warn_of_broken_acts(&store).await?;

    let tokens = Tokens::new(&state);
    let (worker, handle) = Worker::new(Parts {
        state,
        store: store.clone(),
        signer: keys.signer,
        master: keys.master.clone(),
        tokens: tokens.clone(),
        fetcher: Fetcher::new(development, settings.issuer_private_addresses)?,
    });
    let worker = tokio::spawn(worker.run());
    put_in_force(&handle, &settings, &keys.snapshot_keys, secrets, &keys.master).await?;
    let exchanges = exchanges(&handle, &tokens, &settings, &api, keys.token_signer).await?;
    wait_for_first_keys(&handle).await;

    let (stop, stopped) = watch::channel(false);
    let delivery = delivery(&settings, development, &handle, &store, &keys.master)?;
    let sign_in =
        sign_in(&settings, development, &delivery, &tokens, people_url(&settings, &api)?)?;
    let opened = Opened {
        handle,
        store: store.clone(),
        tokens,
        authority,
        master: keys.master,
        snapshot_keys: keys.snapshot_keys,
        presence: Presence::default(),
        heard: Heard::default(),
        exchanges,
        mailroom: Mailroom { delivery: delivery.clone(), failures: Arc::default(), sign_in },
    };
    let nodes_address = local_address(&nodes)?;
    let nodes_url =
        settings.nodes_url.clone().unwrap_or_else(|| format!("https://{nodes_address}"));
    let (api, api_url) = opened.api(api, &settings, &nodes_url)?;
    let nodes = opened.nodes(nodes, &nodes_url, stopped.clone())?;
    let listeners = vec![
        tokio::spawn(api.run(stopped.clone())),
        tokio::spawn(nodes.run(stopped.clone())),
        tokio::spawn(delivery.run(stopped)),
    ];
    Ok(Server { api: api_url, nodes: nodes_url, stop, listeners, worker, store, _lock: lock })
}

/// An open state, to be served.
struct Opened {
    handle: Handle,
    store: Store,
    tokens: Tokens,
    authority: Arc<Authority>,
    master: Arc<MasterKey>,
    snapshot_keys: Vec<SnapshotKey>,
    presence: Presence,
    heard: Heard,
    exchanges: Exchanges,
    mailroom: Mailroom,
}

impl Opened {
    /// The API's listener and where it listens.
    fn api(
        &self,
        socket: TcpListener,
        settings: &ControlplaneSettings,
        nodes_url: &str,
    ) -> Result<(Listener, String), StartError> {
        let backend = ServerBackend {
            handle: self.handle.clone(),
            store: self.store.clone(),
            tokens: self.tokens.clone(),
            presence: self.presence.clone(),
            heard: self.heard.clone(),
            mailroom: self.mailroom.clone(),
            join: JoinTemplate {
                url: nodes_url.to_owned(),
                ca_sha256: self.authority.certificate_sha256(),
                ca_pem: self.authority.certificate_pem().to_owned(),
                snapshot_keys: self.snapshot_keys.clone(),
            },
        };
        let tls = settings.tls.as_ref().map(tls_config).transpose()?;
        let url = api_url(settings, &socket)?;
        let listener = Listener {
            socket,
            tls: tls.map(Arc::new),
            router: penstock_api::router(Arc::new(backend))
                .merge(exchange::router(self.exchanges.clone())),
            attendance: Arc::new(|_: &Peer| None),
            head_timeout: API_HEAD_TIMEOUT,
            strangers: None,
        };
        Ok((listener, url))
    }

    /// The node address's listener.
    fn nodes(
        &self,
        socket: TcpListener,
        url: &str,
        stop: watch::Receiver<bool>,
    ) -> Result<Listener, StartError> {
        let hosts = hosts(local_address(&socket)?.ip(), host_of(url));
        let (handle, presence) = (self.handle.clone(), self.presence.clone());
        Ok(Listener {
            socket,
            tls: Some(Arc::new(self.authority.server_config(hosts)?)),
            router: nodes::router(Nodes {
                handle: self.handle.clone(),
                authority: self.authority.clone(),
                master: self.master.clone(),
                stop,
                heard: self.heard.clone(),
            }),
            attendance: Arc::new(move |peer: &Peer| {
                let state = handle.state();
                let node = state.node_with_certificate(peer.certificate.as_deref()?)?;
                Some(presence.enter(node.into()))
            }),
            head_timeout: NODE_HEAD_TIMEOUT,
            strangers: Some(Arc::new(Semaphore::new(STRANGERS_MAX))),
        })
    }
}

/// Keys that live in files of their own, outside of the store.
struct Keys {
    signer: SnapshotSigner,
    snapshot_keys: Vec<SnapshotKey>,
    master: Arc<MasterKey>,
    token_signer: TokenSigner,
}

impl Keys {
    fn open(settings: &ControlplaneSettings) -> Result<Self, StartError> {
        let signer = signer(&settings.snapshot_key_file)?;
        let mut snapshot_keys = vec![signer.public()];
        if let Some(next) = &settings.snapshot_key_next_file {
            snapshot_keys.push(self::signer(next)?.public());
        }
        let master = match std::env::var(ENCRYPTION_KEY) {
            Ok(text) => {
                let text = Zeroizing::new(text);
                MasterKey::from_base64(&text).map_err(|e| format!("{ENCRYPTION_KEY}: {e}"))?
            }
            Err(VarError::NotPresent) => master_key(&settings.encryption_key_file)?,
            Err(VarError::NotUnicode(_)) => {
                return Err(format!("{ENCRYPTION_KEY} is not base64").into());
            }
        };
        let token_signer = TokenSigner::open(&settings.state_dir.join(TOKEN_KEY_FILE))?;
        Ok(Self { signer, snapshot_keys, master: Arc::new(master), token_signer })
    }
}

fn signer(path: &Path) -> Result<SnapshotSigner, String> {
    let document =
        read_or_make_key(path, || SnapshotSigner::generate().map(|(_, document)| document))?;
    SnapshotSigner::from_pkcs8(&document).map_err(|e| format!("key file {}: {e}", path.display()))
}

fn master_key(path: &Path) -> Result<MasterKey, String> {
    let text = read_or_make_key(path, || {
        let bytes = random::bytes::<KEY_BYTES>()?;
        Ok(Zeroizing::new(STANDARD.encode(bytes.as_slice()).into_bytes()))
    })?;
    let text = std::str::from_utf8(&text).unwrap_or_default();
    MasterKey::from_base64(text).map_err(|e| format!("key file {}: {e}", path.display()))
}

async fn open_store(folder: &Path) -> Result<Store, StartError> {
    let file = folder.join("controlplane.db");
    let store = Store::open(&file).await.map_err(|e| store_failed(&e))?;
    check_private(&file)?;
    let cluster = hex(&*random::bytes::<16>()?);
    store.name_cluster(&cluster).await.map_err(|e| store_failed(&e))?;
    Ok(store)
}

fn store_failed(error: &dyn std::error::Error) -> StartError {
    StartError::Sentence(format!("the store can't be opened: {}", log::chain(error)))
}

/// A wrong encryption key shows at the start, not at the first request that needs a secret.
fn open_all(state: &State, master: &MasterKey) -> Result<(), String> {
    for (name, stored) in state.durable.secrets.iter() {
        vault::open(master, name, &stored.sealed).map_err(|_| {
            format!("secret {name} does not open with the encryption key: is it the right key?")
        })?;
    }
    Ok(())
}

/// A broken chain is evidence: it is told, and stays as it is.
async fn warn_of_broken_acts(store: &Store) -> Result<(), StartError> {
    if let Err(error) = store.verify_acts().await.map_err(|e| store_failed(&e))? {
        log::line(Level::Error, "acts_damaged", &error.to_string());
    }
    Ok(())
}

/// Events of every start: the first run, the snapshot key, development's secrets.
async fn put_in_force(
    handle: &Handle,
    settings: &ControlplaneSettings,
    snapshot_keys: &[SnapshotKey],
    secrets: Vec<(String, Zeroizing<String>)>,
    master: &MasterKey,
) -> Result<(), StartError> {
    submit(handle, Event::Started { keys: snapshot_keys.to_vec() }).await?;
    match &settings.first_run_file {
        Some(file) => submit(handle, Event::FirstRun { documents: first_run(file)? }).await?,
        None if handle.state().durable.position.version == 0 => {
            return Err(StartError::Sentence(
                "the store is empty and `first_run_file` names no documents: nobody could govern"
                    .to_owned(),
            ));
        }
        None => {}
    }
    for (name, value) in secrets {
        let state = handle.state();
        let held = state.durable.secrets.get(&name);
        let held = held.and_then(|stored| vault::open(master, &name, &stored.sealed).ok());
        if held.as_ref() != Some(&value) {
            vault::check_value(value.as_bytes()).map_err(|e| format!("secret {name}: {e}"))?;
            let set = |reply| Command::SetSecret(Requester::System, name.clone(), value, reply);
            handle.ask(set).await.map_err(|e| format!("secret {name}: {}", log::chain(&e)))?;
        }
    }
    Ok(())
}

/// The exchange of workloads' tokens. Their issuer is the address under which people reach the API:
/// the same for all replicas and after a move.
async fn exchanges(
    handle: &Handle,
    tokens: &Tokens,
    settings: &ControlplaneSettings,
    api: &TcpListener,
    signer: TokenSigner,
) -> Result<Exchanges, StartError> {
    let url = people_url(settings, api)?;
    let issuer = TokenIssuer { url, key: signer.jwk() };
    submit(handle, Event::Exchange(Box::new(ExchangeEvent::Started(issuer)))).await?;
    Ok(Exchanges::new(handle.clone(), tokens.clone(), signer))
}

/// Where people reach the API: the same for all replicas and after a move where it is set.
fn people_url(settings: &ControlplaneSettings, api: &TcpListener) -> Result<String, String> {
    settings.approval_url.clone().map_or_else(|| api_url(settings, api), Ok)
}

/// How people sign in on the page.
fn sign_in(
    settings: &ControlplaneSettings,
    development: bool,
    delivery: &Delivery,
    tokens: &Tokens,
    url: String,
) -> Result<Option<SignIn>, StartError> {
    let Some(sign_in) = settings.sign_in.clone() else { return Ok(None) };
    let parts = sign_in::Parts {
        settings: sign_in,
        url,
        development,
        private: settings.issuer_private_addresses,
        master: delivery.master.clone(),
        handle: delivery.handle.clone(),
        tokens: tokens.clone(),
    };
    Ok(Some(SignIn::new(parts)?))
}

/// What brings messages to webhooks and mailboxes.
fn delivery(
    settings: &ControlplaneSettings,
    development: bool,
    handle: &Handle,
    store: &Store,
    master: &Arc<MasterKey>,
) -> Result<Delivery, StartError> {
    let mailer = settings.smtp.as_ref().map(|smtp| Mailer::open(smtp, development)).transpose()?;
    Ok(Delivery {
        handle: handle.clone(),
        store: store.clone(),
        master: master.clone(),
        poster: Poster::new(development, settings.webhook_private_addresses)?,
        mailer,
    })
}

/// Where the API listens.
fn api_url(settings: &ControlplaneSettings, socket: &TcpListener) -> Result<String, String> {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{}", local_address(socket)?))
}

async fn submit(handle: &Handle, event: Event) -> Result<(), StartError> {
    match handle.submit(event).await {
        Ok(_) => Ok(()),
        Err(penstock_api::Failure::Refused(Refusal::Invalid(problems))) => {
            Err(StartError::Problems(problems))
        }
        Err(error) => Err(StartError::Sentence(log::chain(&error))),
    }
}

/// Until every issuer answered once, or failed to: then the API can tell tokens.
async fn wait_for_first_keys(handle: &Handle) {
    let mut states = handle.watch();
    let settled = states.wait_for(|state| {
        state.fetches.values().all(|fetch| fetch.fetched_ms.is_some() || fetch.failures > 0)
    });
    // An issuer that is away does not hold up a start.
    let _ = tokio::time::timeout(FIRST_KEYS_TIMEOUT, settled).await;
}

fn local_address(socket: &TcpListener) -> Result<SocketAddr, String> {
    socket.local_addr().map_err(|error| format!("an address has no name: {error}"))
}

/// The host of a URL, if it has one.
fn host_of(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    let host = url.host_str()?;
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

/// TLS of the API from its files.
fn tls_config(files: &TlsFiles) -> Result<ServerConfig, String> {
    let TlsFiles { certificate_file, key_file } = files;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate_file)
        .and_then(Iterator::collect)
        .map_err(|error| format!("{} can't be read: {error}", certificate_file.display()))?;
    check_private(key_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|error| format!("{} can't be read: {error}", key_file.display()))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("certificate and key of the API do not fit: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
