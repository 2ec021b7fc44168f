//! Telephone numbers: those that say so themselves, and national ones in their own groups or
//! after a word.

use super::{Detector, pattern};
use crate::rule::{ByteSet, Guard};
use crate::validators;

/// Not the rest of a longer number.
const BEFORE_PHONE: Guard =
    Guard::not(ByteSet::WORD.with_each(b"+/")).nor_pair(b'-', ByteSet::ALPHANUMERIC);
/// Nor its front.
const AFTER_PHONE: Guard = Guard::NO_WORD.nor_pair(b'-', ByteSet::ALPHANUMERIC);

/// A word directly before a number to dial.
const BEHIND_WORD: &str = concat!(
    r"(?i:call|tel|mobil|handy|cell|fax|whatsapp|sms|dial|ring|reach",
    r"|text (?:me|us)|msisdn|(?:my|her|his|our|your) number)(?i:[ _]",
    r#"?(?:number|nr|no|nummer|us|me|him|her|them))?["'.]{0,2} ?[:=#]"#,
    r#"?(?: (?:is|at|on|to|under))? ?["']?"#
);

/// The same of words that stand in longer ones too: `homePhone`.
const BEHIND_PHONE: &str = concat!(
    r"(?i:phone|telefon|tel\xC3\xA9fon|t\xC3\xA9l\xC3\xA9phone|mobile|mobiel|m\xC3\xB3vil",
    r"|movil|telem\xC3\xB3vel|celular|cellulare|kom\xC3\xB3rk|komork|puhelin|tlf)[aio]?",
    r"(?i:[ _]?(?:number|nr|no|nummer|us|me|him|her|them))?",
    r#"["'.]{0,2} ?[:=#]?(?: (?:is|at|on|to|under|es|est|ist|lautet|\xC3\xA8|\xC3\xA9))? ?["']?"#
);

/// The same in Chinese, Japanese and Korean: a telephone or a mobile one, perhaps its number.
const BEHIND_EASTERN: &str = concat!(
    r"(?:\xE6\x89\x8B\xE6\x9C\xBA|\xE6\x89\x8B\xE6\xA9\x9F|\xE7\x94\xB5\xE8\xAF\x9D",
    r"|\xE9\x9B\xBB\xE8\xA9\xB1|\xE6\x90\xBA\xE5\xB8\xAF|\xEC\xA0\x84\xED\x99\x94",
    r"|\xED\x9C\xB4\xEB\x8C\x80)(?:\xE5\x8F\xB7|\xE5\x8F\xB7\xE7\xA0\x81",
    r"|\xE7\x95\xAA\xE5\x8F\xB7|\xE8\x99\x9F\xE7\xA2\xBC|\xEB\xB2\x88\xED\x98\xB8",
    r"|\xE7\x94\xB5\xE8\xAF\x9D|\xE9\x9B\xBB\xE8\xA9\xB1|\xEC\xA0\x84\xED\x99\x94",
    r"|\xED\x8F\xB0){0,2}",
    r"(?:\xE3\x81\xAF|\xE6\x98\xAF|\xE4\xB8\xBA|\xE7\x82\xBA)? ?:? ?"
);

/// What says that a number is one to dial.
const PHONE: &[&str] = &[
    "tel.",
    "tel:",
    "tel ",
    "tel\"",
    "tel=",
    "telef",
    "teléf",
    "télé",
    "phone",
    "mobile",
    "mobil",
    "móvil",
    "movil",
    "cell",
    "fax",
    "call ",
    "call:",
    "my number",
    "her number",
    "his number",
    "handy",
    "appel",
    "llam",
    "sms",
    "whatsapp",
    "ring ",
    "dial",
    "hotline",
    "portable",
    "celular",
    "chiama",
    "cellulare",
    "anruf",
    "rufnummer",
    "numéro",
    "msisdn",
    "reach me",
    "reach us",
    "rufen ",
    "erreich",
    "bel ",
    "bellen",
    "ligue",
    "zadzwo",
    "ligar",
    "telepho",
    "call_",
    "number to call",
    "contact number",
    "contact:",
    "text me",
    "tlf",
    "puhelin",
    "mobiel",
    "telem",
    "komórk",
    "携帯",
    "전화",
    "휴대",
    "電話",
    "电话",
    "手机",
];

static DETECTORS: &[Detector] = &[Detector {
    name: "PHONE_NUMBER",
    about: "telephone numbers",
    default: true,
    patterns: &[
        pattern(concat!(
            r"\(?\+[1-9](?:[ .\-()/]{0,3}[0-9]){6,14}(?: ?(?:x|ext\.?|",
            r"extension|#) ?[0-9]{1,6})?"
        ))
        .before(Guard::not(ByteSet::WORD.with(b'+')))
        .after(AFTER_PHONE)
        .valid(validators::e164),
        pattern(r"00(?:[ \-]?[0-9]){1,3}(?:[ .\-()/]{1,3}[0-9]{1,9}){2,6}")
            .before(BEFORE_PHONE)
            .after(AFTER_PHONE)
            .valid(validators::e164),
        pattern(r"00[1-9](?:[ .\-()/]{0,3}[0-9]){7,13}")
            .before(BEFORE_PHONE)
            .after(AFTER_PHONE)
            .valid(validators::e164)
            .near(PHONE),
        pattern(concat!(
            r"(?:(?:\+?1|001)[ .\-]?)?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}",
            r"[.\-])[2-9][0-9]{2}[ .\-][0-9]{4}(?: ?(?:x|ext\.?|extension|#)",
            r" ?[0-9]{1,6})?"
        ))
        .before(BEFORE_PHONE)
        .after(AFTER_PHONE)
        .valid(validators::nanp),
        pattern(concat!(
            r"(?:(?:1|001)[ .\-]?)?[2-9][0-9]{2}[ .\-]?[2-9][0-9]{2}[ .\-]?",
            r"[0-9]{4}(?: ?(?:x|ext\.?|extension|#) ?[0-9]{1,6})?"
        ))
        .before(BEFORE_PHONE)
        .after(AFTER_PHONE)
        .valid(validators::nanp)
        .near(PHONE),
        pattern(r"\(0[1-9][0-9]{0,4}\)(?:[ \-/]?[0-9]{1,8}){1,4}")
            .before(BEFORE_PHONE)
            .after(AFTER_PHONE)
            .valid(validators::national_phone),
        pattern(concat!(
            r"0[1-9](?: [0-9]{2}){4}|0[1-9](?:\.[0-9]{2}){4}|0[1-9](?:-[0-9]",
            r"{2}){4}"
        ))
        .before(BEFORE_PHONE)
        .after(AFTER_PHONE),
        pattern(concat!(
            r"0[1-9][0-9]{1,3} [0-9]{3,4} [0-9]{3,4}|0[1-9][0-9]{2,3} [0-9]",
            r"{6}|0[789]0-[0-9]{4}-[0-9]{4}"
        ))
        .before(BEFORE_PHONE)
        .after(AFTER_PHONE)
        .valid(validators::national_phone),
        pattern(r"0[1-9](?:[ .()/\-]{0,2}[0-9]){6,11}")
            .before(BEFORE_PHONE)
            .after(AFTER_PHONE)
            .valid(validators::national_phone)
            .near(PHONE),
        pattern(r"[2-9][0-9]{1,3}(?:[ .\-][0-9]{2,4}){2,4}")
            .before(BEFORE_PHONE)
            .after(AFTER_PHONE)
            .valid(validators::grouped_phone)
            .near(PHONE),
        pattern(concat!(
            r"0[1-9][0-9]{1,4}/[0-9]{3,4}[ \-]?[0-9]{3,5}|0[0-9]{1,2}-[0-9]",
            r"{3,4}-[0-9]{4}|0[1-9](?:[ .\-])[0-9]{4}(?:[ .\-])[0-9]{4}|0",
            r"[1-9][0-9]{2}\.[0-9]{3}\.[0-9]{3}|0(?:[127]|3[03])[0-9]{9}"
        ))
        .before(BEFORE_PHONE)
        .after(AFTER_PHONE)
        .valid(validators::long_national_phone),
        pattern(r"\([1-9][0-9]{0,4}\)(?:[ \-/]?[0-9]{1,8}){1,4}")
            .before(BEFORE_PHONE)
            .after(AFTER_PHONE)
            .valid(validators::national_phone)
            .near(PHONE),
        pattern(r"\(?[0-9](?:[ .\-()/]{0,2}[0-9]){5,12}")
            .before(Guard::NO_ALPHANUMERIC)
            .after(AFTER_PHONE)
            .lead(BEHIND_WORD)
            .valid(validators::led_phone),
        pattern(r"\(?[0-9](?:[ .\-()/]{0,2}[0-9]){5,12}")
            .before(Guard::ANY)
            .after(AFTER_PHONE)
            .lead(BEHIND_PHONE)
            .valid(validators::led_phone),
        pattern(r"\(?[0-9](?:[ .\-()/]{0,2}[0-9]){6,12}")
            .before(Guard::ANY)
            .after(AFTER_PHONE)
            .lead(BEHIND_EASTERN)
            .valid(validators::led_phone),
    ],
    positives: &[
        "Ring «+44 20 7946 0958» today",
        "at «(212) 555-0147»",
        "Tel. «01 42 68 53 00»",
        "Call «+14155557154» today",
        "«212-555-0117»",
        "Fax: «030/12345678»",
        "mobile: «07700 900123»",
        "«(020) 7946 0958» ist besetzt",
        "«+1-555-123-4567x89» works",
        "móvil «612 34 56 78»",
        "phone number is «2125550147»",
        "«001-212-555-0147»",
        "Telefon: «0151 20285263»",
        "«020 7946 0524»",
        "Handy «+49 (0)151 2028 5263»",
        "call «555-0123» after noon",
        "tel: «90-1234-5678»",
        "«080-1234-5678»",
        "reach me at «6629 1579» now",
        "My number is «(351) 203 136 153»",
        "«03488/94968562»",
        "| «07123456789» |",
        "\"homePhone\": \"«2125550147»\"",
        "móvil «612345678»",
        "el teléfono es «612345678»",
        "tlf.: «21 23 73 51»",
        "携帯：«09012042027»",
        "手机是«131-1951-6573»",
        "전화번호: «02-213-6185»",
        "«0049 151 20285263»",
        "Anna Berg,«506-236-0452»",
    ],
    near_misses: &[
        "Version 2.10.3",
        "order 12345678901",
        "The shelf is 0272-0900.",
        "on 2024-01-02 at 12:30",
        "ISBN 978-2-8165-1631-9",
        "10.20.30.40",
        "Order 5777-4696-2756-6543",
        "called on 2019-03-25",
        "555-0123",
        "call 911",
        "Call about 3 items",
        "call on 2019-03-25 please",
        "ISBN 0306406152",
        "recall 12345678",
        "String 1234567",
        "tracking 1Z999AA10123456784",
        "a + 12345678",
        "1,234,567,890",
        "timestamp 1700000000",
    ],
}];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
