//! `penstock dev`: both planes and a development identity provider in one terminal.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::development::addresses::check_exposure;
use crate::development::screen::{ready_line, screen};
use crate::development::secrets::NO_SECRETS;
use crate::development::start::{Development, Wish};
use crate::development::supervision::supervise;
use crate::failure::Failure;
use crate::output;
use crate::state::State;

/// Arguments of `penstock dev`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock dev
  penstock dev --apply policy/ --listen 127.0.0.1:9000
  PENSTOCK_SECRET_LLAMA_KEY=… penstock dev --apply llama.yaml
  penstock dev --state ./state --json | head -1 | jq -r .gateway

A secret that documents name as llama-key comes from PENSTOCK_SECRET_LLAMA_KEY. The state is made
if it is missing, and kept: start again on it and go on. Its tokens are signed with a key that lies
in it, so the gateway listens on this machine only, unless --expose-development is given.")]
pub(crate) struct Arguments {
    /// Documents to put in force: files or folders, all as one set
    #[arg(long, value_name = "FILE")]
    apply: Vec<PathBuf>,
    /// Where the gateway listens [default: 127.0.0.1:8470, or a free port]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Let other machines reach a gateway that trusts a key on this disk
    #[arg(long)]
    expose_development: bool,
    /// Print one JSON line when all is ready, and nothing else
    #[arg(long)]
    json: bool,
}

/// Runs until Ctrl-C or SIGTERM, which is success.
pub(crate) async fn run(state: Option<&Path>, arguments: Arguments) -> Result<(), Failure> {
    check_exposure(arguments.listen, arguments.expose_development)?;
    let mut ending = Ending::listen()?;
    let state = State::locate(state)?;
    let wish = Wish { listen: arguments.listen, apply: arguments.apply };
    let mut development = tokio::select! {
        prepared = Development::prepare(state, &wish) => prepared?,
        () = ending.asked_for() => return Ok(()),
    };
    let outcome = tokio::select! {
        Err(failure) = serve(&mut development, arguments.json) => Err(failure),
        () = ending.asked_for() => Ok(()),
    };
    development.stop().await;
    outcome
}

/// Starts, says so, and watches. Ends only by a failure.
async fn serve(development: &mut Development, json: bool) -> Result<Infallible, Failure> {
    development.start().await?;
    let ready = if json { ready_line } else { screen };
    output::data(&ready(&development.state, &development.record))?;
    let Development { state, record, controlplane, dataplane, .. } = development;
    let record = RefCell::new(record);
    let controlplane = supervise(controlplane, NO_SECRETS, |pid| {
        let mut record = record.borrow_mut();
        record.pids.controlplane = pid;
        save(state, &record);
    });
    let dataplane = supervise(dataplane, b"", |pid| {
        let mut record = record.borrow_mut();
        record.pids.dataplane = pid;
        save(state, &record);
    });
    tokio::select! {
        failure = controlplane => Err(failure),
        failure = dataplane => Err(failure),
    }
}

/// A record that can't be written is said, and no reason to end what runs.
fn save(state: &State, record: &crate::state::Record) {
    if let Err(failure) = state.write_record(record) {
        let _ = failure.report();
    }
}

/// The signals that end it: Ctrl-C, SIGTERM, a closed terminal.
struct Ending {
    signals: [Signal; 3],
}

impl Ending {
    fn listen() -> Result<Self, Failure> {
        let on = |kind| {
            signal(kind)
                .map_err(|error| Failure::machine(format!("signals can't be caught: {error}")))
        };
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(on);
        Ok(Self { signals: [interrupt?, terminate?, hangup?] })
    }

    async fn asked_for(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
