//! The data plane's process: settings in, a node that serves until it is told to stop.

/// What libraries free, a decrypted token among it, is zero before anybody else gets it. Beneath is
/// an allocator that keeps its pages: glibc's gave those of a large body back to the system and
/// faulted them in again with each request.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<mimalloc::MiMalloc> =
    zeroizing_alloc::ZeroAlloc(mimalloc::MiMalloc);

fn main() -> std::process::ExitCode {
    penstock_gateway::command::run()
}
