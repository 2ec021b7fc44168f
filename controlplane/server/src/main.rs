//! `penstock-controlplane`: reads its arguments, starts the server, ends on a signal.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use penstock_server::log::{self, Level};
use penstock_server::{Options, StartError, check, raise_open_files, secrets_input, start};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tokio::signal::unix::{SignalKind, signal};

/// What is freed, a secret that was opened or a body that brought one, is zero before anybody else
/// gets it.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

/// It ran, and a part of it died.
const EXIT_FAILED: u8 = 1;
/// The machine or the settings do not allow it (sysexits' EX_CONFIG).
const EXIT_SETTINGS: u8 = 78;

/// The control plane of Penstock: documents, secrets, issuers' keys, nodes.
#[derive(Parser)]
#[command(name = "penstock-controlplane", version)]
struct Arguments {
    /// Settings file
    #[arg(long)]
    config: PathBuf,
    /// Say every problem of the settings and the first-run file, and end; keys, addresses and the
    /// store are not tried
    #[arg(long)]
    check: bool,
    /// Open a development state; its secrets come as one line of JSON on standard input
    #[arg(long)]
    development: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A core dump or a debugger of the same user would see the master key.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        eprintln!("penstock-controlplane: the process can't be made undumpable: {error}");
        return ExitCode::from(EXIT_SETTINGS);
    }
    if let Err(error) = raise_open_files() {
        log::line(Level::Warning, "open_files", &error);
    }
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_SETTINGS)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, StartError> {
    let settings = check(&arguments.config, arguments.development)?;
    if arguments.check {
        eprintln!(
            "the settings and the first-run file have no problems; keys, addresses and the store \
             were not tried"
        );
        return Ok(ExitCode::SUCCESS);
    }
    let secrets = if arguments.development {
        secrets_input::read(std::io::stdin()).map_err(StartError::Sentence)?
    } else {
        Vec::new()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| StartError::Sentence(format!("no runtime: {error}")))?;
    let mut options = Options::new(settings);
    options.development = arguments.development;
    options.secrets = secrets;
    runtime.block_on(serve(options))
}

async fn serve(options: Options) -> Result<ExitCode, StartError> {
    let no_signals = |error| StartError::Sentence(format!("signals can't be received: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let orphaned = orphaned(options.development);
    let mut server = start(options).await?;
    let ready =
        serde_json::json!({"ready": true, "api": server.api_url(), "nodes": server.nodes_url()});
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{ready}")
        .and_then(|()| stdout.flush())
        .map_err(|error| StartError::Sentence(format!("standard output is closed: {error}")))?;
    drop(stdout);
    let code = tokio::select! {
        _ = terminate.recv() => ExitCode::SUCCESS,
        _ = interrupt.recv() => ExitCode::SUCCESS,
        Ok(()) = orphaned => ExitCode::SUCCESS,
        () = server.failed() => ExitCode::from(EXIT_FAILED),
    };
    if code == ExitCode::SUCCESS {
        log::line(Level::Info, "stopping", "a signal, or the end of its parent, ends the process");
    } else {
        log::line(Level::Error, "failed", "the writer or a listener died: nothing can be changed");
    }
    server.stop().await;
    Ok(code)
}

/// In a development state the end of standard input says that `penstock dev` is gone. Elsewhere
/// nothing ever comes.
fn orphaned(development: bool) -> tokio::sync::oneshot::Receiver<()> {
    let (end, ended) = tokio::sync::oneshot::channel();
    if development {
        std::thread::spawn(move || {
            secrets_input::wait_for_end(std::io::stdin());
            let _ = end.send(());
        });
    }
    ended
}
