//! The decision once more, straight from the words of the contract, slow and obvious; random
//! policies and requests must come out alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::approve::approval;
use super::{connection, issuer};
use crate::catalogue::{Classified, Operation, Risk};
use crate::decision::{Decision, DenyCause, Policy, subject_matches};
use crate::documents::{Approval, Day, Effect, Hours, Issuer, Rule, Subject};
use crate::identity::{Access, Identity, Intent};

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => (0..=text.len()).any(|from| glob(&pattern[1..], &text[from..])),
        Some(first) => text.starts_with(first) && glob(&pattern[1..], &text[1..]),
    }
}

fn any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| glob(pattern, text))
}

fn is_subject(subject: &Subject, who: &Identity) -> bool {
    if subject.issuer.as_ref().is_some_and(|issuer| *issuer != who.issuer) {
        return false;
    }
    if subject.users.as_ref().is_some_and(|users| !any(users, &who.user)) {
        return false;
    }
    if subject.groups.as_ref().is_some_and(|names| !names.iter().any(|g| who.groups.contains(g))) {
        return false;
    }
    subject.claims.iter().flatten().all(|(path, text)| {
        let pointer = format!("/{}", path.replace('.', "/"));
        match Value::Object(who.claims.clone()).pointer(&pointer) {
            Some(Value::String(value)) => value == text,
            Some(Value::Number(value)) => format!("{value}") == *text,
            Some(Value::Bool(value)) => format!("{value}") == *text,
            _ => false,
        }
    })
}

fn concerns(rule: &Rule, who: &Identity) -> bool {
    let included = rule.subjects.is_empty() || rule.subjects.iter().any(|s| is_subject(s, who));
    included && !rule.except.iter().any(|s| is_subject(s, who))
}

fn models(request: &Classified) -> Vec<&String> {
    request.model.iter().chain(&request.other_models).collect()
}

fn names_all_models(patterns: &[String], request: &Classified) -> bool {
    let names = models(request);
    patterns.iter().any(|pattern| pattern == "*")
        || (!request.unnamed_model
            && !names.is_empty()
            && names.iter().all(|name| any(patterns, name)))
}

fn allows(rule: &Rule, operation: usize, request: &Classified) -> bool {
    let name = request.operations[operation].name();
    let must_be_named = request.operation_risks[operation] == Risk::Critical || name == "unknown";
    let reaches =
        |pattern: &String| glob(pattern, name) && !(must_be_named && pattern.contains('*'));
    rule.operations.iter().any(reaches) && names_all_models(&rule.models, request)
}

/// Hours of the test are in UTC; 1970-01-01 was a Thursday.
fn is_open(rule: &Rule, now_ms: u64) -> bool {
    let minutes = now_ms / 60_000;
    let (day, minute) = (minutes / 1_440 + 3, (minutes % 1_440) as u16);
    let begins = |hours: &Hours, day: u64| {
        let day = WEEK[(day % 7) as usize];
        hours.days.is_empty() || hours.days.contains(&day)
    };
    let holds = |hours: &Hours| {
        if hours.from < hours.to {
            begins(hours, day) && hours.from <= minute && minute < hours.to
        } else {
            (begins(hours, day) && hours.from <= minute)
                || (begins(hours, day - 1) && minute < hours.to)
        }
    };
    rule.when.is_empty() || rule.when.iter().any(holds)
}

/// Approve rules restrict in the same way.
fn denies(rule: &Rule, request: &Classified) -> bool {
    let operations = rule.operations.is_empty()
        || request.operations.iter().any(|operation| any(&rule.operations, operation.name()));
    let model = rule.models.iter().any(|pattern| pattern == "*")
        || request.unnamed_model
        || models(request).iter().any(|name| any(&rule.models, name))
        || request
            .spellings
            .iter()
            .any(|name| rule.models.iter().any(|pattern| glob(&pattern.to_lowercase(), name)));
    operations && model
}

fn covers(access: &Access, connection: &str, request: &Classified) -> bool {
    access.connections.as_ref().is_none_or(|patterns| any(patterns, connection))
        && access.operations.as_ref().is_none_or(|patterns| {
            request.operations.iter().all(|operation| any(patterns, operation.name()))
        })
        && access.models.as_ref().is_none_or(|patterns| names_all_models(patterns, request))
}

fn expected(
    rules: &[Rule],
    who: &Identity,
    connection: &str,
    request: &Classified,
    now_ms: u64,
) -> Decision {
    let mine: Vec<&Rule> = rules
        .iter()
        .filter(|rule| concerns(rule, who) && any(&rule.connections, connection))
        .filter(|rule| is_open(rule, now_ms))
        .collect();
    let name = |rule: &Rule| -> Arc<str> { Arc::from(rule.name.as_str()) };
    for rule in mine.iter().filter(|rule| rule.effect == Effect::Deny) {
        if denies(rule, request) {
            return Decision::Deny { rule: Some(name(rule)), cause: DenyCause::Rule };
        }
    }
    let asking: Vec<&&Rule> = mine
        .iter()
        .filter(|rule| rule.effect == Effect::Approve && denies(rule, request))
        .collect();
    let mut end_with_token = asking.iter().any(|rule| rule.end_with_token);
    let mut givers = Vec::new();
    for operation in 0..request.operations.len() {
        let giver = mine
            .iter()
            .find(|rule| rule.effect == Effect::Allow && allows(rule, operation, request));
        match giver {
            Some(rule) => {
                end_with_token |= rule.end_with_token;
                givers.push((request.operation_risks[operation], name(rule)));
            }
            None if asking.iter().any(|rule| {
                any(&rule.operations, request.operations[operation].name())
                    && names_all_models(&rule.models, request)
            }) => {}
            None => return Decision::Deny { rule: None, cause: DenyCause::NoRule(operation) },
        }
    }
    let covered = who.intent.as_ref().is_none_or(|intent| {
        intent.accesses.iter().any(|access| covers(access, connection, request))
    });
    if !covered {
        return Decision::Deny { rule: None, cause: DenyCause::Intent };
    }
    if !asking.is_empty() {
        let rules = asking.into_iter().map(|rule| name(rule)).collect();
        return Decision::Approve { rules, end_with_token };
    }
    let highest = givers.iter().map(|(risk, _)| *risk).max().unwrap();
    let (_, rule) = givers.into_iter().find(|(risk, _)| *risk == highest).unwrap();
    Decision::Allow { rule, end_with_token }
}

const WEEK_MS: u64 = 604_800_000;
const WEEK: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
const ISSUERS: [&str; 2] = ["company", "ci"];
const CONNECTIONS: [&str; 3] = ["c1", "c2", "d1"];
const USERS: [&str; 4] = ["ann", "anna", "bob", ""];
const GROUPS: [&str; 3] = ["g1", "g2", "g3"];
const MODELS: [&str; 5] = ["m1", "m2", "m10", "x", "m"];
const OPERATIONS: [&str; 6] =
    ["infer.chat", "infer.complete", "list", "exec", "unknown", "adapter.load"];

fn some_of(texts: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    vec(select(texts), 1..3).prop_map(|texts| texts.into_iter().map(str::to_owned).collect())
}

fn subject() -> impl Strategy<Value = Subject> {
    let claims = vec((select(&["team", "o.p"]), select(&["1", "true", "blue"])), 1..3);
    let claims = claims.prop_map(|pairs| {
        pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<BTreeMap<_, _>>()
    });
    (
        select(&ISSUERS),
        option::weighted(0.4, some_of(&["ann", "an*", "*", "*b", "bob"])),
        option::weighted(0.3, some_of(&GROUPS)),
        option::weighted(0.1, claims),
    )
        .prop_map(|(issuer, users, groups, claims)| Subject {
            issuer: Some(issuer.to_owned()),
            users,
            groups,
            claims,
        })
}

fn hours() -> impl Strategy<Value = Hours> {
    (subsequence(&WEEK[..], 0..=7), 0_u16..1_440, 0_u16..=1_440)
        .prop_map(|(days, from, to)| Hours { days, from, to, zone: "UTC".to_owned() })
}

fn effect() -> impl Strategy<Value = Effect> {
    prop_oneof![
        14 => Just(Effect::Allow),
        3 => Just(Effect::Deny),
        4 => Just(Effect::Approve),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let timing =
        (prop_oneof![3 => Just(Vec::new()), 1 => vec(hours(), 1..3)], prop::bool::weighted(0.1));
    (
        (effect(), timing),
        vec(subject(), 1..3),
        vec(subject(), 0..2),
        some_of(&["*", "*", "c1", "c*", "d1", "*1"]),
        some_of(&["*", "infer.*", "infer.chat", "list", "exec", "e*", "*", "unknown"]),
        some_of(&["*", "*", "m1", "m*", "*1*", "X", "x", "m10"]),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(said, subjects, except, connections, operations, models, wide)| {
            let (effect, (when, ends)) = said;
            let wide = wide && effect == Effect::Deny;
            Rule {
                name: String::new(),
                effect,
                subjects: if wide { Vec::new() } else { subjects },
                except,
                connections,
                operations: if wide { Vec::new() } else { operations },
                models,
                when,
                end_with_token: ends && effect != Effect::Deny,
                approval: (effect == Effect::Approve).then(in_company),
            }
        })
}

/// What it asks for does not matter here.
fn in_company() -> Approval {
    let issuer = Some(ISSUERS[0].to_owned());
    Approval { reviewers: vec![Subject { issuer, ..Subject::default() }], ..approval() }
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    // Few, so that some requests pass; many, so that rules fill more than one word of bits.
    prop_oneof![6 => vec(rule(), 0..10), 1 => vec(rule(), 64..80)].prop_map(|mut rules| {
        for (index, rule) in rules.iter_mut().enumerate() {
            rule.name = format!("r{index}");
        }
        rules
    })
}

fn access() -> impl Strategy<Value = Access> {
    (
        option::weighted(0.4, some_of(&["c1", "c*", "*"])),
        option::weighted(0.4, some_of(&["infer.*", "list", "*"])),
        option::weighted(0.4, some_of(&["m*", "x", "*"])),
    )
        .prop_map(|(connections, operations, models)| Access {
            connections,
            operations,
            models,
            reason: None,
            ticket: None,
        })
}

fn claims() -> impl Strategy<Value = Map<String, Value>> {
    let value = select(vec![json!(1), json!("1"), json!(true), json!("blue"), json!(["blue"])]);
    (value.clone(), value).prop_map(|(team, nested)| {
        Map::from_iter([("team".to_owned(), team), ("o".to_owned(), json!({"p": nested}))])
    })
}

fn identity() -> impl Strategy<Value = Identity> {
    (
        select(&ISSUERS),
        select(&USERS),
        subsequence(&GROUPS, 0..=3),
        claims(),
        option::weighted(0.3, vec(access(), 0..3)),
    )
        .prop_map(|(issuer, user, groups, claims, accesses)| Identity {
            issuer: issuer.to_owned(),
            subject: user.to_owned(),
            user: user.to_owned(),
            groups: groups.into_iter().map(str::to_owned).collect(),
            claims,
            intent: accesses.map(|accesses| Intent { accesses }),
        })
}

fn request() -> impl Strategy<Value = Classified> {
    (
        subsequence(&OPERATIONS, 1..=2),
        select(vec![Risk::Low, Risk::High, Risk::Critical]),
        option::weighted(0.8, select(&MODELS)),
        option::weighted(0.15, select(&MODELS)),
        option::weighted(0.2, select(&MODELS)),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(operations, risk, model, other, spelling, unnamed)| {
            let operations: Vec<Operation> =
                operations.iter().map(|name| Operation::named(name).unwrap()).collect();
            let mut request = Classified::new(&operations, Risk::None, model);
            request.operation_risks[0] = request.operation_risks[0].max(risk);
            let spelling = spelling.filter(|_| model.is_some());
            if request.model.is_some() {
                request.other_models.extend(other.map(str::to_owned));
            }
            request.spellings.extend(spelling.map(str::to_owned));
            request.unnamed_model = unnamed;
            request
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_compiled_policy_decides_as_the_words_of_the_contract(
        rules in rules(),
        asked in vec((identity(), select(&CONNECTIONS), request(), 0..4 * WEEK_MS), 8),
    ) {
        let issuers: Vec<Issuer> = ISSUERS.iter().map(|name| issuer(name)).collect();
        let connections: Vec<_> = CONNECTIONS.iter().map(|name| connection(name)).collect();
        let policy = Policy::compile(&issuers, &connections, &rules).unwrap();
        for (who, name, request, now_ms) in &asked {
            let connection = policy.connection(name).unwrap();
            let subject = policy.subject_rules(who);
            let decision = policy.decide(who, &subject, connection, request, *now_ms);
            prop_assert_eq!(&decision, &expected(&rules, who, name, request, *now_ms));
            let visible = rules.iter().any(|rule| {
                rule.effect != Effect::Deny
                    && concerns(rule, who)
                    && any(&rule.connections, name)
            });
            prop_assert_eq!(policy.visible(&subject, connection), visible);
        }
    }

    #[test]
    fn one_subject_alone_matches_as_in_a_rule(subject in subject(), who in identity()) {
        prop_assert_eq!(subject_matches(&subject, &who), is_subject(&subject, &who));
    }
}
