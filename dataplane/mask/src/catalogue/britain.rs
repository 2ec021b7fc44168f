//! Numbers that Britain gives.

use super::{Detector, pattern};
use crate::validators;

static DETECTORS: &[Detector] = &[
    Detector {
        name: "UK_NINO",
        about: "British national insurance numbers",
        default: true,
        patterns: &[pattern(concat!(
            r"(?i:[a-ceghj-pr-tw-z][a-ceghj-npr-tw-z])[ \-]?[0-9]{2}[ \-]?",
            r"[0-9]{2}[ \-]?[0-9]{2}[ \-]?[A-Da-d]"
        ))
        .valid(validators::uk_nino)],
        positives: &["NI «AB 12 34 56 C»", "NINO: «ty450347a»", "«KR 80 72 28 A»."],
        near_misses: &["GB123456A", "AB 12 34 56 E", "DA123456C", "AO123456C"],
    },
    Detector {
        name: "UK_NHS",
        about: "British NHS numbers",
        default: true,
        patterns: &[pattern(r"[0-9]{3}[ \-]?[0-9]{3}[ \-]?[0-9]{4}")
            .valid(validators::uk_nhs)
            .near(&["nhs", "patient", "health service"])],
        positives: &[
            "NHS «943 476 5919»",
            "Patient no. «943-476-5870»",
            "\"nhs_number\": \"«8654159987»\"",
        ],
        near_misses: &["NHS 943 476 5918", "943 476 5919"],
    },
    Detector {
        name: "UK_DRIVING_LICENCE",
        about: "British driving licences",
        default: true,
        patterns: &[pattern(concat!(
            r"[A-Z9]{5}[0-9](?:[05][1-9]|[16][0-2])(?:0[1-9]|[12][0-9]|3[01]",
            r")[0-9][A-Z9]{2}[A-Z0-9][A-Z]{2}"
        ))
        .valid(validators::has_both)],
        positives: &["DVLA «MORGA657054SM9IJ»", "licence «SMITH711215AB9CD» held"],
        near_misses: &["MORGA693054SM9IJ", "MORGA657054SM9I"],
    },
    Detector {
        name: "UK_PASSPORT",
        about: "British passports, near words that say so",
        default: false,
        patterns: &[pattern(r"[A-Z]{2}[0-9]{7}|[0-9]{9}").near(&[
            "uk passport",
            "british passport",
            "passport n",
            "passport:",
        ])],
        positives: &["UK passport «925665416»", "Passport No: «AB1234567»"],
        near_misses: &["id 925665416", "passport 12345"],
    },
    Detector {
        name: "UK_POSTCODE",
        about: "British post codes",
        default: false,
        patterns: &[pattern(concat!(
            r"(?:GIR ?0AA|[A-PR-UWYZ](?:[0-9]{1,2}|[A-HK-Y][0-9]|[A-HK-Y]",
            r"[0-9][0-9ABEHMNPRV-Y]|[0-9][A-HJKPS-UW]) ?[0-9]",
            r"[ABD-HJLNP-UW-Z]{2})"
        ))],
        positives: &["London «SW1A 1AA».", "«M1 1AE» and", "post code «EC1A 1BB»"],
        near_misses: &["SW1A 1A", "A1 2BC3", "QW1 1AA"],
    },
    Detector {
        name: "UK_VEHICLE_REGISTRATION",
        about: "British number plates",
        default: false,
        patterns: &[pattern(r"[A-HJ-PR-Y][A-HJ-PR-Y][0-9]{2} ?[A-HJ-PR-Z]{3}")],
        positives: &["car «AB12 CDE» parked", "reg «LN65XYZ»"],
        near_misses: &["AB12 CD", "AI12 CDE", "IB12 CDE"],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
