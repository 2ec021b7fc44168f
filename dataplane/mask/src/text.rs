//! The engine, as formats use it.

pub use crate::channel::{Channel, Pushed};
pub use crate::profile::{Masking, Scratch};
