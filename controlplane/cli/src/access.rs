//! Finds the control plane and the credential for it.

use std::env;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::client::Client;
use crate::failure::Failure;
use crate::signer::{Signer, TokenRequest};
use crate::state::State;
use crate::timestamp;

/// Audience of tokens for the control plane.
pub(crate) const API_AUDIENCE: &str = "penstock-api";
/// Whom `penstock dev` makes an administrator.
pub(crate) const DEV_ADMINISTRATOR: &str = "dev-administrator";
/// How long a minted administrator's token lives: one call.
const ADMINISTRATOR_LIFETIME: Duration = Duration::from_secs(60);

/// How calls are authenticated. Without `Debug`: it holds a key or a token.
pub(crate) enum Credential {
    /// A new token for every call, signed with a development state's key.
    Minted(Signer),
    /// The token that was given.
    Given(Zeroizing<String>),
}

impl Credential {
    /// The token for one call.
    pub(crate) fn token(&self) -> Result<Zeroizing<String>, Failure> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::Minted(signer) => signer.sign(
                &TokenRequest {
                    user: DEV_ADMINISTRATOR.to_owned(),
                    audience: API_AUDIENCE.to_owned(),
                    lifetime: ADMINISTRATOR_LIFETIME,
                    ..TokenRequest::default()
                },
                timestamp::now_ms(),
            ),
        }
    }
}

/// The control plane that is meant: see `penstock --help` for the order.
pub(crate) fn find(state: Option<&Path>) -> Result<Client, Failure> {
    if state.is_some() {
        return of_state(&State::locate(state)?);
    }
    match (env::var_os("PENSTOCK_URL"), env::var_os("PENSTOCK_TOKEN")) {
        (Some(url), Some(token)) => {
            let url = url.into_string().map_err(|_| Failure::usage("PENSTOCK_URL is not a URL"))?;
            let token =
                token.into_string().map_err(|_| Failure::usage("PENSTOCK_TOKEN is not a token"))?;
            return Client::new(&url, Credential::Given(Zeroizing::new(token)));
        }
        (Some(_), None) => {
            return Err(Failure::usage("PENSTOCK_URL is set, PENSTOCK_TOKEN is not"));
        }
        (None, Some(_)) => {
            return Err(Failure::usage("PENSTOCK_TOKEN is set, PENSTOCK_URL is not"));
        }
        (None, None) => {}
    }
    match State::default_existing() {
        Some(state) => of_state(&state),
        None => Err(Failure::machine("no control plane is known").hint(
            "start one with `penstock dev`, name its state with --state DIR, or set PENSTOCK_URL \
             and PENSTOCK_TOKEN",
        )),
    }
}

/// Only while `penstock dev` runs: afterwards anybody on this machine may hold its port.
fn of_state(state: &State) -> Result<Client, Failure> {
    let record = state.existing_record()?;
    state.check_running()?;
    Client::new(&record.api, Credential::Minted(state.signer(&record.issuer)?))
}
