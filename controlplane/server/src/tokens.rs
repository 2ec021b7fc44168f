//! Tokens of callers, checked against the keys that are in force.

use std::sync::{Arc, PoisonError, RwLock};

use penstock_app::{State, sha256_hex};
use penstock_config::identity::Identity;
use penstock_config::snapshot::TrustedIssuer;
use penstock_identity::{Issuers, TokenError};
use serde_json::Value;

/// What a token for the API must be for.
const AUDIENCE: &str = "penstock-api";

/// Issuers in force, compiled. Copies share them.
#[derive(Clone)]
pub(crate) struct Tokens(Arc<RwLock<Arc<Issuers>>>);

/// Why nobody stands behind a token.
pub(crate) enum Unidentified {
    /// It does not hold.
    Refused,
    /// The issuer may have a new key.
    UnknownKey {
        /// Name of the issuer document.
        issuer: String,
        /// Its key id.
        kid: String,
    },
}

impl Tokens {
    pub(crate) fn new(state: &State) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(compile(state)))))
    }

    /// Takes over issuers and keys of a new state.
    pub(crate) fn follow(&self, state: &State) {
        let compiled = Arc::new(compile(state));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = compiled;
    }

    /// Who a token for one of these audiences speaks for.
    pub(crate) fn identify_for(
        &self,
        token: &[u8],
        audiences: &[&str],
        now_ms: u64,
    ) -> Result<Identity, TokenError> {
        let issuers = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        issuers.verify_for(token, audiences, now_ms).map(|verified| verified.identity)
    }

    /// Who a token speaks for.
    pub(crate) fn identify(&self, token: &[u8], now_ms: u64) -> Result<Identity, Unidentified> {
        match self.identify_for(token, &[AUDIENCE], now_ms) {
            Ok(identity) => Ok(identity),
            Err(TokenError::UnknownKey { issuer, kid }) => {
                Err(Unidentified::UnknownKey { issuer, kid })
            }
            Err(_) => Err(Unidentified::Refused),
        }
    }
}

/// Whether a token that holds was revoked: by itself, or with its identity after it was issued.
pub(crate) fn is_revoked(state: &State, identity: &Identity, token: &[u8]) -> bool {
    // Verified as whole seconds; what does not say when counts as old.
    let issued_s = identity.claims.get("iat").and_then(Value::as_u64).unwrap_or(0);
    state.is_revoked(identity, issued_s.saturating_mul(1_000), &sha256_hex(token))
}

fn compile(state: &State) -> Issuers {
    let trusted: Vec<TrustedIssuer> = state
        .issuers()
        .map(|issuer| TrustedIssuer {
            document: issuer.clone(),
            keys: state.keys_of(issuer).to_vec(),
        })
        .collect();
    Issuers::compile(&trusted).0
}
