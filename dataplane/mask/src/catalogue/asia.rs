//! Numbers that the states of Asia, Africa and Oceania give.

use super::{Detector, pattern};
use crate::validators;

static DETECTORS: &[Detector] = &[
    Detector {
        name: "AU_TFN",
        about: "Australian tax file numbers",
        default: false,
        patterns: &[pattern(r"[0-9]{3}[ \-]?[0-9]{3}[ \-]?[0-9]{2,3}")
            .valid(validators::au_tfn)
            .near(&["tfn", "tax file"])],
        positives: &[
            "tax_file_number: «123 456 782»",
            "taxFileNumber=«123456782»",
            "TFN «123 456 782»",
            "tax file number «876543210»",
        ],
        near_misses: &["TFN 123 456 783", "123 456 782"],
    },
    Detector {
        name: "AU_ABN",
        about: "Australian businesses",
        default: false,
        patterns: &[
            pattern(r"[1-9][0-9] [0-9]{3} [0-9]{3} [0-9]{3}").valid(validators::au_abn),
            pattern(r"[1-9][0-9]{10}").valid(validators::au_abn).near(&["abn", "business number"]),
        ],
        positives: &["ABN «83 914 571 673»", "abn: «51824753556»"],
        near_misses: &["83 914 571 674", "51824753556"],
    },
    Detector {
        name: "AU_ACN",
        about: "Australian companies",
        default: false,
        patterns: &[pattern(r"[0-9]{3} ?[0-9]{3} ?[0-9]{3}")
            .valid(validators::au_acn)
            .near(&["acn", "company number"])],
        positives: &["ACN «004 085 616»", "acn: «000250000»"],
        near_misses: &["ACN 004 085 617", "004 085 616"],
    },
    Detector {
        name: "AU_MEDICARE",
        about: "Australian Medicare cards",
        default: false,
        patterns: &[pattern(r"[2-6][0-9]{3} ?[0-9]{5} ?[0-9](?:[ \-/]?[1-9])?")
            .valid(validators::au_medicare)
            .near(&["medicare"])],
        positives: &["Medicare «2123 45670 1»", "medicare: «2123456701»"],
        near_misses: &["Medicare 2123 45671 1", "2123 45670 1"],
    },
    Detector {
        name: "IN_AADHAAR",
        about: "Indian residents",
        default: false,
        patterns: &[pattern(concat!(
            r"[2-9][0-9]{3} [0-9]{4} [0-9]{4}|[2-9][0-9]{3}-[0-9]{4}-[0-9]",
            r"{4}|[2-9][0-9]{11}"
        ))
        .valid(validators::verhoeff)
        .near(&["aadhaar", "aadhar", "uid"])],
        positives: &["Aadhaar «2341 2341 2346»", "uidai: «234123412346»"],
        near_misses: &["Aadhaar 2341 2341 2347", "2341 2341 2346"],
    },
    Detector {
        name: "IN_PAN",
        about: "Indian taxpayers",
        default: true,
        patterns: &[
            pattern(r"[A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]").valid(validators::in_pan),
            pattern(r"[a-z]{3}[abcfghjlpt][a-z][0-9]{4}[a-z]").valid(validators::in_pan).near(&[
                "pan ",
                "pan:",
                "pan=",
                "pan\"",
                "income tax",
            ]),
        ],
        positives: &["PAN «ACUPA7085R»", "pan: «acupa7085r»", "«AAAPL1234C» filed"],
        near_misses: &["ACUXA7085R", "ACUPA0000R", "acupa7085r"],
    },
    Detector {
        name: "SG_NRIC",
        about: "persons in Singapore",
        default: true,
        patterns: &[pattern(r"[STFGMstfgm][0-9]{7}[A-Za-z]").valid(validators::sg_nric)],
        positives: &["NRIC «S1234567D»", "FIN «F1234567N»", "«T1234567J»"],
        near_misses: &["S1234567A", "S123456D"],
    },
    Detector {
        name: "KR_RRN",
        about: "residents of Korea",
        default: true,
        patterns: &[
            pattern(r"[0-9]{6}-[1-8][0-9]{6}").valid(validators::kr_birth),
            pattern(r"[0-9]{13}").valid(validators::kr_birth).near(&["rrn", "resident", "주민"]),
        ],
        positives: &[
            "«350909-2636545»",
            "RRN: «070601-3458541»",
            "resident number «9710139019902»",
        ],
        near_misses: &["971313-1019902", "971041-1019902", "9710139019902"],
    },
    Detector {
        name: "TH_TNIN",
        about: "Thai persons",
        default: false,
        patterns: &[pattern(r"[1-8][ \-]?[0-9]{4}[ \-]?[0-9]{5}[ \-]?[0-9]{2}[ \-]?[0-9]")
            .valid(validators::th_tnin)
            .near(&["thai", "national", "บัตร"])],
        positives: &["Thai ID «1-2345-45678-78-1»", "national id «1234545678781»"],
        near_misses: &["Thai ID 1-2345-45678-78-2", "1234545678781"],
    },
    Detector {
        name: "ZA_ID",
        about: "persons in South Africa",
        default: false,
        patterns: &[pattern(r"[0-9]{6} ?[0-9]{4} ?[01][89] ?[0-9]")
            .valid(validators::za_id)
            .near(&["id n", "id:", "identity", "south africa", "sa id", "rsa id"])],
        positives: &["South African ID «7503305044089»", "Identity number: «800101 5009 087»"],
        near_misses: &["ID number 7503305044088", "7503305044089", "id: 7513305044089"],
    },
    Detector {
        name: "CN_ID",
        about: "persons in China",
        default: true,
        patterns: &[pattern(r"[1-9][0-9]{5}(?:19|20)[0-9]{9}[0-9Xx]").valid(validators::cn_id)],
        positives: &["«11010519491231002X»", "身份证 «360426199101010071»。"],
        near_misses: &["110105194912310021", "360426199113010071"],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
