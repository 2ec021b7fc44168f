//! Passwords after their name: in settings, in code, in sentences, in tables.

use super::{AFTER_PASSWORD, BEFORE_WORD};
use crate::catalogue::{Pattern, pattern};
use crate::rule::{ByteSet, Guard};
use crate::validators;

/// A password without quotes.
const BARE: &str = r#"[^\s"'`<>]{3,127}[^\s"'`<>.,;:]"#;

/// A password without quotes in a cell of a table.
const BARE_IN_CELL: &str = r#"[^\s"'`<>|]{3,127}[^\s"'`<>|.,;:]"#;

/// A password of ASCII letters and signs, where the sentence goes on without a space.
const BARE_ASCII: &str = r#"[!#-&(-;=?-_a-~]{3,127}[!#-&(-+\-/-9=?-_a-~]"#;

/// A name in full may stand behind other letters: `PGPASSWORD`; `1Password` is none.
const BEFORE_LONG: Guard = Guard::not(ByteSet::NONE.with(b'1'));

/// What ends a value before which the sentence has no spaces.
const AFTER_ASCII: Guard = Guard::not(ByteSet::ALPHANUMERIC.with_each(b"!#$%*+-/=?@\\^_|~({[:"))
    .nor_pair(b'.', ByteSet::ALPHANUMERIC);

/// What may stand between a name and a value in quotes: an operator, also with a type before it or
/// with another value that is tried first.
macro_rules! to_quoted {
    () => {
        concat!(
            r#"["'\]]{0,2} ?(?:(?:: ?(?:&(?:'static )?)?[\w\[\].]{1,24}|"#,
            r" [Ss]tring) ?= ?|(?::=|=>|===?|[:=]) ?(?:[\w.$]{1,60} (?:\|\||",
            r"\?\?|or|\?:) )?)(?i:[bur]?)"
        )
    };
}

/// In double quotes.
pub(super) const DOUBLE_QUOTED: Pattern = pattern(r#"[^"\s\\]{1,128}"#)
    .lead(concat!(r"(?i:", words!(), "|pwd|pass|pw|psw)", to_quoted!(), "\""))
    .trail("\"")
    .before(BEFORE_WORD)
    .after(Guard::ANY)
    .valid(validators::password_quoted);

/// In double quotes of JSON inside JSON.
pub(super) const ESCAPED: Pattern = pattern(r#"[^"\\]{1,128}"#)
    .lead(concat!(r"(?i:", words!(), r#"|pwd|pass|pw|psw)\\" ?: ?\\""#))
    .trail(r#"\\""#)
    .before(BEFORE_WORD)
    .after(Guard::ANY)
    .valid(validators::password_quoted);

/// In single quotes.
pub(super) const SINGLE_QUOTED: Pattern = pattern(r"[^'\s]{1,128}")
    .lead(concat!(r"(?i:", words!(), "|pwd|pass|pw|psw)", to_quoted!(), r"\'"))
    .trail("'")
    .before(BEFORE_WORD)
    .after(Guard::ANY)
    .valid(validators::password_quoted);

/// In any quotes behind a longer name, or as the value of an element.
pub(super) const LONG_QUOTED: Pattern = pattern(r#"[^"'`\s\\]{1,128}"#)
    .lead(concat!(
        r"(?i:",
        full!(),
        r#")(?:\\?["'\]]{0,2} ?(?:: ?[\w\[\].]{1,24} ?= ?|(?::=|=>|===?|[:"#,
        r#"=]) ?(?:[\w.]{0,30}(?:get|env|environ)\(["'][\w.\-]{1,40}["'], ?)?)|"#,
        r#"["'] value=)(?i:[bur]?)\\?["'`]"#
    ))
    .trail(r#"\\?["'`]"#)
    .before(BEFORE_LONG)
    .after(Guard::ANY)
    .valid(validators::password_named);

/// In quotes behind a short name that is the last part of a longer one: `dbPass`.
pub(super) const HUMP: Pattern = pattern(r#"[^"'`\s\\]{1,128}"#)
    .lead(r#"(?:Pass|Pwd)["'\]]{0,2} ?(?::=|=>|===?|[:=]) ?["'`]"#)
    .trail(r#"["'`]"#)
    .before(Guard::not(ByteSet::NONE.with_range(b'A', b'Z')))
    .after(Guard::ANY)
    .valid(validators::password_named);

/// As the next member of an object: `name: DB_PASSWORD`, `value: …`.
pub(super) const NEXT_MEMBER: Pattern = pattern(BARE)
    .lead(concat!(r"(?i:", full!(), r#")["']?,?\s{1,20}(?i:["']?value["']? ?[:=] ?)["']?"#))
    .before(BEFORE_LONG)
    .after(AFTER_PASSWORD)
    .valid(validators::password_in_prose);

/// As the second of two strings that are handed over: `define('DB_PASSWORD', '…')`.
pub(super) const HANDED_OVER: Pattern = pattern(r#"[^"'\s\\]{1,128}"#)
    .lead(concat!(
        r"(?i:define|env|setdefault|set|put|get|property|header|field)\([",
        r#""'][\w.\-]{0,40}(?i:"#,
        full!(),
        r#"|pwd|pass|pw)["'], ?["']"#
    ))
    .trail(r#"["']"#)
    .before(Guard::ANY)
    .after(Guard::ANY)
    .valid(validators::password_quoted);

/// As the only string that is handed over: `setPassword("…")`, or behind the name alone.
pub(super) const CALLED: Pattern = pattern(r#"[^"'`\s\\]{1,128}"#)
    .lead(concat!(r"(?i:", full!(), r#")(?:\(| )["'`]"#))
    .trail(r#"["'`]"#)
    .before(Guard::ANY)
    .after(Guard::ANY)
    .valid(validators::password_named);

/// With a name of a user, for HTTP: `auth=("anna", "…")`.
pub(super) const BASIC_AUTH: Pattern = pattern(r#"[^"'\s]{1,128}"#)
    .lead(r#"(?i:basic_?auth|auth ?= ?)\(["'][^"'\s]{1,64}["'], ?["']"#)
    .trail(r#"["']"#)
    .before(Guard::ANY)
    .after(Guard::ANY)
    .valid(validators::password_quoted);

/// Directly behind `=`.
pub(super) const ASSIGNED: Pattern = pattern(BARE)
    .lead(concat!(r"(?i:", words!(), r#"|pwd|pass|pw|psw)["'*_]{0,3}="#))
    .before(BEFORE_WORD)
    .after(AFTER_PASSWORD)
    .valid(validators::password_assigned);

/// Behind a name in full and an operator.
pub(super) const LONG: Pattern = pattern(BARE)
    .lead(concat!(
        r"(?i:",
        full!(),
        r")(?: (?i:for|of|para|pour|de|f\xC3\xBCr) [\w.@\-]{1,40}(?: [\w.",
        r#"@\-]{1,20})?)?["'*_`]{0,3}[ \t]{0,4}(?::=|=>|===?|[:=])[*_]{0,"#,
        r"2}[ \t]{0,4}[`*]{0,2}"
    ))
    .before(BEFORE_LONG)
    .after(AFTER_PASSWORD)
    .valid(validators::password_in_prose);

/// Behind a short name and an operator.
pub(super) const SHORT: Pattern = pattern(BARE)
    .lead(concat!(
        r"(?:(?i:senha|has(?:\xC5\x82|l)o|pwd)|[Pp]ass|[Pp]w)(?: (?i:for|",
        r"of|para|pour|de|f\xC3\xBCr) [\w.@\-]{1,40}(?: [\w.@\-]{1,20})?)",
        r#"?["'*_`]{0,3}[ \t]{0,4}(?::=|=>|===?|[:=])[*_]{0,2}[ \t]{0,4}["#,
        r"`*]{0,2}"
    ))
    .before(BEFORE_WORD)
    .after(AFTER_PASSWORD)
    .valid(validators::password_in_prose);

/// As code in a text.
pub(super) const TICKED: Pattern = pattern(r"[^`\s]{1,128}")
    .lead(concat!(r"(?i:", words!(), r"|pwd)[*_]{0,3} ?(?:[:=]|is|ist)[*_]{0,3} ?`"))
    .trail("`")
    .before(BEFORE_WORD)
    .after(Guard::ANY)
    .valid(validators::password_named);

/// In a sentence.
pub(super) const SAID: Pattern = pattern(BARE)
    .lead(concat!(
        r"(?i:",
        words!(),
        r#"|pwd|passphrase)["'*_]{0,3}(?: (?i:for|of|to|para|pour|de|"#,
        r"f\xC3\xBCr) [\w.@\-]{1,40}(?: [\w.@\-]{1,20})?)? (?i:is|was|to",
        r"|as|est|ist|lautet|es|will be|with|\xC3[\xA8\xA9])(?i: now| ",
        r"set to| still|:)?:? [`*]{0,2}"
    ))
    .before(Guard::NO_ALPHANUMERIC)
    .after(AFTER_PASSWORD)
    .valid(validators::password_in_prose);

/// In quotes in a sentence.
pub(super) const SAID_QUOTED: Pattern = pattern(r#"[^"'`\s]{1,128}"#)
    .lead(concat!(
        r"(?i:",
        words!(),
        r")(?: (?i:for|of|to) [\w.@\-]{1,40})? (?i:is|was|to|ist|est|es|",
        r#"lautet|by) ["'`]"#
    ))
    .trail(r#"["'`]"#)
    .before(Guard::NO_ALPHANUMERIC)
    .after(Guard::ANY)
    .valid(validators::password_quoted);

/// In the next cell, or behind nothing but a space.
pub(super) const IN_CELL: Pattern = pattern(BARE_IN_CELL)
    .lead(concat!(
        r"(?i:",
        words!(),
        r")(?: |[*_`]{0,3}(?:\t{1,2}|[ \t]{0,16}\|[ \t]{0,4}[`*_]{0,3}))"
    ))
    .before(BEFORE_WORD)
    .after(AFTER_IN_CELL)
    .valid(validators::password_strong);

/// What ends a value in a cell.
const AFTER_IN_CELL: Guard =
    Guard::not(ByteSet::ALPHANUMERIC.with_each(b"!#$%+-/=?@\\^_~({[:").with_range(0x80, 0xff))
        .nor_pair(b'.', ByteSet::ALPHANUMERIC);

/// In the next cell or element of HTML.
pub(super) const IN_HTML: Pattern = pattern(r"[^<>\s]{1,128}")
    .lead(concat!(
        r"(?i:",
        full!(),
        r"):?</(?i:td|th|dt|b|strong|span|label)>:?\s{0,20}(?:<(?i:td|dd|",
        r"code|span|b)(?: [^<>]{0,40})?>){0,2}"
    ))
    .trail("</?[a-z]")
    .before(BEFORE_WORD)
    .after(Guard::ANY)
    .valid(validators::password_named);

/// As an element of XML.
pub(super) const ELEMENT: Pattern = pattern(r"[^<>\s]{1,128}")
    .lead(r"<(?i:password|passwd|pwd|passphrase)>")
    .trail("</")
    .before(Guard::ANY)
    .after(Guard::ANY)
    .valid(validators::password_quoted);

/// As an element of XML with a longer name.
pub(super) const LONG_ELEMENT: Pattern = pattern(r"[^<>\s]{1,128}")
    .lead(concat!("(?i:password|passwd|passphrase)", attributes!()))
    .trail(r"</[\w:.\-]{0,40}(?i:password|passwd|passphrase)>")
    .before(Guard::ANY)
    .after(Guard::ANY)
    .valid(validators::password_named);

/// In other languages that put spaces between words.
pub(super) const FOREIGN: Pattern = pattern(BARE)
    .lead(concat!(
        r"(?:(?i:\xC5[\x9E\x9F]ifre(?:niz|si|m)?|sifre(?:niz|si)?|parola(?:n",
        r"(?:\xC4\xB1|i)z)?|parol\xC4\x83|adgangskoden?|passordet|passord|",
        r"l(?:\xC3\x96|o)senord(?:et)?|l\xC3\xB6senordet|salasana(?:si)?|heslo|",
        r"lozinka|jelsz(?:\xC3[\x93\xB3]|o)|palavra-passe|m(?:\xE1\xBA\xAD|",
        r"a)t kh(?:\xE1\xBA\xA9|a)u|kata sandi)|\xD0[\x9F\xBF]\xD0\xB0",
        r"\xD1\x80\xD0\xBE\xD0\xBB\xD1\x8C|\xD0\x9F\xD0\x90\xD0\xA0\xD0",
        r"\x9E\xD0\x9B\xD0\xAC|\xCE[\x9A\xBA]\xCF\x89\xCE\xB4\xCE\xB9\xCE",
        r"\xBA(?:\xCF\x8C|\xCE\xBF)\xCF\x82(?: \xCF\x80\xCF\x81\xCF\x8C",
        r"\xCF\x83\xCE\xB2\xCE\xB1\xCF\x83\xCE\xB7\xCF\x82)?)",
        r#"["'*_`]{0,3}[ \t]{0,4}(?:[:=-]|er|\xC3\xA4r|on|je|to|\xC3\xA9|"#,
        r"l\xC3\xA0|este|\xD1\x8D\xD1\x82\xD0\xBE|\xCE\xB5\xCE\xAF\xCE\xBD",
        r"\xCE\xB1\xCE\xB9)[*_]{0,2}[ \t]{1,4}",
        r#"["'`*]{0,2}"#
    ))
    .before(BEFORE_WORD)
    .after(AFTER_PASSWORD)
    .valid(validators::password_in_prose);

/// In other languages, directly behind `:` or `=`, also in quotes.
pub(super) const FOREIGN_CLOSE: Pattern = pattern(BARE)
    .lead(concat!(
        r"(?:(?i:\xC5[\x9E\x9F]ifre|sifre|parola|adgangskode|passord|",
        r"l\xC3\x96senord|salasana|heslo|lozinka|jelsz(?:\xC3[\x93\xB3]|o)|",
        r"palavra-passe|m(?:\xE1\xBA\xAD|a)t kh(?:\xE1\xBA\xA9|a)u)|\xD0",
        r"[\x9F\xBF]\xD0\xB0\xD1\x80\xD0\xBE\xD0\xBB\xD1\x8C)",
        r#"["'*_`]{0,3}[:=]["'`]?"#
    ))
    .before(BEFORE_WORD)
    .after(AFTER_PASSWORD)
    .valid(validators::password_in_prose);

/// In languages without spaces between words.
pub(super) const WITHOUT_SPACES: Pattern = pattern(BARE_ASCII)
    .lead(concat!(
        r"(?:\xE3\x83\x91\xE3\x82\xB9\xE3\x83\xAF\xE3\x83\xBC\xE3\x83\x89",
        r"|\xE5\xAF\x86(?:\xE7\xA0\x81|\xE7\xA2\xBC)|\xEB\xB9\x84\xEB\xB0",
        r"\x80\xEB\xB2\x88\xED\x98\xB8|\xED\x8C\xA8\xEC\x8A\xA4\xEC\x9B\x8C",
        r"\xEB\x93\x9C|\xE0\xB8\xA3\xE0\xB8\xAB\xE0\xB8\xB1\xE0\xB8\xAA",
        r"\xE0\xB8\x9C\xE0\xB9\x88\xE0\xB8\xB2\xE0\xB8\x99|\xE0\xA4\xAA",
        r"\xE0\xA4\xBE\xE0\xA4\xB8\xE0\xA4\xB5\xE0\xA4\xB0\xE0\xA5\x8D",
        r"\xE0\xA4\xA1|\xD7\xA1\xD7\x99\xD7\xA1\xD7\x9E\xD7\x94|\xD9\x83",
        r"\xD9\x84\xD9\x85\xD8\xA9 \xD8\xA7\xD9\x84(?:\xD9\x85\xD8\xB1",
        r"\xD9\x88\xD8\xB1|\xD8\xB3\xD8\xB1))",
        r#"["'*_`]{0,3} ?(?:[:=]|\xE3\x81\xAF|\xE6\x98\xAF|\xE4\xB8\xBA|"#,
        r"\xE7\x82\xBA|\xEB\x8A\x94|\xEC\x9D\x80)[:*_]{0,2} ?",
        r#"(?:["'`*]{1,2}|\xE3\x80[\x8C\x8E])?"#
    ))
    .before(Guard::ANY)
    .after(AFTER_ASCII)
    .valid(validators::password_in_prose);

/// A word of Spanish that is a key of any kind.
pub(super) const CLAVE: Pattern = pattern(BARE)
    .lead(r"(?i:clave)[*_]{0,2} ?[:=][*_]{0,2} ?[`*]{0,2}")
    .before(BEFORE_WORD)
    .after(AFTER_PASSWORD)
    .valid(validators::password_strong);
