//! Numbers that the states of America give.

use super::{BESIDE_DASHED, Detector, pattern};
use crate::validators;

static DETECTORS: &[Detector] = &[
    Detector {
        name: "US_SSN",
        about: "US social security numbers",
        default: true,
        patterns: &[
            pattern(r"[0-9]{3}-[0-9]{2}-[0-9]{4}|[0-9]{3} [0-9]{2} [0-9]{4}")
                .before(BESIDE_DASHED)
                .after(BESIDE_DASHED)
                .valid(validators::us_ssn),
            pattern(r"[0-9]{3}[.]?[0-9]{2}[.]?[0-9]{4}").valid(validators::us_ssn).near(&[
                "ssn",
                "social sec",
                "soc sec",
            ]),
        ],
        positives: &[
            "SSN «780-57-6956».",
            "his «219 09 9998» is",
            "social security number: «400895474»",
            "«123-45-6788»",
        ],
        near_misses: &[
            "000-12-3456",
            "666-12-3456",
            "078-05-1120",
            "900-12-3456",
            "11-780-57-6956",
            "id 780576956",
            "123-00-4567",
        ],
    },
    Detector {
        name: "US_ITIN",
        about: "US taxpayer numbers",
        default: true,
        patterns: &[
            pattern(r"9[0-9]{2}-[0-9]{2}-[0-9]{4}|9[0-9]{2} [0-9]{2} [0-9]{4}")
                .before(BESIDE_DASHED)
                .after(BESIDE_DASHED)
                .valid(validators::us_itin),
            pattern(r"9[0-9]{8}").valid(validators::us_itin).near(&["itin", "tax", "individual"]),
        ],
        positives: &["ITIN «912-70-1234»", "itin: «988994468»", "«956 65 6699»"],
        near_misses: &["ITIN 912-10-1234", "id 988994468", "ITIN 812-70-1234"],
    },
    Detector {
        name: "US_PASSPORT",
        about: "US passports, near words that say so",
        default: false,
        patterns: &[pattern(r"[A-Za-z]?[0-9]{8,9}")
            .valid(validators::passport)
            .near(&["passport"])],
        positives: &["passport «A12345678»", "Passport No. «533380006»"],
        near_misses: &["id 533380006", "passport 1234"],
    },
    Detector {
        name: "US_DRIVER_LICENSE",
        about: "US driving licences, near words that say so",
        default: false,
        patterns: &[pattern(concat!(
            r"[A-Za-z]{1,2}[0-9]{5,14}|[0-9]{7,12}|[A-Za-z][0-9]{3}(?:-[0-9]",
            r"{2,4}){2,4}"
        ))
        .near(&[
            "driver",
            "driving lic",
            "dl#",
            "dl #",
            "dl number",
            "dl:",
            "licence n",
            "license n",
        ])],
        positives: &[
            "driver's license «D1234562»",
            "DL: «S123-456-78-901»",
            "Driver License Number: «123456789»",
        ],
        near_misses: &["part D1234562", "driver 1234"],
    },
    Detector {
        name: "US_NPI",
        about: "US providers of health care",
        default: false,
        patterns: &[pattern(r"[12][0-9]{9}").valid(validators::us_npi).near(&["npi", "provider"])],
        positives: &["NPI «1234567893»", "provider: «1245319599»"],
        near_misses: &["NPI 1234567890", "id 1234567893"],
    },
    Detector {
        name: "US_MBI",
        about: "US Medicare beneficiaries",
        default: true,
        patterns: &[pattern(concat!(
            r"[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y][0-9]-?",
            r"[AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y][0-9]-?[AC-HJKMNP-RT-Y]{2}",
            r"[0-9]{2}"
        ))],
        positives: &["MBI «1EG4-TE5-MK73»", "Medicare «1EG4TE5MK73».", "(«5QJ9-HD2-YF68»)"],
        near_misses: &["1EG4-TE5-MK7", "1SG4-TE5-MK73", "0EG4-TE5-MK73"],
    },
    Detector {
        name: "MEDICAL_LICENSE",
        about: "numbers of the US Drug Enforcement Administration",
        default: false,
        patterns: &[pattern(r"[ABCDEFGHJKLMPRSTUXabcdefghjklmprstux][A-Za-z9][0-9]{7}")
            .valid(validators::dea)],
        positives: &["DEA «AB1234563»", "«BS5927681» signed"],
        near_misses: &["DEA AB1234564", "AB123456"],
    },
    Detector {
        name: "CA_SIN",
        about: "Canadian social insurance numbers",
        default: false,
        patterns: &[pattern(r"[1-79][0-9]{2}[ \-]?[0-9]{3}[ \-]?[0-9]{3}")
            .valid(validators::luhn)
            .near(&[
                "sin ",
                "sin:",
                "sin\"",
                "sin#",
                "social insurance",
                "assurance sociale",
                "nas ",
            ])],
        positives: &[
            "sin=«130 692 544»",
            "SIN: «130 692 544»",
            "social insurance number «193-456-787»",
        ],
        near_misses: &["SIN 130 692 545", "130 692 544"],
    },
    Detector {
        name: "BR_CPF",
        about: "Brazilian persons",
        default: true,
        patterns: &[
            pattern(r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}").valid(validators::br_cpf),
            pattern(r"[0-9]{9}-?[0-9]{2}").valid(validators::br_cpf).near(&["cpf"]),
        ],
        positives: &["CPF «390.533.447-05»", "«111.444.777-35» ok", "cpf: «39053344705»"],
        near_misses: &["CPF 390.533.447-06", "39053344705", "111.111.111-11"],
    },
    Detector {
        name: "BR_CNPJ",
        about: "Brazilian firms",
        default: false,
        patterns: &[
            pattern(r"[0-9A-Z]{2}\.[0-9A-Z]{3}\.[0-9A-Z]{3}/[0-9A-Z]{4}-[0-9]{2}")
                .valid(validators::br_cnpj),
            pattern(r"[0-9A-Z]{12}[0-9]{2}").valid(validators::br_cnpj).near(&["cnpj"]),
        ],
        positives: &["CNPJ «16.727.230/0001-97»", "cnpj «11222333000181»", "«12.ABC.345/01DE-35»"],
        near_misses: &["16.727.230/0001-98", "11222333000181"],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
