//! The command `penstock-dataplane`.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use penstock_config::documents::Source;
use penstock_config::settings::DataplaneSettings;
use penstock_reactor::process::{Signal, Signals, harden, raise_descriptor_limit};
use rustls::crypto::aws_lc_rs;
use serde_json::json;

use crate::descriptors;
use crate::node::{Running, StartError, Stopper, core_count};
use crate::sync::{CallersTls, Disk, join};
use crate::upstream_tls::UpstreamTlsConfigs;

/// The data plane of Penstock: identifies, decides, injects and relays every request to a model
/// server.
///
/// It joins its control plane once, with the file that `penstock nodes join-file` makes, and keeps
/// the last good policy in its state directory.
///
/// When it serves, it prints one JSON line: {"ready": true, "listen": ADDR, "operations": ADDR}.
/// SIGTERM lets open exchanges finish, a second one cuts them; exit status 0. SIGHUP has the files
/// of `tls` read again, which also happens by itself. Status 78 says that
/// the settings or the machine don't allow it to start.
#[derive(Debug, Parser)]
#[command(name = "penstock-dataplane", version)]
struct Arguments {
    /// The settings, YAML
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the settings, print every problem, and end
    #[arg(long)]
    check: bool,
    /// Run on a state that `penstock dev` made; ends when standard input does
    #[arg(long, hide = true)]
    development: bool,
}

/// The machine or the settings don't allow it (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;

/// Runs the command.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = match settings(&arguments.config) {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in problems {
                eprintln!("error: {problem}");
            }
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if arguments.check {
        let problems = files(&settings);
        for problem in &problems {
            eprintln!("error: {problem}");
        }
        if !problems.is_empty() {
            return ExitCode::from(EXIT_CONFIG);
        }
        println!("{}: no problem found", arguments.config.display());
        return ExitCode::SUCCESS;
    }
    match serve(settings, arguments.development) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn settings(path: &std::path::Path) -> Result<DataplaneSettings, Vec<String>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![format!("the settings {name} can't be read: {error}")])?;
    DataplaneSettings::parse(&Source { name, text })
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// What is wrong with the files of certificates that the settings name.
fn files(settings: &DataplaneSettings) -> Vec<String> {
    let callers = settings.tls.as_ref().map(CallersTls::load);
    let mut problems = callers.and_then(Result::err).unwrap_or_default();
    problems.extend(UpstreamTlsConfigs::new(settings.upstream_ca_file.as_deref()).err());
    problems
}

fn serve(mut settings: DataplaneSettings, development: bool) -> Result<(), StartError> {
    let system = |error: std::io::Error| StartError(error.to_string());
    let signals = Signals::block().map_err(system)?;
    harden().map_err(system)?;
    let descriptors = raise_descriptor_limit().map_err(system)?;
    let cores = core_count(&settings);
    if let Some(lowered) = descriptors::fit(&mut settings, descriptors, cores)? {
        eprintln!("warning: {lowered}");
    }
    aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| StartError("the provider of cryptography is there twice".to_owned()))?;
    let disk = Disk::open(&settings.state_dir).map_err(|error| {
        let path = settings.state_dir.display();
        StartError(format!("the state directory {path} can't be used: {error}"))
    })?;
    if disk.is_development() && !development {
        return Err(StartError(
            "this state was made by `penstock dev`, whose keys lie open beside it: production \
             starts with a state of its own"
                .to_owned(),
        ));
    }
    let joined = join(&disk, settings.join_file.as_deref())
        .map_err(|error| StartError(error.to_string()))?;
    let running = Running::start(settings, disk, joined)?;
    let stopper = running.stopper();
    if development {
        let stopper = stopper.clone();
        spawn("parent", move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            stopper.drain();
            stopper.cut();
        })?;
    }
    spawn("signals", move || heed(&signals, &stopper))?;
    announce(&running);
    running.join()
}

/// Does what signals ask for.
fn heed(signals: &Signals, stopper: &Stopper) {
    let mut drains = false;
    while let Ok(signal) = signals.wait() {
        match signal {
            Signal::Hangup => stopper.reload(),
            Signal::Terminate | Signal::Interrupt if drains => stopper.cut(),
            Signal::Terminate | Signal::Interrupt => {
                drains = true;
                stopper.drain();
            }
        }
    }
}

/// Says that callers are served, once a policy is in force.
fn announce(running: &Running) {
    while !running.is_ready() && !running.is_stopping() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let line = json!({
        "ready": true,
        "listen": running.address().to_string(),
        "operations": running.operations_address().to_string(),
    });
    println!("{line}");
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
        .map_err(|error| StartError(error.to_string()))
}
