//! Keys of what sends messages.

use super::{Detector, token};

static DETECTORS: &[Detector] = &[
    Detector {
        name: "SLACK_TOKEN",
        about: "tokens of Slack",
        default: true,
        patterns: &[token(concat!(
            r"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9\-]{10,250}|xapp-[0-9]-A",
            r"[A-Za-z0-9\-]{20,200}|xwfp-[A-Za-z0-9\-]{20,200}"
        ))],
        positives: &[
            concat!(
                "Set the token to «xoxb-256095230294-977886243814-9Aj6iHiLu4W",
                "dkoBkfL0CYAq4» and restart."
            ),
            concat!(
                "key=«xapp-1-ASVHEXIWNDB-6104142261864-3e7fb6d28c587db821f6a0",
                "efa5ea7d26dc47bbcfb4768314cd2feabbda5f05cb»\n"
            ),
            concat!(
                "{\"apiKey\": \"«xoxp-148339354421-979030986840-102130232430-032",
                "264fa2ba9df8a1285822184aaf461»\"}"
            ),
        ],
        near_misses: &["xoxb-", "xoxb-your-token-here"],
    },
    Detector {
        name: "SLACK_WEBHOOK",
        about: "webhooks of Slack",
        default: true,
        patterns: &[token(concat!(
            r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/",
            r"[A-Za-z0-9+/]{43,80}"
        ))],
        positives: &[
            concat!(
                "POST https://«hooks.slack.com/services/TYEWNMJWA/BHJZCZPDC/L",
                "jmYTCZDY0oNf0QEKBiam7Ln»"
            ),
            concat!(
                "url: «hooks.slack.com/workflows/TDUOHYIQN/AQRKXBAHX/03843793",
                "2344220375/0TTR9SYZtzuHUtdXMufsduGp»"
            ),
        ],
        near_misses: &["https://hooks.slack.com/services/T000/B000/000"],
    },
    Detector {
        name: "TEAMS_WEBHOOK",
        about: "webhooks of Microsoft Teams",
        default: true,
        patterns: &[token(concat!(
            r"[a-z0-9\-]{1,40}\.webhook\.office\.com/webhookb2/[0-9a-f\-]",
            r"{36}@[0-9a-f\-]{36}/IncomingWebhook/[0-9a-f]{32}/[0-9a-f\-]",
            r"{36}(?:/[\w\-]{20,80})?"
        ))],
        positives: &[
            concat!(
                "https://«acme.webhook.office.com/webhookb2/457e06a3-aaaa-4aa",
                "a-8aaa-bf9232cdf287@eafdbea1-bbbb-4bbb-8bbb-3e284142e192/Inc",
                "omingWebhook/ad24c3119432a5d575cdab37e328cf75/9ec646f3-cccc-",
                "4ccc-8ccc-a708f4aa5a6d»"
            ),
            concat!(
                "hook «x.webhook.office.com/webhookb2/107b0811-aaaa-4aaa-8aaa",
                "-a7a8b9bbcc93@70d71549-bbbb-4bbb-8bbb-8acd947a1b5a/IncomingW",
                "ebhook/41eafe6ab7233a007b22f16ec9fc9fab/9b32fed0-cccc-4ccc-8",
                "ccc-766bb31ed04d»"
            ),
        ],
        near_misses: &["https://acme.webhook.office.com/webhookb2/"],
    },
    Detector {
        name: "SENDGRID_KEY",
        about: "keys of SendGrid",
        default: true,
        patterns: &[token(r"SG\.[\w\-]{22}\.[\w\-]{43}")],
        positives: &[
            concat!(
                "Set the token to «SG.lxLTmChCU3uWj1zPMQx_bQ.sWvxcoUghAcB7tBs",
                "t4d2rHJD1B7glaRvEGDwDwzo7Br» and restart."
            ),
            concat!(
                "{\"apiKey\": \"«SG.lxLTmChCU3uWj1zPMQx_bQ.sWvxcoUghAcB7tBst4d2r",
                "HJD1B7glaRvEGDwDwzo7Br»\"}"
            ),
        ],
        near_misses: &["token SG.lxLTmChCU3 is cut"],
    },
    Detector {
        name: "TWILIO_KEY",
        about: "keys of Twilio",
        default: true,
        patterns: &[token(r"SK[0-9a-fA-F]{32}")],
        positives: &[
            "Set the token to «SKd1f0e22d4ae56ad7675dbd9956e246a3» and restart.",
            "{\"apiKey\": \"«SKd1f0e22d4ae56ad7675dbd9956e246a3»\"}",
        ],
        near_misses: &["token SKd1f0e2 is cut"],
    },
    Detector {
        name: "MAILGUN_KEY",
        about: "keys of Mailgun",
        default: true,
        patterns: &[token(r"key-[0-9a-f]{32}"), token(r"[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}")],
        positives: &[
            "Set the token to «key-95dfeff8f6f4572bc2c3bdabc4e01fbc» and restart.",
            "key=«d9504bca7a5c59340afef8b0baf3a8c8-0bc2b08a-9f5c0266»\n",
        ],
        near_misses: &["token key-95df is cut"],
    },
    Detector {
        name: "MAILCHIMP_KEY",
        about: "keys of Mailchimp",
        default: true,
        patterns: &[token(r"[0-9a-f]{32}-us[0-9]{1,2}")],
        positives: &[
            "Set the token to «1449771d833424d61fcd25491215310a-us21» and restart.",
            "{\"apiKey\": \"«1449771d833424d61fcd25491215310a-us21»\"}",
        ],
        near_misses: &["token 1449771d is cut"],
    },
    Detector {
        name: "TELEGRAM_TOKEN",
        about: "tokens of Telegram's bots",
        default: true,
        patterns: &[token(r"[0-9]{5,16}:A[\w\-]{34}")],
        positives: &[
            "Set the token to «2172123953:AAUp3PY0G5D9dwvxtSh5e4b54cRYsgs-wXk» and restart.",
            "key=«088056396:AA0Q9uOWyIBaPOHRu_Jk_ft2k1L2alrnWJ4»\n",
        ],
        near_misses: &["123456789:BBshort", "12345:hM3BC4UZqfUCPxgcF1UtnePqrYxn6G8GHBX"],
    },
    Detector {
        name: "DISCORD_TOKEN",
        about: "tokens of Discord's bots",
        default: true,
        patterns: &[token(r"[MNO][A-Za-z0-9]{22,27}\.[\w\-]{6}\.[\w\-]{27,40}")],
        positives: &[
            "DISCORD_TOKEN=«MKSZPWrDP3uzR8SE9hcV1jZR.LgqTW2.FHe49dlkeB78kLRxrpxHRvuC8Cq»",
            concat!(
                "bot.run('«Nq6dok6NtXeOyIN29CngA6EZuR.hXD790.zHupOZvr88-IVm-Q",
                "uRmVWor-KQXwOdOA6pK6VK»')"
            ),
        ],
        near_misses: &["MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ"],
    },
    Detector {
        name: "DISCORD_WEBHOOK",
        about: "webhooks of Discord",
        default: true,
        patterns: &[token(r"discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/[\w\-]{60,72}")],
        positives: &[
            concat!(
                "https://«discord.com/api/webhooks/1573825393443916038/jApEoK",
                "myaIg2lJOb1SxbzwCnApIPXZdi2oIs2Ucdg2XuVUrTVGsuuttopuNm-07bhE",
                "2i»"
            ),
            concat!(
                "see «discordapp.com/api/webhooks/130353179665703078/EexziHkQ",
                "lRk2Nj5FtwN3Pn2vf-puhKfQgnyZvDA3H6lE7aCYmz0lKUQFIQCeZ13itkjd",
                "»."
            ),
        ],
        near_misses: &["https://discord.com/api/webhooks/123/abc"],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
