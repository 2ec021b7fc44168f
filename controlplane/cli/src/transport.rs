//! HTTP to the control plane, the gateway and identity providers: over TLS, or in clear text on
//! this machine alone; without redirects, and never more of an answer than was bargained for.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Certificate, Client, Response, Url, redirect};

use crate::failure::Failure;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why an answer was not read to its end.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It broke off.
    Broken(reqwest::Error),
    /// It is longer than that.
    TooLarge,
}

/// Reads the URL of something that a token is sent to.
///
/// # Errors
/// The text is no URL, holds a password, or would send the token in clear text over a network.
/// `what` begins the message.
pub(crate) fn address(text: &str, what: &str) -> Result<Url, Failure> {
    let wrong = |why: &str| Failure::usage(format!("{what} {why}"));
    let url = Url::parse(text).map_err(|_| wrong("can't be understood"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a user or a password"));
    }
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
        return Err(wrong("is neither https nor http on this machine"));
    }
    Ok(url)
}

/// Whether a URL's host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// A client without redirects; one that speaks to this machine asks no proxy. `ca` is PEM of
/// authorities that are trusted beside the system's.
///
/// # Errors
/// The certificates can't be read, or the system's can't.
pub(crate) fn client(
    loopback: bool,
    ca: Option<&str>,
    timeout: Option<Duration>,
) -> Result<Client, Failure> {
    let mut builder =
        Client::builder().redirect(redirect::Policy::none()).connect_timeout(CONNECT_TIMEOUT);
    if let Some(timeout) = timeout {
        builder = builder.timeout(timeout);
    }
    if loopback {
        builder = builder.no_proxy();
    }
    if let Some(pem) = ca {
        builder = builder.tls_certs_merge(authorities(pem)?);
    }
    builder.build().map_err(|error| {
        Failure::machine(format!("no HTTP client can be made: {}", root_cause(&error)))
    })
}

/// The certificates of a PEM text.
///
/// # Errors
/// There is none in it, or one that can't be understood.
pub(crate) fn authorities(pem: &str) -> Result<Vec<Certificate>, Failure> {
    let unfit = || Failure::usage("the file with authorities holds no certificates in PEM");
    let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| unfit())?;
    if certificates.is_empty() { Err(unfit()) } else { Ok(certificates) }
}

/// The whole body, if it is not longer than `bytes_max`.
pub(crate) async fn read(mut answer: Response, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
    let mut content = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(ReadError::Broken)? {
        if content.len().saturating_add(piece.len()) > bytes_max {
            return Err(ReadError::TooLarge);
        }
        content.extend_from_slice(&piece);
    }
    Ok(content)
}

/// The last of an error's causes: the one that says what happened.
pub(crate) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_no_file_of_authorities() {
        for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
            assert!(authorities(pem).is_err(), "{pem:?}");
        }
    }
}
