use super::*;

fn snapshot() -> Snapshot {
    Snapshot {
        format: FORMAT,
        cluster: "cluster-1".into(),
        position: Position { epoch: 1, version: 7, revision: 2 },
        previous: "00ff".into(),
        issued_ms: 1_000,
        expires_ms: 2_000,
        snapshot_keys: vec![SnapshotKey { id: "a".into(), public: "b".into() }],
        credentials_generation: 3,
        issuers: Vec::new(),
        connections: Vec::new(),
        rules: Vec::new(),
        masks: Vec::new(),
        mask_cuts: BTreeMap::new(),
    }
}

fn signer() -> SnapshotSigner {
    SnapshotSigner::generate().expect("a key").0
}

/// A payload under a good signature.
fn signed_payload(signer: &SnapshotSigner, domain: &[u8], payload: &[u8]) -> Vec<u8> {
    let signature = signer.pair.sign(&[domain, payload].concat());
    json(&Signed {
        key: signer.id.clone(),
        payload: STANDARD.encode(payload),
        signature: STANDARD.encode(signature),
    })
}

#[test]
fn a_signed_snapshot_is_read_back_with_the_hash_of_its_payload() {
    let signer = signer();
    let (read, hash) = verify(&[signer.public()], &signer.sign(&snapshot())).expect("verified");
    assert_eq!(read, snapshot());
    assert_eq!(hash, sha256_hex(&json(&snapshot())));
    assert_eq!(hash.len(), 64);
}

#[test]
fn a_snapshot_of_before_that_names_no_snapshot_keys_is_read() {
    let signer = signer();
    let mut payload = serde_json::to_value(snapshot()).expect("JSON");
    payload.as_object_mut().expect("an object").remove("snapshot_keys");
    let signed = signed_payload(&signer, DOMAIN, payload.to_string().as_bytes());
    let (read, _) = verify(&[signer.public()], &signed).expect("verified");
    assert_eq!(read.snapshot_keys, []);
}

#[test]
fn cuts_are_read_back_and_a_snapshot_without_any_is_as_before_there_were_any() {
    let signer = signer();
    let cut = Position { epoch: 1, version: 6, revision: 0 };
    let with = Snapshot { mask_cuts: BTreeMap::from([("llama".to_owned(), cut)]), ..snapshot() };
    let (read, _) = verify(&[signer.public()], &signer.sign(&with)).expect("verified");
    assert_eq!(read.mask_cuts, with.mask_cuts);
    let without = serde_json::to_value(snapshot()).expect("JSON");
    assert!(without.get("mask_cuts").is_none());
    let signed = signed_payload(&signer, DOMAIN, without.to_string().as_bytes());
    assert_eq!(verify(&[signer.public()], &signed).expect("verified").0, snapshot());
}

#[test]
fn a_key_read_back_from_its_file_signs_the_same_bytes() {
    let (signer, document) = SnapshotSigner::generate().expect("a key");
    let again = SnapshotSigner::from_pkcs8(&document).expect("the same key");
    assert_eq!(again.public(), signer.public());
    assert_eq!(again.sign(&snapshot()), signer.sign(&snapshot()));
}

#[test]
fn a_key_id_is_the_beginning_of_the_public_keys_hash() {
    let public = signer().public();
    let bytes = STANDARD.decode(&public.public).expect("base64");
    assert_eq!(bytes.len(), 32);
    assert_eq!(public.id, sha256_hex(&bytes)[..16]);
}

#[test]
fn a_document_that_is_no_key_is_refused() {
    let (_, document) = SnapshotSigner::generate().expect("a key");
    for bytes in [&b""[..], b"key", &document[1..], &document[..document.len() - 1]] {
        assert!(SnapshotSigner::from_pkcs8(bytes).is_err());
    }
}

#[test]
fn either_of_two_trusted_keys_may_have_signed() {
    let (old, new) = (signer(), signer());
    let keys = [old.public(), new.public()];
    assert!(verify(&keys, &old.sign(&snapshot())).is_ok());
    assert!(verify(&keys, &new.sign(&snapshot())).is_ok());
}

#[test]
fn a_key_that_is_not_trusted_is_refused() {
    let (trusted, other) = (signer(), signer());
    let signed = other.sign(&snapshot());
    assert_eq!(verify(&[trusted.public()], &signed), Err(SnapshotError::UnknownKey));
    assert_eq!(verify(&[], &signed), Err(SnapshotError::UnknownKey));
}

#[test]
fn another_key_under_a_trusted_id_is_refused() {
    let (trusted, other) = (signer(), signer());
    let posing = SnapshotKey { id: other.public().id, public: trusted.public().public };
    assert_eq!(verify(&[posing], &other.sign(&snapshot())), Err(SnapshotError::Signature));
    let broken = SnapshotKey { id: other.public().id, public: "AAAA".into() };
    assert_eq!(verify(&[broken], &other.sign(&snapshot())), Err(SnapshotError::Signature));
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let signer = signer();
    let keys = [signer.public()];
    let signed = signer.sign(&snapshot());
    for index in 0..signed.len() {
        for bit in 0..8 {
            let mut flipped = signed.clone();
            flipped[index] ^= 1 << bit;
            assert!(verify(&keys, &flipped).is_err(), "byte {index} bit {bit}");
        }
    }
}

#[test]
fn a_flipped_bit_in_payload_or_signature_is_a_signature_that_does_not_hold() {
    let signer = signer();
    let signed = signer.sign(&snapshot());
    let parts: Signed = serde_json::from_slice(&signed).expect("an envelope");
    let flip = |text: &str| {
        let mut bytes = STANDARD.decode(text).expect("base64");
        bytes[5] ^= 1;
        STANDARD.encode(bytes)
    };
    let payload = Signed { payload: flip(&parts.payload), ..signed_parts(&signed) };
    let signature = Signed { signature: flip(&parts.signature), ..signed_parts(&signed) };
    for changed in [payload, signature] {
        assert_eq!(verify(&[signer.public()], &json(&changed)), Err(SnapshotError::Signature));
    }
}

fn signed_parts(signed: &[u8]) -> Signed {
    serde_json::from_slice(signed).expect("an envelope")
}

#[test]
fn a_truncated_snapshot_is_refused_at_every_length() {
    let signer = signer();
    let signed = signer.sign(&snapshot());
    for length in 0..signed.len() {
        let result = verify(&[signer.public()], &signed[..length]);
        assert_eq!(result, Err(SnapshotError::Malformed), "{length} bytes");
    }
}

#[test]
fn a_huge_snapshot_is_refused_before_it_is_read() {
    let huge = vec![b' '; SIGNED_BYTES_MAX + 1];
    assert_eq!(verify(&[], &huge), Err(SnapshotError::TooLarge));
    assert_eq!(verify(&[], &huge[1..]), Err(SnapshotError::Malformed));
}

#[test]
fn another_format_is_told_apart_from_a_broken_snapshot() {
    let signer = signer();
    let later = signer.sign(&Snapshot { format: 2, ..snapshot() });
    assert_eq!(verify(&[signer.public()], &later), Err(SnapshotError::Format));
    let unknown_members = signed_payload(&signer, DOMAIN, br#"{"format": 2, "new": true}"#);
    assert_eq!(verify(&[signer.public()], &unknown_members), Err(SnapshotError::Format));
}

#[test]
fn a_signature_made_for_another_purpose_is_refused() {
    let signer = signer();
    let payload = json(&snapshot());
    for domain in [&b""[..], b"penstock bundle 1\n"] {
        let signed = signed_payload(&signer, domain, &payload);
        assert_eq!(verify(&[signer.public()], &signed), Err(SnapshotError::Signature));
    }
}

#[test]
fn a_well_signed_payload_that_is_no_snapshot_is_refused() {
    let signer = signer();
    let mut unknown = serde_json::to_value(snapshot()).expect("JSON");
    unknown["more"] = 1.into();
    for payload in [&b""[..], b"[]", br#"{"format": 1}"#, unknown.to_string().as_bytes()] {
        let signed = signed_payload(&signer, DOMAIN, payload);
        assert_eq!(verify(&[signer.public()], &signed), Err(SnapshotError::Malformed));
    }
}

#[test]
fn an_envelope_with_another_member_or_one_twice_is_refused() {
    let signer = signer();
    let text = String::from_utf8(signer.sign(&snapshot())).expect("JSON is UTF-8");
    for added in [r#"{"more": 1, "#.to_owned(), format!(r#"{{"key": "{}", "#, signer.id)] {
        let changed = text.replacen('{', &added, 1);
        let result = verify(&[signer.public()], changed.as_bytes());
        assert_eq!(result, Err(SnapshotError::Malformed));
    }
}
