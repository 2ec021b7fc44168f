use std::fs;
use std::path::Path;

use penstock_config::documents::Source;
use penstock_config::settings::DataplaneSettings;
use rcgen::{CertificateParams, KeyPair};

use super::*;

/// Writes a certificate that ends in this year.
fn write(folder: &Path, year: i32) {
    let mut params = CertificateParams::new(vec!["gateway.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    fs::write(folder.join("chain.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

fn settings(folder: &Path, more: &str) -> DataplaneSettings {
    let folder = folder.display();
    let text = format!(
        "listen: 127.0.0.1:0\nstate_dir: state\ntls:\n  certificates:\n  - chain_file: \
         {folder}/chain.pem\n    key_file: {folder}/key.pem\n{more}"
    );
    DataplaneSettings::parse(&Source { name: "test".to_owned(), text }).unwrap()
}

fn load(folder: &Path, more: &str) -> Result<ServerTls, Vec<String>> {
    CallersTls::load(&settings(folder, more).tls.unwrap()).map(|(_, tls)| tls)
}

#[test]
fn every_file_that_does_not_hold_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let clients = "  client_certificates: required\n  client_ca_file: /nowhere/ca.pem\n";
    let problems = load(folder.path(), clients).unwrap_err();
    assert!(problems[0].contains("chain.pem can't be read"), "{problems:?}");
    assert!(problems[1].contains("/nowhere/ca.pem can't be read"), "{problems:?}");
    write(folder.path(), 2020);
    let problems = load(folder.path(), "").unwrap_err();
    assert!(problems[0].ends_with("a certificate in it has expired"), "{problems:?}");
    write(folder.path(), 2090);
    let other = KeyPair::generate().unwrap().serialize_pem();
    fs::write(folder.path().join("key.pem"), other).unwrap();
    let problems = load(folder.path(), "").unwrap_err();
    assert!(problems[0].contains("does not belong to the certificate"), "{problems:?}");
}

#[test]
fn new_files_are_taken_and_bad_ones_leave_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 2070);
    let settings = settings(folder.path(), "");
    let (callers, tls) = CallersTls::load(settings.tls.as_ref().unwrap()).unwrap();
    let expiry = tls.expires();
    let node = Arc::new(Node::new(settings));
    node.tls.store(Some(Arc::new(tls)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let now = || node.tls.load_full().unwrap().expires();
    runtime.block_on(async {
        let script = async {
            fs::write(folder.path().join("key.pem"), "no key").unwrap();
            node.reload.notify_one();
            until(|| node.certificates_refused.load(Ordering::Relaxed) == 1).await;
            assert_eq!(now(), expiry);
            write(folder.path(), 2080);
            node.reload.notify_one();
            until(|| now() > expiry).await;
        };
        tokio::select! {
            () = keep(Arc::clone(&node), Some(callers)) => {}
            () = script => {}
        }
    });
}

#[test]
fn what_was_refused_is_tried_again_and_told_once() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 2070);
    let settings = settings(folder.path(), "").tls.unwrap();
    let (mut callers, _) = CallersTls::load(&settings).unwrap();
    assert!(!callers.changed());
    assert!(callers.refused(vec!["not valid yet".to_owned()]));
    assert!(callers.changed(), "the next look tries again");
    assert!(!callers.refused(vec!["not valid yet".to_owned()]), "no news");
    assert!(callers.refused(vec!["another problem".to_owned()]));
}

/// Waits for a condition, for as long as a slow machine needs.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
}
