//! What is kept: nothing in clear text, and nothing that could not be kept.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use std::path::Path;

use common::{POLICY, TestControlplane, options};
use penstock_server::{StartError, start};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sqlx::Connection as _;

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_kept_changes_nothing() {
    let controlplane = TestControlplane::start().await;
    let node = controlplane.join().await;
    let before = node.snapshot().await;
    let database = controlplane.folder.path().join("state/controlplane.db");
    let mut connection =
        sqlx::SqliteConnection::connect(&format!("sqlite://{}", database.display())).await.unwrap();
    let full = "CREATE TRIGGER disk_is_full BEFORE INSERT ON acts
        BEGIN SELECT RAISE(ABORT, 'disk is full'); END;";
    sqlx::raw_sql(full).execute(&mut connection).await.unwrap();
    let (status, problem) = controlplane.apply(POLICY).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!problem.to_string().contains("disk"), "the caller is not told of our disk");
    let rules = "/api/v1/documents?kind=rule";
    let (_, rules) = controlplane.call(Method::GET, rules, &Value::Null).await;
    assert_eq!(rules, serde_json::json!([]));
    assert_eq!(node.snapshot().await, before);

    sqlx::raw_sql("DROP TRIGGER disk_is_full;").execute(&mut connection).await.unwrap();
    let (status, answer) = controlplane.apply(POLICY).await;
    assert_eq!((status, &answer["version"]), (StatusCode::OK, &serde_json::json!(2)));
}

#[tokio::test]
async fn no_file_holds_a_secret_or_a_token_in_clear_text() {
    let mut controlplane = TestControlplane::start().await;
    controlplane.apply(POLICY).await;
    let value = "sk-model-credential-4711";
    controlplane.set_secret("llama-key", value).await;
    let file = controlplane.join_file().await;
    let token = controlplane.token(&controlplane.key, "ada", "penstock-api");
    controlplane.restart().await;
    let mut paths = Vec::new();
    files(controlplane.folder.path(), &mut paths);
    assert!(paths.len() >= 6, "{paths:?}");
    for path in paths {
        let bytes = std::fs::read(&path).unwrap();
        for needle in [value, &file.token, &token] {
            let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn another_encryption_key_does_not_start() {
    let mut controlplane = TestControlplane::start().await;
    controlplane.set_secret("llama-key", "sk-model").await;
    controlplane.server.take().unwrap().stop().await;
    let folder = controlplane.folder.path();
    std::fs::remove_file(folder.join("state/encryption.key")).unwrap();
    match start(options(folder, &controlplane.issuer.url)).await {
        Err(StartError::Sentence(sentence)) => assert!(sentence.contains("llama-key")),
        other => panic!("{:?}", other.err()),
    }
}

#[tokio::test]
async fn one_state_is_open_in_one_process() {
    let controlplane = TestControlplane::start().await;
    let again = start(options(controlplane.folder.path(), &controlplane.issuer.url)).await;
    assert!(again.err().unwrap().to_string().contains("another control plane"));
}
