//! Passwords on command lines and in statements of databases.

use super::AFTER_PASSWORD;
use crate::catalogue::{Pattern, pattern};
use crate::rule::Guard;
use crate::validators;

/// A password without quotes.
const BARE: &str = r#"[^\s"'`<>]{3,127}[^\s"'`<>.,;:]"#;

/// What may stand between a command and the option of its password: one word, and options. A word
/// that is none of these ends it, so that a sentence about the command does not wait.
macro_rules! arguments {
    () => {
        r#"(?:[\w./:@?="'\-]{1,80} )?(?:-[^\n|;&]{0,100} )?"#
    };
}

/// An option that is called so in full.
pub(super) const OPTION: Pattern =
    option(concat!(r"--(?:password|passwd|pass|passphrase|requirepass)(?: |=)", r#"["']?"#))
        .before(Guard::ANY)
        .valid(validators::password_assigned);

/// What takes nothing but a password.
pub(super) const DIRECT: Pattern =
    option(r#"(?:requirepass|sshpass -p|masterauth) ?["']?"#).valid(validators::password_assigned);

/// Behind the name of a user.
pub(super) const CURL: Pattern = option(concat!(
    r#"(?:curl|wget)(?:\.exe)? (?:["']?(?:-|https?:|\$)[^\n|]{0,80} )?"#,
    r"(?:-u|--user|-U|--proxy-user)[ =]?",
    r#"["']?[\w.@\-]{1,40}:"#
))
.valid(validators::password_assigned);

/// Directly behind `-p`, which with a space is none.
pub(super) const MYSQL: Pattern = option(concat!(
    r"(?:mysql|mariadb)[a-z_\-]{0,12}(?:\.exe)? (?:-[^\n|;&]{0,80} )?-p",
    r#"["']?"#
))
.valid(validators::password_assigned);

/// The same of archives.
pub(super) const SEVEN_ZIP: Pattern = option(r#"7z[azr]? [adeltux] (?:[^\n|;&]{0,80} )?-p["']?"#)
    .valid(validators::password_assigned);

/// The same.
pub(super) const RAR: Pattern = option(r#"(?:unrar|rar) [aelptvx] (?:[^\n|;&]{0,80} )?-h?p["']?"#)
    .valid(validators::password_assigned);

/// Behind `-p`, of commands that take no port or path so.
pub(super) const LOGIN: Pattern = option(concat!(
    r"(?:(?:docker|podman|nerdctl|buildah|skopeo|oras|helm registry|az|az ",
    r"acr|oc|cf|argocd|heroku) login|mongo(?:sh|dump|restore|export|import",
    r"|stat|top|files)?|cqlsh) ",
    arguments!(),
    r#"-p[ =]["']?"#
));

/// Behind `-P`.
pub(super) const CAPITAL: Pattern = option(concat!(
    r"(?:unzip|zipcloak|zip|sqlcmd|bcp|ipmitool|mosquitto_[a-z]{2,3}) ",
    arguments!(),
    r#"-P ?["']?"#
));

/// Behind `-a`.
pub(super) const REDIS: Pattern =
    option(concat!(r"(?:redis|valkey|keydb)-cli ", arguments!(), r#"-a ["']?"#));

/// Behind `-w`.
pub(super) const LDAP: Pattern = option(concat!(
    r"ldap(?:search|modify|add|delete|whoami|passwd|compare|modrdn|exop) ",
    r#"(?:-[^\n]{0,120} )?-w ["']?"#
));

/// Behind `-pw`, `/p:` and `-u user,`.
pub(super) const OTHERS: Pattern = option(concat!(
    r"(?:(?:plink|pscp|psftp|putty)(?:\.exe)? ",
    arguments!(),
    r"-pw |[xw]freerdp(?:\.exe)? (?:[/+\-][^\n|;&]{0,100} )?/p:|lftp ",
    arguments!(),
    r#"-u [\w.@\-]{1,40},)["']?"#
));

/// Of a store of keys.
pub(super) const STORE: Pattern =
    option(r#"-(?:(?:src|dest)?(?:store|key)pass|pass(?:in|out)? pass:) ?["']?"#)
        .before(Guard::NO_WORD)
        .valid(validators::password_assigned);

/// Behind a user and `%`.
pub(super) const SAMBA: Pattern = option(concat!(
    r#"(?:smbclient|rpcclient|smbget|smbmap|winexe) (?:["']?(?:-|//|\\\\)"#,
    r#"[^\n|;]{0,100} )?(?:-U|--user)[ =]?["']?[\w.\\/@\-]{1,40}%"#
))
.valid(validators::password_assigned);

/// Behind the name of a user whose password is set.
pub(super) const OF_USER: Pattern = option(concat!(
    r"(?:htpasswd -(?:[a-mo-zA-Z]{0,3}b[a-mo-zA-Z]{0,3} [^\s]{1,60}|[bB]{0,2}n[",
    r"bB]{1,2}) |rabbitmqctl (?:-[^\n|;&]{0,40} )?(?:add_user|change_password) |",
    r"net use (?:(?:\*|[A-Za-z]:|\\\\)[^\n]{0,100} )?/user:)[\w.\\@\-]{1,40} ",
    r#"["']?"#
));

/// What is piped to a command that reads it.
pub(super) const PIPED: Pattern = pattern(r#"[^\s"'`<>|]{3,128}"#)
    .lead(r#"echo (?:-[en]{1,2} )?["']?(?:[\w.\-]{1,32}:)?"#)
    .trail(r#"["']? ?\| ?(?:sudo (?:-\w )?-S|(?:sudo )?chpasswd|passwd --stdin)"#)
    .after(Guard::NO_WORD)
    .valid(validators::password_assigned);

/// In a statement.
pub(super) const STATEMENT: Pattern = pattern(r#"[^'"\s]{1,128}"#)
    .lead(concat!(
        r"(?i:identified (?:with [\w']{1,40} )?(?:by|as)|with password|set ",
        r"password =|set password for [^\s=;]{1,80} ?= ?(?:password\()?|",
        r"(?:login|encrypted) password)",
        r#" ?['"]"#
    ))
    .trail(r#"['"]"#)
    .before(Guard::NO_WORD)
    .after(Guard::ANY)
    .valid(validators::password_quoted);

/// Behind a machine and a name, of `.netrc`.
pub(super) const NETRC: Pattern =
    option(r"(?:machine [\w.:\-]{1,80}|default)\s{1,8}login [^\s]{1,64}\s{1,8}password[ \t]{1,4}")
        .valid(validators::password_assigned);

/// The value of an option, with what stands before it.
const fn option(lead: &'static str) -> Pattern {
    pattern(BARE)
        .lead(lead)
        .before(Guard::NO_WORD)
        .after(AFTER_PASSWORD)
        .valid(validators::password_of_option)
}
