//! Callers, model servers, an identity provider and processes for tests of the whole product: a
//! test says what happens on the wire, byte for byte, and reads back what came.
//!
//! Everything listens on a port of 127.0.0.1 that the system chose, every wait is bounded, and what
//! a test started ends with it. Nothing here is part of what is shipped: a test that cannot go on
//! panics with the reason.

mod autonomous;
mod client;
mod dev;
pub mod documents;
mod message;
mod process;
pub mod requests;
mod scripted;
mod token;
mod wait;

pub use autonomous::{Answer, AutonomousUpstream, Seen};
pub use client::{ClientError, RawClient};
pub use dev::{Dev, DevOptions, Pids, Ready, program};
pub use message::{Message, Response};
pub use process::{Output, Process, is_running, run, signal};
pub use rustix::process::Signal;
pub use scripted::{ConnectionEnd, Gate, Recorded, Script, ScriptedUpstream};
pub use token::{SigningAlgorithm, TestIssuer, TokenBuilder};
pub use wait::{eventually, wait_until};

use std::time::Duration;

/// How long a wait lasts at most where a test does not say: long enough for a loaded machine, short
/// enough that a hanging test ends by itself.
pub const PATIENCE: Duration = Duration::from_secs(20);
