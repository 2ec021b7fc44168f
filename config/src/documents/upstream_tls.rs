//! `tls` of a connection: whom its servers must be vouched for by, under which name, and what they
//! are shown. Nothing here switches that off.

use rustls::pki_types::ServerName;

use super::{ClientCertificate, Endpoint, UpstreamTls};
use crate::certificates::{AUTHORITIES_BYTES_MAX, authorities, to_pem};
use crate::reader::{Fields, Keys, Reader};

const UNVERIFIED: &str = "verification can't be switched off: name who vouches for the server with \
                          `ca`, and its name in the certificate with `server_name`";
const NO_FILE: &str = "a document holds the text itself: `ca: |`, and the PEM below it, indented";

const KEYS: Keys = Keys {
    absent: &[
        ("verif", UNVERIFIED),
        ("insecure", UNVERIFIED),
        ("skip", UNVERIFIED),
        ("trust", UNVERIFIED),
        ("allow", UNVERIFIED),
        ("check", UNVERIFIED),
        ("ca_", NO_FILE),
        ("_ca", NO_FILE),
    ],
    ..Keys::known(&["ca", "server_name", "client_certificate"])
};

const CLIENT_CERTIFICATE_KEYS: Keys = Keys::known(&["secret"]);

/// The `tls` of a connection whose endpoints are these, `https://` ones where `secure`.
pub(super) fn read(
    fields: Fields<'_>,
    secure: bool,
    endpoints: &[Endpoint],
) -> Option<Option<UpstreamTls>> {
    let tls = fields.optional("tls", tls)?;
    if !secure {
        return match tls {
            None => Some(None),
            Some(_) => fields.problem(
                "tls",
                "`tls` without `https://` endpoints",
                "write the endpoints with `https://`, or remove `tls`",
            ),
        };
    }
    let tls = tls.unwrap_or_default();
    if tls.server_name.is_none() {
        check_hosts(fields, endpoints)?;
    }
    Some(Some(tls))
}

/// Where no name is given each host is one.
fn check_hosts(fields: Fields<'_>, endpoints: &[Endpoint]) -> Option<()> {
    let nameless = endpoints.iter().any(|one| ServerName::try_from(one.host.as_str()).is_err());
    if !nameless {
        return Some(());
    }
    fields.problem(
        "endpoints",
        "a host that no certificate can be issued for",
        "add `tls: {server_name: NAME}` with the name in the server's certificate",
    )
}

fn tls(value: Reader<'_>) -> Option<UpstreamTls> {
    let fields = value.mapping(&KEYS)?;
    let ca = fields.optional("ca", ca);
    let server_name = fields.optional("server_name", server_name);
    let client_certificate = fields.optional("client_certificate", client_certificate);
    Some(UpstreamTls {
        ca: ca?,
        server_name: server_name?,
        client_certificate: client_certificate?,
    })
}

/// Kept as the certificates alone, so that what is shown is what counts.
fn ca(value: Reader<'_>) -> Option<String> {
    let text = value.text_within(AUTHORITIES_BYTES_MAX)?;
    match authorities(text) {
        Ok(certificates) => Some(to_pem(&certificates)),
        Err(error) => {
            let hint = "the PEM text of one or more certificates, from BEGIN to END; for a file \
                        with more in it: openssl x509 -in FILE";
            value.problem(error.to_string(), hint)
        }
    }
}

/// A DNS name or an IP address, as a certificate has it (RFC 5280 section 4.2.1.6).
fn server_name(value: Reader<'_>) -> Option<String> {
    let name = value.text()?.to_ascii_lowercase();
    if ServerName::try_from(name.as_str()).is_ok() {
        return Some(name);
    }
    value.problem(
        "not a name that a certificate can be issued for",
        "a DNS name or an IP address, without port or brackets",
    )
}

fn client_certificate(value: Reader<'_>) -> Option<ClientCertificate> {
    let fields = value.mapping(&CLIENT_CERTIFICATE_KEYS)?;
    fields.required("secret", Reader::name).map(|secret| ClientCertificate { secret })
}
