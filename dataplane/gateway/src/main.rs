//! The data plane's process: settings in, a node that serves until it is told to stop.

fn main() -> std::process::ExitCode {
    penstock_gateway::command::run()
}
