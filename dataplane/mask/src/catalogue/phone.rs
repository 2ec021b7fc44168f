//! Telephone numbers: those that say so themselves, and national ones in their own groups or
//! after a word.

use super::{BESIDE_NUMBER, Detector, pattern};
use crate::rule::{ByteSet, Guard};
use crate::validators;

/// Not the rest of a longer number.
const BEFORE_PHONE: Guard =
    Guard::not(ByteSet::WORD.with_each(b"+/")).nor_pair(b'-', ByteSet::ALPHANUMERIC);
/// Nor its front.
const AFTER_PHONE: Guard = Guard::NO_WORD.nor_pair(b'-', ByteSet::ALPHANUMERIC);

/// Nor a part of a row of decimal numbers.
const BEFORE_DOTTED: Guard =
    Guard::not(ByteSet::WORD.with_each(b"+/-.")).nor_pair(b',', ByteSet::DIGITS);

/// At the start of a line.
const AT_LINE: Guard = Guard::not(ByteSet::NONE.with(b'\n').not());

/// Behind a letter of a signature, where other numbers stand too: nine digits from the trunk's zero
/// on, or the groups of North America.
const SIGNATURE: &str = r"0[1-9](?:[ \-/]?[0-9]){7,9}|[2-9][0-9]{2}[ \-][2-9][0-9]{2}[ \-][0-9]{4}";

/// What may stand between a word and its number: what the number is, signs, a verb.
macro_rules! to_number {
    () => {
        concat!(
            r#"["'.*`]{0,3}(?:[ \t]?(?::=|=>|[:=#|>]|</[a-z]{1,8}>[ \n]{0,4}"#,
            r"<[a-z]{1,8}>)| -)?\*{0,2}(?: (?:is|at|on|to|under|lautet|ist|es|est|er",
            r#"|\xC3\xA4r|\xC3\xA8|\xC3\xA9|e|jest))?[ \t]{0,2}["']?"#
        )
    };
}

/// What may follow such a word: `number`, or whom to call.
macro_rules! number_word {
    () => {
        concat!(
            r"(?i:[ _]?(?:numbers?|nr|no|nummer|numero|n\xC3\xBAmero|numret|us|me",
            r"|him|her|them))?"
        )
    };
}

/// A word directly before a number to dial.
const BEHIND_WORD: &str = concat!(
    r"(?i:call|tel|t\xC3\xA9l|tlf|tfn|puh\.|gsm|mobil|handy|cell|fax",
    r"|whatsapp|sms|dial|ring|reach|text (?:me|us)|msisdn|(?:my|her|his|our",
    r"|your) number)",
    number_word!(),
    r"(?i:\.? (?:do|da|del|della|du|des|van) (?:[a-z]{1,5} )?[a-z]{3,12})?",
    to_number!()
);

/// The same of words that stand in longer ones too, and of whose number it is: `homePhone`.
const BEHIND_PHONE: &str = concat!(
    r"(?i:phone|telefoon|telefon|tel\xC3\xA9fon|mobile|mobiel|m\xC3\xB3vil",
    r"|movil|telem\xC3\xB3vel|telemovel|celular|cellulare|kom\xC3\xB3rk|komork",
    r"|puhelin)(?i:[aeiou])?",
    number_word!(),
    r"(?i: (?:of|do|da|de|del|du|van|von) (?:[a-z]{1,5} )?[a-z]{3,12})?",
    to_number!()
);

/// The same of words that no blank divides from what stands before them, and of signs.
const BEHIND_SIGN: &str = concat!(
    r"(?:\xE9\x9B\xBB\xE8\xA9\xB1|\xE7\x94\xB5\xE8\xAF\x9D",
    r"|\xE6\x89\x8B\xE6\x9C\xBA|\xE6\x89\x8B\xE6\xA9\x9F",
    r"|\xE6\x90\xBA\xE5\xB8\xAF|\xEC\xA0\x84\xED\x99\x94",
    r"|\xED\x9C\xB4\xEB\x8C\x80(?:\xED\x8F\xB0)?",
    r"|\xED\x95\xB8\xEB\x93\x9C\xED\x8F\xB0",
    r"|\xD0\xB5\xD0\xBB\xD0\xB5\xD1\x84\xD0\xBE\xD0\xBD|\xE2\x98\x8E",
    r"|\xF0\x9F\x93\x9E|\xF0\x9F\x93\xB1)(?:\xD0\xB0|\xD1\x83",
    r"|\xD0\xBE\xD0\xBC)?(?:\xE5\x8F\xB7(?:\xE7\xA0\x81)?",
    r"|\xE8\x99\x9F\xE7\xA2\xBC|\xE7\x95\xAA\xE5\x8F\xB7",
    r"|\xEB\xB2\x88\xED\x98\xB8)?(?: ?[:=]|\xE6\x98\xAF|\xE4\xB8\xBA",
    r"|\xE7\x82\xBA|\xE3\x81\xAF|\xEB\x8A\x94|\xEC\x9D\x80)? ?"
);

/// What says that a number is one to dial.
const PHONE: &[&str] = &[
    "tel ",
    "telef",
    "teléf",
    "télé",
    "phone",
    "mobil",
    "móvil",
    "movil",
    "cell",
    "fax",
    "call ",
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
    "number to call",
    "contact number",
    "contact:",
    "text me",
    "電話",
    "电话",
    "手机",
    "手機",
    "携帯",
    "전화",
    "휴대폰",
    "핸드폰",
    "елефон",
    "mobiel",
    "telem",
    "tlf",
    "tél.",
    "komórk",
    "puhelin",
    "puh.",
    "gsm ",
    "☎",
    "📞",
    "📱",
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
            r"0[1-9](?: [0-9]{2}){4}|0[1-9][0-9]{1,3} [0-9]{3,4} [0-9]{3,4}|0",
            r"[1-9] [0-9]{4} [0-9]{4}|0[1-9][0-9]{2,3} [0-9]{6}"
        ))
        .before(BEFORE_PHONE)
        .after(AFTER_PHONE)
        .valid(validators::national_phone),
        pattern(r"0[1-9](?:\.[0-9]{2}){4}").before(BEFORE_DOTTED).after(BESIDE_NUMBER),
        pattern(r"0[1-9](?:-[0-9]{2}){4}|0[789]0-[0-9]{4}-[0-9]{4}")
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
            r"{3,4}-[0-9]{4}|0[1-9](?:[.\-])[0-9]{4}(?:[.\-])[0-9]{4}|0",
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
        pattern(r"\(?[0-9](?:[ .\-()/]{0,2}[0-9]){5,12}")
            .before(Guard::ANY)
            .after(AFTER_PHONE)
            .lead(BEHIND_SIGN)
            .valid(validators::led_phone),
        pattern(r"1[3-9][0-9][ .\-]?[0-9]{4}[ .\-]?[0-9]{4}")
            .before(BEFORE_PHONE)
            .after(AFTER_PHONE)
            .near(PHONE),
        // The letters of a signature.
        pattern(r"\(?[0-9](?:[ \-()/]{0,2}[0-9]){6,12}")
            .before(Guard::NO_ALPHANUMERIC)
            .after(AFTER_PHONE)
            .lead(r"(?:Ph|PH)[:.] ?")
            .valid(validators::led_phone),
        pattern(SIGNATURE)
            .before(Guard::NO_ALPHANUMERIC)
            .after(AFTER_PHONE)
            .lead(r"[TM][:.] ")
            .valid(validators::led_phone),
        pattern(SIGNATURE)
            .before(AT_LINE)
            .after(AFTER_PHONE)
            .lead(r"[TM] ")
            .valid(validators::led_phone),
    ],
    positives: &[
        "Marie Dupont «06 12 34 56 78» 75001 Paris",
        "Ligne 2 «0033 6 12 34 56 78»",
        "12,«212-555-0147»,Boston",
        "42,«(020) 7946 0958»",
        "Phone  «61484877»",
        "手机号: «61234567»",
        "komorka: «512267047»",
        "(Büro)-«030/12345678»",
        "«0034 91 512267047»",
        "el teléfono es «612345678»",
        "携帯：«09012042027»",
        "手机是«131-1951-6573»",
        "«0049 151 20285263»",
        "Anna Berg,«506-236-0452»",
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
        "El teléfono es «612345678».",
        "telefono: «3120907565»",
        "telemóvel: «912471620»",
        "Mobiel: «0612315443»",
        "Komórka: «512267047»",
        "tlf.: «21 23 73 51»",
        "Mitt telefon er «21239305».",
        "puhelin: «0411715399»",
        "Segue o telefone do cliente: «11-2427-2529»",
        "Segue o Tel. do cliente: «912471620»",
        "<phone>«61484877»</phone>",
        "携帯:«09012042027»",
        "전화번호: «02-213-6185»",
        "我的手机是«131-1951-6573»,谢谢",
        "номер телефона: «84951234567»",
        "Ph: «612324269»",
        "Anna Berg, T. «0711147949»",
        "M: «312 349 6219»",
        "Anna Berg\nT «0412-556-920»",
        "☎ «030/174261»",
        "📞 «513 585 577»",
        "Bel «0031 6 12032337» morgen",
        "oder «0049 151 20285263»",
        "Anna Berg,«506-236-0452»,Boston",
        "Mobile\t«13753047124»",
        "<td>Mobile</td><td>«11945078380»</td>",
        "- **Phone:** «61484877»",
        "phoneNumber := \"«61484877»\"",
    ],
    near_misses: &[
        "T: 273.15 298.15",
        "T: 0.00012345",
        "M: 100 200 300",
        "T: 01.02.2024 12:30",
        "M 00012345.txt",
        "T 01234567",
        "PH: 7.412345",
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
        "x = +123456789;",
        "diff +12345678 -87654321",
        "c0 .14.02.28.02.42.62-.27",
        "GSMIOC_GETFIRST: u32 = 2147763972",
        "automobil 12345678",
        "call of duty 12345678",
        "movilidad 12345678",
        "The ring of fire 12345678",
        "Miller, T. (2004) 12 123-134",
        "Brown, M. 1998, 45-67",
        "Stadt. 12345678 Stimmen",
        "Total T: 12345678",
        "at 5 PM. 12 345 678 came",
        "pH: 7.41",
        "<path d=\"\nM 100 200 300 400\"/>",
        "mobile 13512345678901",
        "telephone 2024-03-25 10:11",
        "T: 100 200 300 400 500",
    ],
}];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
