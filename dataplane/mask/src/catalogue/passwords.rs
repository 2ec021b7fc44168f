//! Passwords: after their name, on command lines, in addresses.

use super::{Detector, pattern};
use crate::rule::{ByteSet, Guard};
use crate::validators;

/// What passwords are called in full.
macro_rules! words {
    () => {
        concat!(
            r"password|passwort|passwd|passphrase|passcode|kennwort|mot de ",
            r"passe|contrase(?:\xC3\xB1|n)a|wachtwoord|senha|has(?:\xC5\x82|",
            r"l)o|l(?:\xC3\xB6|\xC3\xB8)senord"
        )
    };
}

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

static DETECTORS: &[Detector] = &[Detector {
    name: "PASSWORD",
    about: "passwords after their name and in addresses",
    default: true,
    patterns: &[
        pattern(r#"[^"\s\\]{1,128}"#)
            .lead(concat!(
                r"(?i:",
                words!(),
                r#"|pwd|pass|pw|psw)["'\]]{0,2} ?(?::=|=>|==|[:=]) ?(?i:[bur]?)""#
            ))
            .trail("\"")
            .before(BEFORE_WORD)
            .after(Guard::ANY)
            .valid(validators::password_quoted),
        pattern(r#"[^"\\]{1,128}"#)
            .lead(concat!(r"(?i:", words!(), r#"|pwd|pass|pw|psw)\\" ?: ?\\""#))
            .trail(r#"\\""#)
            .before(BEFORE_WORD)
            .after(Guard::ANY)
            .valid(validators::password_quoted),
        pattern(r"[^'\s]{1,128}")
            .lead(concat!(
                r"(?i:",
                words!(),
                r#"|pwd|pass|pw|psw)["'\]]{0,2} ?(?::=|=>|==|[:=]) ?(?i:[bur]?)\'"#
            ))
            .trail("'")
            .before(BEFORE_WORD)
            .after(Guard::ANY)
            .valid(validators::password_quoted),
        pattern(r#"[^\s"'`<>]{3,127}[^\s"'`<>.,;:]"#)
            .lead(concat!(r"(?i:", words!(), r#"|pwd|pass|pw|psw)["'*_]{0,3}="#))
            .before(BEFORE_WORD)
            .after(AFTER_PASSWORD)
            .valid(validators::password_assigned),
        pattern(r#"[^\s"'`<>]{3,127}[^\s"'`<>.,;:]"#)
            .lead(concat!(
                r"(?:(?i:",
                words!(),
                r"|pwd)|[Pp]ass|[Pp]w)(?: (?i:for|of|para|pour|de|f\xC3\xBCr) ",
                r#"[\w.@\-]{1,40}(?: [\w.@\-]{1,20})?)?["'*_]{0,3} ?(?::=|=>|[:=]"#,
                r") ?[`*]{0,2}"
            ))
            .before(BEFORE_WORD)
            .after(AFTER_PASSWORD)
            .valid(validators::password_in_prose),
        pattern(r#"[^\s"'`<>]{3,127}[^\s"'`<>.,;:]"#)
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
            .valid(validators::password_in_prose),
        pattern(r#"[^"'`\s]{1,128}"#)
            .lead(concat!(
                r"(?i:",
                words!(),
                r")(?: (?i:for|of|to) [\w.@\-]{1,40})? (?i:is|was|to|ist|est|es|",
                r#"lautet|by) ["'`]"#
            ))
            .trail(r#"["'`]"#)
            .before(Guard::NO_ALPHANUMERIC)
            .after(Guard::ANY)
            .valid(validators::password_quoted),
        pattern(r#"[^\s"'`<>]{3,127}[^\s"'`<>.,;:]"#)
            .lead(r"--(?:password|passwd|pass|passphrase|requirepass)(?: |=)")
            .before(Guard::ANY)
            .after(AFTER_PASSWORD)
            .valid(validators::password_assigned),
        pattern(r#"[^\s"'`<>]{3,127}[^\s"'`<>.,;:]"#)
            .lead(r"(?:requirepass|sshpass -p|masterauth) ?")
            .before(Guard::NO_WORD)
            .after(AFTER_PASSWORD)
            .valid(validators::password_assigned),
        pattern(r#"[^\s"'`<>]{3,127}[^\s"'`<>.,;:]"#)
            .lead(r"curl[^\n|]{0,80} (?:-u|--user) ?[\w.@\-]{1,40}:")
            .before(Guard::NO_WORD)
            .after(AFTER_PASSWORD)
            .valid(validators::password_assigned),
        pattern(r#"[^'"\s]{1,128}"#)
            .lead(r#"(?i:identified by|with password|set password =) ['\"]"#)
            .trail(r#"['"]"#)
            .before(Guard::NO_WORD)
            .after(Guard::ANY)
            .valid(validators::password_quoted),
        pattern(r"[^<>\s]{1,128}")
            .lead(r"<(?i:password|passwd|pwd|passphrase)>")
            .trail("</")
            .before(Guard::ANY)
            .after(Guard::ANY)
            .valid(validators::password_quoted),
        pattern(r#"[^\s"'`<>]{1,128}"#)
            .lead(SCHEME_AND_USER)
            .trail("@")
            .after(AFTER_AT)
            .valid(validators::password_of_url),
    ],
    positives: &[
        "password: «hunter22»",
        "redis://u:«pw9x»@host.example.org",
        "DATABASE_URL=postgres://app:«jQwlh-~d»@db.example.com",
        "The admin password is «Eq0*3L6Z4IP» until then",
        "\"password\": \"«correcthorse»\"",
        "DB_PASSWORD=«s3cr3tpw!»\n",
        "Passwort: «Geheim#99»",
        "password='«letmein»'",
        "mysql --password «Tr0ub4dor» db",
        "the password for user bob is «xk-42-zz», ok",
        "IDENTIFIED BY '«abcd1234»'",
        "<password>«pa55»</password>",
        "amqp://:«p%77d9»@mq:5672/",
        "Server=db;Uid=sa;Password=«Pa55w0rd»;Database=x",
        "mot de passe : «Azerty12!»",
        "la contraseña es «Zeta_77», y",
        "a senha é «k4t-9xx»",
        "https://bob:«a/b9@c»@example.org/x",
        "The password is \"«opensesame»\".",
    ],
    near_misses: &[
        "password: <yours>",
        "postgres://u:${PW}@h",
        "The password is incorrect.",
        "password is required",
        "password=${DB_PASSWORD}",
        "password: ****",
        "Password: changeme",
        "password = None",
        "password=self.password",
        "password: str",
        "https://host:8080/path@x",
        "password = getpass.getpass()",
        "the password to https://example.org",
        "password=null",
        "postgres://user:password@localhost",
        "password: '{{ db_password }}'",
        "password=os.environ['PW']",
        "reset password: click here",
        "PASSWORD=xxxxxxxx",
        "first pass: 12 items",
        "--- PASS: test_foo2 (0.00s)",
        "fn f(password: &str)",
        "http://[::1]:80/@x",
        "export PASSWORD=$DB_PASSWORD",
        "The password is 12 characters",
    ],
}];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
