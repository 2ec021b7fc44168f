//! The interface over a core without a store, called as a router.

mod backend;
mod calls;
mod golden;
