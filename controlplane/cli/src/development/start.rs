//! The start of `penstock dev`, step by step.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use penstock_config::documents::Source;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::access::Credential;
use crate::client::Client;
use crate::commands::apply;
use crate::development::addresses::{self, Addresses};
use crate::development::plane::Plane;
use crate::development::secrets::Secrets;
use crate::development::settings::{self, SettingsFiles};
use crate::development::{orphans, provider};
use crate::failure::{Exit, Failure};
use crate::signer::Signer;
use crate::state::{Record, State};
use crate::{enforcement, output, private_files, sources};

/// How long the control plane may take to trust the development issuer after it is ready.
const TRUST_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the data plane may take to enforce what `--apply` published.
const ENFORCE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often addresses are chosen: between the choice and its use another program may take one.
const CHOICES_MAX: usize = 5;

/// What was asked for.
pub(crate) struct Wish {
    /// Where the gateway shall listen.
    pub(crate) listen: Option<SocketAddr>,
    /// Documents to put in force.
    pub(crate) apply: Vec<PathBuf>,
}

/// Both planes, not started yet, and all that they need.
pub(crate) struct Development {
    /// The state, held by a lock.
    pub(crate) state: State,
    /// What `dev.json` says.
    pub(crate) record: Record,
    /// The control plane.
    pub(crate) controlplane: Plane,
    /// The data plane.
    pub(crate) dataplane: Plane,
    /// What the control plane is told on standard input at its first start: values that were set
    /// since then are newer.
    pub(crate) secrets: Zeroizing<Vec<u8>>,
    listen: Option<SocketAddr>,
    sources: Vec<Source>,
    _lock: fs::File,
}

impl Development {
    /// Makes the state if it is missing, chooses addresses, serves the issuer, writes settings.
    pub(crate) async fn prepare(state: State, wish: &Wish) -> Result<Self, Failure> {
        let secrets = Secrets::of_environment(std::env::vars_os())?.line();
        let sources = sources::read(&wish.apply)?;
        let lock = state.make()?;
        let mut record = state.record()?.unwrap_or_default();
        orphans::wait(&state, &record).await?;
        serve_issuer(&state, &mut record)?;
        let SettingsFiles { controlplane, dataplane } = choose(wish.listen, &state, &mut record)?;
        Ok(Self {
            controlplane: plane("controlplane", &state, &controlplane)?,
            dataplane: plane("dataplane", &state, &dataplane)?,
            state,
            record,
            secrets,
            listen: wish.listen,
            sources,
            _lock: lock,
        })
    }

    /// Starts both planes and puts the documents of `--apply` in force on both. Addresses that
    /// were taken meanwhile are chosen again; one that was asked for is not.
    pub(crate) async fn start(&mut self) -> Result<(), Failure> {
        for _ in 1..CHOICES_MAX {
            let started = self.start_planes().await;
            if !self.controlplane.lacks_address() && !self.dataplane.lacks_address() {
                return started;
            }
            self.stop().await;
            if self.record.joined.is_none() && self.state.node().is_some() {
                // It joined before it missed its own address.
                self.record.joined = Some(self.record.nodes.clone());
            }
            choose(self.listen, &self.state, &mut self.record)?;
        }
        self.start_planes().await
    }

    async fn start_planes(&mut self) -> Result<(), Failure> {
        let Self { state, record, controlplane, .. } = self;
        let started = |pid| {
            record.pids.controlplane = pid;
            state.write_record(record)
        };
        let ready = controlplane.start(&self.secrets, started).await?;
        self.record.api = said(&ready, "api").unwrap_or_else(|| self.record.api.clone());
        self.record.nodes = said(&ready, "nodes").unwrap_or_else(|| self.record.nodes.clone());
        let credential = Credential::administrator(self.state.signer(&self.record.issuer)?);
        let client = Client::new(&self.record.api, None, credential)?;
        until_trusted(&client).await?;
        self.join(&client).await?;
        let Self { state, record, dataplane, .. } = self;
        let started = |pid| {
            record.pids.dataplane = pid;
            state.write_record(record)
        };
        let ready = dataplane.start(b"", started).await?;
        let address = |field| said(&ready, field).map(|address| format!("http://{address}"));
        self.record.gateway = address("listen").unwrap_or_else(|| self.record.gateway.clone());
        self.record.operations =
            address("operations").unwrap_or_else(|| self.record.operations.clone());
        self.record.joined = Some(self.record.nodes.clone());
        let _ = fs::remove_file(self.state.join_file());
        self.state.write_record(&self.record)?;
        self.publish(&client).await
    }

    /// Ends both planes.
    pub(crate) async fn stop(&mut self) {
        tokio::join!(self.dataplane.stop(), self.controlplane.stop());
    }

    /// Lets the data plane join, unless it has joined at this address already.
    async fn join(&mut self, client: &Client) -> Result<(), Failure> {
        if self.record.joined.as_ref() == Some(&self.record.nodes) {
            return Ok(());
        }
        if self.record.joined.take().is_some() {
            // The address that it joined at is taken by another program now.
            self.remove_node(client).await?;
            self.forget_node()?;
        }
        let file = client.post("/api/v1/nodes/join-files", None).await?;
        private_files::write(&self.state.join_file(), file.to_string().as_bytes())
    }

    /// Takes the node that the data plane was from the control plane.
    async fn remove_node(&self, client: &Client) -> Result<(), Failure> {
        let Some(node) = self.state.node() else { return Ok(()) };
        match client.delete(&format!("/api/v1/nodes/{node}")).await {
            Err(failure) if failure.exit != Exit::NotFound => Err(failure),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Empties the data plane's state, except for the access log, so that it joins anew.
    fn forget_node(&self) -> Result<(), Failure> {
        let folder = self.state.dataplane();
        let access_log = self.state.access_log();
        let aside = self.state.folder().join("access.jsonl.kept");
        let cannot = |error: std::io::Error| private_files::cannot("emptied", &folder, &error);
        let kept = access_log.exists();
        if kept {
            fs::rename(&access_log, &aside).map_err(cannot)?;
        }
        fs::remove_dir_all(&folder).map_err(cannot)?;
        self.state.make_folders()?;
        if kept {
            fs::rename(&aside, &access_log).map_err(cannot)?;
        }
        Ok(())
    }

    async fn publish(&self, client: &Client) -> Result<(), Failure> {
        if self.sources.is_empty() {
            return Ok(());
        }
        let applied = apply::publish(client, &self.sources).await?;
        for warning in &applied.warnings {
            output::talk(&format!("warning: {warning}"));
        }
        let own = self.state.node();
        enforcement::wait(client, applied.issue(), ENFORCE_TIMEOUT, own.as_deref()).await
    }
}

/// Chooses addresses and writes what the planes are to know of them.
fn choose(
    listen: Option<SocketAddr>,
    state: &State,
    record: &mut Record,
) -> Result<SettingsFiles, Failure> {
    let addresses = Addresses::choose(listen, record)?;
    record.gateway = format!("http://{}", addresses.gateway);
    record.operations = format!("http://{}", addresses.operations);
    record.api = format!("http://{}", addresses.api);
    record.nodes = format!("https://{}", addresses.nodes);
    // From here on the issuer's URL stands in documents in force: a crash may not lose it.
    state.write_record(record)?;
    settings::write(state, &addresses, &record.issuer)
}

/// Serves the issuer, at the address that it always had.
fn serve_issuer(state: &State, record: &mut Record) -> Result<(), Failure> {
    let listener = addresses::bind_provider(&record.issuer)?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::machine(format!("the development provider: {error}")))?;
    record.issuer = format!("http://{address}");
    let signer: Signer = state.signer(&record.issuer)?;
    record.key = signer.key_id();
    provider::serve(listener, &signer)
}

fn plane(name: &'static str, state: &State, settings: &std::path::Path) -> Result<Plane, Failure> {
    let log = state.folder().join(format!("{name}.log"));
    // A log tells of one run.
    private_files::write(&log, b"")?;
    Plane::new(name, settings, &log)
}

/// Waits until the control plane has fetched the issuer's key and accepts its administrator.
async fn until_trusted(client: &Client) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        match client.get("/api/v1/nodes").await {
            Ok(_) => return Ok(()),
            Err(failure) if failure.exit != Exit::Denied || began.elapsed() > TRUST_TIMEOUT => {
                return Err(failure);
            }
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

fn said(ready: &Value, field: &str) -> Option<String> {
    ready.get(field)?.as_str().map(str::to_owned)
}
