//! Signing people in with OpenID Connect. In: an identity provider's URL, a person in a browser.
//! Out: tokens for the control plane and for the gateway, and how they are refreshed. The protocol
//! is the library's; here stand what is asked for, what is believed, and where tokens go.

pub(crate) mod browser;
pub(crate) mod callback;
pub(crate) mod claims;
pub(crate) mod device;
pub(crate) mod http;
pub(crate) mod loopback;
pub(crate) mod provider;
pub(crate) mod refresh;
#[cfg(test)]
mod tests;
