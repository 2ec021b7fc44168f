//! Where requests go and what they say: every one is the same bytes.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use rustls::pki_types::ServerName;
use serde_json::json;
use tokio_rustls::TlsConnector;

use crate::tls::{self, TlsError};

/// Why there is nothing to send, or nowhere to send it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("{0:?} is not an address of the form http://HOST:PORT/PATH or https://…")]
    Url(String),
    #[error("https needs --ca with the certificates to trust, and http has no use for it")]
    Trust,
    #[error("{0:?} is not a name or address that a certificate can have")]
    ServerName(String),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot find {host}")]
    Resolve { host: String, source: std::io::Error },
    #[error("{0} is not on this machine; --allow-remote sends load there all the same")]
    Remote(IpAddr),
    #[error("cannot read {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the environment variable {0} is not set")]
    Variable(String),
    #[error("the token is empty or has a character that a header cannot have")]
    Token,
    #[error("{0:?} is not METHOD in capital letters")]
    Method(String),
}

/// What the flags say about it.
#[derive(clap::Args)]
pub(super) struct TargetFlags {
    /// Address of every request, such as http://127.0.0.1:8443/llama/v1/chat/completions
    url: String,
    /// File with the certificates that an https server's must come from, PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Name that the server's certificate must have, and that is asked for; by default the host
    #[arg(long, value_name = "NAME", requires = "ca")]
    server_name: Option<String>,
    /// Send load to addresses that are not on this machine
    #[arg(long)]
    allow_remote: bool,
    /// Read the answers as OpenAI's event streams, and ask for them in the default body
    #[arg(long)]
    pub(super) stream: bool,
    /// Method of every request; POST by default where there is a body
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    method: String,
    /// Model that the default body names
    #[arg(long, value_name = "NAME", default_value = "simulated")]
    model: String,
    /// Tokens that the default body asks for
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_tokens: u64,
    /// File with the body; by default a short chat
    #[arg(long, value_name = "FILE", conflicts_with = "body_bytes")]
    body_file: Option<PathBuf>,
    /// Make the default chat so long that the body has N bytes
    #[arg(long, value_name = "N")]
    body_bytes: Option<usize>,
    /// File with the token to send
    #[arg(long, value_name = "FILE", conflicts_with = "token_env")]
    token_file: Option<PathBuf>,
    /// Name of the environment variable with the token to send
    #[arg(long, value_name = "NAME")]
    token_env: Option<String>,
}

/// An address and the bytes that go there. They may hold a token, so they are never printed.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// How a connection is secured, and whose certificate is expected.
    pub(super) tls: Option<(TlsConnector, ServerName<'static>)>,
    pub(super) request: Vec<u8>,
}

impl Target {
    pub(super) fn new(flags: &TargetFlags) -> Result<Self, TargetError> {
        let bad_url = || TargetError::Url(flags.url.clone());
        let (scheme, rest) = flags.url.split_once("://").ok_or_else(bad_url)?;
        let default_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return Err(bad_url()),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if authority.is_empty() || authority.contains('@') || !printable(rest) {
            return Err(bad_url());
        }
        let address = resolve(authority, default_port)?;
        if !address.ip().is_loopback() && !flags.allow_remote {
            return Err(TargetError::Remote(address.ip()));
        }
        if flags.method.is_empty() || !flags.method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(TargetError::Method(flags.method.clone()));
        }
        let authorization = match token(flags)? {
            Some(token) => format!("authorization: Bearer {token}\r\n"),
            None => String::new(),
        };
        let body = body(flags)?;
        let head = format!(
            "{} /{path} HTTP/1.1\r\nhost: {authority}\r\n{authorization}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            flags.method,
            body.len()
        );
        let tls = match (&flags.ca, scheme == "https") {
            (Some(ca), true) => Some((tls::client(ca)?.into(), server_name(flags, authority)?)),
            (None, false) => None,
            (Some(_), false) | (None, true) => return Err(TargetError::Trust),
        };
        Ok(Self { address, tls, request: [head.into_bytes(), body].concat() })
    }
}

/// The host and the port of an authority (RFC 3986 section 3.2).
fn split(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    }
}

fn server_name(flags: &TargetFlags, authority: &str) -> Result<ServerName<'static>, TargetError> {
    let host = split(authority).0.trim_start_matches('[').trim_end_matches(']');
    let name = flags.server_name.as_deref().unwrap_or(host).to_owned();
    ServerName::try_from(name.clone()).map_err(|_| TargetError::ServerName(name))
}

fn resolve(authority: &str, default_port: u16) -> Result<SocketAddr, TargetError> {
    let with_port = match split(authority).1 {
        Some(_) => authority.to_owned(),
        None => format!("{authority}:{default_port}"),
    };
    let failed = |source| TargetError::Resolve { host: authority.to_owned(), source };
    let mut addresses = with_port.to_socket_addrs().map_err(failed)?;
    addresses.next().ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

fn token(flags: &TargetFlags) -> Result<Option<String>, TargetError> {
    let text = if let Some(path) = &flags.token_file {
        let failed = |source| TargetError::File { path: path.clone(), source };
        std::fs::read_to_string(path).map_err(failed)?
    } else if let Some(name) = &flags.token_env {
        std::env::var(name).map_err(|_| TargetError::Variable(name.clone()))?
    } else {
        return Ok(None);
    };
    let token = text.trim();
    match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Some(token.to_owned())),
        false => Err(TargetError::Token),
    }
}

fn body(flags: &TargetFlags) -> Result<Vec<u8>, TargetError> {
    if let Some(path) = &flags.body_file {
        let failed = |source| TargetError::File { path: path.clone(), source };
        return std::fs::read(path).map_err(failed);
    }
    if matches!(flags.method.as_str(), "GET" | "HEAD" | "DELETE" | "OPTIONS") {
        return Ok(Vec::new());
    }
    let chat = |text: &str| {
        json!({
            "model": flags.model, "stream": flags.stream, "max_tokens": flags.max_tokens,
            "messages": [{"role": "user", "content": text}],
        })
        .to_string()
        .into_bytes()
    };
    let short = chat("Say something.");
    match flags.body_bytes {
        Some(bytes) if bytes > short.len() => {
            Ok(chat(&"x".repeat("Say something.".len() + bytes - short.len())))
        }
        Some(_) | None => Ok(short),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: TargetFlags,
    }

    fn target(arguments: &[&str]) -> Result<Target, TargetError> {
        let line = ["test"].iter().chain(arguments);
        Target::new(&Line::try_parse_from(line).unwrap().flags)
    }

    #[test]
    fn load_for_another_machine_is_refused_unless_it_is_allowed() {
        let url = "http://192.0.2.1:80/v1/models";
        assert!(matches!(target(&[url]), Err(TargetError::Remote(_))));
        assert!(target(&[url, "--allow-remote"]).is_ok());
        assert!(target(&["http://[::1]:8080/"]).is_ok());
    }

    #[test]
    fn a_body_has_the_length_that_was_asked_for() {
        let request = target(&["http://127.0.0.1:1/", "--body-bytes", "1048576"]).unwrap().request;
        let text = String::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-length: 1048576"), "{head}");
        assert_eq!(body.len(), 1_048_576);
    }

    #[test]
    fn a_token_comes_from_a_file_and_never_breaks_the_head() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let with_token = |content: &str| {
            std::fs::write(&path, content).unwrap();
            target(&["http://127.0.0.1:1/x", "--token-file", path.to_str().unwrap()])
        };
        let request = String::from_utf8(with_token("abc\n").unwrap().request).unwrap();
        assert!(request.contains("\r\nauthorization: Bearer abc\r\n"), "{request}");
        assert!(matches!(with_token("a\r\nhost: b"), Err(TargetError::Token)));
        assert!(matches!(with_token(" \n"), Err(TargetError::Token)));
    }

    #[test]
    fn an_https_server_is_not_spoken_to_without_something_to_verify_it_by() {
        assert!(matches!(target(&["https://127.0.0.1/"]), Err(TargetError::Trust)));
        let plain = target(&["http://127.0.0.1/", "--ca", "ca.pem"]);
        assert!(matches!(plain, Err(TargetError::Trust)));
    }

    #[test]
    fn an_address_that_is_not_http_is_refused() {
        for url in ["ftp://127.0.0.1/", "127.0.0.1", "http://", "http://a@127.0.0.1/", "http:///"] {
            assert!(matches!(target(&[url]), Err(TargetError::Url(_))), "{url}");
        }
    }
}
