//! Keys of those who serve models.

use super::{Detector, token};

static DETECTORS: &[Detector] = &[
    Detector {
        name: "OPENAI_API_KEY",
        about: "keys of OpenAI",
        default: true,
        patterns: &[token(concat!(
            r"sk-(?:(?:proj|svcacct|admin|None)-)?[\w\-]{16,100}T3BlbkFJ",
            r"[\w\-]{16,100}"
        ))],
        positives: &[
            concat!(
                "Set the token to «sk-1tZeUJDgVJhYkMzDcccGT3BlbkFJLgAPSiAK1we",
                "xUQUkxkQ8» and restart."
            ),
            concat!(
                "key=«sk-proj-lQa9MtHmnEot-IpP7FufGUzKZAqEEmbng_ADlvtHd2YoLpk",
                "BDFhFjRmfBwMRk7xbO00elFsvtST3BlbkFJrAzCQia9e-QiizgU0lSu--rHM",
                "g7v3XMoiGDEz6E-gYYRWZlDR2NaM_co810M6sQBkTY7eLQlIl»\n"
            ),
            concat!(
                "{\"apiKey\": \"«sk-svcacct-40EpBfWxXIQtUvCSYN-OyuYbawnF6GTmWrG1",
                "jQ4ILUNWh--UchpW5Nt6ePT3BlbkFJ9raIsyfYwJELd10kW-UJPu-gSrzhuN",
                "vNgMXUxIN8zP4ZnHUYOX8IoA50uX»\"}"
            ),
        ],
        near_misses: &[
            "sk-...",
            "sk-5ucjrWIEQJ",
            "task-2QAWerzxT6zHZs2OhqCXT3BlbkFJacI0SKtwM8xqp4e4JgWM",
        ],
    },
    Detector {
        name: "ANTHROPIC_API_KEY",
        about: "keys of Anthropic",
        default: true,
        patterns: &[token(r"sk-ant-(?:api|admin|oat|sid)[0-9]{2}-[\w\-]{80,120}")],
        positives: &[
            concat!(
                "Set the token to «sk-ant-api03-0oNvwpZYRZY-RSxs0KrBRi0iaE3ZB",
                "JqtCEpKeWKqXJiIBCNmUkUcjpPBa6r5Jh5ef7o9CLRQDBAKdCwdI2ViJloZX",
                "0ChVAA» and restart."
            ),
            concat!(
                "key=«sk-ant-admin01-QGj9r366yRyoZvKyjc4zzHzLcciTA1bHTuOTNnfw",
                "T1d6nRntU8_kRO8qnGXATGcyJ3Xu3rrboBWdbl7fAjPR7_AaFATWnAA»\n"
            ),
        ],
        near_misses: &["token sk-ant-api03-0oNvwpZY is cut"],
    },
    Detector {
        name: "HUGGINGFACE_TOKEN",
        about: "tokens of Hugging Face",
        default: true,
        patterns: &[token(r"(?:hf_|api_org_)[A-Za-z0-9]{34,40}")],
        positives: &[
            "Set the token to «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» and restart.",
            "key=«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»\n",
        ],
        near_misses: &["hf_hub_download", "hf_transfer"],
    },
    Detector {
        name: "OPENROUTER_KEY",
        about: "keys of OpenRouter",
        default: true,
        patterns: &[token(r"sk-or-v1-[0-9a-f]{64}")],
        positives: &[
            concat!(
                "Set the token to «sk-or-v1-d814e0f33545a3c0202219ec0605e636d",
                "32b32732b89994fa6022136ced62010» and restart."
            ),
            concat!(
                "{\"apiKey\": \"«sk-or-v1-d814e0f33545a3c0202219ec0605e636d32b32",
                "732b89994fa6022136ced62010»\"}"
            ),
        ],
        near_misses: &["token sk-or-v1-d814e is cut"],
    },
    Detector {
        name: "DEEPSEEK_KEY",
        about: "keys of DeepSeek and others of its form",
        default: true,
        patterns: &[token(r"sk-[0-9a-f]{32}")],
        positives: &[
            "Set the token to «sk-4d159e8489b0ac35e5fa870d0a7ba07a» and restart.",
            "{\"apiKey\": \"«sk-4d159e8489b0ac35e5fa870d0a7ba07a»\"}",
        ],
        near_misses: &["token sk-4d159 is cut"],
    },
    Detector {
        name: "LANGSMITH_KEY",
        about: "keys of LangSmith",
        default: true,
        patterns: &[token(r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}")],
        positives: &[
            concat!(
                "Set the token to «lsv2_pt_2531adab23e5617d266908d35e59c7a8_0",
                "268422c92» and restart."
            ),
            "{\"apiKey\": \"«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»\"}",
        ],
        near_misses: &["token lsv2_pt_25 is cut"],
    },
    Detector {
        name: "GROQ_KEY",
        about: "keys of Groq",
        default: true,
        patterns: &[token(r"gsk_[A-Za-z0-9]{52}")],
        positives: &[
            concat!(
                "Set the token to «gsk_eUeIaexejJhUFPGS4r6XCl5gqtzASSlCU4g37D",
                "vu1nby1Yog2nZw» and restart."
            ),
            "{\"apiKey\": \"«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»\"}",
        ],
        near_misses: &["token gsk_eUeIaex is cut"],
    },
    Detector {
        name: "XAI_KEY",
        about: "keys of xAI",
        default: true,
        patterns: &[token(r"xai-[A-Za-z0-9]{70,90}")],
        positives: &[
            concat!(
                "Set the token to «xai-QvrNa2me5fkYQQLtQqlcjEg1dyqPfKLodesar2",
                "7i79wxIUlixYVqxxkHQh3p6YksWy7WboPm4oWy2xpP» and restart."
            ),
            concat!(
                "{\"apiKey\": \"«xai-QvrNa2me5fkYQQLtQqlcjEg1dyqPfKLodesar27i79w",
                "xIUlixYVqxxkHQh3p6YksWy7WboPm4oWy2xpP»\"}"
            ),
        ],
        near_misses: &["token xai-QvrNa2me5fkY is cut"],
    },
    Detector {
        name: "PERPLEXITY_KEY",
        about: "keys of Perplexity",
        default: true,
        patterns: &[token(r"pplx-[A-Za-z0-9]{48,56}")],
        positives: &[
            concat!(
                "Set the token to «pplx-5Eq3adgQy1xpsbECFhhDJTFfzhFE7l6oBCdhm",
                "erxCEp7vJde» and restart."
            ),
            "{\"apiKey\": \"«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»\"}",
        ],
        near_misses: &["token pplx-5Eq3a is cut"],
    },
    Detector {
        name: "REPLICATE_TOKEN",
        about: "tokens of Replicate",
        default: true,
        patterns: &[token(r"r8_[A-Za-z0-9]{37}")],
        positives: &[
            "Set the token to «r8_GoEVnKN3972yhd8BHdpHkG3ungfEqD78DYUie» and restart.",
            "{\"apiKey\": \"«r8_GoEVnKN3972yhd8BHdpHkG3ungfEqD78DYUie»\"}",
        ],
        near_misses: &["token r8_GoEVn is cut"],
    },
    Detector {
        name: "NVIDIA_KEY",
        about: "keys of NVIDIA",
        default: true,
        patterns: &[token(r"nvapi-[\w\-]{60,70}")],
        positives: &[
            concat!(
                "Set the token to «nvapi-5OmAJUip89Gxbd8eD-rUsXPfVxDc6k5BeK4r",
                "yMOziZdvbU9Di9V_BBy8zN6ICPeA» and restart."
            ),
            concat!(
                "{\"apiKey\": \"«nvapi-5OmAJUip89Gxbd8eD-rUsXPfVxDc6k5BeK4ryMOzi",
                "ZdvbU9Di9V_BBy8zN6ICPeA»\"}"
            ),
        ],
        near_misses: &["token nvapi-5OmAJUip is cut"],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
