//! Cores, sockets and time. In: settings of the process. Out: accepted streams of owned, pooled
//! buffers in completion style, timers, mailboxes between threads. Never: protocol knowledge. The
//! only crate that names glommio.

pub mod buffer;
pub mod cores;
pub mod locked;
pub mod mailbox;
pub mod memory;
pub mod network;
pub mod process;
pub mod sockets;

mod accept;
mod machine;
mod task;

#[cfg(test)]
mod conformance;
