//! `penstock token`: signs offline with the state's own key, or prints a profile's token.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::access::{self, API_AUDIENCE, Place, Target};
use crate::failure::Failure;
use crate::profiles::Purpose;
use crate::sign_in::refresh;
use crate::signer::{RESERVED_CLAIMS, TokenRequest};
use crate::state::State;
use crate::{duration, output, timestamp};

/// Arguments of `penstock token`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock token --user ada --groups engineers,on-call
  penstock token --user ci --claim repository_id=4711 --claim email_verified=true --ttl 30s
  penstock token --user dev-administrator --audience penstock-api     for the control plane's API
  printf 'Authorization: Bearer %s' \"$(penstock token --user ada)\" | curl -H @- URL
                                     not in curl's arguments, which everybody on the machine sees
  penstock token                     the gateway's token of whoever signed in with `penstock login`

With --user the token is signed offline with the key of a development state, alone on standard
output. Only the gateway of that state trusts it. Times in tokens are whole seconds, so one may end
up to a second before its time. Without --user it is the profile's, refreshed where it ends.")]
pub(crate) struct Arguments {
    /// Who it vouches for: the claim `sub` [default: whoever signed in]
    #[arg(long, value_name = "USER", value_parser = not_empty)]
    user: Option<String>,
    /// Groups, separated by commas
    #[arg(long, value_name = "GROUPS", value_delimiter = ',', value_parser = not_empty,
        requires = "user")]
    groups: Vec<String>,
    /// A further claim; the value is read as JSON where it is JSON, else as text
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = parse_claim,
        requires = "user")]
    claims: Vec<(String, Value)>,
    /// How long it lives: a whole number and ms, s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse,
        requires = "user")]
    ttl: Duration,
    /// For whom it is: the claim `aud`
    #[arg(long, value_name = "AUDIENCE", default_value = "penstock", value_parser = not_empty)]
    audience: String,
}

/// Prints the token.
pub(crate) async fn run(target: &Target, arguments: &Arguments) -> Result<(), Failure> {
    let mut token = match &arguments.user {
        Some(user) => minted(target, user, arguments)?,
        None => of_profile(target, &arguments.audience).await?,
    };
    token.push('\n');
    output::data(&token)
}

fn minted(
    target: &Target,
    user: &str,
    arguments: &Arguments,
) -> Result<Zeroizing<String>, Failure> {
    let request = TokenRequest {
        user: user.to_owned(),
        groups: arguments.groups.clone(),
        claims: claims(&arguments.claims)?,
        audience: arguments.audience.clone(),
        lifetime: arguments.ttl,
    };
    let state = State::locate(target.state.as_deref())?;
    let record = state.existing_record()?;
    state.signer(&record.issuer)?.sign(&request, timestamp::now_ms())
}

async fn of_profile(target: &Target, audience: &str) -> Result<Zeroizing<String>, Failure> {
    let purpose = if audience == API_AUDIENCE { Purpose::Api } else { Purpose::Gateway };
    match access::place(target)? {
        Place::Profile(profiles, name) => refresh::fresh(&profiles, &name, purpose).await,
        Place::State(_) => Err(Failure::usage("whose token?").hint("penstock token --user USER")),
        Place::Environment(_, _) => Err(Failure::usage("PENSTOCK_TOKEN is the control plane's")
            .hint("penstock token --profile NAME")),
    }
}

/// Reads `name=value`.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn parse_claim(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            Ok((name.to_owned(), value))
        }
        _ => Err("expected name=value".to_owned()),
    }
}

/// Collects claims; each once, and none that has a flag of its own.
pub(crate) fn claims(pairs: &[(String, Value)]) -> Result<Map<String, Value>, Failure> {
    let mut claims = Map::new();
    for (name, value) in pairs {
        if RESERVED_CLAIMS.contains(&name.as_str()) {
            return Err(Failure::usage(format!("the claim {name} can't be set with --claim"))
                .hint("there are --user, --groups, --audience and --ttl"));
        }
        if claims.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::usage(format!("the claim {name} is given twice")));
        }
    }
    Ok(claims)
}

/// Refuses an empty text.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("may not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_json_where_it_is_json_and_else_text() {
        assert_eq!(parse_claim("n=4711").unwrap().1, json!(4711));
        assert_eq!(parse_claim("n=\"4711\"").unwrap().1, json!("4711"));
        assert_eq!(parse_claim("n={\"roles\":[\"a\"]}").unwrap().1, json!({"roles": ["a"]}));
        assert_eq!(parse_claim("n=a=b").unwrap().1, json!("a=b"));
        assert_eq!(parse_claim("n=").unwrap().1, json!(""));
        assert!(parse_claim("n").is_err());
        assert!(parse_claim("=v").is_err());
    }

    #[test]
    fn a_claim_twice_or_one_with_a_flag_of_its_own_is_refused() {
        let pair = |name: &str| (name.to_owned(), json!(1));
        assert!(claims(&[pair("a"), pair("b")]).is_ok());
        assert!(claims(&[pair("a"), pair("a")]).is_err());
        for name in RESERVED_CLAIMS {
            assert!(claims(&[pair(name)]).is_err(), "{name}");
        }
    }
}
