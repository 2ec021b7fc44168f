//! What callers meet: certificates out of the files that the settings name, read again when a file
//! changes or somebody asks for it. What does not hold is refused, and the one in force stays.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use penstock_config::settings::{CertificateFiles, ClientCertificates as Wanted, DataplaneTls};
use penstock_tls::{Certificate, ClientCertificates, ServerTls, Tickets};
use zeroize::Zeroizing;

use super::feed::tell;
use crate::core::Node;
use crate::upstream_tls::authorities;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Largest file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where what callers meet comes from.
#[derive(Debug)]
pub(crate) struct CallersTls {
    settings: DataplaneTls,
    tickets: Tickets,
    seen: Vec<Option<Stamp>>,
    /// What was wrong at the last look.
    problems: Vec<String>,
}

/// What tells a file from the one that it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl CallersTls {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// Every problem, a line each.
    pub(crate) fn load(settings: &DataplaneTls) -> Result<(Self, ServerTls), Vec<String>> {
        let tickets = Tickets::new().map_err(|error| vec![error.to_string()])?;
        let seen = stamps(settings);
        let tls = read(settings, &tickets)?;
        let (settings, problems) = (settings.clone(), Vec::new());
        Ok((Self { settings, tickets, seen, problems }, tls))
    }

    fn changed(&mut self) -> bool {
        let now = stamps(&self.settings);
        let changed = now != self.seen;
        // Before they are read: a change meanwhile is seen the next time.
        self.seen = now;
        changed
    }

    /// Keeps what is wrong now; whether it is something else than before. The next look tries
    /// again: time alone may mend it, or descriptors that are free again.
    fn refused(&mut self, problems: Vec<String>) -> bool {
        self.seen.clear();
        let is_news = problems != self.problems;
        self.problems = problems;
        is_news
    }
}

/// Keeps what callers meet up to date; never ends.
pub(super) async fn keep(node: Arc<Node>, callers: Option<CallersTls>) {
    let Some(mut callers) = callers else { return std::future::pending().await };
    loop {
        let asked = tokio::time::timeout(LOOK_EVERY, node.reload.notified()).await.is_ok();
        if !callers.changed() && !asked {
            continue;
        }
        match read(&callers.settings, &callers.tickets) {
            Ok(tls) => {
                node.tls.store(Some(Arc::new(tls)));
                callers.problems.clear();
                tell("the certificates that callers are shown were read again");
            }
            Err(problems) => {
                // Who asks gets an answer each time.
                if !callers.refused(problems) && !asked {
                    continue;
                }
                node.certificates_refused.fetch_add(1, Ordering::Relaxed);
                for problem in &callers.problems {
                    tell(&format!("{problem}; the certificates before stay in use"));
                }
            }
        }
    }
}

fn files(settings: &DataplaneTls) -> impl Iterator<Item = &PathBuf> {
    let pairs = settings.certificates.iter().flat_map(|one| [&one.chain_file, &one.key_file]);
    let authorities = match &settings.client_certificates {
        Wanted::None => None,
        Wanted::Optional { ca_file } | Wanted::Required { ca_file } => Some(ca_file),
    };
    pairs.chain(authorities)
}

fn stamps(settings: &DataplaneTls) -> Vec<Option<Stamp>> {
    let stamp = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        let changed = (found.mtime(), found.mtime_nsec());
        Some(Stamp { device: found.dev(), inode: found.ino(), bytes: found.size(), changed })
    };
    files(settings).map(stamp).collect()
}

fn read(settings: &DataplaneTls, tickets: &Tickets) -> Result<ServerTls, Vec<String>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut problems = Vec::new();
    let mut certificates = Vec::with_capacity(settings.certificates.len());
    for files in &settings.certificates {
        match certificate(files, now) {
            Ok(certificate) => certificates.push(certificate),
            Err(problem) => problems.push(problem),
        }
    }
    let clients = match &settings.client_certificates {
        Wanted::None => Ok(ClientCertificates::None),
        Wanted::Optional { ca_file } => authorities(ca_file).map(ClientCertificates::Optional),
        Wanted::Required { ca_file } => authorities(ca_file).map(ClientCertificates::Required),
    };
    match clients {
        Ok(clients) if problems.is_empty() => ServerTls::new(&certificates, &clients, tickets)
            .map_err(|error| vec![error.to_string()]),
        Ok(_) => Err(problems),
        Err(problem) => {
            problems.push(problem);
            Err(problems)
        }
    }
}

fn certificate(files: &CertificateFiles, now: Duration) -> Result<Certificate, String> {
    let chain = contents(&files.chain_file)?;
    let key = contents(&files.key_file)?;
    Certificate::from_pem(&chain, &key, now).map_err(|error| {
        let (chain, key) = (files.chain_file.display(), files.key_file.display());
        format!("the certificate {chain} with the key {key} can't be used: {error}")
    })
}

/// A file may hold a key, so what was read is zeroised.
fn contents(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let unreadable = |error: io::Error| format!("{} can't be read: {error}", path.display());
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("{} is too large for certificates", path.display()));
    }
    fs::read(path).map(Zeroizing::new).map_err(unreadable)
}

#[cfg(test)]
mod tests;
