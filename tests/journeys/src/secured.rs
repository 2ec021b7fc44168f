//! TLS on both sides of the gateway: certificates, and a node that has them, beside the node that
//! the product starts by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use penstock_harness::{Dev, Process, RawClient, eventually, program};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

/// A certificate for 127.0.0.1 with all that it takes, as files in a folder of its own.
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// Makes an authority, and by it a certificate.
    #[must_use]
    #[track_caller]
    pub fn make() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
        let certificate = Self { folder };
        certificate.write().unwrap_or_else(|error| panic!("no certificate: {error}"));
        certificate
    }

    /// Puts another authority's certificate in its place, as an operator renews one.
    #[track_caller]
    pub fn replace(&self) {
        self.write().unwrap_or_else(|error| panic!("no certificate: {error}"));
    }

    fn write(&self) -> Result<(), Box<dyn std::error::Error>> {
        let mut authority = CertificateParams::new(Vec::new())?;
        // A certificate whose issuer has its own name would pass for one that signed itself.
        authority.distinguished_name.push(DnType::CommonName, "the tests' authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        leaf.use_authority_key_identifier_extension = true;
        let leaf = leaf.signed_by(&key, &authority)?;
        fs::write(self.authority(), authority.pem())?;
        fs::write(self.chain(), leaf.pem())?;
        fs::write(self.key(), key.serialize_pem())?;
        Ok(())
    }

    /// The authority's certificate: what the other side trusts.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// The certificate.
    #[must_use]
    pub fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}

/// A further node of a running product, which speaks TLS with callers. Dropping it ends it.
pub struct SecuredNode {
    process: Process,
    address: String,
    operations: String,
    certificate: Certificate,
    _folder: TempDir,
}

impl SecuredNode {
    /// Joins one, as an operator does; returns when it enforces the policy. `authority` vouches
    /// for model servers with `https` endpoints.
    #[must_use]
    #[track_caller]
    pub fn join(dev: &Dev, authority: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
        let file = |name: &str| folder.path().join(name);
        let join_file = file("join.json").display().to_string();
        let made = dev.penstock(&["nodes", "join-file", "--out", &join_file]);
        assert_eq!(made.code, 0, "{}", made.stderr);
        let certificate = Certificate::make();
        let settings = format!(
            "listen: 127.0.0.1:0\noperations_listen: 127.0.0.1:0\nstate_dir: {}\n\
             join_file: {join_file}\naccess_log: {}\ncores: 1\nupstream_ca_file: {}\n\
             tls:\n  certificates:\n    - {{chain_file: {}, key_file: {}}}\n",
            file("state").display(),
            file("access.jsonl").display(),
            authority.display(),
            certificate.chain().display(),
            certificate.key().display(),
        );
        fs::write(file("settings.yaml"), settings)
            .unwrap_or_else(|error| panic!("no settings: {error}"));
        let mut command = Command::new(program("penstock-dataplane"));
        command.arg("--config").arg(file("settings.yaml"));
        let process = Process::spawn(command, &file("node.log"));
        let ready = process.json_line();
        let [address, operations] = ["listen", "operations"].map(|name| {
            let Some(address) = ready[name].as_str() else { panic!("no {name}: {ready}") };
            address.to_owned()
        });
        eventually("a node that is ready", || {
            let mut client = RawClient::connect(&operations);
            let answer = client.exchange("GET /readyz HTTP/1.1\r\nHost: operations\r\n\r\n");
            (answer.status == 200).then_some(())
        });
        Self { process, address, operations, certificate, _folder: folder }
    }

    /// Its process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// What it shows to callers.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// `host:port` that callers reach.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its metrics.
    #[must_use]
    #[track_caller]
    pub fn metrics(&self) -> String {
        let mut client = RawClient::connect(&self.operations);
        let answer = client.exchange("GET /metrics HTTP/1.1\r\nHost: operations\r\n\r\n");
        answer.text()
    }

    /// `https://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The certificate that vouches for it, as a file.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.certificate.authority()
    }
}
