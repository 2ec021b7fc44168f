//! Keys of clouds and of what runs on them.

use super::{BASE64, Detector, pattern, token};
use crate::rule::{ByteSet, Guard};
use crate::validators;

static DETECTORS: &[Detector] = &[
    Detector {
        name: "AWS_ACCESS_KEY_ID",
        about: "identifiers of AWS access keys",
        default: true,
        patterns: &[token(r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z2-7]{16}")],
        positives: &[
            "Set the token to «AKIAUJZDEGXDNCF32EPF» and restart.",
            "key=«ASIA3DHODZDOCIS2JHTL»\n",
            "{\"apiKey\": \"«A3TXGMXGEDN73U55XTPL»\"}",
        ],
        near_misses: &["AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7", "XAKIAIOSFODNN7EXAMPL2"],
    },
    Detector {
        name: "AWS_SECRET_ACCESS_KEY",
        about: "AWS secret keys, near words that say so",
        default: true,
        patterns: &[pattern(r"[A-Za-z0-9+/]{40}")
            .before(Guard::not(BASE64))
            .after(Guard::not(BASE64.with(b'=')))
            .valid(validators::aws_secret)
            .near(&["aws", "secret", "akia", "asia", "access"])],
        positives: &[
            "export AWS_SECRET_ACCESS_KEY=«SXpfKtHF4vUCsMehGAkWvj7FAc9QeWJKY40uvSwk»\n",
            "\"SecretAccessKey\": \"«MFLZDe1f8rESQedUStPK/R0CsTy4Qwb8DwkNhFdn»\"",
            "aws_secret_access_key = «XsiVpzz63Ffk+CzJr4i0B3JrTAwR4y9ojfljoQoa»",
        ],
        near_misses: &[
            "secret a8579404ad953da45eb62cbb28e74e85ceef7f36",
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "Sum F1LlqsajAIxNKu8iS2G8NPRVdD53X83RZJzzzzgE",
        ],
    },
    Detector {
        name: "AWS_BEDROCK_KEY",
        about: "keys of Amazon Bedrock",
        default: true,
        patterns: &[token(r"ABSK[A-Za-z0-9+/]{109,269}={0,2}")],
        positives: &[
            concat!(
                "Set the token to «ABSKOzdmenCkhvMdgaKjIg8xNbe3nNyjOq9wMxEhh2",
                "FDEEtfjgVvVqE1SkHbn88HxjSI6bWHtP3fS2qHx6kwXoIIXGvOoNZYW2mZp0",
                "zVZomHFwUbbYrEqmSM9wCZ7Uw9xfog» and restart."
            ),
            concat!(
                "key=«ABSKoEmvnEN5N1aE6PwZPf1Qh6yYTWmE4lBYOvfZ8UzDzV8fUkkibjL",
                "5DZPjN0MEQ7wjJJibaZUPgHV7iB3m03nbqnsGpWLuqIA1id6Vw5DQL05HA06",
                "4GiIjHGb3CXlMaXZjlj==»\n"
            ),
        ],
        near_misses: &["token ABSKOzdmenCkhvMdgaKjIg8xNb is cut"],
    },
    Detector {
        name: "GCP_API_KEY",
        about: "keys of Google's APIs",
        default: true,
        patterns: &[token(r"AIza[\w\-]{35}")],
        positives: &[
            "Set the token to «AIza8phP9nhFyJfm5di4PzJ59FHz5r1pY4OjE2e» and restart.",
            "key=«AIzaSyBMptUsGr7CmY_uCu3ZR1zTOlUcR64cXQH»\n",
            "{\"apiKey\": \"«AIzaSyLioDnkHIfxIq2HZt-PlJhx2jIclHkCiH3»\"}",
        ],
        near_misses: &["AIzaSyD-short", "AIzaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"],
    },
    Detector {
        name: "GCP_CLIENT_SECRET",
        about: "client secrets of Google's sign-in",
        default: true,
        patterns: &[token(r"GOCSPX-[\w\-]{28}")],
        positives: &[
            "Set the token to «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» and restart.",
            "{\"apiKey\": \"«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»\"}",
        ],
        near_misses: &["token GOCSPX-p is cut"],
    },
    Detector {
        name: "AZURE_STORAGE_KEY",
        about: "keys of Azure storage accounts",
        default: true,
        patterns: &[
            pattern(r"[A-Za-z0-9+/]{86}==")
                .lead(r"(?i:Account|SharedAccess|Access)Key=")
                .before(Guard::NO_ALPHANUMERIC)
                .after(Guard::NO_WORD)
                .valid(validators::key),
            pattern(r"[A-Za-z0-9+/]{86}==")
                .before(Guard::not(BASE64))
                .after(Guard::NO_WORD)
                .valid(validators::key)
                .near(&["azure", "storage", "account"]),
        ],
        positives: &[
            concat!(
                "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=«y8F",
                "5n3/YNBDRzrZSgqbjG3uhkWKFLf6xuI5aHUQPFeNBTxaQWk8JzFalHlsZfYc",
                "MMDktXP/tKsf2rcDkdfrUnW==»;EndpointSuffix=core.windows.net"
            ),
            concat!(
                "azure storage key «1CJdObOIRpFqaDZeV7G5IfQHeVVEqZe2qpUWnoVPD",
                "F2yeE6RsXcNOPmeMjvqPVStNKiaEdFrRgSnRFsTHsDDDX==»"
            ),
        ],
        near_misses: &["AccountKey=h5Jmtf7EbsDe0G9Cryn687neLfjVHq8xiM0OGr4h==", "AccountKey=<key>"],
    },
    Detector {
        name: "AZURE_AD_CLIENT_SECRET",
        about: "client secrets of Microsoft Entra",
        default: true,
        patterns: &[token(r"[A-Za-z0-9_~.\-]{3}[0-9]Q~[A-Za-z0-9_~.\-]{31,34}")
            .before(Guard::not(ByteSet::BASE64URL.with_each(b"~.")))],
        positives: &[
            "client_secret=«Txo8Q~-_Ydua_5ZMs1SWOpQaPRYpzbLGViYXjU2W»",
            "Set the token to «r2d7Q~JngKtFI3OyV2dZAkg05rK_gqv81RKMq» now",
        ],
        near_misses: &["abc8Q~short", "abcdQ~VVPqzPptEJQzhkPkenG5ZFJoC6vWCBiJmp"],
    },
    Detector {
        name: "GCP_ACCESS_TOKEN",
        about: "access tokens of Google's sign-in",
        default: true,
        patterns: &[token(r"ya29\.(?:[a-z]\.)?[\w\-]{30,400}")],
        positives: &[
            concat!(
                "Set the token to «ya29.lwRlOEVHzc0X0AWIRh-JUqBlIFXZ53Ncqe28_",
                "ajY75FnCttn6kfaqDeMqG3omjMyXHCabM6JOF8EFd0Nhcy-1kGD2VD-eR1UY",
                "zaLiA-zNyD7CHLn-xC_1hs7» and restart."
            ),
            concat!(
                "{\"apiKey\": \"«ya29.lwRlOEVHzc0X0AWIRh-JUqBlIFXZ53Ncqe28_ajY75",
                "FnCttn6kfaqDeMqG3omjMyXHCabM6JOF8EFd0Nhcy-1kGD2VD-eR1UYzaLiA",
                "-zNyD7CHLn-xC_1hs7»\"}"
            ),
        ],
        near_misses: &["token ya29.lwRlOEVHzc0X0AWIRh-J is cut"],
    },
    Detector {
        name: "CLOUDFLARE_KEY",
        about: "origin keys of Cloudflare",
        default: true,
        patterns: &[token(r"v1\.0-[0-9a-f]{24}-[0-9a-f]{146}")],
        positives: &[
            concat!(
                "Set the token to «v1.0-c1604d115cea325a65e19cba-e530282bd36c",
                "b9d21f6be6abf0d7c1c1e21862ab8a18a8902073fec8df4f50947aaeb26c",
                "57d21fa5d328263dfe574de739988b886e7577496a2c8773e130f7eb1973",
                "1662b5e803b61b» and restart."
            ),
            concat!(
                "{\"apiKey\": \"«v1.0-c1604d115cea325a65e19cba-e530282bd36cb9d21",
                "f6be6abf0d7c1c1e21862ab8a18a8902073fec8df4f50947aaeb26c57d21",
                "fa5d328263dfe574de739988b886e7577496a2c8773e130f7eb19731662b",
                "5e803b61b»\"}"
            ),
        ],
        near_misses: &["token v1.0-c1604d115cea325a65e19cba-e5302 is cut"],
    },
    Detector {
        name: "DOCKER_TOKEN",
        about: "tokens of Docker Hub",
        default: true,
        patterns: &[token(r"dckr_(?:pat|oat)_[\w\-]{27,32}")],
        positives: &[
            "Set the token to «dckr_pat_RsfAGeAbP0VxNjAe-9i0mYtluYS» and restart.",
            "{\"apiKey\": \"«dckr_pat_RsfAGeAbP0VxNjAe-9i0mYtluYS»\"}",
        ],
        near_misses: &["token dckr_pat is cut"],
    },
    Detector {
        name: "DIGITALOCEAN_TOKEN",
        about: "tokens of DigitalOcean",
        default: true,
        patterns: &[token(r"do[por]_v1_[0-9a-f]{64}")],
        positives: &[
            concat!(
                "Set the token to «dop_v1_8d99d19bdd0b6cc60d5d32cbe54014c2b54",
                "b95523cf6941fa1c257c6f561c5cb» and restart."
            ),
            "key=«doo_v1_347611a3ce9d97dcbee500fe7ee5fc324bdb2e1142a21c402364f9572b85a8e4»\n",
        ],
        near_misses: &["token dop_v1_8d99d19 is cut"],
    },
    Detector {
        name: "HEROKU_KEY",
        about: "keys of Heroku",
        default: true,
        patterns: &[token(r"HRKU-AA[\w\-]{58}")],
        positives: &[
            concat!(
                "Set the token to «HRKU-AAG9AHEOVezxZuJPWvHogU5nGYVHWVsUQk4Dw",
                "gLGNOaeCtL31Ugq_DfcgaTt» and restart."
            ),
            concat!(
                "{\"apiKey\": \"«HRKU-AAG9AHEOVezxZuJPWvHogU5nGYVHWVsUQk4DwgLGNO",
                "aeCtL31Ugq_DfcgaTt»\"}"
            ),
        ],
        near_misses: &["token HRKU-AAG9AHEO is cut"],
    },
    Detector {
        name: "FLYIO_TOKEN",
        about: "tokens of Fly.io",
        default: true,
        patterns: &[token(r"fo1_[\w\-]{43}|fm[12][ar]?_[A-Za-z0-9+/]{100,400}={0,3}")],
        positives: &[
            concat!(
                "Set the token to «fo1_nTC0MrAU8urbFt5misIZHbhS4-FvafhdZxEuhn",
                "bzs0m» and restart."
            ),
            concat!(
                "key=«fm2_HMPGPPA0NlGtetOd4UYETIay2BV6DfVPClogqoPchv5V7S82qTd",
                "rOJRBRY6HqsP795nf4Gakq5p1Vm8kV6um4yvMpy62O6SQ1IEE1HSa2bB9UoK",
                "4tYnzNLeK6kjcbhgN7kwjSbbciSPO»\n"
            ),
        ],
        near_misses: &["token fo1_nTC0M is cut"],
    },
    Detector {
        name: "DATABRICKS_TOKEN",
        about: "tokens of Databricks",
        default: true,
        patterns: &[token(r"dapi[0-9a-f]{32}(?:-[0-9])?")],
        positives: &[
            "Set the token to «dapi1212b62c376631129f34369aad80b891» and restart.",
            "key=«dapibaf90d0d3bf16295d06910bf3f5fb859-3»\n",
        ],
        near_misses: &["token dapi1212 is cut"],
    },
    Detector {
        name: "VAULT_TOKEN",
        about: "tokens of HashiCorp Vault",
        default: true,
        patterns: &[token(r"hvs\.[\w\-]{24,300}|hv[br]\.[\w\-]{90,300}")],
        positives: &[
            concat!(
                "Set the token to «hvs.BD-vok_nPTmZYl2dVAMH2vWD6qeSPt5Pv74GDq",
                "Q7EyIMttFPSuEPyHnvnzXtsMM3JznnJAX7ebZ3CL7csGZaF31DDxp63Oq» a",
                "nd restart."
            ),
            concat!(
                "key=«hvb.m1FZuG296c0xPbX_neGBuzSm6A8cVR06AxYpThGJWZhbj11THnC",
                "MZCY7Bvqiy8CsT07Lq8TDIWG2x9aJTFMP9_2kUtMXhkPrSbbAjLGmsDx5StA",
                "ZvlMz-Bk4opH1Dr8-h97s_F-vauP7-L7V21jxUdcfQm9_seBT»\n"
            ),
        ],
        near_misses: &["token hvs.BD-vok_nPTmZYl2 is cut"],
    },
    Detector {
        name: "VAULT_LEGACY_TOKEN",
        about: "tokens of HashiCorp Vault before 1.10, near words that say so",
        default: true,
        patterns: &[token(r"[sb]\.[A-Za-z0-9]{24}").near(&["vault", "token"])],
        positives: &[
            "VAULT_TOKEN=«s.AOivg3QxvEXHJX6nsBvBqJd0»",
            "vault login «b.ssw0FzvGr3GwnPFYhvmuTtiL»",
        ],
        near_misses: &["call s.OfYczUJ4zIKdztgacm06EMXQ", "vault s.short"],
    },
    Detector {
        name: "TERRAFORM_TOKEN",
        about: "tokens of Terraform Cloud",
        default: true,
        patterns: &[token(r"[A-Za-z0-9]{14}\.atlasv1\.[\w\-=]{60,70}")],
        positives: &[
            concat!(
                "token = \"«dYG6INyNjORSSM.atlasv1.kBf6wmxe1mbVrNHMx1eOc3g-fp1",
                "Z5ibXt80nk8Btb2abplBpq8cJF5xgUskL-6Ggebd»\""
            ),
            concat!(
                "TFE_TOKEN=«a4PR0NfyttUMk9.atlasv1._hOV48vsoUu19X5IQLJhQbtN2F",
                "WXWD5KaPHI2ufKssJ-Sk_WzDNhY7AGbX6I»"
            ),
        ],
        near_misses: &["abc.atlasv1.def"],
    },
    Detector {
        name: "DOPPLER_TOKEN",
        about: "tokens of Doppler",
        default: true,
        patterns: &[token(concat!(
            r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_\-]{2,35}\.)?",
            r"[A-Za-z0-9]{40,44}"
        ))],
        positives: &[
            concat!(
                "Set the token to «dp.pt.fIZwXeozLH5q41HuEGLmmnmflZSsxKKwzXH2",
                "jpc7Fx3» and restart."
            ),
            "key=«dp.st.prd.gxODYfjuMbwrHMbgcn33KFLKnq7XrBg8CXL0M9iq1cv»\n",
        ],
        near_misses: &["token dp.pt.fIZ is cut"],
    },
    Detector {
        name: "PULUMI_TOKEN",
        about: "tokens of Pulumi",
        default: true,
        patterns: &[token(r"pul-[0-9a-f]{40}")],
        positives: &[
            "Set the token to «pul-65c2011bef2c328a72c5e5b77518b1018f134a06» and restart.",
            "{\"apiKey\": \"«pul-65c2011bef2c328a72c5e5b77518b1018f134a06»\"}",
        ],
        near_misses: &["token pul-65c2 is cut"],
    },
    Detector {
        name: "ONEPASSWORD_TOKEN",
        about: "service tokens and secret keys of 1Password",
        default: true,
        patterns: &[token(concat!(
            r"ops_eyJ[A-Za-z0-9+/]{250,450}={0,3}|A3-[A-Z0-9]{6}-(?:[A-Z0-9]",
            r"{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]",
            r"{5}"
        ))],
        positives: &[
            concat!(
                "Set the token to «ops_eyJRVtLLCWPgEuxqyhxEykCpZj6R5aDT6mZck7",
                "1oe7N3x4ViXC9g77y1bOeCvu0oEhOxjvoVdlTCJ4jC3jrAApjbrK1svZkqFg",
                "uD5EhjGdO5YQ7nJE1shqWmxBqp7pgysA5kd1UsjObCZGvGiCaY18HslxBc6A",
                "nrKli1lHXoTlmMf1f4MUFWrlniNQTOZmLtmaeSUHA1U6dHZwvs1O38FfaA6W",
                "Ei3QrplK1xckSxKM2awH7C9HehwTp0136uXT3yKW5ds3g9UFCGbHZIibp9fo",
                "NlkgtqJ09bbg7SVmqb1MOKDHp» and restart."
            ),
            "key=«A3-WODLDW-FBIDOPSQYID-DDMER-SHHEV-SOXMF»\n",
        ],
        near_misses: &[
            "token ops_eyJRVtLLCWPgEuxqyhxEykCpZj6R5aDT6mZck71oe7N3x4ViXC9g77y1b is cut",
        ],
    },
    Detector {
        name: "AGE_SECRET_KEY",
        about: "secret keys of age",
        default: true,
        patterns: &[token(r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}")],
        positives: &[
            concat!(
                "Set the token to «AGE-SECRET-KEY-1PC6ZERH4E04M5ER5FK0MQHXTY5",
                "MVPWG6EAZZZ33ZXS8QM0ZJ8NK28R39AF» and restart."
            ),
            concat!(
                "{\"apiKey\": \"«AGE-SECRET-KEY-1PC6ZERH4E04M5ER5FK0MQHXTY5MVPWG",
                "6EAZZZ33ZXS8QM0ZJ8NK28R39AF»\"}"
            ),
        ],
        near_misses: &[
            "AGE-SECRET-KEY-1QQQ",
            "age1u8gj6j309jawcvhan77np04wvceqk2055l3jdjrp2ykurcukxwf64kgv3x",
        ],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
