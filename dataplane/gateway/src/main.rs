//! The data plane's process: settings in, a node that serves until it is told to stop.

/// What libraries free, a decrypted token among it, is zero before anybody else gets it.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> std::process::ExitCode {
    penstock_gateway::command::run()
}
