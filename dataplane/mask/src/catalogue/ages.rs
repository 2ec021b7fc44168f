//! When a person was born, and how old one is.

use super::{BESIDE_NUMBER, Detector, Pattern, pattern};
use crate::rule::{ByteSet, Guard};
use crate::validators;

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
    "nació ",
    "nasci ",
    "ur. ",
    "föde",
    "føds",
    "рожде",
    "рождё",
    "Рожде",
    "Рождё",
    "РОЖДЕ",
    "родил",
    "Родил",
    "doğum",
    "cumplea",
    "aniversár",
    "compleann",
    "anniversaire",
    "생년월일",
    "출생",
    "생일",
    "出生",
    "生日",
    "生年月日",
    "誕生日",
];

/// Months, or their fronts.
macro_rules! months {
    () => {
        concat!(
            r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|m\xC3\xA4r|mai|okt",
            r"|dez|f\xC3\xA9v|fev|avr|juin|juil|ao\xC3\xBB|aou|d\xC3\xA9c|ene|abr",
            r"|ago|dic|gen|mag|giu|lug|set|ott|out|mrt|mei|maj|sty|lut|kwi",
            r"|cze|lip|sie|wrz|pa\xC5\xBA|lis|gru)(?:[a-z]|\xC3[\xA0-\xBC]",
            r"|\xC5[\x80-\xBF]){0,9}\.?"
        )
    };
}

/// A day with its year in front.
const YEAR_FIRST: &str = r"(?:19|20)[0-9]{2}[\-/.][0-9]{1,2}[\-/.][0-9]{1,2}";

/// A day with its year at the end.
const YEAR_LAST: &str = concat!(
    r"[0-9]{1,2}(?:-[0-9]{1,2}-|/[0-9]{1,2}/|\. ?[0-9]{1,2}\. ?| / ?",
    r"[0-9]{1,2} / ?)(?:(?:19|20)[0-9]{2}|[0-9]{2})"
);

/// A day whose month is a word.
const MONTH_MIDDLE: &str = concat!(
    r"[0-9]{1,2}(?:st|nd|rd|th|er|\.|\xC2\xBA)?(?: |-)(?:of |de |d')?",
    months!(),
    r"(?:,? |-)(?:de |del )?(?:19|20)[0-9]{2}"
);

/// A day of the east of Asia.
const YEAR_SIGN: &str = concat!(
    r"(?:19|20)[0-9]{2} ?(?:\xE5\xB9\xB4|\xEB\x85\x84) ?[0-9]{1,2} ?",
    r"(?:\xE6\x9C\x88|\xEC\x9B\x94) ?[0-9]{1,2} ?(?:\xE6\x97\xA5|\xEC",
    r"\x9D\xBC)"
);

/// What says behind a day that it is one of birth.
const BORN_BEHIND: &str = concat!(
    r" ?(?:geboren|\xE7\x94\x9F\xE3\x81\xBE\xE3\x82\x8C",
    r"|\xE7\x94\x9F\xE3\x82\x8C|\xE5\x87\xBA\xE7\x94\x9F",
    r"|\xEC\xB6\x9C\xEC\x83\x9D|do\xC4\x9Fumlu)"
);

/// No part of the name of a setting: `max-age`.
const BEFORE_AGE: Guard = Guard::not(ByteSet::WORD.with(b'-'));

/// Neither a part nor of a hundred.
const AFTER_YEARS: Guard = Guard::not(ByteSet::WORD.with(b'%')).nor_pair(b'.', ByteSet::DIGITS);

/// Not one from which on something is allowed: `age 3 and up`, `18 or older`, `18+`; none of many.
const AFTER_AGE: Guard =
    Guard::not(ByteSet::WORD.with_each(b"+.-/%")).nor_pair(b' ', ByteSet::LETTERS);

/// What goes on, but for `y` and `und`.
const NO_AND: ByteSet =
    ByteSet::NONE.with_range(b'A', b'Z').with_range(b'a', b't').with_each(b"vwxz");

/// Words for an age, in other languages.
const AGE_OF: &str = concat!(
    r"(?i:alter|edad|et\xC3\xA0|idade|leeftijd|wiek|\xC3\xA2ge|\xC3\xA5lder",
    r"|alder|\xD0\xB2\xD0\xBE\xD0\xB7\xD1\x80\xD0\xB0\xD1\x81\xD1\x82",
    r"|\xD0\x92\xD0\xBE\xD0\xB7\xD1\x80\xD0\xB0\xD1\x81\xD1\x82)",
    r#"(?:["']? ?[:=] ?["']?)"#
);

/// The same in the east of Asia.
const AGE_OF_ASIA: &str = concat!(
    r"(?:\xE5\xB9\xB4\xE9\xBE\x84|\xE5\xB9\xB4\xE9\xBD\xA2",
    r"|\xE5\xB9\xB4\xE9\xBD\xA1|\xEB\x82\x98\xEC\x9D\xB4)(?:\xE6\x98\xAF",
    r"|\xE3\x81\xAF)?(?: ?[:=])? ?"
);

/// Who has years.
const HAS_YEARS: &str = concat!(
    r"(?i:j'ai|il a|elle a|\xC3\xA2g\xC3\xA9e?s? de|ag\xC3\xA9e? de|tengo",
    r"|tiene|tenho|tem|ho|mam|ma) "
);

/// Who is of an age.
const PERSON: &str = concat!(
    r"(?: (?i:mann|frau|junge|m\xC3\xA4dchen|patient|kind|sch\xC3\xBCler",
    r"|student|vater|mutter|sohn|tochter|rentner|person))"
);

const fn born_behind(day: &'static str) -> Pattern {
    pattern(day).trail(BORN_BEHIND).after(Guard::ANY).valid(validators::date)
}

static DETECTORS: &[Detector] = &[
    Detector {
        name: "DATE_OF_BIRTH",
        about: "days of birth, beside words that say so",
        default: true,
        patterns: &[
            pattern(YEAR_FIRST).valid(validators::date).near(BORN).after(BESIDE_NUMBER),
            pattern(YEAR_LAST).valid(validators::date).near(BORN).after(BESIDE_NUMBER),
            pattern(MONTH_MIDDLE).valid(validators::date).near(BORN),
            pattern(concat!(months!(), r" [0-9]{1,2}(?:st|nd|rd|th)?,? (?:19|20)[0-9]{2}"))
                .valid(validators::date)
                .near(BORN),
            pattern(r"(?:19|20)[0-9]{6}").valid(validators::date).near(BORN),
            pattern(YEAR_SIGN).valid(validators::date).near(BORN),
            born_behind(YEAR_FIRST),
            born_behind(YEAR_LAST),
            born_behind(MONTH_MIDDLE),
            born_behind(YEAR_SIGN),
        ],
        positives: &[
            "ur. «2 sty 2020»",
            "ur. «8 gru 1985» w Łodzi",
            "Nació el «13-04-1980».",
            "ur. «08.03.1985» w Łodzi",
            "生年月日：«1947/09/09»",
            "Дата рождения: «19.07.1986»",
            "data urodzenia «17 czerwca 2006»",
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
            "Nací el «13-04-1980».",
            "Nasci em «13/04/1980».",
            "ur. «2 września 1971»",
            "data urodzenia: «14 października 1971»",
            "födelsedatum: «1971-04-02»",
            "fødselsdato «02.04.1971»",
            "Дата рождения: «02.04.1971»",
            "doğum tarihi «02.04.1971»",
            "mi cumpleaños es el «02-04-1971»",
            "생년월일: «1971년 4월 12일»",
            "出生日期:«1971-04-02»",
            "生年月日は«1947/09/09»です",
            "誕生日は«1971年4月2日»",
            "Ich bin am «16.6.1999» geboren.",
            "am «3. März 1980» geboren",
            "«1973年6月8日»生まれ",
            "«1978-04-08»出生",
        ],
        near_misses: &[
            "La nación, 2020-01-01",
            "https://ur.ly/2024/01/02/post",
            "due 12/01/1949",
            "born 45/45/1949",
            "born in 1949",
            "newborn 1.2.3",
            "born to run",
            "Our. 12/01/1949",
            "Stand 16.6.1999 geboten",
            "1973年6月8日 発売",
            "生日快乐 2020",
        ],
    },
    Detector {
        name: "AGE",
        about: "how old a person is",
        default: false,
        patterns: &[
            pattern(concat!(
                r"[0-9]{1,3}(?:(?: |-)(?:years?|yrs?)(?: |-)old| ?(?:y/o|yo|y\.o\.)|",
                r" Jahre alt| jaar oud| \xC3\xA5r gamm(?:al|el))"
            ))
            .valid(validators::age)
            .before(BEFORE_AGE)
            .after(BEFORE_AGE),
            pattern(r"[0-9]{1,3}(?:-| )?j\xC3\xA4hrige[nrsm]?")
                .trail(PERSON)
                .valid(validators::age)
                .after(Guard::ANY),
            // Not one from which on something is allowed.
            pattern(r"[0-9]{1,3} ?(?:\xE6\xAD\xB3|\xE6\xAD\xB2|\xE5\xB2\x81)")
                .valid(validators::age)
                .after(Guard::ANY.nor_pair(0xE4, ByteSet::NONE.with(0xBB))),
            // Neither a century nor a generation nor a set.
            pattern(r"[0-9]{1,3} ?\xEC\x84\xB8").valid(validators::age).after(
                Guard::not(ByteSet::NONE.with_each(b"\xEA\xED"))
                    .nor_pair(0xEB, ByteSet::NONE.with(0x8C)),
            ),
            pattern(r"[0-9]{1,3}")
                .lead(r#"(?i:age)(?:d["']?:? {0,2}|["']? ?[:=] {0,2}["']?|["'] )"#)
                .valid(validators::age)
                .before(BEFORE_AGE)
                .after(AFTER_YEARS),
            pattern(r"[0-9]{1,3}")
                .lead(r"(?i:age) ")
                .valid(validators::age)
                .before(BEFORE_AGE)
                .after(AFTER_AGE),
            pattern(r"[0-9]{1,3}")
                .lead(AGE_OF)
                .valid(validators::age)
                .before(BEFORE_AGE)
                .after(AFTER_YEARS),
            pattern(r"[0-9]{1,3}")
                .lead(AGE_OF_ASIA)
                .valid(validators::age)
                .before(Guard::ANY)
                .after(AFTER_YEARS),
            // What someone does or has for years goes on behind them.
            pattern(r"[0-9]{1,3} (?:ans|a\xC3\xB1os|anos|anni|lat|lata)")
                .lead(HAS_YEARS)
                .valid(validators::age)
                .after(Guard::not(ByteSet::WORD.with(b'-')).nor_pair(b' ', NO_AND)),
        ],
        positives: &[
            "sie ist «55 Jahre alt»",
            "Tengo «31 años» y",
            "彼は«55歳»です",
            "«55 y/o» male",
            "She is «42 years old» now",
            "Age: «67»",
            "a man aged «35», smoker",
            "age=«55»",
            "patient age = «82»",
            "{\"age\": «55»}",
            "at age «42», she",
            "«55 y/o» female",
            "«55yo» male",
            "Ich bin «55 Jahre alt».",
            "ein «47-jähriger» Mann",
            "Alter: «55»",
            "J'ai «55 ans».",
            "âgé de «20 ans»",
            "Tengo «55 años», vivo",
            "Ho «61 anni».",
            "Mam «54 lat».",
            "edad: «40»",
            "età: «61»",
            "«55歳»です",
            "年龄:«55»",
            "Возраст: «55»",
            "我今年«30岁»",
            "«30세» 남성",
        ],
        near_misses: &[
            "55 you",
            "page 42",
            "200 years old",
            "manage 5",
            "age 3.5",
            "wait 5 ans",
            "attendre 5 ans",
            "toys for age 3 and up",
            "age 18+",
            "age 18 or older",
            "Cache-Control: max-age=60",
            "image=55",
            "J'ai 5 ans d'expérience",
            "Tengo 5 años de experiencia",
            "ein 10-jähriges Bestehen",
            "3岁以上",
            "21세기",
            "12세대",
            "GPT-5 yo",
            "Alter: 50%",
            "10 yo-yos",
            "ALTER TABLE 5",
        ],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
