//! Numbers that the states of Europe give.

use super::{Detector, pattern};
use crate::validators;

static DETECTORS: &[Detector] = &[
    Detector {
        name: "ES_NIF",
        about: "Spanish persons",
        default: true,
        patterns: &[pattern(concat!(
            r"[0-9]{2}\.?[0-9]{3}\.?[0-9]{3}[ \-]?[A-Za-z]|[KLMklm][0-9]{7}",
            r"[A-Za-z]"
        ))
        .valid(validators::es_nif)],
        positives: &["«12345678Z»", "DNI «54362315-K»", "NIF: «54.362.315-K»."],
        near_misses: &["12345678A", "54362315-Z", "1234567Z"],
    },
    Detector {
        name: "ES_NIE",
        about: "foreigners in Spain",
        default: true,
        patterns: &[pattern(r"[XYZxyz][ \-]?[0-9]{7}[ \-]?[A-Za-z]").valid(validators::es_nif)],
        positives: &["«X1234567L»", "NIE «X-2482300-W»"],
        near_misses: &["X1234567A", "X123456L"],
    },
    Detector {
        name: "FR_NIR",
        about: "French persons",
        default: true,
        patterns: &[pattern(concat!(
            r"[12378][ .]?[0-9]{2}[ .]?[0-9]{2}[ .]?[0-9][0-9ABab][ .]?[0-9]",
            r"{3}[ .]?[0-9]{3}[ .\-]?[0-9]{2}"
        ))
        .valid(validators::fr_nir)],
        positives: &[
            "sécu «2 95 10 99 126 111 93»",
            "NIR «295109912611193».",
            "né en Corse: «1 84 12 2A 004 001 48»",
            "«2 79 05 2B 033 123 39»",
        ],
        near_misses: &["2 95 10 99 126 111 94", "295139912611193"],
    },
    Detector {
        name: "IT_FISCAL_CODE",
        // Letters take the place of digits from the right where two codes would be the same; the
        // year's are the last to go, so that one of them stays.
        about: "Italian persons",
        default: true,
        patterns: &[pattern(concat!(
            r"(?i:[a-z]{6}(?:[0-9][0-9l-np-v]|[l-np-v][0-9])[a-ehlmpr-t][0-9l-np-v]{2}[a-z]",
            r"[0-9l-np-v]{3}[a-z])"
        ))
        .valid(validators::it_fiscal_code)],
        positives: &["«RSSMRA85T10A562S»", "codice fiscale «rccmnl83s18d969h»"],
        near_misses: &["RSSMRA85T10A562A", "RSSMRA85T10A562"],
    },
    Detector {
        name: "IT_VAT_CODE",
        about: "Italian firms",
        default: false,
        patterns: &[pattern(r"(?:IT ?)?[0-9]{11}")
            .valid(validators::luhn)
            .near(&["iva", "vat", "piva"])],
        positives: &["partita IVA «00743110157»", "P.IVA: «07643520567»", "P.IVA «IT00743110157»"],
        near_misses: &["IVA 00743110158", "00743110157"],
    },
    Detector {
        name: "DE_TAX_ID",
        about: "German persons at the tax office",
        default: true,
        patterns: &[pattern(r"[1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}")
            .valid(validators::de_tax_id)
            .near(&["steuer", "idnr", "tin ", "tin:", "tax id", "tax_id"])],
        positives: &["Steuer-ID «36 574 261 809»", "IdNr. «36574261809»"],
        near_misses: &["Steuer-ID 36 574 261 890", "36574261809"],
    },
    Detector {
        name: "DE_SOCIAL_SECURITY",
        about: "German pension insurance numbers",
        default: true,
        patterns: &[pattern(concat!(
            r"[0-9]{2} ?[0-3][0-9][0-1][0-9][0-9]{2} ?[A-Za-z] ?[0-9]{2} ?",
            r"[0-9]"
        ))
        .valid(validators::de_social_security)],
        positives: &["«15 070649 C 103»", "Rentenversicherung «15070649C103»"],
        near_misses: &["15070649C104", "15079949C103"],
    },
    Detector {
        name: "PL_PESEL",
        about: "Polish persons",
        default: true,
        patterns: &[pattern(r"[0-9]{11}").valid(validators::pl_pesel).near(&["pesel", "ewidenc"])],
        positives: &["PESEL «44051401359»", "\"pesel\": \"«02070803628»\""],
        near_misses: &["PESEL 44051401358", "44051401359"],
    },
    Detector {
        name: "NL_BSN",
        about: "Dutch persons",
        default: true,
        patterns: &[pattern(concat!(
            r"[0-9]{8,9}|[0-9]{4}\.[0-9]{2}\.[0-9]{3}|[0-9]{3}[ .][0-9]{3}[ ",
            r".][0-9]{3}"
        ))
        .valid(validators::nl_bsn)
        .near(&["bsn", "burgerservice", "sofi"])],
        positives: &["BSN «111222333»", "burgerservicenummer: «1112.22.333»"],
        near_misses: &["BSN 111222334", "111222333"],
    },
    Detector {
        name: "BE_NN",
        about: "Belgian persons",
        default: true,
        patterns: &[
            pattern(r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}[ \-][0-9]{3}[.\- ][0-9]{2}")
                .valid(validators::be_nn),
            pattern(r"[0-9]{11}").valid(validators::be_nn).near(&[
                "rijksregister",
                "registre national",
                "national number",
                "insz",
                "niss",
            ]),
        ],
        positives: &[
            "«85.07.30-033.28»",
            "rijksregisternummer «17073003384»",
            "NISS: «85073003328»",
        ],
        near_misses: &["85.07.30-033.29", "85073003328"],
    },
    Detector {
        name: "SE_PERSONNUMMER",
        about: "Swedish persons",
        default: true,
        patterns: &[
            pattern(r"(?:19|20)?[0-9]{6}[\-+][0-9]{4}").valid(validators::se_personnummer),
            pattern(r"(?:19|20)?[0-9]{10}")
                .valid(validators::se_personnummer)
                .near(&["personn", "pnr"]),
        ],
        positives: &["«880320-0016»", "personnummer «198803200016»", "(«19880320-0016»)"],
        near_misses: &["880320-0017", "881320-0016", "8803200016"],
    },
    Detector {
        name: "FI_PERSONAL_IDENTITY_CODE",
        about: "Finnish persons",
        default: true,
        patterns: &[pattern(r"[0-3][0-9][01][0-9]{3}[+\-A-FU-Ya-fu-y][0-9]{3}[0-9A-Ya-y]")
            .valid(validators::fi_code)],
        positives: &["«131052-308T»", "hetu «010101-123N».", "«240147-632T»"],
        near_misses: &["131052-308U", "451352-308T"],
    },
    Detector {
        name: "CH_AHV",
        about: "persons in Swiss social insurance",
        default: true,
        patterns: &[pattern(r"756\.?[0-9]{4}\.?[0-9]{4}\.?[0-9]{2}").valid(validators::ch_ahv)],
        positives: &["AHV «756.9217.0769.85»", "«7569217076985» ist"],
        near_misses: &["756.9217.0769.84", "756.9217.0769"],
    },
    Detector {
        name: "NO_FODSELSNUMMER",
        about: "Norwegian persons",
        default: true,
        patterns: &[pattern(r"[0-7][0-9][0-9]{4} ?[0-9]{5}")
            .valid(validators::no_fodselsnummer)
            .near(&["fødsels", "fodsels", "personnummer", "fnr"])],
        positives: &["fødselsnummer «15108695088»", "fnr: «151086 95088»"],
        near_misses: &["fnr 15108695077", "15108695088"],
    },
    Detector {
        name: "DK_CPR",
        about: "Danish persons",
        default: true,
        patterns: &[pattern(r"[0-3][0-9][01][0-9]{3}[ \-]?[0-9]{4}")
            .valid(validators::day_first)
            .near(&["cpr", "personnummer"])],
        positives: &["CPR «211062-5629»", "cpr-nummer: «2110625629»", "CPR «211062 5629»"],
        near_misses: &["CPR 421062-5629", "211062-5629"],
    },
    Detector {
        name: "PT_NIF",
        about: "Portuguese persons and firms",
        default: false,
        patterns: &[pattern(r"[1-9][0-9]{2} ?[0-9]{3} ?[0-9]{3}")
            .valid(validators::pt_nif)
            .near(&["nif", "contribuinte", "fiscal"])],
        positives: &["NIF «501964843»", "contribuinte n.º «501 964 843»"],
        near_misses: &["NIF 501964844", "501964843"],
    },
    Detector {
        name: "TR_NATIONAL_ID",
        about: "Turkish persons",
        default: false,
        patterns: &[pattern(r"[1-9][0-9]{10}")
            .valid(validators::tr_id)
            .near(&["tc ", "t.c.", "kimlik", "tckn"])],
        positives: &["TC «17291716060»", "kimlik no: «10000000146»"],
        near_misses: &["TC 17291716061", "17291716060"],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
