use serde_json::{Map, Value, json};

use super::{Algorithm, Key, KeyFault};
use crate::base64url;

const RFC7515_PAYLOAD: &str = concat!(
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt",
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
);
const RFC7515_A2_MODULUS: &str = concat!(
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt",
    "0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSX",
    "ndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5",
    "IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
);
const RFC7515_A2_SIGNATURE: &str = concat!(
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W",
    "2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkS",
    "jtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv",
    "Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
);
const RFC7515_A3_SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const RFC8037_A4_SIGNATURE: &str =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
const RFC7638_MODULUS: &str = concat!(
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_B",
    "JECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_F",
    "DW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4",
    "vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
);

fn members(jwk: Value) -> Map<String, Value> {
    jwk.as_object().unwrap().clone()
}

fn key(jwk: Value) -> Key {
    Key::parse(&members(jwk)).unwrap_or_else(|fault| panic!("{fault}"))
}

fn fault(jwk: Value) -> Option<KeyFault> {
    Key::parse(&members(jwk)).err()
}

fn holds(key: &Key, signed: &str, signature: &str) -> bool {
    key.verify(signed.as_bytes(), &base64url::decode(signature.as_bytes()).unwrap())
}

fn rfc8037() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn rfc7515_a3() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

#[test]
fn rfc_7515_a_2_rs256_holds_and_not_when_a_byte_differs() {
    let key = key(json!({"kty": "RSA", "n": RFC7515_A2_MODULUS, "e": "AQAB"}));
    let signed = format!("eyJhbGciOiJSUzI1NiJ9.{RFC7515_PAYLOAD}");
    assert!(holds(&key, &signed, RFC7515_A2_SIGNATURE));
    assert!(!holds(&key, &signed.replace("JSUz", "JSUy"), RFC7515_A2_SIGNATURE));
    assert!(!holds(&key, &signed, &RFC7515_A2_SIGNATURE.replace("cC4h", "cC4i")));
}

#[test]
fn rfc_7515_a_3_es256_holds_and_not_when_a_byte_differs() {
    let key = key(rfc7515_a3());
    let signed = format!("eyJhbGciOiJFUzI1NiJ9.{RFC7515_PAYLOAD}");
    assert!(holds(&key, &signed, RFC7515_A3_SIGNATURE));
    assert!(!holds(&key, &signed, &RFC7515_A3_SIGNATURE.replace("DtEh", "DtEi")));
}

#[test]
fn rfc_8037_a_4_eddsa_holds_and_not_when_a_byte_differs() {
    let key = key(rfc8037());
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    assert!(holds(&key, signed, RFC8037_A4_SIGNATURE));
    assert!(!holds(&key, signed, &RFC8037_A4_SIGNATURE.replace("hgyY", "hgyZ")));
}

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    let ed25519 = key(rfc8037());
    assert_eq!(
        base64url::encode(&ed25519.thumbprint),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    let rsa = key(json!({
        "kty": "RSA", "n": RFC7638_MODULUS, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
    }));
    assert_eq!(base64url::encode(&rsa.thumbprint), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn the_algorithm_is_that_of_the_key() {
    let rsa = |alg: Value| {
        let mut jwk = members(json!({"kty": "RSA", "n": RFC7515_A2_MODULUS, "e": "AQAB"}));
        if !alg.is_null() {
            jwk.insert("alg".to_owned(), alg);
        }
        Key::parse(&jwk).map(|key| key.algorithm)
    };
    assert_eq!(rsa(Value::Null), Ok(Algorithm::Rs256));
    assert_eq!(rsa(json!("RS256")), Ok(Algorithm::Rs256));
    assert_eq!(rsa(json!("PS256")), Ok(Algorithm::Ps256));
    for other in [json!("ES256"), json!("RS512"), json!("HS256"), json!("rs256"), json!(["RS256"])]
    {
        assert_eq!(rsa(other.clone()), Err(KeyFault::Algorithm), "{other}");
    }
    let mut jwk = rfc8037();
    assert_eq!(key(jwk.clone()).algorithm, Algorithm::EdDsa);
    jwk["alg"] = json!("Ed25519");
    assert_eq!(key(jwk.clone()).algorithm, Algorithm::Ed25519);
    jwk["alg"] = json!("ES256");
    assert_eq!(fault(jwk), Some(KeyFault::Algorithm));
}

#[test]
fn points_of_small_order_and_points_written_in_two_ways_are_refused() {
    let one = |first: u8| {
        let mut bytes = [0; 32];
        bytes[0] = first;
        bytes
    };
    let prime_and = |first: u8| {
        let mut bytes = [0xff; 32];
        bytes[0] = first;
        bytes[31] = 0x7f;
        bytes
    };
    let eight = [super::SMALL_ORDER[2], super::SMALL_ORDER[3]];
    // 0 and 1, the two of order 8, then p-1, p, p+1 and 2^255-1: each with either sign.
    let points = [one(0), one(1), eight[0], eight[1]];
    let beyond = [prime_and(0xec), prime_and(0xed), prime_and(0xee), prime_and(0xff)];
    for point in points.into_iter().chain(beyond) {
        for sign in [0, 0x80] {
            let mut encoded = point;
            encoded[31] |= sign;
            let mut jwk = rfc8037();
            jwk["x"] = json!(base64url::encode(&encoded));
            assert_eq!(fault(jwk), Some(KeyFault::Point), "{encoded:02x?}");
        }
    }
}

#[test]
fn a_point_that_is_not_on_the_curve_is_refused() {
    let mut jwk = rfc7515_a3();
    jwk["y"] = json!("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1".replace("a1", "aw"));
    assert_eq!(fault(jwk), Some(KeyFault::Point));
    let mut jwk = rfc7515_a3();
    jwk["x"] = json!("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVA");
    assert_eq!(fault(jwk), Some(KeyFault::Encoding), "31 bytes");
}

#[test]
fn key_material_has_one_text() {
    for x in [
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp",
        " 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "",
    ] {
        let mut jwk = rfc8037();
        jwk["x"] = json!(x);
        assert_eq!(fault(jwk), Some(KeyFault::Encoding), "{x}");
    }
    let zero_in_front = format!("AAAA{RFC7515_A2_MODULUS}");
    let jwk = json!({"kty": "RSA", "n": zero_in_front, "e": "AQAB"});
    assert_eq!(fault(jwk), Some(KeyFault::Encoding));
    let jwk = json!({"kty": "RSA", "n": RFC7515_A2_MODULUS, "e": "AAEAAQ"});
    assert_eq!(fault(jwk), Some(KeyFault::Encoding));
}
