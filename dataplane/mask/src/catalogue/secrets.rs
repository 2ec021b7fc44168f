//! Keys and tokens of no one vendor.

use super::{BASE64, Detector, pattern};
use crate::rule::{ByteSet, Guard, Run};
use crate::validators;

/// A host follows.
const AFTER_AT: Guard = Guard::not(ByteSet::NONE.with_each(b" \t\r\n\"'`<>@/"));

/// The token ends.
const AFTER_TOKEN: Guard = Guard::not(BASE64.with_each(b"_-=~(")).nor_pair(b'.', ByteSet::WORD);

/// The front of an address of a database.
macro_rules! database {
    () => {
        concat!(
            r"(?i:postgres(?:ql)?|mysql|mariadb|mongodb|redis|rediss|amqps?|",
            r"mssql|sqlserver|oracle|clickhouse|cockroachdb|cassandra|",
            r"couchdb|jdbc:[a-z]{2,12})(?:\+[a-z0-9]{2,16})?://"
        )
    };
}

/// What keys, secrets and tokens are called.
macro_rules! named {
    () => {
        concat!(
            r"(?:api[_\- ]?key|secret(?:[_\- ]?key)?|token|credentials?|(?:signing|",
            r"encryption|private|access|auth|master|account|session|subscription|",
            r"shared|webhook|hmac)[_\- ]?key)"
        )
    };
}

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
        patterns: &[
            pattern(r#"[^\s"'`<>]{1,128}"#)
                .lead(concat!(database!(), r#"[^\s:/@"'`<>\[\]]{0,64}:"#))
                .trail("@")
                .after(AFTER_AT)
                .valid(validators::password_of_url),
            pattern(r#"[^\s"'`<>@/]{1,128}"#)
                .lead(concat!(database!(), r#"[^\s:/@"'`<>\[\]]{1,64}@[^\s:/@"'`<>\[\]]{1,64}:"#))
                .trail("@")
                .after(AFTER_AT)
                .valid(validators::password_of_url),
            pattern(r#"[^\s"'`<>@]{1,128}"#)
                .lead(r#"(?i:jdbc:oracle:(?:thin|oci8?)):[^\s/@"':]{1,64}/"#)
                .trail("@")
                .after(Guard::ANY)
                .valid(validators::password_of_url),
        ],
        positives: &[
            "postgres://user@host.example.com:«x9-kl2»@db/x",
            "jdbc:oracle:thin:scott/«x9-kl2»@//db:1521/orcl",
            "DATABASE_URL=postgres://app:«x9-kl2»@db:5432/x",
            "mongodb+srv://u:«Zz81kk»@c.example.net/?w=1",
        ],
        near_misses: &[
            "postgres://app:${PW}@db",
            "postgres://db:5432/x",
            "mysql://root@localhost",
            "jdbc:oracle:thin:@//db:1521/orcl",
            "jdbc:oracle:thin:/@tns_name",
            "postgres://user@host.example.com:5432/db@x",
        ],
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
            pattern(r#"[^\s"'`<>@/]{1,128}"#)
                .lead(concat!(
                    r#"(?i:[a-z][a-z0-9+.\-]{1,20})://[^\s:/@"'`<>\[\]]{1,64}@"#,
                    r#"[^\s:/@"'`<>\[\]]{1,64}:"#
                ))
                .trail("@")
                .after(AFTER_AT)
                .valid(validators::password_of_url),
            pattern(r"[A-Za-z0-9_+/.~%\-]{15,95}[A-Za-z0-9_+/~%=\-]")
                .lead(concat!(
                    r"[?&](?i:sig|signature|x-(?:amz|goog)-signature|x-amz-security-",
                    r"token|(?:access|refresh|auth|id)_?token|token|api[_\-]?key|",
                    r"client_?secret|secret)="
                ))
                .before(Guard::ANY)
                .valid(validators::secret)
                .run(Run::Class(BASE64.with_each(b"_-~%=."))),
        ],
        positives: &[
            "https://bob:«x9-kl2»@example.org/a",
            "git clone https://«x0a9bC8dE7fG6hI5jK4l»@git.example.com/r.git",
            "smtp://user@example.com:«x9-kl2»@smtp.example.com:587",
            "https://example.com/dl?sig=«x0a9bC8dE7fG6hI5jK4l»&se=2026",
            concat!(
                "https://b.example.com/k?a=1&X-Amz-Signature=«53a583dbbe0ebbd6a1",
                "14c3deea63041b53a583dbbe0ebbd6a114c3deea63041b»"
            ),
        ],
        near_misses: &[
            "https://example.org:8080/a",
            "ssh://git@example.org/x",
            "https://bob:<password>@example.org",
            "ssh://git@example.org:22/x@y",
            "ssh://git@example.org:team/repo.git@v1",
            "https://example.org/?token=my-page-token-2",
            "https://example.org/?sig=none&secret=false",
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
            "Authorization: Token «53a583dbbe0ebbd6a114c3deea63041b»",
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
                    r"(?i:",
                    named!(),
                    r"(?:[_\-](?:base|key|value|val|prod|production|dev|",
                    r"development|stage|staging|test|live|default|main|old|new|current|",
                    r"primary|secondary|[0-9]))?)",
                    r#"["'\]*_`]{0,3}[ \t]{0,4}(?:(?::=|=>|===?|[:=])[*_]{0,2}[ \t]{0,4}"#,
                    r#"(?:[\w.]{0,30}(?:get|env|environ)\(["'][\w.\-]{1,40}["'], ?)?"#,
                    r#"|, ?["'])["'`]{0,2}"#
                ))
                .before(Guard::ANY)
                .after(AFTER_TOKEN)
                .valid(validators::secret),
            pattern(r"[A-Za-z0-9_+/.~\-]{15,149}(?:[A-Za-z0-9_+/~\-]|={1,2})")
                .lead(concat!(
                    r"(?i:(?:api|secret|access|private|auth|signing|encryption|",
                    r#"master)[ _\-]key|secret|token|credential) is (?:now )?[\"'`]?"#
                ))
                .before(Guard::NO_WORD)
                .after(AFTER_TOKEN)
                .valid(validators::secret),
            pattern(r"[A-Za-z0-9_+/.~\-]{15,149}(?:[A-Za-z0-9_+/~\-]|={1,2})")
                .lead(concat!(
                    r"--(?:(?:api|access|auth|client|secret|private|service|",
                    r"account|github|gitlab|npm|vault|bot|user|app|admin|",
                    r"registration|registry|refresh|bearer|session|deploy|",
                    r"webhook|signing|encryption|master)-?){0,2}",
                    r#"(?:apikey|api-?key|access-key|secret-key|token|secret)[ =]["']?"#
                ))
                .before(Guard::ANY)
                .after(AFTER_TOKEN)
                .valid(validators::secret),
            pattern(r"[A-Za-z0-9_+/.~\-]{15,149}(?:[A-Za-z0-9_+/~\-]|={1,2})")
                .lead(concat!(r"(?i:", named!(), ")", attributes!()))
                .trail("</")
                .before(Guard::ANY)
                .after(Guard::ANY)
                .valid(validators::secret),
            pattern(r"[A-Za-z0-9_+/.~\-]{15,149}(?:[A-Za-z0-9_+/~\-]|={1,2})")
                .lead(concat!(
                    r"(?i:",
                    named!(),
                    r")[*_`]{0,3}(?:\t{1,2}|[ \t]{0,16}\|[ \t]{0,4}[`*_]{0,3})"
                ))
                .before(Guard::ANY)
                .after(Guard::not(BASE64.with_each(b"-=~(")).nor_pair(b'.', ByteSet::WORD))
                .valid(validators::secret),
            pattern(r"[A-Za-z0-9_+/.~\-]{15,149}(?:[A-Za-z0-9_+/~\-]|={1,2})")
                .lead(concat!(
                    r"(?:(?i:api[ \-]?schl(?:\xC3[\x9C\xBC]|ue)ssel|cl(?:\xC3\xA9|",
                    r"e)(?: (?:d'|de l'|secr(?:\xC3\xA8|e)te ))? ?api|clave (?:de (?:la )?)?api|",
                    r"chave (?:d[ea] )?api|chiave (?:dell')?api|api[ \-]sleutel|",
                    r"klucz api)|(?i:api) ?(?:\xE5\xAF\x86(?:\xE9\x92\xA5|\xE9\x91\xB0)",
                    r"|\xE3\x82\xAD\xE3\x83\xBC|\xED\x82\xA4)|(?i:api)[ \-]?(?:k|\xD0\xBA)\xD0",
                    r"\xBB\xD1\x8E\xD1\x87|\xD0[\x9A\xBA]\xD0\xBB\xD1\x8E\xD1\x87 (?i:api))",
                    r#"["'*_`]{0,3} ?(?:[:=]|ist|lautet|est|es|is|\xC3[\xA9\xA8]|\xE3"#,
                    r"\x81\xAF|\xE6\x98\xAF|\xE4\xB8\xBA|\xE7\x82\xBA|\xEB\x8A\x94)[*_]{0,2}",
                    r#"[ \t]{0,2}["'`*]{0,2}"#
                ))
                .before(Guard::NO_WORD)
                .after(AFTER_TOKEN)
                .valid(validators::secret),
        ],
        positives: &[
            "api_key=«x0a9bC8dE7fG6hI5jK4l»",
            "\"clientSecret\": \"«9f8a7b6c5d4e3f2a1b0c»\"",
            "the token is «Zx81-kq09-Lp77-vv20-aa».",
            "SIGNING_SECRET=«53a583dbbe0ebbd6a114c3deea63041b»",
            "SECRET_KEY_BASE=«0d1f5cc3b9a04e7f8826aa51c7e94b3d»",
            "Ocp-Apim-Subscription-Key: «8d7f2c3ab1e94560a7c2d3e4f5061728»",
            "run --api-key «x0a9bC8dE7fG6hI5jK4l» now",
            "run --secret «x0a9bC8dE7fG6hI5jK4l»",
            "run --token \"«x0a9bC8dE7fG6hI5jK4l»\"",
            "<apiKey>«x0a9bC8dE7fG6hI5jK4l»</apiKey>",
            "<token>«x0a9bC8dE7fG6hI5jK4l»</token>",
            "**API key:** «x0a9bC8dE7fG6hI5jK4l»",
            "**API key:** `«x0a9bC8dE7fG6hI5jK4l»`",
            "| API key | «x0a9bC8dE7fG6hI5jK4l» |",
            "os.Setenv(\"API_KEY\", \"«x0a9bC8dE7fG6hI5jK4l»\")",
            "api_key = os.getenv(\"K\", \"«x0a9bC8dE7fG6hI5jK4l»\")",
            "my secret key is «x0a9bC8dE7fG6hI5jK4l»",
            "API-Schlüssel: «x0a9bC8dE7fG6hI5jK4l»",
            "clé API : «x0a9bC8dE7fG6hI5jK4l»",
            "clave de API: «x0a9bC8dE7fG6hI5jK4l»",
            "chave de API: «x0a9bC8dE7fG6hI5jK4l»",
            "API密钥:«x0a9bC8dE7fG6hI5jK4l»",
            "APIキー: «x0a9bC8dE7fG6hI5jK4l»",
            "API-ключ: «x0a9bC8dE7fG6hI5jK4l»",
        ],
        near_misses: &[
            "api_key=${API_KEY}",
            "token: YOUR_TOKEN_HERE",
            "secret=os.environ.get",
            "token_count=12345678901",
            "secret: /run/secrets/db",
            "token = tokenizer.encode",
            "token_type=x0a9bC8dE7fG6hI5jK4l",
            "secret_name: x0a9bC8dE7fG6hI5jK4l",
            "api-key-url=x0a9bC8dE7fG6hI5jK4l",
            "--secret my-database-secret-v2",
            "--secret id=npmrc,src=./.npmrc",
            "--token-file /etc/x0a9bC8dE7fG6hI5jK4l",
            "secretName: my-tls-secret-2024",
            "| API key | OAuth2 | basic |",
            "<token>identifier-of-2-words</token>",
            "[\"token\", \"access_token_v2\"]",
            "the secret key is stored in vault-cluster-2",
            "API-Schlüssel: siehe Abschnitt 12",
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
