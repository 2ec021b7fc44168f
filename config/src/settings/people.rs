//! `smtp`, `approval_url` and `sign_in` of the control plane: how people are reached, and where
//! they answer.

use super::values::path;
use super::{SignInSettings, SmtpSettings, SmtpTls};
use crate::address::{Address, split_authority};
use crate::reader::{Keys, Reader};

const KEYS: Keys = Keys {
    absent: &[("password", "keep it in a file of its own: `password_file`")],
    ..Keys::known(&["url", "from", "username", "password_file", "ca_file"])
};

const SIGN_IN_KEYS: Keys = Keys {
    absent: &[("secret", "the client is a public one: PKCE takes the place of a secret")],
    ..Keys::known(&["issuer", "client_id", "scopes"])
};

/// The scope without which a sign-in says nobody's name (OpenID Connect Core 1.0 section 3.1.2.1).
const OPENID: &str = "openid";

/// Port of SMTP within TLS (RFC 8314 section 7.3).
const SUBMISSIONS_PORT: u16 = 465;
/// Port of submission, which begins in clear text (RFC 6409).
const SUBMISSION_PORT: u16 = 587;
/// Longest address of a mailbox, in bytes (RFC 5321 section 4.5.3.1.3).
const MAILBOX_BYTES_MAX: usize = 254;

pub(super) fn smtp(value: Reader<'_>) -> Option<SmtpSettings> {
    let fields = value.mapping(&KEYS)?;
    let server = fields.required("url", server);
    let from = fields.required("from", mailbox);
    let username = fields.optional("username", Reader::string);
    let password_file = fields.optional("password_file", path);
    let ca_file = fields.optional("ca_file", path);
    if fields.has("username") != fields.has("password_file") {
        let missing = if fields.has("username") { "password_file" } else { "username" };
        let message = format!("missing key `{missing}`");
        fields.problem::<()>(missing, message, "`username` and `password_file` go together");
    }
    let (tls, host, port) = server?;
    Some(SmtpSettings {
        tls,
        host,
        port,
        from: from?,
        username: username?,
        password_file: password_file?,
        ca_file: ca_file?,
    })
}

/// `smtps://host:port` or `smtp://host:port`, nothing behind it.
fn server(value: Reader<'_>) -> Option<(SmtpTls, String, u16)> {
    const HINT: &str = "such as smtps://mail.example.com, or smtp://mail.example.com:587 for a \
                        server that is asked for TLS (STARTTLS)";
    let text = value.text()?;
    let (tls, port, rest) = match (text.strip_prefix("smtps://"), text.strip_prefix("smtp://")) {
        (Some(rest), _) => (SmtpTls::FromTheStart, SUBMISSIONS_PORT, rest),
        (None, Some(rest)) => (SmtpTls::StartTls, SUBMISSION_PORT, rest),
        (None, None) => return value.problem("not the URL of a mail server", HINT),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    match split_authority(authority) {
        Ok((host, given)) => Some((tls, host.to_owned(), given.unwrap_or(port))),
        Err(_) => value.problem("not the URL of a mail server", HINT),
    }
}

/// One plain mailbox: `local@domain`, without a display name, quotes or comments.
fn mailbox(value: Reader<'_>) -> Option<String> {
    let text = value.text()?;
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>()[]\\,;:\"@".contains(&byte);
    let fits = text.len() <= MAILBOX_BYTES_MAX
        && text.split_once('@').is_some_and(|(local, domain)| {
            let parts = [local, domain];
            parts.iter().all(|part| !part.is_empty() && part.bytes().all(plain))
        });
    if fits {
        return Some(text.to_owned());
    }
    value.problem("not a mail address", "such as penstock@example.com, without a name")
}

pub(super) fn sign_in(value: Reader<'_>) -> Option<SignInSettings> {
    let fields = value.mapping(&SIGN_IN_KEYS)?;
    let issuer = fields.required("issuer", Reader::name);
    let client_id = fields.required("client_id", visible);
    let scopes = fields.or("scopes", vec![OPENID.to_owned()], |value| {
        let scopes = value.list(1, visible)?;
        if scopes.iter().any(|scope| scope == OPENID) {
            return Some(scopes);
        }
        value.problem("without the scope `openid` nobody signs in", "add it")
    });
    Some(SignInSettings { issuer: issuer?, client_id: client_id?, scopes: scopes? })
}

/// Visible ASCII (RFC 6749 appendix A).
fn visible(value: Reader<'_>) -> Option<String> {
    let text = value.text()?;
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(text.to_owned());
    }
    value.problem("characters that are not visible ASCII", "")
}

/// The address under which people reach the API: what pages of approvals begin with.
pub(super) fn approval_url(value: Reader<'_>) -> Option<String> {
    match Address::parse(value.text()?) {
        Ok(address) if address.query.is_some() => {
            value.problem("an address with a query", "such as https://penstock.example.com")
        }
        Ok(address) if !address.secure && !address.is_loopback() => {
            value.problem("people answer over TLS alone", "write https://…")
        }
        Ok(_) => value.text().map(|url| url.trim_end_matches('/').to_owned()),
        Err(reason) => value.problem("not an address", reason),
    }
}
