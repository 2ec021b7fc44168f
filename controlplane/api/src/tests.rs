//! The interface over a core without a store, called as a router.

mod approvals;
mod backend;
mod calls;
mod correspondence;
mod golden;
mod grants;
mod login;
