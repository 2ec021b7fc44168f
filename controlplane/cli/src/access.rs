//! Finds the control plane and the credential for it.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use zeroize::Zeroizing;

use crate::client::Client;
use crate::commands::token::not_empty;
use crate::failure::Failure;
use crate::profiles::{self, Profiles, Purpose};
use crate::sign_in::refresh;
use crate::signer::{Signer, TokenRequest};
use crate::state::State;
use crate::{names, timestamp};

/// Audience of tokens for the control plane.
pub(crate) const API_AUDIENCE: &str = "penstock-api";
/// Whom `penstock dev` makes an administrator.
pub(crate) const DEV_ADMINISTRATOR: &str = "dev-administrator";
/// How long a minted token lives: one call.
const MINTED_LIFETIME: Duration = Duration::from_secs(60);

/// Which control plane is meant, as far as the command line says it.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Target {
    /// State folder of `penstock dev`
    #[arg(long, global = true, value_name = "DIR", env = "PENSTOCK_STATE", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,
    /// Profile that `penstock login` wrote
    #[arg(long, global = true, value_name = "NAME", env = "PENSTOCK_PROFILE",
        hide_env_values = true, value_parser = names::parse)]
    pub(crate) profile: Option<String>,
}

/// In whose name to call.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ActAs {
    /// Call in this user's name; on a state of `penstock dev` alone
    #[arg(long, global = true, value_name = "USER", value_parser = not_empty)]
    as_user: Option<String>,
    /// Groups of that user, separated by commas
    #[arg(long, global = true, value_name = "GROUPS", value_delimiter = ',',
        value_parser = not_empty)]
    as_groups: Vec<String>,
}

impl ActAs {
    /// The user, where one is named.
    pub(crate) fn user(&self) -> Option<&str> {
        self.as_user.as_deref()
    }

    /// The user's groups.
    pub(crate) fn groups(&self) -> &[String] {
        &self.as_groups
    }
}

/// How calls are authenticated. Without `Debug`: it holds a key or a token.
pub(crate) enum Credential {
    /// A new token for every call, signed with a development state's key.
    Minted(Box<Minted>),
    /// The token that was given.
    Given(Zeroizing<String>),
    /// A profile's token, refreshed when it ends.
    Profile(Profiles, String),
}

/// Whose tokens are minted.
pub(crate) struct Minted {
    signer: Signer,
    user: String,
    groups: Vec<String>,
}

/// Where the control plane's address and the credential come from.
pub(crate) enum Place {
    /// A development state.
    State(State),
    /// A profile of that name.
    Profile(Profiles, String),
    /// `PENSTOCK_URL` and `PENSTOCK_TOKEN`.
    Environment(String, Zeroizing<String>),
}

impl Credential {
    /// Tokens for the administrator of a development state.
    pub(crate) fn administrator(signer: Signer) -> Self {
        Self::minted(signer, &ActAs::default())
    }

    fn minted(signer: Signer, act_as: &ActAs) -> Self {
        let user = act_as.as_user.clone().unwrap_or_else(|| DEV_ADMINISTRATOR.to_owned());
        Self::Minted(Box::new(Minted { signer, user, groups: act_as.as_groups.clone() }))
    }

    /// The token for one call.
    pub(crate) async fn token(&self) -> Result<Zeroizing<String>, Failure> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::Profile(profiles, name) => refresh::fresh(profiles, name, Purpose::Api).await,
            Self::Minted(minted) => minted.signer.sign(
                &TokenRequest {
                    user: minted.user.clone(),
                    groups: minted.groups.clone(),
                    audience: API_AUDIENCE.to_owned(),
                    lifetime: MINTED_LIFETIME,
                    ..TokenRequest::default()
                },
                timestamp::now_ms(),
            ),
        }
    }
}

/// The control plane that is meant: see `penstock --help` for the order.
pub(crate) fn find(target: &Target) -> Result<Client, Failure> {
    find_as(target, &ActAs::default())
}

/// The same in somebody's name.
///
/// # Errors
/// That is for development states alone.
pub(crate) fn find_as(target: &Target, act_as: &ActAs) -> Result<Client, Failure> {
    if act_as.as_user.is_none() && !act_as.as_groups.is_empty() {
        return Err(Failure::usage("--as-groups needs --as-user"));
    }
    match place(target)? {
        Place::State(state) => of_state(&state, act_as),
        Place::Profile(profiles, name) => {
            nobody_else(act_as)?;
            let profile = profiles.existing(&name)?;
            let credential = Credential::Profile(profiles, name);
            Client::new(&profile.url, profile.ca.as_deref(), credential)
        }
        Place::Environment(url, token) => {
            nobody_else(act_as)?;
            Client::new(&url, None, Credential::Given(token))
        }
    }
}

/// Refuses to act in somebody's name.
///
/// # Errors
/// Somebody is named.
pub(crate) fn nobody_else(act_as: &ActAs) -> Result<(), Failure> {
    match act_as.as_user {
        None => Ok(()),
        Some(_) => Err(Failure::usage("--as-user works on a state of `penstock dev` alone")
            .hint("elsewhere everybody signs in: `penstock login`")),
    }
}

/// Where to look, in the order of `penstock --help`.
pub(crate) fn place(target: &Target) -> Result<Place, Failure> {
    if target.state.is_some() {
        return State::locate(target.state.as_deref()).map(Place::State);
    }
    if let Some(name) = &target.profile {
        return Ok(Place::Profile(Profiles::locate()?, name.clone()));
    }
    if let Some((url, token)) = environment()? {
        return Ok(Place::Environment(url, token));
    }
    if let Ok(profiles) = Profiles::locate()
        && profiles.has(profiles::DEFAULT)
    {
        return Ok(Place::Profile(profiles, profiles::DEFAULT.to_owned()));
    }
    match State::default_existing() {
        Some(state) => Ok(Place::State(state)),
        None => Err(Failure::machine("no control plane is known").hint(
            "start one with `penstock dev`, name its state with --state DIR, sign in with \
             `penstock login`, or set PENSTOCK_URL and PENSTOCK_TOKEN",
        )),
    }
}

fn environment() -> Result<Option<(String, Zeroizing<String>)>, Failure> {
    match (env::var_os("PENSTOCK_URL"), env::var_os("PENSTOCK_TOKEN")) {
        (Some(url), Some(token)) => {
            let url = url.into_string().map_err(|_| Failure::usage("PENSTOCK_URL is not a URL"))?;
            let token =
                token.into_string().map_err(|_| Failure::usage("PENSTOCK_TOKEN is not a token"))?;
            Ok(Some((url, Zeroizing::new(token))))
        }
        (Some(_), None) => Err(Failure::usage("PENSTOCK_URL is set, PENSTOCK_TOKEN is not")),
        (None, Some(_)) => Err(Failure::usage("PENSTOCK_TOKEN is set, PENSTOCK_URL is not")),
        (None, None) => Ok(None),
    }
}

/// Only while `penstock dev` runs: afterwards anybody on this machine may hold its port.
fn of_state(state: &State, act_as: &ActAs) -> Result<Client, Failure> {
    let record = state.existing_record()?;
    state.check_running()?;
    let credential = Credential::minted(state.signer(&record.issuer)?, act_as);
    Client::new(&record.api, None, credential)
}
