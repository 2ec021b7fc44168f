//! Keys and tokens of no one vendor.

use super::{BASE64, Detector, pattern};
use crate::rule::{ByteSet, Guard, Run};
use crate::validators;

/// A host follows.
const AFTER_AT: Guard = Guard::not(ByteSet::NONE.with_each(b" \t\r\n\"'`<>@/"));

/// The token ends.
const AFTER_TOKEN: Guard = Guard::not(BASE64.with_each(b"_-=~(")).nor_pair(b'.', ByteSet::WORD);

static DETECTORS: &[Detector] = &[
    Detector {
        name: "JWT",
        about: "JSON web tokens",
        default: true,
        patterns: &[pattern(concat!(
            r"ey[AI-L][A-Za-z0-9_\-]{11,399}\.(?:[A-Za-z0-9_\-]{4}|\.",
            r"[A-Za-z0-9_\-]{4})"
        ))
        .valid(validators::jwt)
        .run(Run::Class(ByteSet::BASE64URL.with(b'.')))],
        positives: &[
            concat!(
                "Authorization: Bearer «eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
                "eyJzdWIiOiI4NDIzMjIxNzc0IiwiaXNzIjoiaHR0cHM6Ly9pZHAuZXhhbXBs",
                "ZS5jb20ifQ.u8jzPde0IgxLd6GncfBAepfJBd0Kh8oOOL8dKLzdocJ»"
            ),
            concat!(
                "{\"token\":\"«eyJ0eXAiOiJKV1QiLCJraWQiOiIyMDI0LWEiLCJhbGciOiJSU",
                "zI1NiJ9.eyJzdWIiOiJhIn0.rL1spNxnyVmihA-2O76UMFxFkM-R5Kjp1vRt",
                "_1fjORS-6ilI8ihN5KXSc7Tvo-hBKqFYY-kv5ZJr3J1TWDtkwtDDb_xHKas1",
                "VOqg6YYZYn9ZhyiA4uoRgnatmUdjAWtGSU8po_799NksnRH9ucAUsdMlHUvT",
                "CQCyEZDz-TddJ8HyS5SUkCnD8zRA9a9SkpXz9w3QlY7Zkuvqdt7s8Stqcbnr",
                "3yBdGBLEPH1qhT61qtc4xatws8phP9nhFyJfm5di4PzJ59FHz5r1pY4OjE2j",
                "BMptUsGr7CmY_uCu3ZR1zTOlUcR64cXQLioDnkHIfxIq2HZt-PlJhx2jIclH",
                "kCiHA»\"}"
            ),
            concat!(
                "session=«eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..3hDavJA76r",
                "NicHTp.8hkqdlm7tOtHWnsCGRlrwZbqcabUGJmGEp7CgQ0PBQFI14zGtSnov",
                "m14TUOi.zwd1iaeOV4qBkdfQ1y3GQs»; Path=/"
            ),
        ],
        near_misses: &[
            concat!(
                "eyJuYW1lIjoiSFMyNTYiLCJ0eXBlIjoibm9uZSJ9.eyJzdWIiOiI4NDIzMjI",
                "xNzc0In0.MpSscDlkrCaqx9vJupc94tnwlavyfErGPmpGXafq0fj"
            ),
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
            "eyes.are.open now",
        ],
    },
    Detector {
        name: "PRIVATE_KEY",
        about: "private keys in PEM",
        default: true,
        patterns: &[pattern(r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
            .before(Guard::ANY)
            .run(Run::Pem)],
        positives: &[
            concat!(
                "Here:\n«-----BEGIN RSA PRIVATE KEY-----\nZfYcMMDktXP/tKsf2rcDk",
                "dfrUnW5gcF+Ha6ili8GjHEAD6/Wj9KfzjsQGMrb9h+I\nmB+LK777pzNk8cL6",
                "j5IXAAjlsHUqJoUD/+Ydua+5ZMs1SWOpQaPRYpzbLGViYXjU\n2JgJngKtFI3",
                "OyV2dZAkg==\n-----END RSA PRIVATE KEY-----»\nend"
            ),
            concat!(
                "{\"private_key\": \"«-----BEGIN OPENSSH PRIVATE KEY-----\\n7UACN",
                "WiP3sFd67JikEAvstqVVPqzPptEJQzhkPkenG5ZFJoC6vWCBiJmpflvJfup\\",
                "nxqZKm4bV3AyAVHnyrvWdFrK9xiRGHO\\n-----END OPENSSH PRIVATE KE",
                "Y-----»\\n\"}"
            ),
            concat!(
                "«-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info",
                ": AES-128-CBC,8A1F7C3D2E5B4A69\n\nZfYcMMDktXP/tKsf2rcDkdfrUnW5gc",
                "F+Ha6ili8GjHEAD6==\n-----END RSA PRIVATE KEY-----»\nand more: this"
            ),
            concat!(
                "«-----BEGIN PGP PRIVATE KEY BLOCK-----\r\nVersion: GnuPG v2\r\n\r\n",
                "lQOYBFxc\r\n=aB3d\r\n-----END PGP PRIVATE KEY BLOCK-----»"
            ),
        ],
        near_misses: &[
            "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
            "-----BEGIN CERTIFICATE-----",
        ],
    },
    Detector {
        name: "DATABASE_URL",
        about: "passwords in addresses of databases",
        default: true,
        patterns: &[pattern(r#"[^\s"'`<>]{1,128}"#)
            .lead(concat!(
                r"(?i:postgres(?:ql)?|mysql|mariadb|mongodb|redis|rediss|amqps?|",
                r"mssql|sqlserver|oracle|clickhouse|cockroachdb|cassandra|",
                r"couchdb|jdbc:[a-z]{2,12})(?:\+[a-z0-9]{2,16})?://[^\s:/",
                r#"@"'`<>\[\]]{0,64}:"#
            ))
            .trail("@")
            .after(AFTER_AT)
            .valid(validators::password_of_url)],
        positives: &[
            "DATABASE_URL=postgres://app:«x9-kl2»@db:5432/x",
            "mongodb+srv://u:«Zz81kk»@c.example.net/?w=1",
        ],
        near_misses: &["postgres://app:${PW}@db", "postgres://db:5432/x", "mysql://root@localhost"],
    },
    Detector {
        name: "URL_CREDENTIALS",
        about: "passwords and tokens in addresses",
        default: true,
        patterns: &[
            pattern(r#"[^\s"'`<>]{1,128}"#)
                .lead(r#"(?i:[a-z][a-z0-9+.\-]{1,20})://[^\s:/@"'`<>\[\]]{0,64}:"#)
                .trail("@")
                .after(AFTER_AT)
                .valid(validators::password_of_url),
            pattern(r"[\w.~%+\-]{16,200}")
                .lead(r"(?i:https?|git|ssh|ftp)://")
                .trail("@")
                .after(AFTER_AT)
                .valid(validators::secret),
        ],
        positives: &[
            "https://bob:«x9-kl2»@example.org/a",
            "git clone https://«x0a9bC8dE7fG6hI5jK4l»@git.example.com/r.git",
        ],
        near_misses: &[
            "https://example.org:8080/a",
            "ssh://git@example.org/x",
            "https://bob:<password>@example.org",
        ],
    },
    Detector {
        name: "AUTH_HEADER",
        about: "tokens after Bearer, Basic or Token",
        default: true,
        patterns: &[
            pattern(r"[A-Za-z0-9_~+/.\-]{15,399}(?:[A-Za-z0-9_~+/\-]|={1,2})")
                .lead(r"(?i:bearer|token|apikey)[ =:]{1,2}")
                .after(AFTER_TOKEN)
                .valid(validators::bearer),
            pattern(r"[A-Za-z0-9+/]{6,340}={0,2}")
                .lead(r"(?i:basic) {1,2}")
                .after(AFTER_TOKEN)
                .valid(validators::basic),
        ],
        positives: &[
            "Authorization: Bearer «x0a9bC8dE7fG6hI5jK4l»",
            "authorization: Basic «YWxhZGRpbjpvcGVuc2VzYW1l»",
            "\"Authorization\": \"token «0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d»\"",
        ],
        near_misses: &[
            "Bearer of bad news",
            "basic understanding",
            "Bearer <token>",
            "Basic authentication",
            "bearer authentication-mechanism",
        ],
    },
    Detector {
        name: "GENERIC_SECRET",
        about: "random values that are named key, secret, token or credential",
        default: false,
        patterns: &[
            pattern(r"[A-Za-z0-9_+/.~\-]{9,149}(?:[A-Za-z0-9_+/~\-]|={1,2})")
                .lead(concat!(
                    r"(?i:api[_\- ]?key|apikey|secret(?:[_\- ]?key)?|token|",
                    r"credentials?|(?:signing|encryption|private|access|auth|master|",
                    r#"account|session)[_\- ]?key)[\"'\]]{0,2} ?(?::=|=>|[:=]) ?"#,
                    r#"[\"'`]?"#
                ))
                .before(Guard::ANY)
                .after(AFTER_TOKEN)
                .valid(validators::secret),
            pattern(r"[A-Za-z0-9_+/.~\-]{15,149}(?:[A-Za-z0-9_+/~\-]|={1,2})")
                .lead(r#"(?i:api key|secret|token|credential) is [\"'`]?"#)
                .before(Guard::NO_WORD)
                .after(AFTER_TOKEN)
                .valid(validators::secret),
        ],
        positives: &[
            "api_key=«x0a9bC8dE7fG6hI5jK4l»",
            "\"clientSecret\": \"«9f8a7b6c5d4e3f2a1b0c»\"",
            "the token is «Zx81-kq09-Lp77-vv20-aa».",
        ],
        near_misses: &[
            "api_key=${API_KEY}",
            "token: YOUR_TOKEN_HERE",
            "secret=os.environ.get",
            "token_count=12345678901",
            "secret: /run/secrets/db",
            "token = tokenizer.encode",
        ],
    },
    Detector {
        name: "HIGH_ENTROPY",
        about: "long random rows of letters and digits",
        default: false,
        patterns: &[pattern(r"[A-Za-z0-9+/_\-]{20,256}={0,2}")
            .before(Guard::not(BASE64.with_each(b"_-=")))
            .after(Guard::not(BASE64.with_each(b"_-=")))
            .valid(validators::high_entropy)],
        positives: &[
            "value «Zx81kq09Lp77vv20aaQwErTyUiOpMnBv4321»",
            "«q7Hn2Vx0Zk9Rf4Lw8Tb1Yc6Jd3Sg5Mp_eAuIoXz»",
        ],
        near_misses: &[
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "internationalisation-of-things",
            "thisIsAVeryLongIdentifierName",
        ],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
