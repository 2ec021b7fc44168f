//! What the tests of faults share: a scripted control plane and a node go in as a test asks for
//! them; what callers see and what is counted comes out. It never looks into a process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod authority;
mod control_plane;
mod node;
mod world;

pub use authority::{Authority, GOOD_UNTIL};
pub use control_plane::{Behaviour, ControlPlane};
pub use node::Node;
pub use world::{World, code, issuer_document, usual};
