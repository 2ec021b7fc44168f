//! `penstock-controlplane --config FILE`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::people::{approval_url, sign_in, smtp};
use super::values::{DAY_MS, check_apart, listen, path};
use super::{ControlplaneSettings, TlsFiles};
use crate::address::Address;
use crate::reader::{Fields, Keys, Reader};

const KEYS: Keys = Keys::known(&[
    "listen",
    "nodes_listen",
    "nodes_url",
    "state_dir",
    "snapshot_key_file",
    "snapshot_key_next_file",
    "encryption_key_file",
    "first_run_file",
    "tls",
    "snapshot_lifetime_ms",
    "jwks_refresh_ms",
    "issuer_private_addresses",
    "webhook_private_addresses",
    "approval_url",
    "smtp",
    "sign_in",
]);

const TLS_KEYS: Keys = Keys::known(&["certificate_file", "key_file"]);

const SNAPSHOT_LIFETIME_MS: u64 = 7 * DAY_MS;
const JWKS_REFRESH_MS: u64 = 300_000;

pub(super) fn read(value: Reader<'_>) -> Option<ControlplaneSettings> {
    let fields = value.mapping(&KEYS)?;
    let api = fields.required("listen", listen);
    let nodes_listen = fields.required("nodes_listen", listen);
    let nodes_url = fields.optional("nodes_url", nodes_url);
    let state_dir = fields.required("state_dir", path);
    let within_state = |name: &str| state_dir.as_deref().unwrap_or(Path::new("")).join(name);
    let snapshot_key_file = fields.or("snapshot_key_file", within_state("snapshot.key"), path);
    let next_file = fields.optional("snapshot_key_next_file", path);
    let encryption_key_file =
        fields.or("encryption_key_file", within_state("encryption.key"), path);
    let first_run_file = fields.optional("first_run_file", path);
    let tls = fields.optional("tls", tls);
    let lifetime = fields
        .or("snapshot_lifetime_ms", SNAPSHOT_LIFETIME_MS, |value| value.integer(1..=90 * DAY_MS));
    let refresh = fields.or("jwks_refresh_ms", JWKS_REFRESH_MS, |value| value.integer(1..=DAY_MS));
    let issuers_private = fields.or("issuer_private_addresses", false, private_addresses);
    let webhooks_private = fields.or("webhook_private_addresses", false, private_addresses);
    let approval_url = fields.optional("approval_url", approval_url);
    let smtp = fields.optional("smtp", smtp);
    let sign_in = fields.optional("sign_in", sign_in);
    check_reach(fields, api, nodes_listen);
    check_apart(fields, ("listen", api), ("nodes_listen", nodes_listen));
    check_keys_apart(fields, &[&snapshot_key_file, &next_file.clone().flatten()]);
    Some(ControlplaneSettings {
        listen: api?,
        nodes_listen: nodes_listen?,
        nodes_url: nodes_url?,
        state_dir: state_dir?,
        snapshot_key_file: snapshot_key_file?,
        snapshot_key_next_file: next_file?,
        encryption_key_file: encryption_key_file?,
        first_run_file: first_run_file?,
        tls: tls?,
        snapshot_lifetime_ms: lifetime?,
        jwks_refresh_ms: refresh?,
        issuer_private_addresses: issuers_private?,
        webhook_private_addresses: webhooks_private?,
        approval_url: approval_url?,
        smtp: smtp?,
        sign_in: sign_in?,
    })
}

fn private_addresses(value: Reader<'_>) -> Option<bool> {
    value.choice(&[("refuse", false), ("allow", true)], &[])
}

/// Tokens never travel in the clear beyond this machine, and nodes need an address they can dial.
fn check_reach(fields: Fields<'_>, api: Option<SocketAddr>, nodes: Option<SocketAddr>) {
    if api.is_some_and(|api| !api.ip().is_loopback()) && !fields.has("tls") {
        fields.problem::<()>(
            "listen",
            "an address beyond this machine needs `tls`",
            "add `tls: {certificate_file: …, key_file: …}`, or listen on 127.0.0.1",
        );
    }
    if nodes.is_some_and(|nodes| nodes.ip().is_unspecified()) && !fields.has("nodes_url") {
        fields.problem::<()>(
            "nodes_listen",
            "nodes cannot dial an unspecified address",
            "add `nodes_url: https://HOST:PORT`",
        );
    }
}

/// A key that replaces another is another key.
fn check_keys_apart(fields: Fields<'_>, files: &[&Option<PathBuf>; 2]) {
    if let [Some(key), Some(next)] = files
        && key == next
    {
        fields.problem::<()>(
            "snapshot_key_next_file",
            "the same file as `snapshot_key_file`",
            "name the file of the new key",
        );
    }
}

/// Where nodes dial: TLS, nothing behind the port.
fn nodes_url(value: Reader<'_>) -> Option<String> {
    match Address::parse(value.text()?) {
        Ok(Address { secure: true, path: "" | "/", query: None, .. }) => {
            value.text().map(|url| url.trim_end_matches('/').to_owned())
        }
        Ok(_) => value.problem("not the URL of a node address", "such as https://host:9443"),
        Err(reason) => value.problem("not an address", reason),
    }
}

fn tls(value: Reader<'_>) -> Option<TlsFiles> {
    let fields = value.mapping(&TLS_KEYS)?;
    let certificate_file = fields.required("certificate_file", path);
    let key_file = fields.required("key_file", path);
    Some(TlsFiles { certificate_file: certificate_file?, key_file: key_file? })
}
