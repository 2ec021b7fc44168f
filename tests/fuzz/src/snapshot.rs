//! Snapshots. An input is signed bytes as a control plane sends them, or a payload, which is then
//! signed: what is well signed may still be anything.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use penstock_config::catalogue::Table;
use penstock_config::decision::Policy;
use penstock_config::documents::Issuer;
use penstock_config::node::SnapshotKey;
use penstock_config::snapshot::{FORMAT, Snapshot, SnapshotSigner, verify};
use penstock_identity::Issuers;
use serde_json::{Value, json};

use crate::chance::{Chance, made_long};
use crate::signer;

static SIGNER: LazyLock<(SnapshotSigner, [SnapshotKey; 1])> = LazyLock::new(|| {
    let document = signer::PAIR.to_pkcs8().expect("a key has a document");
    let signer = SnapshotSigner::from_pkcs8(document.as_ref()).expect("it is read back");
    let public = signer.public();
    (signer, [public])
});

pub(crate) fn check(bytes: &[u8]) -> bool {
    let mut signed = signed(bytes);
    let is_understood = [bytes, &signed].map(check_signed).contains(&true);
    Chance::of(bytes).flip_bit(&mut signed);
    assert!(!check_signed(&signed), "a bit flipped, and the signature holds");
    if let Some(long) = made_long(bytes) {
        let _ = verify(&SIGNER.1, &long);
        let _ = verify(&SIGNER.1, &self::signed(&long));
    }
    is_understood
}

/// A payload under a good signature, put together by hand from what the format's text says.
fn signed(payload: &[u8]) -> Vec<u8> {
    let signature = signer::sign(&[b"penstock snapshot 1\n", payload].concat());
    let key = &SIGNER.1[0].id;
    let (payload, signature) = (STANDARD.encode(payload), STANDARD.encode(signature));
    json!({"key": key, "payload": payload, "signature": signature}).to_string().into_bytes()
}

/// What verifies was signed, byte for byte; it is read as another reader reads it, and is the same
/// when it is signed again.
fn check_signed(bytes: &[u8]) -> bool {
    let (signer, keys) = &*SIGNER;
    let Ok((snapshot, hash)) = verify(keys, bytes) else { return false };
    let envelope: Value = serde_json::from_slice(bytes).expect("an envelope");
    let part = |name: &str| {
        STANDARD.decode(envelope[name].as_str().expect("a text")).expect("base64 of a part")
    };
    let payload = part("payload");
    let under_signature = [b"penstock snapshot 1\n", payload.as_slice()].concat();
    assert_eq!(part("signature"), signer::sign(&under_signature), "a forged snapshot");
    let theirs: Value = serde_json::from_slice(&payload).expect("JSON");
    assert_eq!((theirs["format"].as_u64(), snapshot.format), (Some(FORMAT.into()), FORMAT));
    assert_eq!(theirs["cluster"], json!(snapshot.cluster));
    assert_eq!(theirs["expires_ms"], json!(snapshot.expires_ms));
    assert_eq!(hash.len(), 64);

    let written = signer.sign(&snapshot);
    let (again, hash) = verify(keys, &written).expect("what is written can be read");
    assert_eq!(again, snapshot);
    assert_eq!(signer.sign(&again), written, "written again, other bytes");
    assert_eq!(verify(keys, &written).map(|(_, again)| again), Ok(hash));
    enforce(&snapshot);
    true
}

/// What a node does with it. It may refuse the whole, and may not panic.
fn enforce(snapshot: &Snapshot) {
    let issuers: Vec<Issuer> =
        snapshot.issuers.iter().map(|trusted| trusted.document.clone()).collect();
    let _ = Policy::compile(&issuers, &snapshot.connections, &snapshot.rules);
    let _ = Issuers::compile(&snapshot.issuers);
    for connection in &snapshot.connections {
        let version = connection.version.as_deref();
        let _ = Table::build(connection.protocol, version, &connection.table);
    }
}
