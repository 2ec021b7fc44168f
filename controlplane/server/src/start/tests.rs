//! A server whose writer dies.

use super::*;

/// A server on loopback whose issuer is away.
async fn server(folder: &Path) -> Server {
    let first_run = "{kind: issuer, name: dev, issuer: 'http://127.0.0.1:9', audiences: [a]}\n---\n\
         {kind: role, name: admins, role: admin, subjects: [{users: [ada]}]}\n";
    let file = folder.join("first-run.yaml");
    std::fs::write(&file, first_run).unwrap();
    let text = format!(
        "listen: 127.0.0.1:0\nnodes_listen: 127.0.0.1:0\nstate_dir: {}\nfirst_run_file: {}\n",
        folder.join("state").display(),
        file.display()
    );
    let source = Source { name: "controlplane.yaml".into(), text };
    start(Options::new(ControlplaneSettings::parse(&source).unwrap())).await.unwrap()
}

#[tokio::test]
async fn the_death_of_the_writer_ends_the_server_and_its_health() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = server(folder.path()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let health = format!("{}/healthz", server.api_url());
    assert_eq!(client.get(&health).send().await.unwrap().status(), 200);
    server.worker.abort();
    let failed = tokio::time::timeout(Duration::from_secs(20), server.failed()).await;
    assert!(failed.is_ok(), "nobody noticed");
    assert_eq!(client.get(&health).send().await.unwrap().status(), 503);
    server.stop().await;
}
