//! Values of persons: e-mail, places, number plates, identifiers.

use super::{AFTER_HOST, BESIDE_DASHED, BESIDE_NUMBER, Detector, pattern};
use crate::rule::{ByteSet, Guard};
use crate::validators;

/// An address: a name of RFC 5321's plain form, with letters of two bytes too, and a host with a
/// domain.
const ADDRESS: &str = concat!(
    r"(?:[DLOdlo]')?(?:[A-Za-z0-9_]|[\xC3-\xD4][\x80-\xBF])",
    r"(?:[A-Za-z0-9._%+\-!&*]|[\xC3-\xD4][\x80-\xBF]|[DLOdlo]'){0,63}@",
    r"(?:[A-Za-z0-9_\-\x80-\xFF]{1,50}\.){1,6}(?:[A-Za-z]{2,24}",
    r"|xn--[A-Za-z0-9\-]{2,30}|(?:[\xCE-\xDB][\x80-\xBF]){2,16}|",
    r"(?:\xE0[\xA4-\xBF][\x80-\xBF]|\xE1[\x80-\xBF][\x80-\xBF]){2,10})"
);

/// An address at a host of Chinese, Japanese or Korean letters. Its last label is one that is given
/// out, since a full stop of these languages is one before a label too. Its name has none of these
/// letters: a whole sentence could be its front, and would wait.
const ADDRESS_CJK: &str = concat!(
    r"(?:[A-Za-z0-9._%+\-]|[\xC3-\xDB][\x80-\xBF]){1,32}@",
    r"(?:[A-Za-z0-9\-]{1,50}\.){0,3}",
    r"[A-Za-z0-9\-]{0,20}(?:[\xE3-\xED][\x80-\xBF][\x80-\xBF]){0,16}[A-Za-z0-9\-]{",
    r"0,20}\.(?:",
    r"\xE5\x85\xAC\xE5\x8F\xB8|\xE4\xB8\xAD\xE5\x9B\xBD",
    r"|\xE4\xB8\xAD\xE5\x9C\x8B|\xE7\xBD\x91\xE7\xBB\x9C",
    r"|\xE7\xB6\xB2\xE7\xB5\xA1|\xE7\xBD\x91\xE5\x9D\x80",
    r"|\xE5\x9C\xA8\xE7\xBA\xBF|\xE5\x95\x86\xE5\x9F\x8E",
    r"|\xE5\x95\x86\xE5\xBA\x97|\xE9\xA6\x99\xE6\xB8\xAF",
    r"|\xE5\x8F\xB0\xE6\xB9\xBE|\xE5\x8F\xB0\xE7\x81\xA3",
    r"|\xE6\x96\xB0\xE5\x8A\xA0\xE5\x9D\xA1",
    r"|\xE9\x9B\x86\xE5\x9B\xA2",
    r"|\xE6\x88\x91\xE7\x88\xB1\xE4\xBD\xA0",
    r"|\xE7\xA7\xBB\xE5\x8A\xA8|\xE6\x94\xBF\xE5\x8A\xA1",
    r"|\xE4\xBC\x81\xE4\xB8\x9A|\xE7\xBD\x91\xE7\xAB\x99",
    r"|\xE4\xB8\x96\xE7\x95\x8C",
    r"|\xE4\xB8\xAD\xE6\x96\x87\xE7\xBD\x91",
    r"|\xE5\x85\xAC\xE7\x9B\x8A|\xE4\xBF\xA1\xE6\x81\xAF",
    r"|\xE6\xB8\xB8\xE6\x88\x8F|\xE8\xB4\xAD\xE7\x89\xA9",
    r"|\xE5\xA8\xB1\xE4\xB9\x90|\xE6\x9C\xBA\xE6\x9E\x84",
    r"|\xE7\xBD\x91\xE5\xBA\x97|\xE5\x95\x86\xE6\xA0\x87",
    r"|\xE3\x81\xBF\xE3\x82\x93\xE3\x81\xAA",
    r"|\xE3\x82\xB3\xE3\x83\xA0",
    r"|\xE3\x83\x86\xE3\x82\xB9\xE3\x83\x88",
    r"|\xE3\x82\xB9\xE3\x83\x88\xE3\x82\xA2",
    r"|\xE3\x82\xBB\xE3\x83\xBC\xE3\x83\xAB",
    r"|\xE3\x82\xAF\xE3\x83\xA9\xE3\x82\xA6\xE3\x83\x89",
    r"|\xED\x95\x9C\xEA\xB5\xAD|\xEB\x8B\xB7\xEC\xBB\xB4",
    r"|\xEB\x8B\xB7\xEB\x84\xB7|\xEC\x82\xBC\xEC\x84\xB1",
    r")"
);

/// What may stand between a word and its postal code.
macro_rules! to_code {
    () => {
        concat!(
            r#"["'.*`]{0,3}(?:[ \t]?(?:[:=|>]|</[a-z]{1,8}>[ \n]{0,4}<[a-z]{1,8}>))?"#,
            r#"\*{0,2}(?: (?:is|ist|es|est))?[ \t]?["']?"#
        )
    };
}

/// Words directly before a postal code.
const BEHIND_ZIP: &str = concat!(
    r"(?:(?i:postleitzahl|plz|kod pocztowy|postnummer|postnr|post ?code",
    r"|postal code|code postal|c(?:o|\xC3\xB3)digo postal|codice postale",
    r"|zip[ _]?code)|\xE9\x82\xAE\xE7\xBC\x96",
    r"|\xE9\x82\xAE\xE6\x94\xBF\xE7\xBC\x96\xE7\xA0\x81",
    r"|\xE9\x83\xB5\xE9\x81\x9E\xE5\x8D\x80\xE8\x99\x9F|\xE3\x80\x92",
    r"|\xE9\x83\xB5\xE4\xBE\xBF\xE7\x95\xAA\xE5\x8F\xB7",
    r"|\xEC\x9A\xB0\xED\x8E\xB8\xEB\xB2\x88\xED\x98\xB8)",
    r"(?:\xE6\x98\xAF|\xE3\x81\xAF)?",
    to_code!()
);

/// The same of the United States alone.
const BEHIND_US_ZIP: &str = concat!("(?i:zip)", to_code!());

/// Postal codes, as the countries write them.
const ZIP_FORMS: &str = concat!(
    r"[0-9]{2}-[0-9]{3}|[0-9]{5}-?[0-9]{3}|[0-9]{3}-[0-9]{4}",
    r"|[0-9]{4}-[0-9]{3}|[0-9]{4} ?[A-Z]{2}|[A-Z][0-9][A-Z] ?[0-9][A-Z][0-9]",
    r"|[0-9]{3} [0-9]{2}|[0-9]{4,6}"
);

/// What says that letters and digits are a number plate.
const PLATE: &[&str] = &[
    "plate",
    "licenseplate",
    "numberplate",
    "kennzeichen",
    "matricula",
    "matrícula",
    "immatriculation",
    "targa",
    "registration",
    "kenteken",
    "tag number",
];

/// Four digits and three letters, none of them a vowel if something stands between.
const SPANISH_PLATE: &str = r"[0-9]{4}(?:[ \-]?[B-DF-HJ-NP-TV-Z]{3}|[A-Z]{3})";

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
                .lead(r"(?:[A-Za-z]{2,16}|[\x80-\xFF]):")
                .before(Guard::not(ByteSet::WORD.with_each(b"/.-@%+:~&")))
                .after(AFTER_HOST)
                .valid(validators::email),
            pattern(ADDRESS)
                .lead(r"[A-Za-z0-9][/?]")
                .before(Guard::ANY)
                .after(AFTER_HOST)
                .valid(validators::email),
            pattern(ADDRESS_CJK)
                .before(Guard::not(ByteSet::WORD.with_each(b".!#$%&+/?^~-@")))
                .after(Guard::not(ByteSet::ALPHANUMERIC.with(b'@')))
                .valid(validators::email),
        ],
        positives: &[
            "邮箱：«dana@web.example»",
            "Адрес:«иван@почта.рф», звоните",
            "Mail «jane.doe@example.org» now",
            "mailto:«j@x.co.uk»",
            "<«o'brien+news@mail.example.museum»>, ok",
            "{\"email\":\"«JOHN_SMITH99@Example.COM»\"}",
            "GET /users/«ann@example.org»/orders",
            "schreiben Sie «jürgen.groß@münchen-example.de».",
            "email:«a.b@xn--bcher-kva.example»",
            "邮箱:«dana@web.de»",
            "メールアドレス:«x@y.de»",
            "Адрес:«dana@web.de»",
            "请用«a@почта.рф»谢谢",
            "请写信到«user@例子.公司»谢谢",
            "「«user@例子.网站»」",
            "«dana@예시.한국»으로 보내",
            "«user@例え.テスト»",
            "«user@მაგალითი.გე»",
            "«andreea.pușcașu@example.ro»",
            "«ștefan@example.ro»",
            "«cəfər@example.az»",
            "我的邮箱地址是«dana@例子.公司»",
            "请用 «dana@例子.公司»,谢谢",
            "для «иван.петров@почта.рф»",
            "Write to «δοκιμή@παράδειγμα.δοκιμή»",
            "to «paul&co@example.com»",
            "**«paul*a@example.com»**",
            "at «p.o'brien@example.org»",
            "[u'«anna@example.org»', f'«bob@example.org»']",
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
            "RT@小明。谢谢大家",
            "пользователь:@web.de",
            "ключ: pkg@1.2.3",
            "a & b@c",
            "x = a*b@c",
        ],
    },
    Detector {
        name: "ZIP",
        about: "postal codes, near words that say so",
        default: false,
        patterns: &[
            pattern(r"[0-9]{5}(?:-[0-9]{4})?").near(&[
                "zip code",
                "zipcode",
                "zip_",
                "zip\"",
                "zip'",
                "zip,",
                "zip<",
                "zip>",
                "zip|",
                "zip\t",
                "postal",
                "postcode",
                "postleitzahl",
                "plz\"",
                "plz,",
                "plz<",
                "codigo postal",
                "código postal",
            ]),
            pattern(r"[0-9]{5}(?:-[0-9]{4})?")
                .lead(BEHIND_US_ZIP)
                .before(Guard::not(ByteSet::WORD.with(b'.')))
                .after(BESIDE_DASHED),
            pattern(ZIP_FORMS).lead(BEHIND_ZIP).after(BESIDE_DASHED),
            pattern(r"[0-9]{5}-?[0-9]{3}").lead(r"(?i:cep):? ").after(BESIDE_DASHED),
            pattern(r"[0-9]{5}").lead(r"CAP:? ").after(BESIDE_NUMBER),
            pattern(r"[1-9][0-9]{5}").lead(r"(?i:pin ?code)(?: is)?:? ").after(BESIDE_NUMBER),
        ],
        positives: &[
            "kod pocztowy «00-950»",
            "CEP «01310-100»",
            "postal code: «K1A 0B1»",
            "postcode «1012 AB» Amsterdam",
            "ZIP: «90210»",
            "zip code «10001-1234» is",
            "PLZ «80331» München",
            "zip «90210»",
            "<zip>«90210»</zip>",
            "Postleitzahl «80331»",
            "kod pocztowy: «00-950»",
            "CEP: «01310-100»",
            "郵便番号: «100-0001»",
            "〒«100-0001»",
            "código postal: «1000-205»",
            "postcode: «1012 AB»",
            "Postal code: «K1A 0B1»",
            "postnummer: «123 45»",
            "CAP: «20121»",
            "PIN code: «560001»",
            "邮编:«100000»",
            "<td>Postcode</td><td>«2000»</td>",
        ],
        near_misses: &[
            "order 90210",
            "zip 902101",
            "zip file 97569 bytes",
            "gzip 97569",
            "a.zip 97569",
            "a.zip: 97569",
            "plz send 12345 items",
            "cap 50000 users",
            "postcode 1234567",
            "the market cap: 50000",
            "PIN code: 1234",
            "postcodes for 2024",
        ],
    },
    Detector {
        name: "LICENSE_PLATE",
        about: "number plates, near words that say so",
        default: false,
        patterns: &[
            pattern(r"[0-9]?[A-Z]{1,3}[ \-]?[A-Z0-9]{1,4}[ \-]?[0-9]{1,4}(?:-?[A-Z]{1,3})?")
                .valid(validators::has_both)
                .near(PLATE),
            // France and Italy, Spain.
            pattern(r"[A-Z]{2} [0-9]{3} ?[A-Z]{2}").near(PLATE),
            pattern(SPANISH_PLATE).near(&[
                "matricula",
                "matrícula",
                "immatriculation",
                "kennzeichen",
            ]),
            // These words stand in other texts too.
            pattern(SPANISH_PLATE)
                .lead(r#"(?i:plate)(?:[ _](?i:number|no\.?))?["']?(?:[:=]| is)? ?["']?"#)
                .before(Guard::ANY)
                .after(BESIDE_NUMBER),
        ],
        positives: &[
            "immatriculation «BC-886-PJ», ok",
            "License plate: «B-MW 1234»",
            "the plate «7ABC123» was seen",
            "Kennzeichen «M AB 99»",
            "Mi matrícula es «BC-886-PJ».",
            "matrícula «2474 KMN»",
            "License plate: «2474 KMN»",
            "number plate «1234BCD»",
            "targa «AB 123 CD»",
            "const licensePlate = '«7TYN123»'",
        ],
        near_misses: &[
            "B-MW 1234",
            "plate ABCDEF",
            "license plate 2024 MAY",
            "plate at 5000 RPM",
            "2474 KMN",
        ],
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
