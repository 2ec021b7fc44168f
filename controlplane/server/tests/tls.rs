//! The API over TLS.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use std::os::unix::fs::PermissionsExt as _;

use common::issuer::TestIssuer;
use common::options;
use penstock_config::settings::TlsFiles;
use penstock_server::start;
use reqwest::{Certificate, Client};

#[tokio::test]
async fn the_api_speaks_tls_with_its_own_certificate_and_nothing_else_then() {
    let issuer = TestIssuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path(), &issuer.url);
    let certified =
        rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])
            .unwrap();
    let files = TlsFiles {
        certificate_file: folder.path().join("api.pem"),
        key_file: folder.path().join("api.key"),
    };
    std::fs::write(&files.certificate_file, certified.cert.pem()).unwrap();
    std::fs::write(&files.key_file, certified.signing_key.serialize_pem()).unwrap();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&files.key_file, open).unwrap();
    options.settings.tls = Some(files.clone());
    let error = start(options).await.err().unwrap().to_string();
    assert!(error.contains("api.key") && error.contains("chmod 600"), "{error}");
    let closed = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&files.key_file, closed).unwrap();
    let mut options = common::options(folder.path(), &issuer.url);
    options.settings.tls = Some(files);
    let server = start(options).await.unwrap();
    assert!(server.api_url().starts_with("https://127.0.0.1:"));
    let trusted = Certificate::from_pem(certified.cert.pem().as_bytes()).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([trusted]).build().unwrap();
    let health = format!("{}/healthz", server.api_url());
    assert_eq!(client.get(&health).send().await.unwrap().status(), 200);
    assert!(client.get(health.replace("https", "http")).send().await.is_err());
}

#[tokio::test]
async fn a_certificate_file_that_is_not_there_is_said_in_one_sentence() {
    let issuer = TestIssuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path(), &issuer.url);
    let missing = folder.path().join("missing.pem");
    let files = TlsFiles { certificate_file: missing.clone(), key_file: missing };
    options.settings.tls = Some(files);
    let error = start(options).await.err().unwrap().to_string();
    assert!(error.contains("missing.pem") && error.lines().count() == 1, "{error}");
}
