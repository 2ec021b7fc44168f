//! Approvals and grants from a seed: the pure core of the control plane with model nodes, people, a
//! network that loses, repeats and reorders, and clocks that jump. In: a seed. Out: nothing, or the
//! invariant that broke and the step at which it did. Never: a real clock, a thread, I/O.
//!
//! The nodes here are what a node may be at its best: what they do to keep the invariants is what
//! the real one must do. The control plane is the real core; a restart gives it back only what its
//! changes say.

mod control;
mod invariants;
mod network;
mod node;
mod people;
mod policies;
mod random;
mod schedule;
mod truth;

pub use invariants::Broken;
pub use random::Random;
pub use schedule::{Fault, Report, run};
