//! Signatures that no library makes on purpose, made once by another implementation (Python's
//! `cryptography` and plain modular exponentiation) with a 2048-bit key that was thrown away.
//! Header `{"alg":"PS256","kid":"ps"}` or `{"alg":"RS256","kid":"rs"}`, claims as in
//! `support::claims`.

use penstock_identity::Issuers;
use serde_json::json;

use crate::support::{URL, compile, document, trusted};

/// One issuer with the vectors' key, once for each algorithm.
pub(crate) fn issuers() -> Issuers {
    let key = |kid: &str, alg: &str| {
        let jwk = json!({"kty": "RSA", "kid": kid, "alg": alg, "n": MODULUS, "e": "AQAB"});
        jwk.as_object().unwrap().clone()
    };
    compile(&[trusted(document("company", URL), vec![key("ps", "PS256"), key("rs", "RS256")])])
}

fn ps256(signature: &str) -> String {
    format!("{PS256_HEADER}.{CLAIMS}.{signature}")
}

fn rs256(signature: &str) -> String {
    format!("{RS256_HEADER}.{CLAIMS}.{signature}")
}

/// A salt as long as the hash: good.
pub(crate) fn ps256_salt_32() -> String {
    ps256(PS256_SALT_32)
}

/// No salt.
pub(crate) fn ps256_salt_0() -> String {
    ps256(PS256_SALT_0)
}

/// A salt of 20 bytes.
pub(crate) fn ps256_salt_20() -> String {
    ps256(PS256_SALT_20)
}

/// The longest salt that fits.
pub(crate) fn ps256_salt_longest() -> String {
    ps256(PS256_SALT_LONGEST)
}

/// Padded to the full length: good.
pub(crate) fn rs256_plain() -> String {
    rs256(RS256_PLAIN)
}

/// Eight bytes of padding, then garbage behind the digest (Bleichenbacher 2006).
pub(crate) fn rs256_garbage() -> String {
    rs256(RS256_GARBAGE)
}

const MODULUS: &str = concat!(
    "0UUe4nyxx1kSG1BDfdqcKO65aMPfum-EDtVsWsniffty5B451-glXwEczpzh-MVJR-POIiGdgGqTczgijVECl0q8",
    "BzupoZJkpDp4SEjsZn1YjKDmHnuzKF3J_qx_ZJgH9tAktHrraTHvH6mTm8ayuJBWoqPaRYJqO5IB42CxwdoP2Ye_",
    "O5ue61oO3BA9C6GR3SMSH9j4AW3sD3A8WE3bU7OSPNUeYq2wQc3zMckEr7lhu8zkjFk2zxf7io6d4Nz5uFvuNUBo",
    "-0MtbJR_L775iQeq9atFTgI6BYG9wshKX9cKHVndsuEQnX5rb-NJrp07i9O00w1gufroBQYkyxNF0w",
);
const PS256_HEADER: &str = "eyJhbGciOiJQUzI1NiIsImtpZCI6InBzIn0";
const RS256_HEADER: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzIn0";
const CLAIMS: &str = concat!(
    "eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIiwic3ViIjoiYWRhIiwiYXVkIjoicGVuc3RvY2siLCJpYXQi",
    "OjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMDYwMH0",
);
const PS256_SALT_32: &str = concat!(
    "e_0KTjdIUT_ovI6og0MjAvEsKZ9w52COBfCng__OVeOZvqU6anRs6gqd1GBc_FhzJKPiaEjZO3tjomzgL2SuIvuq",
    "02tkQ1ntr2-xfBxcTp2ip4HTT5g2JvfuYM7NWocE50snwFMXJ7v0AI-US0Rap1dVXmdZFFC2C4kOeZ2xdJccachW",
    "f4zREoEFtpOJabaruzAHCpiS9BEwiVmM9BhMAouoTITr9MSpW5O7sdtkpuxhiZFcawGbrcyDnICNQVJ0T91rqaA5",
    "iAtQ6GuS2Y2GyEpuYkz2c45AQ8wJdpujc5F0BiMsFGYcbhrdQoE_YBZ4jHUx5_JBI7u-3FO6vMuldg",
);
const PS256_SALT_0: &str = concat!(
    "sZLbeWX36OnoPzJPbwyaz38yDAmAgCV7NyhX1Nbr6rn5gxhx18ZZQ0K8E86PeGd58_Cfdh2-qH7aZmFiS4QWNzK_",
    "ni8VieHNMbxRgBD2oa4odD-RcukmDiZ3itKY59gpTlCVyxwwPFYNWRKCQ772NOCjRZVUIvtGtYjH1_fUTjPErf2K",
    "UzG_J0Jo0R_0MMwR2Co0z2cdxJ0_rrRgSpBu9UV6J-RI8fH1DMDGGAdhEftb7YSr9WyVxtZv2yTygZl-2mzEq3Um",
    "QkE3vQW9cPnNMFiU7sY5xccBXdRlyZVSGNnMf_Vt8xCrOU7bgtcw0lomBS2oR4eZ3LOhNFwIfygZjw",
);
const PS256_SALT_20: &str = concat!(
    "pU3_io0h9kFiVTF2JEIi-n9_AAPRt1tmGxtfCOFq3gUAvxUKwbc8mXk7jqLK7dFnwvNW9TGqR3gUpWsaSJie1agK",
    "bl_VpCZE2exq2UjelNPIc_rc5CNxYjVYWme3MkHvFaaMAsIZSwSrmmfrSNWQSn8riXpwnNm3caIKZwnn3t_GWj4f",
    "RyMSnUb503OC8uV4cBBfkeUcyvKJuGTuHRkZM0X3BC2KvNT_NlkwCO1dsyE9jVrCOMi_8VnqkfgyfkS6VVcsZWwI",
    "YC8l6f9egghIZ24rzUrAHUL9OSpqZpXIRoruwsn5jLF2ZFyCNnRDGd503D5GpVsV-hWuQ1w5hxLHxA",
);
const PS256_SALT_LONGEST: &str = concat!(
    "FW-Sv7eVyE_SQNDccnn8Y555Qm5ZoztQGz0KF7St0AbqMOtfl2zrfOsFkJhozamJb7k2_x80xvs0YzdbhZFeY5TB",
    "2z0ObP_ZDSRyoHKA8rEzJSdvzNP77oICGIu29XC2gTu9yn-9GlPjEgzaWMEdZaBmgva58OO_FOfY_njtNcxAkRYE",
    "XudxjgAOgWINvVKvAOoOzGbO5o8a223h-qORUwhDVWDcW98r7E-u6Y_2Ae3HXgc4155e7B1hmFaEfo47hXds7Mt0",
    "mjemYwtPg88VALsJMifMuaNKh87YYBhtnFOvbJvajUgzqBEWxGOuJDQe29oIrzlWlbH-gl3YGZKxww",
);
const RS256_PLAIN: &str = concat!(
    "RpbOl_dH3sh2cNReXkXwEOJnP3aeiS6ftUuX5GBE21h8zqMKlvjh_hSBojM7NkNbyvX1ArbV_Wxz2DMjQkMH58kK",
    "XAOrjRuFLcqGtamd8HFvw-6jgI_wobOXH3qst8agyJWtZjxVic08ApN6VobxKUrSMpuQ6wH-YGAIlV_phTXZShh9",
    "63b-Uz7AnZzpBSxbYmH-ytEBrzLCVR-jvPHuLSgIsu2fAuEGNXo3uz8DRlNk-1qZq1EN3QYLaPryGzAPCqOt-Dch",
    "IP47XVVKNOsCgYzVsGT1zBLIpT0rN_662UQPtbNmzyEYyx_wGWta119scV-w1d4oJfiLoTCYcqV8eA",
);
const RS256_GARBAGE: &str = concat!(
    "0Jizels3B0tXUClU7GO8AbGLL9ZwKUyZV9ansZ833jDmBFgiOOurZ1b53VL7yMXs9HAevHK7E4OA0aeG5-jV-MP6",
    "ql5jWQfewKXiy8KrHAIKRw7UxGBZJ5nkq2ZTGNX6TNjkzk8M_O9IOHTVIOB3vW4gXI3qJbsEm5oV4HmAiEke1dn-",
    "6eILwhs0djOWrXsKZP_nzk8rG3EgkRM5qIiPLzJPafym9XB0XQnSRwD6C0xHD6QWIqfWIWW_hmVi8QeNWL5Kl7Ca",
    "0vUAWTndP6EiSoma1D0szeBQnpgkRM8GHguux3r2tsR9YvHEoD8ZlIi61npavTDPoizkbW6Lp_VrzA",
);
