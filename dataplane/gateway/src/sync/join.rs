//! Joining: with a one-time token the node has its own key certified, once.

use std::fs;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use penstock_config::node::{JoinFile, JoinRequest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroize as _;

use super::control::{Control, ControlError};
use super::disk::{Disk, Membership};

/// A node that belongs to a cluster.
pub(crate) struct Joined {
    /// What it knows of its control plane.
    pub(crate) membership: Membership,
    /// The control plane.
    pub(crate) control: Control,
}

/// Why a node can't join; each names what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    /// Not joined yet, and no file to join with.
    #[error("this node has not joined: set `join_file` to what `penstock nodes join-file` makes")]
    NoFile,
    /// The state can't be used.
    #[error("the state directory can't be used: {0}")]
    State(std::io::Error),
    /// The join file can't be used.
    #[error("the join file {0} can't be read, or is not a join file")]
    File(String),
    /// The authority in the file is not the pinned one.
    #[error("the join file's certificate authority does not match its pin")]
    Pin,
    /// A key could not be made.
    #[error("the node's key could not be made")]
    Key,
    /// The control plane.
    #[error("joining failed: {0}")]
    Control(#[from] ControlError),
}

/// The membership on disk, or a new one from the join file.
pub(crate) fn join(disk: &Disk, join_file: Option<&Path>) -> Result<Joined, JoinError> {
    if let Some(membership) = disk.membership().map_err(JoinError::State)? {
        let key = disk.key().map_err(JoinError::State)?;
        let identity = Some((membership.certificate_pem.as_str(), key.as_str()));
        let control = Control::new(&membership.url, &membership.ca_pem, identity)?;
        return Ok(Joined { membership, control });
    }
    let path = join_file.ok_or(JoinError::NoFile)?;
    let joined = with_file(disk, path)?;
    // The token in it is spent; a file that can't be deleted does no harm.
    let _ = fs::remove_file(path);
    Ok(joined)
}

fn with_file(disk: &Disk, path: &Path) -> Result<Joined, JoinError> {
    let unreadable = || JoinError::File(path.display().to_string());
    let bytes = zeroize::Zeroizing::new(fs::read(path).map_err(|_| unreadable())?);
    let mut file: JoinFile = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
    check_pin(&file)?;
    let key = rcgen::KeyPair::generate().map_err(|_| JoinError::Key)?;
    let key_pem = zeroize::Zeroizing::new(key.serialize_pem());
    let csr = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .and_then(|request| request.pem())
        .map_err(|_| JoinError::Key)?;
    let name = host_name();
    let mut request = JoinRequest { token: std::mem::take(&mut file.token), csr_pem: csr, name };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(JoinError::State)?;
    let answer = runtime
        .block_on(async { Control::new(&file.url, &file.ca_pem, None)?.join(&request).await });
    request.token.zeroize();
    let answer = answer?;
    let membership = Membership {
        url: file.url,
        ca_pem: file.ca_pem,
        snapshot_keys: file.snapshot_keys,
        cluster: file.cluster,
        node: answer.node,
        certificate_pem: answer.certificate_pem,
    };
    let identity = Some((membership.certificate_pem.as_str(), key_pem.as_str()));
    let control = Control::new(&membership.url, &membership.ca_pem, identity)?;
    disk.keep_membership(&key_pem, &membership).map_err(JoinError::State)?;
    Ok(Joined { membership, control })
}

fn check_pin(file: &JoinFile) -> Result<(), JoinError> {
    let authority =
        CertificateDer::from_pem_slice(file.ca_pem.as_bytes()).map_err(|_| JoinError::Pin)?;
    let found = digest(&SHA256, &authority);
    let mut hex = String::with_capacity(64);
    for byte in found.as_ref() {
        hex.push_str(&format!("{byte:02x}"));
    }
    if hex.eq_ignore_ascii_case(&file.ca_sha256) { Ok(()) } else { Err(JoinError::Pin) }
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "node".to_owned(), |name| name.trim().to_owned())
}
