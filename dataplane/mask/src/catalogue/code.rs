//! Keys of what developers and shops work with.

use super::{Detector, pattern, token};
use crate::rule::{ByteSet, Run};

static DETECTORS: &[Detector] = &[
    Detector {
        name: "GITHUB_TOKEN",
        about: "tokens of GitHub",
        default: true,
        patterns: &[token(r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{82}")],
        positives: &[
            "Set the token to «ghp_V2V7WErYOTO6TiA3gaAXJLhFz9KjA2Yr3NMh» and restart.",
            concat!(
                "key=«github_pat_y2CSDsUwswzHJMyPuaYV2F_yCtlItZjBKyLof06vu1M1",
                "p9unB569abdqK5Ft6IXtINBH0HURByDwcMRwC8»\n"
            ),
            "{\"apiKey\": \"«ghs_aReHogAxGzPJ7Kj4m9AFzCXN5LvSHV0fkxux»\"}",
        ],
        near_misses: &[
            "ghp_short",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "ghx_e0tGlhP5sSv07G4AOkHs0GnG5mAldOKMgwKO",
        ],
    },
    Detector {
        name: "GITLAB_TOKEN",
        about: "tokens of GitLab",
        default: true,
        patterns: &[token(concat!(
            r"(?:gl(?:pat|dt|rt|ptt|cbt|ft|soat|imt|agent|wt|oas|ffct)-|",
            r"GR1348941)[\w\-]{20,300}(?:\.[\w.]{9,20})?"
        ))],
        positives: &[
            "Set the token to «glpat-f0baNaMYmbdzw-Isz0pj» and restart.",
            "key=«glrt-undmjv_73hbPsETJveImiSy5Xcd.01.o4zLW9cCd»\n",
            "{\"apiKey\": \"«gldt-EFCfuwOa6M1G-iFXC0Nz»\"}",
        ],
        near_misses: &["token glpat-f0 is cut"],
    },
    Detector {
        name: "NPM_TOKEN",
        about: "tokens of npm",
        default: true,
        patterns: &[token(r"npm_[A-Za-z0-9]{36}")],
        positives: &[
            "Set the token to «npm_4TFbY3pflkwyla4szJxhvI3yvzPe9hB06wJp» and restart.",
            "{\"apiKey\": \"«npm_4TFbY3pflkwyla4szJxhvI3yvzPe9hB06wJp»\"}",
        ],
        near_misses: &["npm_package_version", "npm_config_registry"],
    },
    Detector {
        name: "PYPI_TOKEN",
        about: "tokens of PyPI",
        default: true,
        patterns: &[pattern(r"pypi-AgE(?:IcHlwaS5vcmc|NdGVzdC5weXBpLm9yZw)[\w\-]{2}")
            .run(Run::Class(ByteSet::BASE64URL))],
        positives: &[
            concat!(
                "password = «pypi-AgEIcHlwaS5vcmcXy7KSE3eJdRtEqlzIq47EuVTBZWA",
                "M8AD5qH4VFZBqplIXdsNbXlwDPyniUMyiNlCKqZKTZ7qJwdUS0d7FZTmxLoI",
                "CfZfu3zMtWfNwD-G3SaoK5»"
            ),
            concat!(
                "Use `«pypi-AgENdGVzdC5weXBpLm9yZwfgFoeOASl1YCJlS24R5gA2q_yfH",
                "wuEHFhvTS0lzNrr_9EEa4rSMrsEQp2vt7ZAoLbU_AfhJMzoN5ouP47ULvjfb",
                "7_f»` there"
            ),
        ],
        near_misses: &["pypi-AgE is how they begin", "pypi-server"],
    },
    Detector {
        name: "RUBYGEMS_KEY",
        about: "keys of RubyGems",
        default: true,
        patterns: &[token(r"rubygems_[0-9a-f]{48}")],
        positives: &[
            concat!(
                "Set the token to «rubygems_a83fdf6a0b29872400c49b5539ac5ba7b",
                "4b87113c16fdf59» and restart."
            ),
            "{\"apiKey\": \"«rubygems_a83fdf6a0b29872400c49b5539ac5ba7b4b87113c16fdf59»\"}",
        ],
        near_misses: &["token rubygems_a8 is cut"],
    },
    Detector {
        name: "POSTMAN_KEY",
        about: "keys of Postman",
        default: true,
        patterns: &[token(r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}")],
        positives: &[
            concat!(
                "Set the token to «PMAK-24754ec21ef66b01d4921da2-e055c90eb6f2",
                "aed4c21a9dbf49a067e24b» and restart."
            ),
            concat!(
                "{\"apiKey\": \"«PMAK-24754ec21ef66b01d4921da2-e055c90eb6f2aed4c",
                "21a9dbf49a067e24b»\"}"
            ),
        ],
        near_misses: &["token PMAK-24754ec is cut"],
    },
    Detector {
        name: "README_KEY",
        about: "keys of ReadMe",
        default: true,
        patterns: &[token(r"rdme_[a-z0-9]{70}")],
        positives: &[
            concat!(
                "Set the token to «rdme_90x7p2zqholm9hoqgm7q5o93o8h6f0e2i696h",
                "6g3z8km4fixdzpdxcan3thi1fmhwkxvaq» and restart."
            ),
            concat!(
                "{\"apiKey\": \"«rdme_90x7p2zqholm9hoqgm7q5o93o8h6f0e2i696h6g3z8",
                "km4fixdzpdxcan3thi1fmhwkxvaq»\"}"
            ),
        ],
        near_misses: &["token rdme_90x7p2zqho is cut"],
    },
    Detector {
        name: "PREFECT_KEY",
        about: "keys of Prefect",
        default: true,
        patterns: &[token(r"pn[ub]_[A-Za-z0-9]{36}")],
        positives: &[
            "Set the token to «pnu_hpxGVH8wUFc0MwgwJuZMhc76RpqwmSCb1LCh» and restart.",
            "{\"apiKey\": \"«pnu_hpxGVH8wUFc0MwgwJuZMhc76RpqwmSCb1LCh»\"}",
        ],
        near_misses: &["token pnu_hpxG is cut"],
    },
    Detector {
        name: "SENTRY_TOKEN",
        about: "tokens of Sentry",
        default: true,
        patterns: &[token(r"sntryu_[0-9a-f]{64}|sntrys_[A-Za-z0-9+/=_]{64,400}")],
        positives: &[
            concat!(
                "Set the token to «sntryu_0f328549c488e00a4ff1125cf5ec72ba694",
                "165beaecba0afa707e1448c828b41» and restart."
            ),
            concat!(
                "key=«sntrys_6J5Xg3mXBOKOgxYsYYp3Y8jRet9WvVxG2Opw3JTzvdTvQu4Y",
                "EGx5pZpwjina43QDzCzKXt7kLejtUtqUKJQ79ve6mL7fLltLwDwXSBU37e1F",
                "u5lr5qIbWkOr»\n"
            ),
        ],
        near_misses: &["token sntryu_0f32854 is cut"],
    },
    Detector {
        name: "GRAFANA_TOKEN",
        about: "tokens of Grafana",
        default: true,
        patterns: &[token(concat!(
            r"glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}|glc_[A-Za-z0-9+/]{32,400}",
            r"={0,3}"
        ))],
        positives: &[
            "Set the token to «glsa_pTbndzCm5Ms3GPgmpUd9iMdfeZ04KvUi_0680a06a» and restart.",
            concat!(
                "key=«glc_u3VbPFzNRZvld3AYcfONvXFMzq8D3ab7uKPudANTU1vkfbjnjHX",
                "1fw0xBwIRL3JjQMKvoVNq0TEWcXPt»\n"
            ),
        ],
        near_misses: &["token glsa_pTbn is cut"],
    },
    Detector {
        name: "ATLASSIAN_TOKEN",
        about: "tokens of Atlassian",
        default: true,
        patterns: &[token(concat!(
            r"ATATT3[\w\-=]{180,220}|ATCTT3[\w\-=]{180,220}|ATBB[A-Za-z0-9]",
            r"{32}"
        ))],
        positives: &[
            concat!(
                "Set the token to «ATATT36JUJqGb8mUtDZldrphAxHUtwudSF4-BSX6BP",
                "dnbiZShDW0WCdGcH3EDTAP2JM-Bu9IrMKlQa_FuO5BgAUf4x3rMdotbrMtTm",
                "v7Yl1RYQeEzberD3ncgOiop_r2awCsoT-jSBCjIwbHIifzg0UIbPf6KQ0IZ2",
                "O1XtXX0saEGWEzolegZP4O6a88RWE0» and restart."
            ),
            "key=«ATBBOYV3ywTezHrNQR0ueOZIQo7NWqq61E2U»\n",
        ],
        near_misses: &["token ATATT36JUJqGb8mUtDZldrphAxHUtwudSF4-BS is cut"],
    },
    Detector {
        name: "LINEAR_KEY",
        about: "keys of Linear",
        default: true,
        patterns: &[token(r"lin_api_[A-Za-z0-9]{40}")],
        positives: &[
            concat!(
                "Set the token to «lin_api_wHLEKoje7WHxHnHk0xpRlj0QDlO8025P36",
                "cuyx13» and restart."
            ),
            "{\"apiKey\": \"«lin_api_wHLEKoje7WHxHnHk0xpRlj0QDlO8025P36cuyx13»\"}",
        ],
        near_misses: &["token lin_api_w is cut"],
    },
    Detector {
        name: "NOTION_TOKEN",
        about: "tokens of Notion",
        default: true,
        patterns: &[token(r"ntn_[0-9]{11}[A-Za-z0-9]{35}|secret_[A-Za-z0-9]{43}")],
        positives: &[
            concat!(
                "Set the token to «ntn_61624615588tCQfrzsCShCOEUZlWHjaRixFHQp",
                "NxHvZyqb» and restart."
            ),
            "key=«secret_JmaKqdLltTIr6uqpq1CfHOF2fmiB9YsNXx6cTCyxcTW»\n",
        ],
        near_misses: &["token ntn_616246 is cut"],
    },
    Detector {
        name: "AIRTABLE_TOKEN",
        about: "tokens of Airtable",
        default: true,
        patterns: &[token(r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}")],
        positives: &[
            concat!(
                "Set the token to «patsABPMZqwpy2Li7.6b26a22eccdf03eeddf52ecf",
                "4076c19ace327203f26e16af1d4d14aa605882ac» and restart."
            ),
            concat!(
                "{\"apiKey\": \"«patsABPMZqwpy2Li7.6b26a22eccdf03eeddf52ecf4076c",
                "19ace327203f26e16af1d4d14aa605882ac»\"}"
            ),
        ],
        near_misses: &["token patsABPMZqwpy2Li is cut"],
    },
    Detector {
        name: "SHOPIFY_TOKEN",
        about: "tokens of Shopify",
        default: true,
        patterns: &[token(r"shp(?:at|ca|pa|ss|ua)_[0-9a-fA-F]{32}")],
        positives: &[
            "Set the token to «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» and restart.",
            "key=«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»\n",
        ],
        near_misses: &["token shpat_89 is cut"],
    },
    Detector {
        name: "STRIPE_KEY",
        about: "keys of Stripe",
        default: true,
        patterns: &[token(concat!(
            r"[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,200}|whsec_",
            r"[A-Za-z0-9+/]{32,64}={0,2}"
        ))],
        positives: &[
            "Set the token to «sk_live_Yf8dAoQ1qT5CRBj3d7Sick1C» and restart.",
            "key=«rk_test_sWo3LZuTJUjt6quJ1nj8ZQozcuyjPsoPISfmDjUlBvRzhc1whQ7nP8HHesFw»\n",
            "{\"apiKey\": \"«whsec_bWYF476fmFr3tMLIWfmiErX5W25oL7tc»\"}",
        ],
        near_misses: &["pk_live_LMg9awm8jQtdlvwCEpvVxlhY", "sk_test_..."],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
