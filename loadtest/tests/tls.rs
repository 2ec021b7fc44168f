//! Both programs over TLS: what is trusted, what is not, and what is said about it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_penstock-loadtest");

/// A simulated model server with a certificate for `model.test` alone; ended with the test.
struct Server {
    child: Child,
    url: String,
    folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issuer = authority(&folder.path().join("ca.pem"));
        let key = KeyPair::generate().unwrap();
        let names = vec!["model.test".to_owned()];
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let [chain_file, key_file] = ["chain.pem", "key.pem"].map(|name| folder.path().join(name));
        std::fs::write(&chain_file, leaf.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--json", "--first-token-ms", "0", "--gap-ms", "0", "--tokens", "3"])
            .arg("--certificate")
            .arg(chain_file)
            .arg("--key")
            .arg(key_file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = format!("{}/v1/chat/completions", ready["listen"].as_str().unwrap());
        assert!(url.starts_with("https://127.0.0.1:"), "{url}");
        Self { child, url, folder }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn load(&self, ca: &Path, arguments: &[&str]) -> Output {
        Command::new(PROGRAM)
            .args(["run", &self.url, "--json", "--connections", "2", "--warm-up", "0", "--ca"])
            .arg(ca)
            .args(arguments)
            .output()
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn authority(path: &Path) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(path, issuer.pem()).unwrap();
    issuer
}

fn report(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report: {stderr}"))
}

#[test]
fn kept_connections_carry_unary_answers_and_streams_over_tls() {
    let server = Server::start();
    for stream in [false, true] {
        let mut arguments = vec!["--server-name", "model.test", "--closed", "--requests", "40"];
        arguments.extend(stream.then_some("--stream"));
        let report = report(&server.load(&server.ca(), &arguments));
        assert_eq!(report["requests"]["completed"], 40, "{report}");
        assert_eq!(report["requests"]["failed"], 0, "{report}");
        assert_eq!(report["connections_opened"], 2, "{report}");
        assert_eq!(report["tls"]["TLSv1_3 TLS13_AES_128_GCM_SHA256"], 2, "{report}");
    }
}

#[test]
fn without_keep_alive_each_request_makes_a_full_handshake() {
    let server = Server::start();
    let arguments = ["--server-name", "model.test", "--closed", "--no-keep-alive"];
    let report =
        report(&server.load(&server.ca(), &[&arguments[..], &["--requests", "5"]].concat()));
    assert_eq!(report["requests"]["completed"], 5, "{report}");
    assert_eq!(report["connections_opened"], 5, "{report}");
}

#[test]
fn a_certificate_of_another_authority_or_for_another_name_is_never_spoken_to() {
    let server = Server::start();
    let stranger = server.folder.path().join("stranger.pem");
    authority(&stranger);
    for (ca, name) in [(&stranger, "model.test"), (&server.ca(), "other.test")] {
        let arguments = ["--server-name", name, "--rate", "100", "--requests", "3"];
        let output = server.load(ca, &[&arguments[..], &["--duration", "5"]].concat());
        let report = report(&output);
        assert_eq!(report["requests"]["failures"]["tls"], 3, "{report}");
        assert_eq!(report["requests"]["completed"], 0, "{report}");
        assert_eq!(output.status.code(), Some(3));
    }
}

#[test]
fn the_hosts_own_name_is_expected_where_no_other_is_given() {
    let server = Server::start();
    let report = report(&server.load(&server.ca(), &["--rate", "100", "--requests", "1"]));
    assert_eq!(report["requests"]["failures"]["tls"], 1, "{report}");
}

#[test]
fn a_certificate_without_its_key_is_a_usage_error_and_no_flag_skips_verification() {
    let alone = Command::new(PROGRAM).args(["serve", "--certificate", "x"]).output().unwrap();
    assert_eq!(alone.status.code(), Some(2));
    let help = Command::new(PROGRAM).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("--ca <FILE>") && !help.contains("insecure"), "{help}");
}

#[test]
fn a_file_without_a_certificate_is_named() {
    let server = Server::start();
    let empty = server.folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let output = server.load(&empty, &["--closed"]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("empty.pem holds no certificate"), "{message}");
}
