//! `penstock revoke`: identities and tokens that shall not hold any more.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::access::ActAs;
use crate::client::Client;
use crate::commands::token::not_empty;
use crate::enforcement::{self, Revoked};
use crate::failure::Failure;
use crate::{names, output};

/// Largest token, in bytes; with room for the byte that shows that it is too large.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// How long `--wait` waits for the nodes: one that says nothing for ten seconds has ended its
/// grants by itself.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Arguments of `penstock revoke`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  penstock revoke identity company 4711 --reason \"left the company\"
  penstock revoke token < leaked-token.txt
  penstock revoke token-id company 8c1f… --wait

An identity's tokens that were issued until now do not hold any more, its grants end, and what
runs is cut. Newer tokens do hold: take the person out at the identity provider first. Of a token
on standard input only the SHA-256 leaves this machine.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) act_as: ActAs,
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// What to revoke.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Everything that was issued to somebody until now
    Identity(IdentityArguments),
    /// One token, which comes on standard input
    Token(HowArguments),
    /// One token by its `jti`
    TokenId(TokenIdArguments),
}

/// Arguments of `penstock revoke identity`.
#[derive(Args, Debug)]
pub(crate) struct IdentityArguments {
    /// Name of the issuer document
    #[arg(value_parser = names::parse)]
    issuer: String,
    /// The token's `sub`
    #[arg(value_parser = not_empty)]
    subject: String,
    #[command(flatten)]
    how: HowArguments,
}

/// Arguments of `penstock revoke token-id`.
#[derive(Args, Debug)]
pub(crate) struct TokenIdArguments {
    /// Name of the issuer document
    #[arg(value_parser = names::parse)]
    issuer: String,
    /// The token's `jti`
    #[arg(value_parser = not_empty)]
    id: String,
    #[command(flatten)]
    how: HowArguments,
}

/// What every revocation takes.
#[derive(Args, Debug)]
pub(crate) struct HowArguments {
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = not_empty)]
    reason: Option<String>,
    /// Wait until every core of every node has acted on it, or name the nodes that have not
    #[arg(long)]
    wait: bool,
}

impl HowArguments {
    /// Sends a revocation with the reason, and waits where that is wanted.
    pub(crate) async fn revoke(
        &self,
        client: &Client,
        path: &str,
        mut body: Map<String, Value>,
    ) -> Result<(), Failure> {
        if let Some(reason) = &self.reason {
            body.insert("reason".to_owned(), reason.clone().into());
        }
        let answer = client.post(path, Some(&Value::Object(body))).await?;
        output::talk("revoked");
        if self.wait { acted_on(client, answer).await } else { Ok(()) }
    }
}

/// Waits until every node has acted on what an answer says.
async fn acted_on(client: &Client, answer: Value) -> Result<(), Failure> {
    let revoked: Revoked = serde_json::from_value(answer).map_err(|_| {
        Failure::failed("the control plane does not say when its nodes have acted on it")
    })?;
    enforcement::acted_on(client, &revoked, WAIT_MAX).await?;
    output::talk("every core of every node has acted on it");
    Ok(())
}

/// Revokes.
pub(crate) async fn run(client: &Client, action: &Action) -> Result<(), Failure> {
    let (body, how) = match action {
        Action::Identity(IdentityArguments { issuer, subject, how }) => {
            (vec![("issuer", issuer.clone()), ("subject", subject.clone())], how)
        }
        Action::Token(how) => (vec![("token_sha256", sha256(read_token()?.as_str()))], how),
        Action::TokenId(TokenIdArguments { issuer, id, how }) => {
            (vec![("issuer", issuer.clone()), ("token_id", id.clone())], how)
        }
    };
    let body = body.into_iter().map(|(field, text)| (field.to_owned(), text.into()));
    how.revoke(client, "/api/v1/revocations", body.collect()).await
}

fn read_token() -> Result<Zeroizing<String>, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::usage("a token typed here would show on the screen")
            .hint("penstock revoke token < FILE"));
    }
    // Of full size from the start: a buffer that grew would leave copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES_MAX + 1));
    stdin
        .lock()
        .take(TOKEN_BYTES_MAX as u64 + 1)
        .read_to_end(&mut content)
        .map_err(|error| Failure::failed(format!("standard input can't be read: {error}")))?;
    token(&content)
}

/// The token as it stands in a request: without white space around it, and with none in it.
fn token(content: &[u8]) -> Result<Zeroizing<String>, Failure> {
    let text = std::str::from_utf8(content).unwrap_or_default().trim();
    let is_one = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
    if !is_one || content.len() > TOKEN_BYTES_MAX {
        return Err(Failure::failed("standard input is not one token")
            .hint("the token alone, without `Bearer`"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn sha256(token: &str) -> String {
    digest(&SHA256, token.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_without_its_line_end_and_only_alone() {
        assert_eq!(token(b" a.b.c\n").unwrap().as_str(), "a.b.c");
        for content in [&b""[..], b"\n", b"Bearer a.b.c", b"a\nb", b"\xff", "ä".as_bytes()] {
            assert!(token(content).is_err(), "{content:?}");
        }
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256("abc"), abc);
    }
}
