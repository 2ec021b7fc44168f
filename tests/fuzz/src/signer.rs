//! A key that everybody knows, so that inputs can get behind a signature: what an issuer or the
//! control plane might sign is as hostile as the rest.

use std::sync::LazyLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The same key in each run.
pub(crate) static PAIR: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes are a seed"));

/// Its signature, of which there is one for each message.
pub(crate) fn sign(message: &[u8]) -> Vec<u8> {
    PAIR.sign(message).as_ref().to_vec()
}

/// Its public half as JWK members need it.
pub(crate) fn public_base64url() -> String {
    URL_SAFE_NO_PAD.encode(PAIR.public_key())
}
