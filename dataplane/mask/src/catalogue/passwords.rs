//! Passwords: after their name, on command lines, in addresses.

use super::{Detector, pattern};
use crate::rule::{ByteSet, Guard};
use crate::validators;

/// What passwords are called in full, with letters before it or not.
macro_rules! full {
    () => {
        concat!(
            r"password|passwort|passwd|passphrase|passcode|kennwort|mot de ",
            r"passe|contrase(?:\xC3\xB1|n)a|wachtwoord|l(?:\xC3\xB6|\xC3\xB8)senord"
        )
    };
}

/// What passwords are called in full.
macro_rules! words {
    () => {
        concat!(full!(), r"|senha|has(?:\xC5\x82|l)o")
    };
}

mod commands;
mod examples;
mod names;

/// A short name such as `pw` is one only as a word of its own.
const BEFORE_WORD: Guard = Guard::not(ByteSet::LETTERS);

/// What ends a value that has no quotes: space, a quote, or what belongs to the sentence.
const AFTER_PASSWORD: Guard =
    Guard::not(ByteSet::ALPHANUMERIC.with_each(b"!#$%*+-/=?@\\^_|~({[:").with_range(0x80, 0xff))
        .nor_pair(b'.', ByteSet::ALPHANUMERIC);

/// A host follows.
const AFTER_AT: Guard = Guard::not(ByteSet::NONE.with_each(b" \t\r\n\"'`<>@/"));

/// The front of an address up to the password.
const SCHEME_AND_USER: &str = r#"(?i:[a-z][a-z0-9+.\-]{1,20})://[^\s:/@"'`<>\[\]]{0,64}:"#;

/// The same where an address of mail is the user.
const SCHEME_AND_MAIL: &str = concat!(
    r#"(?i:[a-z][a-z0-9+.\-]{1,20})://[^\s:/@"'`<>\[\]]{1,64}@[^\s:/@"'`<>"#,
    r"\[\]]{1,64}:"
);

static DETECTORS: &[Detector] = &[Detector {
    name: "PASSWORD",
    about: "passwords after their name and in addresses",
    default: true,
    patterns: &[
        names::DOUBLE_QUOTED,
        names::ESCAPED,
        names::SINGLE_QUOTED,
        names::LONG_QUOTED,
        names::HUMP,
        names::NEXT_MEMBER,
        names::HANDED_OVER,
        names::CALLED,
        names::BASIC_AUTH,
        names::ASSIGNED,
        names::LONG,
        names::SHORT,
        names::TICKED,
        names::SAID,
        names::SAID_QUOTED,
        names::IN_CELL,
        names::IN_HTML,
        names::ELEMENT,
        names::LONG_ELEMENT,
        names::FOREIGN,
        names::FOREIGN_CLOSE,
        names::WITHOUT_SPACES,
        names::CLAVE,
        commands::OPTION,
        commands::DIRECT,
        commands::CURL,
        commands::MYSQL,
        commands::SEVEN_ZIP,
        commands::RAR,
        commands::LOGIN,
        commands::CAPITAL,
        commands::REDIS,
        commands::LDAP,
        commands::OTHERS,
        commands::STORE,
        commands::SAMBA,
        commands::OF_USER,
        commands::PIPED,
        commands::STATEMENT,
        commands::NETRC,
        pattern(r#"[^\s"'`<>]{1,128}"#)
            .lead(SCHEME_AND_USER)
            .trail("@")
            .after(AFTER_AT)
            .valid(validators::password_of_url),
        pattern(r#"[^\s"'`<>@/]{1,128}"#)
            .lead(SCHEME_AND_MAIL)
            .trail("@")
            .after(AFTER_AT)
            .valid(validators::password_of_url),
    ],
    positives: examples::POSITIVES,
    near_misses: examples::NEAR_MISSES,
}];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
