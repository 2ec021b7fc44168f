//! What `penstock dev` is made of: addresses, an identity provider, two processes, their settings.

pub(crate) mod addresses;
pub(crate) mod orphans;
pub(crate) mod plane;
pub(crate) mod provider;
pub(crate) mod screen;
pub(crate) mod secrets;
pub(crate) mod settings;
pub(crate) mod start;
pub(crate) mod supervision;
