//! What connections say about secrets and certificates, held against the vault and the clock.

use penstock_config::certificates::{authorities, not_after_ms};
use penstock_config::diagnostics::Diagnostic;
use penstock_config::documents::{Connection, Placed, Source};

use crate::state::{State, StoredDocument};

/// Where what is in force already stands.
const IN_FORCE: &str = "<in force>";

/// Where a document stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    line: u32,
}

impl Place<'_> {
    fn diagnostic(self, message: String, hint: String) -> Diagnostic {
        let file = self.file.to_owned();
        Diagnostic { file, line: self.line, column: 1, message, hint: Some(hint) }
    }
}

/// Written connections whose client certificate is none, or whose credential is one: a problem for
/// each.
pub(crate) fn unfit_written(
    state: &State,
    sources: &[Source],
    placed: &[Placed],
) -> Vec<Diagnostic> {
    written(sources, placed).flat_map(|(place, one)| unfit(state, one, place)).collect()
}

/// The same for documents that come back into force.
pub(crate) fn unfit_stored<'d>(
    state: &State,
    documents: impl Iterator<Item = &'d StoredDocument>,
) -> Vec<Diagnostic> {
    let place = Place { file: IN_FORCE, line: 1 };
    let connections = documents.filter_map(|stored| stored.document.as_connection());
    connections.flat_map(|one| unfit(state, one, place)).collect()
}

/// What is worth a look: secrets without a value, authorities whose time is over.
pub(crate) fn warnings(
    state: &State,
    sources: &[Source],
    placed: &[Placed],
    now_ms: u64,
) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for (place, connection) in written(sources, placed) {
        warnings.extend(missing(state, connection, place));
        warnings.extend(ended(connection, place, now_ms));
    }
    warnings
}

fn written<'a>(
    sources: &'a [Source],
    placed: &'a [Placed],
) -> impl Iterator<Item = (Place<'a>, &'a Connection)> {
    placed.iter().filter_map(|placed| {
        let file = sources.get(placed.source).map_or("", |source| source.name.as_str());
        Some((Place { file, line: placed.line }, placed.document.as_connection()?))
    })
}

/// Secrets that are there, and not what the connection takes them for. One that is not there yet is
/// checked when it is set.
fn unfit(
    state: &State,
    connection: &Connection,
    place: Place<'_>,
) -> impl Iterator<Item = Diagnostic> {
    let certificate = not_a_certificate(state, connection, place);
    certificate.into_iter().chain(a_certificate_as_credential(state, connection, place))
}

/// A credential is sent in a header: a certificate's private key must never be.
fn a_certificate_as_credential(
    state: &State,
    connection: &Connection,
    place: Place<'_>,
) -> Option<Diagnostic> {
    let secret = &connection.credential.as_ref()?.secret;
    state.durable.secrets.get(secret)?.is_client_certificate.then(|| {
        place.diagnostic(
            format!(
                "secret `{secret}`, the credential of connection `{}`, is a client certificate: \
                 its private key would be sent in a header",
                connection.name
            ),
            format!(
                "name another secret as `credential`; to show this one to the server: \
                 tls: {{client_certificate: {{secret: {secret}}}}}"
            ),
        )
    })
}

fn not_a_certificate(
    state: &State,
    connection: &Connection,
    place: Place<'_>,
) -> Option<Diagnostic> {
    let secret = connection.client_certificate_secret()?;
    let stored = state.durable.secrets.get(secret)?;
    (!stored.is_client_certificate).then(|| {
        place.diagnostic(
            format!(
                "secret `{secret}` of connection `{}` is no client certificate",
                connection.name
            ),
            format!(
                "its value is the base64 of a PEM with the certificate chain and its private key: \
                 cat CHAIN KEY | base64 -w0 | penstock secret set {secret}"
            ),
        )
    })
}

fn missing<'a>(
    state: &'a State,
    connection: &'a Connection,
    place: Place<'a>,
) -> impl Iterator<Item = Diagnostic> + 'a {
    let absent = connection.secrets().filter(|name| !state.durable.secrets.contains_key(*name));
    absent.map(move |secret| {
        place.diagnostic(
            format!("secret `{secret}` of connection `{}` has no value", connection.name),
            format!("until `penstock secret set {secret}`, its requests are answered with 503"),
        )
    })
}

fn ended(connection: &Connection, place: Place<'_>, now_ms: u64) -> Option<Diagnostic> {
    let pem = connection.tls.as_ref()?.ca.as_ref()?;
    let mut ends = authorities(pem).ok()?.into_iter();
    let index = ends.position(|one| not_after_ms(&one).is_some_and(|end| end < now_ms))?;
    Some(place.diagnostic(
        format!(
            "certificate {} of `ca` of connection `{}` has expired",
            index.saturating_add(1),
            connection.name
        ),
        "servers that only it vouches for are refused: add its successor".to_owned(),
    ))
}
