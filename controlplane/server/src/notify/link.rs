//! Keys of links in mails: 32 random bytes, kept hashed, good for one answer about one approval.

use penstock_app::{hex, sha256_hex};
use zeroize::Zeroizing;

use crate::random;

/// How long a key holds, in milliseconds: 60 minutes.
pub(crate) const LIFETIME_MS: u64 = 3_600_000;

/// A key, 64 hex digits.
pub(crate) struct LinkKey(Zeroizing<String>);

impl LinkKey {
    /// What is kept of it: SHA-256, hex.
    pub(crate) fn sha256(&self) -> String {
        sha256_hex(self.0.as_bytes())
    }

    /// For the link.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// A new key.
///
/// # Errors
/// The system gives no random bytes.
pub(crate) fn new_key() -> Result<LinkKey, String> {
    Ok(LinkKey(Zeroizing::new(hex(&*random::bytes::<32>()?))))
}
