//! Values of persons: e-mail, days of birth, ages, places.

use super::{AFTER_HOST, Detector, pattern};
use crate::rule::{ByteSet, Guard};
use crate::validators;

/// An address: a name of RFC 5321's plain form, with Latin, Greek and Cyrillic letters too, and a
/// host with a domain of any script (RFC 6531).
const ADDRESS: &str = concat!(
    r"(?:[DLOdlo]')?(?:[A-Za-z0-9_]|[\xC3-\xD4][\x80-\xBF])(?:",
    r"[A-Za-z0-9._%+\-]|[\xC3-\xD4][\x80-\xBF]){0,63}@(?:",
    r"[A-Za-z0-9_\-\x80-\xFF]{1,50}\.){1,6}(?:[A-Za-z]{2,24}|xn--",
    r"[A-Za-z0-9\-]{2,30}|(?:[\xC3-\xDF][\x80-\xBF]|[\xE0-\xEF][\x80-\xBF]{2}){2,12})"
);

/// A longer row of numbers is no day.
const AFTER_DATE: Guard = Guard::NO_WORD.nor_pair(b'.', ByteSet::DIGITS);

/// What says that a day is one of birth.
const BORN: &[&str] = &[
    "born",
    "birth",
    "dateofbirth",
    "dob",
    "d.o.b",
    "bday",
    "né ",
    "née ",
    "né(e)",
    "geboren",
    "geb.",
    "geb:",
    "geburt",
    "naissance",
    "nacid",
    "nacim",
    "nato ",
    "nata ",
    "nascita",
    "nascid",
    "nascim",
    "geboorte",
    "född",
    "født",
    "urodz",
    "syntym",
    "nací ",
    "nasci ",
    "ur. ",
    "födel",
    "fødsel",
    "рожд",
    "родил",
    "doğum",
    "cumplea",
    "aniversár",
    "compleann",
    "urodzin",
    "出生",
    "生日",
    "生年月日",
    "誕生日",
    "생년월일",
    "출생",
];

static DETECTORS: &[Detector] = &[
    Detector {
        name: "EMAIL_ADDRESS",
        about: "e-mail addresses",
        default: true,
        patterns: &[
            pattern(ADDRESS)
                .before(Guard::not(ByteSet::WORD.with_each(b".!#$%&+/?^~-:@")))
                .after(AFTER_HOST)
                .valid(validators::email),
            pattern(ADDRESS)
                .lead(r"[A-Za-z]{2,16}:")
                .before(Guard::not(ByteSet::WORD.with_each(b"/.-@%+:~&")))
                .after(AFTER_HOST)
                .valid(validators::email),
            // Behind a word without Latin letters, whose colon has no blank behind it.
            pattern(ADDRESS)
                .lead(r"[\x80-\xFF]:")
                .before(Guard::ANY)
                .after(AFTER_HOST)
                .valid(validators::email),
            pattern(ADDRESS)
                .lead(r"[A-Za-z0-9][/?]")
                .before(Guard::ANY)
                .after(AFTER_HOST)
                .valid(validators::email),
        ],
        positives: &[
            "Mail «jane.doe@example.org» now",
            "mailto:«j@x.co.uk»",
            "<«o'brien+news@mail.example.museum»>, ok",
            "{\"email\":\"«JOHN_SMITH99@Example.COM»\"}",
            "GET /users/«ann@example.org»/orders",
            "schreiben Sie «jürgen.groß@münchen-example.de».",
            "email:«a.b@xn--bcher-kva.example»",
            "邮箱：«dana@web.example»",
            "Адрес:«иван@почта.рф», звоните",
        ],
        near_misses: &[
            "npm i pkg@1.2.3",
            "redis://u:pw@host.example.org",
            "git@github.com:a/b",
            "Follow @handle for more",
            "@types/node@5.7.0",
            "golang.org/x/tools@v0.1.0-rc.beta",
            "a@b",
            "user@localhost",
            "@app.route",
        ],
    },
    Detector {
        name: "DATE_OF_BIRTH",
        about: "days of birth, after words that say so",
        default: true,
        patterns: &[
            pattern(r"(?:19|20)[0-9]{2}[\-/.][0-9]{1,2}[\-/.][0-9]{1,2}")
                .valid(validators::date)
                .near(BORN)
                .after(AFTER_DATE),
            pattern(concat!(
                r"[0-9]{1,2}(?:-[0-9]{1,2}-|/[0-9]{1,2}/|\. ?[0-9]{1,2}\. ?| / ?",
                r"[0-9]{1,2} / ?)(?:(?:19|20)[0-9]{2}|[0-9]{2})"
            ))
            .valid(validators::date)
            .near(BORN)
            .after(AFTER_DATE),
            pattern(concat!(
                r"[0-9]{1,2}(?:st|nd|rd|th|er|\.|\xC2\xBA)?(?: |-)(?:of |de |d')",
                r"?(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|",
                r"m\xC3\xA4r|mai|okt|dez|f\xC3\xA9v|fev|avr|juin|juil|ao\xC3\xBB",
                r"|aou|d\xC3\xA9c|ene|abr|ago|dic|gen|mag|giu|lug|set|ott|out|",
                r"mrt|mei|maj|maio|sty|lut|kwi|cze|lip|sie|wrz|pa\xC5\xBA|lis|gru)",
                r"(?:[a-z]|\xC3[\xA0-\xBC]){0,9}\.?(?:,? |-)",
                r"(?:de |del )?(?:19|20)[0-9]{2}"
            ))
            .valid(validators::date)
            .near(BORN),
            pattern(concat!(
                r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|m\xC3\xA4r",
                r"|mai|okt|dez|f\xC3\xA9v|fev|avr|juin|juil|ao\xC3\xBB|aou|",
                r"d\xC3\xA9c|ene|abr|ago|dic|gen|mag|giu|lug|set|ott|out|mrt|mei",
                r"|maj|maio)(?:[a-z]|\xC3[\xA0-\xBC]){0,8}\.? [0-9]{1,2}(?:st|nd",
                r"|rd|th)?,? (?:19|20)[0-9]{2}"
            ))
            .valid(validators::date)
            .near(BORN),
            pattern(r"(?:19|20)[0-9]{6}").valid(validators::date).near(BORN),
            // With the characters for year, month and day, of Chinese and Japanese or of Korean.
            pattern(concat!(
                r"(?:19|20)[0-9]{2} ?(?:\xE5\xB9\xB4|\xEB\x85\x84) ?[0-9]{1,2} ?",
                r"(?:\xE6\x9C\x88|\xEC\x9B\x94) ?[0-9]{1,2} ?(?:\xE6\x97\xA5|\xEC\x9D\xBC)"
            ))
            .valid(validators::date)
            .near(BORN),
        ],
        positives: &[
            "born «12/01/1949».",
            "geboren am «3. März 1980»",
            "née le «1er août 1975» à Lyon",
            "DOB: «1984-02-29»",
            "\"birthDate\": \"«1990-12-31»\"",
            "Date of birth: «March 3rd, 1980»",
            "nacido el «4 de mayo de 1968»",
            "Geb. «01.02.71», Köln",
            "data di nascita «07/11/1955»",
            "fecha de nacimiento: «3-12-2001»",
            "ur. «08.03.1985» w Łodzi",
            "生年月日：«1947/09/09»",
            "Дата рождения: «19.07.1986»",
            "data urodzenia «17 czerwca 2006»",
        ],
        near_misses: &[
            "due 12/01/1949",
            "born 45/45/1949",
            "born in 1949",
            "newborn 1.2.3",
            "born to run",
        ],
    },
    Detector {
        name: "AGE",
        about: "how old a person is",
        default: false,
        patterns: &[
            pattern(r"[0-9]{1,3}(?: |-)(?:years?|yrs?)(?: |-)old").valid(validators::age),
            pattern(r"[0-9]{1,3}")
                .lead(r#"(?i:aged?)["']?:? {0,2}"#)
                .valid(validators::age)
                .after(Guard::NO_WORD.nor_pair(b'.', ByteSet::DIGITS)),
            pattern(r"[0-9]{1,3}")
                .lead(concat!(
                    r"(?i:age|alter|edad|idade|et\xC3\xA0|leeftijd|wiek|\xE5\xB9\xB4\xE9\xBE\x84",
                    r#"|\xE5\xB9\xB4\xE9\xBD\xA2|\xEB\x82\x98\xEC\x9D\xB4)["']? ?[:=] ?["']?"#
                ))
                .valid(validators::age)
                .after(Guard::NO_WORD.nor_pair(b'.', ByteSet::DIGITS)),
            pattern(concat!(
                r"[0-9]{1,3}(?: ?y/?o| Jahre alt| jaar oud| a\xC3\xB1os de edad",
                r"| anos de idade| ?\xE6\xAD\xB3| ?\xE5\xB2\x81)"
            ))
            .valid(validators::age),
            pattern(r"[0-9]{1,3} (?:ans|a\xC3\xB1os|anos|lat)")
                .lead(r"(?i:j'ai|tengo|tenho|mam|\xC3\xA2g\xC3\xA9 de|\xC3\xA2g\xC3\xA9e de) ")
                .valid(validators::age),
        ],
        positives: &[
            "She is «42 years old» now",
            "Age: «67»",
            "a man aged «35», smoker",
            "Alter: «55»",
            "sie ist «55 Jahre alt»",
            "Tengo «31 años» y",
            "彼は«55歳»です",
            "«55 y/o» male",
        ],
        near_misses: &["page 42", "200 years old", "manage 5", "age 3.5", "wait 5 ans", "55 you"],
    },
    Detector {
        name: "ZIP",
        about: "postal codes, near words that say so",
        default: false,
        patterns: &[
            pattern(r"[0-9]{5}(?:-[0-9]{4})?").near(&[
                "zip",
                "postal",
                "postcode",
                "plz",
                "code postal",
                "cap ",
                "codigo postal",
                "código postal",
            ]),
            pattern(concat!(
                r"[0-9]{4,6}|[0-9]{2}-[0-9]{3}|[0-9]{5}-[0-9]{3}|[0-9]{3}-[0-9]{4}",
                r"|[0-9]{4}-[0-9]{3}|[0-9]{4} ?[A-Z]{2}|[0-9]{3} [0-9]{2}",
                r"|[A-Z][0-9][A-Z] ?[0-9][A-Z][0-9]"
            ))
            .near(&[
                "postal code",
                "postcode",
                "plz",
                "postleitzahl",
                "cep ",
                "cap ",
                "kod poczt",
                "postnummer",
                "postnr",
                "pin code",
                "邮编",
                "邮政编码",
                "〒",
                "郵便番号",
            ]),
        ],
        positives: &[
            "ZIP: «90210»",
            "zip code «10001-1234» is",
            "PLZ «80331» München",
            "kod pocztowy «00-950»",
            "CEP «01310-100»",
            "postal code: «K1A 0B1»",
            "〒«100-0001»",
            "postcode «1012 AB» Amsterdam",
        ],
        near_misses: &["order 90210", "zip 902101"],
    },
    Detector {
        name: "LICENSE_PLATE",
        about: "number plates, near words that say so",
        default: false,
        patterns: &[pattern(concat!(
            r"[0-9]?[A-Z]{1,3}[ \-]?[A-Z0-9]{1,4}[ \-]?[0-9]{1,4}[A-Z]{0,3}",
            r"|[A-Z]{2}[ \-]?[0-9]{2,3}[ \-]?[A-Z]{2,3}|[0-9]{4}[ \-]?[A-Z]{3}"
        ))
        .valid(validators::has_both)
        .near(&[
            "plate",
            "kennzeichen",
            "matricula",
            "matrícula",
            "immatriculation",
            "targa",
            "registration",
            "kenteken",
            "tag number",
        ])],
        positives: &[
            "License plate: «B-MW 1234»",
            "the plate «7ABC123» was seen",
            "Kennzeichen «M AB 99»",
            "immatriculation «BC-886-PJ», ok",
            "matrícula «2474 KMN»",
        ],
        near_misses: &["B-MW 1234", "plate ABCDEF"],
    },
    Detector {
        name: "UUID",
        about: "identifiers of RFC 9562",
        default: false,
        patterns: &[pattern(concat!(
            r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB]",
            r"[0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
        ))
        .before(Guard::not(ByteSet::BASE64URL))
        .after(Guard::not(ByteSet::BASE64URL))],
        positives: &[
            "Request «c38c8358-aef9-43b3-945d-d82f5c9ecb4f» failed",
            "id=«018f3b1c-7d2e-7c3a-8f00-0123456789ab»",
        ],
        near_misses: &[
            "c38c8358-aef9-43b3-945d-d82f5c9ecb4",
            "00000000-0000-0000-0000-000000000000",
        ],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
