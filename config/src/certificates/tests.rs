use rcgen::{CertificateParams, Issuer, KeyPair};

use super::*;

/// A certificate for a name, and its key.
fn own(name: &str) -> (String, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new([name.to_owned()]).expect("a name");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    (certificate.pem(), key)
}

fn secret(pem: &str) -> String {
    STANDARD.encode(pem)
}

fn refused(pem: &str) -> Option<PemError> {
    client_certificate(&secret(pem)).err()
}

#[test]
fn authorities_come_out_as_they_went_in() {
    let (one, two) = (own("one").0, own("two").0);
    let read = authorities(&format!("text\r\n{one}more\n{two}")).expect("two authorities");
    assert_eq!(read.len(), 2);
    assert_eq!(authorities(&to_pem(&read)), Ok(read));
}

#[test]
fn more_authorities_than_the_limit_are_refused() {
    let one = own("one").0;
    assert_eq!(authorities(&one.repeat(64)).map(|all| all.len()), Ok(64));
    assert_eq!(authorities(&one.repeat(65)), Err(PemError::TooMany));
}

#[test]
fn damaged_blocks_are_refused() {
    let good = own("one").0;
    for pem in [
        good.replace("-----END CERTIFICATE-----", ""),
        good.replace("END CERTIFICATE", "END CERTIFICATES"),
        good.replace("BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE"),
        good.replacen("MII", "M_I", 1),
        good.replacen("MII", "-----BEGIN CERTIFICATE-----MII", 1),
    ] {
        assert_eq!(authorities(&pem), Err(PemError::Pem), "{pem}");
    }
    let other = good.replace("CERTIFICATE", "X509 CRL");
    assert_eq!(authorities(&other), Err(PemError::Label));
}

#[test]
fn a_secret_is_a_chain_and_its_key_in_any_order() {
    let authority_key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::new(Vec::new()).expect("no name");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&authority_key).expect("an authority");
    let issuer = Issuer::new(parameters, authority_key);
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(["gateway".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
    let (leaf, authority, key) = (leaf.pem(), authority.pem(), key.serialize_pem());
    for pem in [
        format!("{leaf}{authority}{key}"),
        format!("{key}{leaf}{authority}"),
        format!("{leaf}{key}{authority}"),
    ] {
        let read = client_certificate(&secret(&pem)).expect("a client certificate");
        assert_eq!(to_pem(&read.cert).lines().count(), pem.lines().count() - key.lines().count());
        assert_eq!(to_pem(&read.cert[..1]), leaf.replace("\r\n", "\n"));
    }
    assert_eq!(refused(&format!("{authority}{leaf}{key}")), Some(PemError::OtherKey));
}

#[test]
fn keys_of_every_usual_kind_are_read() {
    for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let parameters = CertificateParams::new(["one".to_owned()]).expect("a name");
        let certificate = parameters.self_signed(&key).expect("a certificate").pem();
        assert_eq!(refused(&format!("{certificate}{}", key.serialize_pem())), None);
    }
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
        let key = pem::block(label, b"no key");
        assert_eq!(refused(&format!("{}{key}", own("one").0)), Some(PemError::Key));
    }
}

#[test]
fn a_secret_that_lacks_a_part_or_has_one_too_many_is_refused() {
    let (certificate, key) = own("one");
    let key = key.serialize_pem();
    let other = own("two").1.serialize_pem();
    for (pem, expected) in [
        (certificate.clone(), PemError::KeyCount),
        (key.clone(), PemError::NoCertificate),
        (format!("{certificate}{key}{other}"), PemError::KeyCount),
        (format!("{certificate}{other}"), PemError::OtherKey),
        (format!("{certificate}{}", key.replace("PRIVATE", "ENCRYPTED PRIVATE")), PemError::Label),
        (format!("{}{key}", certificate.replacen("MII", "MIA", 1)), PemError::Certificate(1)),
        (String::new(), PemError::NoCertificate),
    ] {
        assert_eq!(refused(&pem), Some(expected), "{pem}");
    }
}

#[test]
fn a_secret_that_is_no_base64_is_refused() {
    let (certificate, key) = own("one");
    let pem = format!("{certificate}{}", key.serialize_pem());
    for value in [&pem, "sk-model-key", "%", "ä"] {
        assert_eq!(client_certificate(value).err(), Some(PemError::Base64));
    }
    assert_eq!(client_certificate("/w==").err(), Some(PemError::Pem));
}

#[test]
fn what_is_wrong_says_nothing_of_the_key() {
    let (certificate, key) = own("one");
    let key = key.serialize_pem();
    let damaged = key.replacen('M', "_", 1);
    let error = refused(&format!("{certificate}{damaged}")).expect("refused");
    let line = damaged.lines().nth(1).expect("base64");
    assert!(!format!("{error} {error:?}").contains(line));
    let read = client_certificate(&secret(&format!("{certificate}{key}"))).expect("read");
    let shown = format!("{read:?}");
    let der = STANDARD.decode(key.lines().filter(|l| !l.starts_with('-')).collect::<String>());
    let der = der.expect("base64");
    let end = format!("{:?}", &der[der.len() - 8..]);
    assert!(!shown.contains(end.trim_matches(['[', ']'])));
}

#[test]
fn the_end_of_a_certificate_is_known() {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::new(["one".to_owned()]).expect("a name");
    parameters.not_after = rcgen::date_time_ymd(2001, 9, 9);
    let certificate = parameters.self_signed(&key).expect("a certificate");
    assert_eq!(not_after_ms(certificate.der()), Some(999_993_600_000));
}
