//! What must hold for any bytes from outside: an input comes in, and a broken promise panics. Never
//! I/O, a clock, or chance that does not come from the input: each finding is one file.
//!
//! The engine chooses the inputs (`main.rs`, driven by `tests/tools/fuzz.sh`); the seeds below
//! `corpus/` run as ordinary tests too.

mod canary;
mod chance;
mod chunked;
mod document;
mod head;
mod json;
mod mask;
mod peer;
mod response;
mod signer;
mod snapshot;
mod sse;
mod token;

/// One kind of input, and what must hold for it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As the script and the folder of its seeds are named.
    pub name: &'static str,
    /// Panics when something does not hold. Whether the input was understood, and not refused.
    pub check: fn(&[u8]) -> bool,
}

/// All targets. The first one has a planted bug that must be found, or the engine is blind.
pub const TARGETS: [Target; 9] = [
    Target { name: "canary", check: canary::check },
    Target { name: "chunked", check: chunked::check },
    Target { name: "document", check: document::check },
    Target { name: "head", check: head::check },
    Target { name: "json", check: json::check },
    Target { name: "mask", check: mask::check },
    Target { name: "snapshot", check: snapshot::check },
    Target { name: "sse", check: sse::check },
    Target { name: "token", check: token::check },
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
