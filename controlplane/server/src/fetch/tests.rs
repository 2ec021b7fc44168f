//! Keys from an issuer that behaves, and from ones that don't.

#[path = "../../tests/common/issuer.rs"]
#[allow(dead_code, reason = "shared with the tests of the whole server")]
mod issuer;

use issuer::{Script, TestIssuer, TestKey, ok};
use penstock_config::documents::{Document, Source, parse};
use serde_json::json;

use super::*;

async fn fetch_from(url: &str, jwks_uri: Option<&str>) -> Result<KeySet, FetchError> {
    fetch(url, jwks_uri, true).await
}

async fn fetch(url: &str, jwks_uri: Option<&str>, development: bool) -> Result<KeySet, FetchError> {
    let jwks_uri = jwks_uri.map(|uri| format!("jwks_uri: {uri}\n")).unwrap_or_default();
    let text = format!("kind: issuer\nname: dev\nissuer: {url}\naudiences: [penstock]\n{jwks_uri}");
    let placed = parse(&[Source { name: "a".into(), text }]).unwrap();
    let Document::Issuer(document) = placed[0].document.clone() else { panic!() };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut fetcher = Fetcher::new(development, false).unwrap();
    fetcher.timeout = Duration::from_millis(300);
    fetcher.fetch(&document).await
}

async fn fetched_with(script: Script) -> Result<KeySet, FetchError> {
    let issuer = TestIssuer::start().await;
    issuer.script("/keys", script);
    fetch_from(&issuer.url, None).await
}

fn redirect(to: &str) -> Script {
    let head = format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    Script::Raw(head.into_bytes())
}

#[tokio::test]
async fn keys_are_found_by_discovery_or_at_their_own_address() {
    let issuer = TestIssuer::start().await;
    let (a, b) = (TestKey::new("a"), TestKey::new("b"));
    issuer.publish(&[&a, &b]);
    assert_eq!(fetch_from(&issuer.url, None).await.unwrap().len(), 2);
    let keys = format!("{}/keys", issuer.url);
    assert_eq!(fetch_from("https://id.example.com", Some(&keys)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn row_31_a_discovery_document_of_another_issuer_is_refused() {
    let issuer = TestIssuer::start().await;
    issuer.publish(&[&TestKey::new("a")]);
    let jwks_uri = format!("{}/keys", issuer.url);
    issuer.discovery(&json!({"issuer": "https://evil.example.com", "jwks_uri": jwks_uri}));
    let error = fetch_from(&issuer.url, None).await.unwrap_err();
    assert!(matches!(error, FetchError::Content(JwksError::OtherIssuer)));
    assert_eq!(issuer.asked("/keys"), 0);
}

#[tokio::test]
async fn keys_come_from_this_machine_in_clear_text_in_development_alone() {
    let issuer = TestIssuer::start().await;
    issuer.publish(&[&TestKey::new("a")]);
    let keys = format!("{}/keys", issuer.url);
    for (url, jwks_uri) in [(&issuer.url, None), (&issuer.url, Some(keys.as_str()))] {
        let error = fetch(url, jwks_uri, false).await.unwrap_err();
        assert!(matches!(error, FetchError::Address), "{error}");
    }
    let error = fetch("https://id.example.com", Some(&keys), false).await.unwrap_err();
    assert!(matches!(error, FetchError::Address), "{error}");
    assert_eq!(issuer.asked("/keys"), 0);
}

#[tokio::test]
async fn row_31_no_redirect_is_followed() {
    let target = TestIssuer::start().await;
    target.publish(&[&TestKey::new("a")]);
    let error = fetched_with(redirect(&format!("{}/keys", target.url))).await.unwrap_err();
    assert!(matches!(error, FetchError::Status(status) if status == 302));
    assert_eq!(target.asked("/keys"), 0);
}

#[tokio::test]
async fn row_31_a_discovery_document_cannot_send_us_elsewhere_in_clear_text() {
    let issuer = TestIssuer::start().await;
    for uri in ["http://169.254.169.254/keys", "file:///etc/passwd", "http://example.com/keys"] {
        issuer.discovery(&json!({"issuer": issuer.url, "jwks_uri": uri}));
        let error = fetch_from(&issuer.url, None).await.unwrap_err();
        assert!(matches!(error, FetchError::Address), "{uri}");
    }
}

#[tokio::test]
async fn row_30_a_set_that_is_too_large_is_refused_however_it_comes() {
    let body = vec![b' '; jwks::BYTES_MAX + 1];
    let error = fetched_with(ok(&body)).await.unwrap_err();
    assert!(matches!(error, FetchError::Content(JwksError::TooLarge)));
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.extend_from_slice(&body);
    let error = fetched_with(Script::Raw(endless)).await.unwrap_err();
    assert!(matches!(error, FetchError::Content(JwksError::TooLarge)));
}

#[tokio::test]
async fn row_30_an_answer_that_does_not_end_in_time_is_given_up() {
    for script in [Script::Trickle, Script::Silence] {
        let error = fetched_with(script).await.unwrap_err();
        assert!(matches!(error, FetchError::Timeout), "{error}");
    }
}

#[tokio::test]
async fn row_30_what_is_no_key_set_is_refused() {
    let many: Vec<_> = (0..65).map(|n| json!({"kid": n.to_string()})).collect();
    let gzip = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}";
    let error = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
    let scripts = [
        ok(br#"{"keys":[]}"#),
        ok(b"<html>"),
        ok(json!({"keys": many}).to_string().as_bytes()),
        ok(br#"{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"}]}"#),
        Script::Raw(gzip.to_vec()),
        Script::Raw(error.to_vec()),
        Script::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{".to_vec()),
    ];
    for script in scripts {
        assert!(fetched_with(script).await.is_err());
    }
}

#[tokio::test]
async fn row_29_an_empty_set_is_a_failure_and_not_a_removal() {
    let error = fetched_with(ok(br#"{"keys":[]}"#)).await.unwrap_err();
    assert!(matches!(error, FetchError::Content(JwksError::Empty)), "{error}");
}

#[tokio::test]
async fn row_31_keys_do_not_come_from_addresses_of_special_use() {
    for host in ["169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "192.168.0.1", "0.0.0.0"] {
        for development in [true, false] {
            let url = format!("https://{host}");
            let error = fetch(&url, None, development).await.unwrap_err();
            assert!(matches!(error, FetchError::OutOfReach), "{host}: {error}");
        }
    }
}

#[tokio::test]
async fn row_31_a_name_that_leads_to_this_machine_is_looked_at_after_its_look_up() {
    let issuer = TestIssuer::start().await;
    let url = issuer.url.replace("http://127.0.0.1", "https://localhost");
    let error = fetch(&url, None, false).await.unwrap_err();
    assert!(matches!(error, FetchError::OutOfReach), "{error}");
    let keys = format!("{}/keys", issuer.url.replace("127.0.0.1", "localhost"));
    issuer.publish(&[&TestKey::new("a")]);
    let found = fetch("https://id.example.com", Some(&keys), true).await;
    assert_eq!(found.unwrap().len(), 1, "in development it may be reached");
}

#[tokio::test]
async fn a_refused_key_is_left_out_and_the_others_go_on() {
    let good = TestKey::new("a").jwk();
    let secret = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "b"});
    let encryption = {
        let mut key = TestKey::new("c").jwk();
        key["use"] = json!("enc");
        key
    };
    let set = json!({"keys": [secret, good, encryption]}).to_string();
    let keys = fetched_with(ok(set.as_bytes())).await.unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0]["kid"], "a");
}

#[tokio::test]
async fn two_keys_of_one_id_refuse_the_set() {
    let set = json!({"keys": [TestKey::new("a").jwk(), TestKey::new("a").jwk()]}).to_string();
    let error = fetched_with(ok(set.as_bytes())).await.unwrap_err();
    assert!(matches!(error, FetchError::Duplicate));
}

#[test]
fn row_31_keys_come_over_https_or_from_loopback() {
    let good = [
        "https://id.example.com/keys",
        "http://127.0.0.1:9/k",
        "http://[::1]:9/k",
        "http://localhost/k",
    ];
    for text in good {
        assert!(address(text, true).is_ok(), "{text}");
    }
    let bad = [
        "http://id.example.com/keys",
        "http://169.254.169.254/",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "file:///etc/passwd",
        "https://user@id.example.com/keys",
        "https://id.example.com/keys#a",
        "keys",
    ];
    for text in bad {
        assert!(address(text, true).is_err(), "{text}");
    }
    assert!(address("http://127.0.0.1/k", false).is_err());
}
