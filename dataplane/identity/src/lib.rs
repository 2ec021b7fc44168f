//! Bearer tokens in, verified identities out: JWS signatures by public keys (RFC 7515), JWT claims
//! (RFC 7519), groups and intent (RFC 9396).
//!
//! It never does I/O, never reads a clock (the time is an argument), never fetches a key, never
//! accepts what it cannot check, and keeps no token: neither in its cache nor in its errors.
//!
//! One token's way: [`Issuers::verify`] takes it apart strictly, finds the key by issuer, `kid` and
//! algorithm, lets `jsonwebtoken` check the signature, and only then reads the claims into an
//! identity. What the gateway made of it stays in a [`TokenCache`] until the token expires.

mod base64url;
mod cache;
mod claims;
mod error;
mod intent;
mod issuers;
mod json;
mod key;
mod token;

pub use cache::{TokenCache, TokenKey};
pub use error::TokenError;
pub use issuers::{Issuers, Verified};
pub use key::{KeyFault, KeyProblem};

/// Largest token in bytes; a longer one is refused before anything in it is decoded.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Longest `kid` in bytes, of a token and of a key.
pub const KEY_ID_BYTES_MAX: usize = 256;

/// Most groups of one token; a token with more is refused, because a list cut short could lack the
/// group that a deny rule names.
pub const GROUPS_MAX: usize = 256;

/// Most keys of one issuer.
pub const KEYS_MAX: usize = 64;
