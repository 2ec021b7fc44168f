//! `penstock connect`: a port of this machine that leads to one connection of the gateway, with the
//! token of whoever signed in. For programs that can't be given a token of their own.

mod forward;

use std::net::Ipv4Addr;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::access::{self, ActAs, Place, Target};
use crate::failure::Failure;
use crate::profiles::{Profiles, Purpose};
use crate::sign_in::refresh;
use crate::signer::{Signer, TokenRequest};
use crate::{names, output, timestamp, transport};

/// Audience of tokens for a development state's gateway.
const DEV_AUDIENCE: &str = "penstock";
/// How long a minted token lives.
const MINTED_LIFETIME: Duration = Duration::from_secs(600);

/// Arguments of `penstock connect`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock connect llama --port 8080 --gateway https://gateway.example.com
  OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=unused python chat.py
  penstock connect llama --port 0 --as-user ada --as-groups engineers     on a development state

Everything on this machine that reaches the port speaks in your name: lend it on a machine of your
own, and end it when it is not needed. Pages in a browser are kept away from it. The address stands
alone on standard output; Ctrl-C ends it.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    act_as: ActAs,
    /// Name of the connection
    #[arg(value_parser = names::parse)]
    connection: String,
    /// Port of 127.0.0.1; 0 for any that is free
    #[arg(long, value_name = "N")]
    port: u16,
    /// URL of the gateway [default: the profile's, or the development state's]
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
}

/// Whose token goes with each request. Without `Debug`: it holds a key.
enum Caller {
    Profile(Profiles, String),
    Minted { signer: Signer, user: String, groups: Vec<String> },
}

impl Caller {
    async fn token(&self) -> Result<Zeroizing<String>, Failure> {
        match self {
            Self::Profile(profiles, name) => refresh::fresh(profiles, name, Purpose::Gateway).await,
            Self::Minted { signer, user, groups } => signer.sign(
                &TokenRequest {
                    user: user.clone(),
                    groups: groups.clone(),
                    audience: DEV_AUDIENCE.to_owned(),
                    lifetime: MINTED_LIFETIME,
                    ..TokenRequest::default()
                },
                timestamp::now_ms(),
            ),
        }
    }
}

/// Lends the port until it is interrupted.
pub(crate) async fn run(target: &Target, arguments: &Arguments) -> Result<(), Failure> {
    let (gateway, ca, caller) = source(target, arguments)?;
    let gateway = transport::address(&gateway, "the gateway's URL")?;
    let client = transport::client(transport::is_loopback(&gateway), ca.as_deref(), None)?;
    // Whoever is not signed in hears it now, and not from the first request.
    caller.token().await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await;
    let listener = listener.map_err(|error| {
        Failure::machine(format!("port {} can't be taken: {error}", arguments.port))
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::machine(format!("the port is not known: {error}")))?;
    output::data(&format!("http://{address}\n"))?;
    output::talk(&format!("leads to {} at {gateway}; Ctrl-C ends it", arguments.connection));
    let router = forward::router(client, gateway, &arguments.connection, caller, address.port());
    let served = axum::serve(listener, router).into_future();
    tokio::select! {
        ended = served => ended.map_err(|error| Failure::failed(format!("it ended: {error}"))),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Gateway, authorities, and who calls.
fn source(
    target: &Target,
    arguments: &Arguments,
) -> Result<(String, Option<String>, Caller), Failure> {
    let given = arguments.gateway.clone();
    match access::place(target)? {
        Place::State(state) => {
            let record = state.existing_record()?;
            let user = arguments.act_as.user().ok_or_else(|| {
                Failure::usage("in whose name?").hint("--as-user USER, on a development state")
            })?;
            state.check_running()?;
            let signer = state.signer(&record.issuer)?;
            let (user, groups) = (user.to_owned(), arguments.act_as.groups().to_vec());
            let gateway = given.unwrap_or(record.gateway);
            Ok((gateway, None, Caller::Minted { signer, user, groups }))
        }
        Place::Profile(profiles, name) => {
            access::nobody_else(&arguments.act_as)?;
            let profile = profiles.existing(&name)?;
            let gateway = given.or(profile.gateway).ok_or_else(|| {
                Failure::usage("which gateway?")
                    .hint("--gateway URL, here or once and for all at `penstock login`")
            })?;
            Ok((gateway, profile.ca, Caller::Profile(profiles, name)))
        }
        Place::Environment(_, _) => Err(Failure::usage("PENSTOCK_TOKEN is the control plane's")
            .hint("penstock login, then penstock connect --profile NAME")),
    }
}
