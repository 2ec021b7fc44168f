//! Cards, accounts, coins.

use super::{BESIDE_NUMBER, Detector, pattern};
use crate::validators;

static DETECTORS: &[Detector] = &[
    Detector {
        name: "CREDIT_CARD",
        about: "payment cards",
        default: true,
        patterns: &[
            // By scheme, with the lengths that each has, so that few are left to check. Those of 12
            // and 13 digits are more often orders than cards, but for old ones of Visa.
            pattern(concat!(
                r"4(?:[ \-]?[0-9]){12}(?:(?:[ \-]?[0-9]){3}){0,2}",
                r"|5[ \-]?[1-5](?:[ \-]?[0-9]){14}|5[ \-]?[06-9](?:[ \-]?[0-9]){12,17}",
                r"|6(?:[ \-]?[0-9]){13,18}|2[ \-]?[2-7](?:[ \-]?[0-9]){14}",
                r"|2[ \-]?1[ \-]?3[ \-]?1(?:[ \-]?[0-9]){11}",
                r"|1[ \-]?8[ \-]?0[ \-]?0(?:[ \-]?[0-9]){11}",
                r"|3[ \-]?[47](?:[ \-]?[0-9]){13}|3[ \-]?5(?:[ \-]?[0-9]){14,17}",
                r"|3[ \-]?[0689](?:[ \-]?[0-9]){12,17}",
            ))
            .before(BESIDE_NUMBER)
            .after(BESIDE_NUMBER)
            .valid(validators::card),
            pattern(r"[1-6](?:[ \-]?[0-9]){11,18}")
                .before(BESIDE_NUMBER)
                .after(BESIDE_NUMBER)
                .valid(validators::card)
                .near(&[
                    "card", "visa", "master", "amex", "maestro", "credit", "debit", "karte",
                    "carte", "tarjeta", "carta", "pan ", "pan:", "pan=", "pan\"", "cc ", "cc:",
                    "ccn",
                ]),
        ],
        positives: &[
            "card «4111 1111 1111 1111» ok",
            "Amex «3782 822463 10005».",
            "«5555-5555-5555-4444»",
            "pay with «2223003122003222» now",
            "Visa «4222222222222»",
            "JCB «213106699767636»",
            "pan=«639026078845»",
            "«30569309025904» and more",
            "Maestro «6759649826438453»",
        ],
        near_misses: &[
            "order 4111 1111 1111 1112",
            "order 5018000000007",
            "0.4111111111111111",
            "639026078845",
            "id x4111111111111111",
            "41111111111111111111111",
        ],
    },
    Detector {
        name: "IBAN_CODE",
        about: "bank accounts of ISO 13616",
        default: true,
        patterns: &[
            pattern(r"[A-Za-z]{2}[0-9]{2}(?:[ \-]?[A-Za-z0-9]){11,30}").valid(validators::iban)
        ],
        positives: &[
            "to «GB82 WEST 1234 5698 7654 32».",
            "«DE89370400440532013000»",
            "Überweisung an «FR14 2004 1010 0505 0001 3M02 606», danke",
            "«no93 8601 1117 947»",
            "\"iban\":\"«NL91ABNA0417164300»\"",
            "IBAN:«MT84MALT011000012345MTLCAST001S» today",
        ],
        near_misses: &["GB77CWWM86790511499249", "DE89 3704 0044 0532 0130 01", "GB82 WEST 1234"],
    },
    Detector {
        name: "ABA_ROUTING_NUMBER",
        about: "US bank routing numbers",
        default: true,
        patterns: &[pattern(r"[0-9]{9}|[0-9]{4}-[0-9]{4}-[0-9]")
            .valid(validators::aba)
            .near(&["routing", "aba ", "aba:", "aba#", "aba\"", "aba_", "transit", "rtn", "wire"])],
        positives: &[
            "routing «021000021»",
            "ABA: «0110-0001-5»",
            "\"routing_number\": \"«121000248»\"",
        ],
        near_misses: &["routing 123456789", "id 021000021"],
    },
    Detector {
        name: "US_BANK_NUMBER",
        about: "US bank accounts, near words that say so",
        default: false,
        patterns: &[pattern(r"[0-9]{8,17}").near(&[
            "bank account",
            "account number",
            "account no",
            "account #",
            "acct",
            "checking",
            "savings",
            "account_number",
        ])],
        positives: &[
            "bankAccount: «123456789012»",
            "bank account «123456789012»",
            "Checking: «00012345678»",
        ],
        near_misses: &["order 123456789012", "account number 1234567"],
    },
    Detector {
        name: "CRYPTO",
        about: "wallets of Bitcoin and Ethereum",
        default: true,
        patterns: &[
            pattern(r"[13][1-9A-HJ-NP-Za-km-z]{24,34}").valid(validators::base58check),
            pattern(r"(?:bc1|BC1|tb1|ltc1)[A-Za-z0-9]{11,71}").valid(validators::bech32),
            pattern(r"0x[0-9a-fA-F]{40}").valid(validators::eip55),
        ],
        positives: &[
            "«1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa»",
            "pay «3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy».",
            "«bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4»",
            "«bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0» (taproot)",
            "«0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed»",
            "to «0xd8da6bf26964af9d7eed9e03e53415d37aa96045»",
        ],
        near_misses: &[
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
            "0x0000000000000000000000000000000000000000",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
            "0xd8da6bf26964af9d7eed9e03e53415d37aa960",
        ],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
