//! The control plane's process. In: settings, calls of people and nodes, issuers' keys, the clock.
//! Out: answers, signed snapshots, leased secrets, a log. Never: a decision of its own (those are
//! the core's), or a secret or token on disk, in a log or in an error.

mod authority;
mod backend;
mod correspondence;
mod exchange;
mod fetch;
mod files;
mod holds;
mod leases;
mod limits;
mod listener;
mod live;
pub mod log;
mod nodes;
mod notify;
mod presence;
mod random;
mod reach;
pub mod secrets_input;
mod sign_in;
mod start;
mod tokens;
mod worker;

pub use limits::raise_open_files;
pub use start::{Options, Server, StartError, check, start};
