//! Tokens of callers, checked against the keys that are in force.

use std::sync::{Arc, PoisonError, RwLock};

use penstock_app::State;
use penstock_config::identity::Identity;
use penstock_config::snapshot::TrustedIssuer;
use penstock_identity::{Issuers, TokenError};

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

    /// Who a token speaks for.
    pub(crate) fn identify(&self, token: &[u8], now_ms: u64) -> Result<Identity, Unidentified> {
        let issuers = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        match issuers.verify_for(token, &[AUDIENCE], now_ms) {
            Ok(verified) => Ok(verified.identity),
            Err(TokenError::UnknownKey { issuer, kid }) => {
                Err(Unidentified::UnknownKey { issuer, kid })
            }
            Err(_) => Err(Unidentified::Refused),
        }
    }
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
