//! An issuer of tokens on loopback whose answers follow a script.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What is answered at a path.
#[derive(Clone)]
pub(crate) enum Script {
    /// These bytes, as they are, and the end of the connection.
    Raw(Vec<u8>),
    /// A head, then one byte after the other for ever.
    Trickle,
    /// Nothing, for ever.
    Silence,
}

/// A key pair with an id.
pub(crate) struct TestKey {
    pub(crate) id: String,
    pub(crate) document: Vec<u8>,
}

/// A running issuer; it ends with the test's runtime.
pub(crate) struct TestIssuer {
    pub(crate) url: String,
    scripts: Arc<Mutex<BTreeMap<String, Script>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TestKey {
    pub(crate) fn new(id: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { id: id.to_owned(), document: document.as_ref().to_vec() }
    }

    /// The public half.
    pub(crate) fn jwk(&self) -> Value {
        let pair = Ed25519KeyPair::from_pkcs8(&self.document).unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let id = &self.id;
        json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id, "x": x})
    }
}

impl TestIssuer {
    /// A token of five minutes.
    pub(crate) fn token(
        &self,
        key: &TestKey,
        user: &str,
        groups: &[&str],
        audience: &str,
    ) -> String {
        let now = jsonwebtoken::get_current_timestamp();
        let claims = json!({
            "iss": self.url, "sub": user, "groups": groups, "aud": audience, "iat": now,
            "exp": now + 300
        });
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.id.clone());
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&key.document)).unwrap()
    }

    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let issuer = Self { url, scripts: Arc::default(), asked: Arc::default() };
        let (scripts, asked) = (issuer.scripts.clone(), issuer.asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, scripts.clone(), asked.clone()));
            }
        });
        let jwks_uri = format!("{}/keys", issuer.url);
        issuer.discovery(&json!({"issuer": issuer.url, "jwks_uri": jwks_uri}));
        issuer
    }

    /// The discovery document.
    pub(crate) fn discovery(&self, document: &Value) {
        self.script("/.well-known/openid-configuration", ok(document.to_string().as_bytes()));
    }

    /// The keys that are published.
    pub(crate) fn publish(&self, keys: &[&TestKey]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.script("/keys", ok(json!({"keys": keys}).to_string().as_bytes()));
    }

    pub(crate) fn script(&self, path: &str, script: Script) {
        self.scripts.lock().unwrap().insert(path.to_owned(), script);
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }
}

/// An answer with status 200.
pub(crate) fn ok(body: &[u8]) -> Script {
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    Script::Raw(bytes)
}

async fn answer(
    mut stream: TcpStream,
    scripts: Arc<Mutex<BTreeMap<String, Script>>>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(path.clone());
    let script = scripts.lock().unwrap().get(&path).cloned();
    match script {
        Some(Script::Raw(bytes)) => {
            let _ = stream.write_all(&bytes).await;
        }
        Some(Script::Trickle) => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
            while stream.write_all(b" ").await.is_ok() {
                // tidy: the pace of a server that trickles is what is tested
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        Some(Script::Silence) => while matches!(stream.read(&mut byte).await, Ok(1)) {},
        None => {
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        }
    }
}
