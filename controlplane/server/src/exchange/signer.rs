//! The key that exchanged tokens are signed with: Ed25519, in a file of its own.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use penstock_app::sha256_hex;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::files::read_or_make_key;

/// Digits of a key id.
const KEY_ID_DIGITS: usize = 16;

/// Signs. Without `Debug`: it holds the private key.
pub(crate) struct TokenSigner {
    key: EncodingKey,
    key_id: String,
    public: String,
}

impl TokenSigner {
    /// Reads the key from its file, or makes both.
    ///
    /// # Errors
    /// One sentence: the file can't be read or made, is open to others, or holds no such key.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let document = read_or_make_key(path, || {
            let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
                .map_err(|_| "no key could be made".to_owned())?;
            Ok(Zeroizing::new(document.as_ref().to_vec()))
        })?;
        let pair = Ed25519KeyPair::from_pkcs8(&document)
            .map_err(|_| format!("key file {}: not an ed25519 key in PKCS#8", path.display()))?;
        let public = pair.public_key().as_ref();
        let mut key_id = sha256_hex(public);
        key_id.truncate(KEY_ID_DIGITS);
        let key = EncodingKey::from_ed_der(&document);
        Ok(Self { key, key_id, public: URL_SAFE_NO_PAD.encode(public) })
    }

    /// The public half (RFC 8037 section 2).
    pub(crate) fn jwk(&self) -> Map<String, Value> {
        let jwk = json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "alg": "EdDSA",
            "use": "sig",
            "kid": self.key_id,
            "x": self.public,
        });
        jwk.as_object().cloned().unwrap_or_default()
    }

    /// An access token of these claims (RFC 9068 section 2).
    ///
    /// # Errors
    /// It can't be signed.
    pub(super) fn sign(&self, claims: &Map<String, Value>) -> Result<Zeroizing<String>, String> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, claims, &self.key)
            .map(Zeroizing::new)
            .map_err(|_| "a token can't be signed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_alone_and_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token.key");
        let made = TokenSigner::open(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(TokenSigner::open(&path).unwrap().jwk(), made.jwk());
        assert!(!made.jwk().contains_key("d"), "the public half alone");
    }

    #[test]
    fn a_file_that_holds_no_such_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token.key");
        crate::files::write_private(&path, b"key").unwrap();
        assert!(TokenSigner::open(&path).is_err_and(|error| error.contains("ed25519")));
    }
}
