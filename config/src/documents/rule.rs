//! `kind: rule` and `kind: role`, and what other kinds share with them.

use std::collections::BTreeMap;

use super::approval::read::{approval, when};
use super::{Approval, Effect, Role, RoleName, Rule, Subject};
use crate::catalogue::Operation;
use crate::diagnostics::{hint_among, quoted};
use crate::glob::Glob;
use crate::reader::{Fields, Keys, Reader};

pub(super) const RULE_KEYS: Keys = Keys::known(&[
    "kind",
    "name",
    "effect",
    "subjects",
    "except",
    "connections",
    "operations",
    "models",
    "when",
    "end_with_token",
    "approval",
]);

pub(super) const ROLE_KEYS: Keys = Keys::known(&["kind", "name", "role", "subjects"]);

const SUBJECT_KEYS: Keys = Keys::known(&["issuer", "users", "groups", "claims"]);

const EFFECTS: &[(&str, Effect)] =
    &[("allow", Effect::Allow), ("deny", Effect::Deny), ("approve", Effect::Approve)];

const ROLES: &[(&str, RoleName)] = &[
    ("user", RoleName::User),
    ("approver", RoleName::Approver),
    ("operator", RoleName::Operator),
    ("auditor", RoleName::Auditor),
    ("admin", RoleName::Admin),
];

pub(super) fn read_rule(name: Option<String>, fields: Fields<'_>) -> Option<Rule> {
    let effect = fields.required("effect", |value| value.choice(EFFECTS, &[]));
    let gives = effect.is_some_and(|effect| effect != Effect::Deny);
    let (subjects, operations) = if gives {
        let subjects = fields.required("subjects", subjects);
        (subjects, fields.required("operations", |value| value.list(1, operation)))
    } else {
        let subjects = fields.or("subjects", Vec::new(), |value| value.list(0, subject));
        (subjects, fields.or("operations", Vec::new(), |value| value.list(0, operation)))
    };
    let except = fields.or("except", Vec::new(), |value| value.list(0, subject));
    let everything = || vec!["*".to_owned()];
    let connections = fields.or("connections", everything(), |value| value.list(1, connection));
    let models = fields.or("models", everything(), |value| value.list(1, Reader::string));
    let when = fields.or("when", Vec::new(), when);
    let end_with_token = end_with_token(effect, fields);
    let approval = approval_of(effect, fields);
    Some(Rule {
        name: name?,
        effect: effect?,
        subjects: subjects?,
        except: except?,
        connections: connections?,
        operations: operations?,
        models: models?,
        when: when?,
        end_with_token: end_with_token?,
        approval: approval?,
    })
}

fn end_with_token(effect: Option<Effect>, fields: Fields<'_>) -> Option<bool> {
    let ends = fields.or("end_with_token", false, Reader::boolean)?;
    if ends && effect == Some(Effect::Deny) {
        let hint = "it belongs to the rule that lets the request pass";
        return fields.problem("end_with_token", "nothing runs under a deny rule", hint);
    }
    Some(ends)
}

/// `approval` stands exactly where the effect is to approve.
fn approval_of(effect: Option<Effect>, fields: Fields<'_>) -> Option<Option<Approval>> {
    match effect {
        Some(Effect::Approve) => fields.required("approval", approval).map(Some),
        Some(Effect::Allow | Effect::Deny) if fields.has("approval") => {
            // What is wrong inside is said all the same.
            fields.optional("approval", approval);
            fields.problem(
                "approval",
                "`approval` in a rule of another effect",
                "write `effect: approve`, or remove it",
            )
        }
        // What the effect was meant to be is said already.
        Some(Effect::Allow | Effect::Deny) | None => fields.optional("approval", approval),
    }
}

/// A list of at least one entry.
pub(super) fn subjects(value: Reader<'_>) -> Option<Vec<Subject>> {
    value.list(1, subject)
}

pub(super) fn read_role(name: Option<String>, fields: Fields<'_>) -> Option<Role> {
    let role = fields.required("role", |value| value.choice(ROLES, &[]));
    let subjects = fields.required("subjects", subjects);
    Some(Role { name: name?, role: role?, subjects: subjects? })
}

pub(super) fn subject(value: Reader<'_>) -> Option<Subject> {
    let fields = value.mapping(&SUBJECT_KEYS)?;
    if fields.is_empty() {
        return value.problem(
            "an empty entry would hold for everybody",
            "name an issuer, users, groups or claims",
        );
    }
    let texts = |value: Reader<'_>| value.list(1, Reader::string);
    let issuer = fields.optional("issuer", Reader::name);
    let users = fields.optional("users", texts);
    let groups = fields.optional("groups", texts);
    let claims = fields.optional("claims", claims);
    Some(Subject { issuer: issuer?, users: users?, groups: groups?, claims: claims? })
}

fn claims(value: Reader<'_>) -> Option<BTreeMap<String, String>> {
    let pairs = value.pairs(Reader::string)?;
    if pairs.is_empty() {
        return value.problem("an empty mapping", "name at least one claim, or leave the key out");
    }
    if pairs.iter().any(|(claim, _)| claim.is_empty()) {
        return value.problem("a claim without a name", "");
    }
    Some(pairs.into_iter().map(|(claim, text)| (claim.to_owned(), text)).collect())
}

/// A connection's name, with `*` for any characters.
pub(super) fn connection(value: Reader<'_>) -> Option<String> {
    let text = value.text()?;
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-*".contains(&byte);
    if text.bytes().all(fits) {
        return Some(text.to_owned());
    }
    value.problem("not a connection's name", "lower-case letters, digits, hyphens; `*` for any")
}

/// An operation's name, with `*` for any characters.
pub(super) fn operation(value: Reader<'_>) -> Option<String> {
    let text = value.text()?;
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-*".contains(&byte);
    if !text.bytes().all(fits) {
        let hint = "such as `infer.chat`; `*` for any characters";
        return value.problem("not an operation's name", hint);
    }
    // Checked here, where the place is at hand, and not with the references: it needs no other
    // document, so a mistake elsewhere must not hide it.
    let glob = Glob::new(text);
    if Operation::all().any(|known| glob.matches(known.name())) {
        return Some(text.to_owned());
    }
    let names: Vec<_> = Operation::all().map(Operation::name).collect();
    let hint = hint_among(text, "operations", names.into_iter());
    if glob.is_exact() {
        value.problem(format!("unknown operation {}", quoted(text)), &hint)
    } else {
        value.problem(format!("no operation matches {}", quoted(text)), &hint)
    }
}
