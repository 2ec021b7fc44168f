use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::{Decision, DenyCause, Policy, subject_matches};
use crate::catalogue::{Classified, Operation, Risk};
use crate::documents::{
    Connection, ConnectionLimits, Effect, Endpoint, Issuer, Protocol, Rule, Subject,
};
use crate::identity::{Access, Identity, Intent};

mod approve;
mod oracle;

/// 2026-11-27 12:00:00 UTC, a Friday.
const NOW_MS: u64 = 1_795_780_800_000;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn issuer(name: &str) -> Issuer {
    Issuer {
        name: name.to_owned(),
        issuer: format!("https://{name}.example.com"),
        jwks_uri: None,
        audiences: strings(&["penstock"]),
        user_claim: "sub".to_owned(),
        groups_claim: "groups".to_owned(),
        leeway_ms: 30_000,
        lifetime_ms_max: 86_400_000,
        token_types: strings(&["JWT"]),
        client_id: None,
    }
}

fn connection(name: &str) -> Connection {
    Connection {
        name: name.to_owned(),
        protocol: Protocol::Vllm,
        version: None,
        endpoints: vec![Endpoint {
            host: "127.0.0.1".to_owned(),
            port: 8000,
            base_path: String::new(),
        }],
        tls: None,
        credential: None,
        mask: None,
        limits: ConnectionLimits { decision_bytes_max: 1, body_bytes_max: 1, stream_ms_max: 1 },
        table: Vec::new(),
    }
}

fn groups(names: &[&str]) -> Subject {
    Subject { groups: Some(strings(names)), ..Subject::default() }
}

fn users(names: &[&str]) -> Subject {
    Subject { users: Some(strings(names)), ..Subject::default() }
}

fn claim(path: &str, text: &str) -> Subject {
    let claims = BTreeMap::from([(path.to_owned(), text.to_owned())]);
    Subject { claims: Some(claims), ..Subject::default() }
}

fn rule(name: &str, effect: Effect, operations: &[&str]) -> Rule {
    Rule {
        name: name.to_owned(),
        effect,
        subjects: vec![groups(&["engineers"])],
        except: Vec::new(),
        connections: strings(&["*"]),
        operations: strings(operations),
        models: strings(&["*"]),
        when: Vec::new(),
        end_with_token: false,
        approval: None,
    }
}

fn allow(name: &str, operations: &[&str]) -> Rule {
    rule(name, Effect::Allow, operations)
}

fn deny(name: &str, operations: &[&str]) -> Rule {
    Rule { subjects: Vec::new(), ..rule(name, Effect::Deny, operations) }
}

fn compile(rules: &[Rule]) -> Policy {
    let connections = [connection("llama"), connection("vllm-a")];
    Policy::compile(&[issuer("company")], &connections, rules).unwrap()
}

fn engineer() -> Identity {
    Identity {
        issuer: "company".to_owned(),
        subject: "1".to_owned(),
        user: "ann".to_owned(),
        groups: strings(&["engineers"]),
        ..Identity::default()
    }
}

fn request(operations: &[&str], model: Option<&str>) -> Classified {
    let operations: Vec<Operation> =
        operations.iter().map(|name| Operation::named(name).unwrap()).collect();
    Classified::new(&operations, Risk::None, model)
}

fn decide_on(name: &str, rules: &[Rule], identity: &Identity, request: &Classified) -> Decision {
    let policy = compile(rules);
    let connection = policy.connection(name).unwrap();
    policy.decide(identity, &policy.subject_rules(identity), connection, request, NOW_MS)
}

fn decide(rules: &[Rule], identity: &Identity, request: &Classified) -> Decision {
    decide_on("llama", rules, identity, request)
}

fn allowed_by(rule: &str) -> Decision {
    Decision::Allow { rule: Arc::from(rule), end_with_token: false }
}

fn denied_by(rule: &str) -> Decision {
    Decision::Deny { rule: Some(Arc::from(rule)), cause: DenyCause::Rule }
}

fn no_rule(operation: usize) -> Decision {
    Decision::Deny { rule: None, cause: DenyCause::NoRule(operation) }
}

const INTENT: Decision = Decision::Deny { rule: None, cause: DenyCause::Intent };

#[test]
fn nothing_that_no_rule_allows_is_allowed() {
    let chat = request(&["infer.chat"], Some("m"));
    assert_eq!(decide(&[], &engineer(), &chat), no_rule(0));
    assert_eq!(decide(&[allow("a", &["list"])], &engineer(), &chat), no_rule(0));
    let stranger = Identity { groups: strings(&["engineer"]), ..engineer() };
    assert_eq!(decide(&[allow("a", &["infer.*"])], &stranger, &chat), no_rule(0));
}

#[test]
fn deny_stands_over_allow_in_any_order() {
    let chat = request(&["infer.chat"], Some("m"));
    let (yes, no) = (allow("yes", &["infer.*"]), deny("no", &["infer.chat"]));
    for rules in [[yes.clone(), no.clone()], [no, yes]] {
        assert_eq!(decide(&rules, &engineer(), &chat), denied_by("no"));
    }
}

#[test]
fn the_answer_names_the_first_rule_that_decides() {
    let chat = request(&["infer.chat"], Some("m"));
    let rules = [allow("z", &["list"]), allow("b", &["infer.*"]), allow("a", &["infer.chat"])];
    assert_eq!(decide(&rules, &engineer(), &chat), allowed_by("b"));
    let rules = [deny("q", &["list"]), deny("p", &[]), deny("o", &["infer.chat"])];
    assert_eq!(decide(&rules, &engineer(), &chat), denied_by("p"));
}

#[test]
fn each_of_several_operations_must_be_allowed() {
    let both = request(&["infer.chat", "model.unload"], Some("m"));
    let chat = allow("chat", &["infer.chat"]);
    let unload = allow("unload", &["model.unload"]);
    assert_eq!(decide(std::slice::from_ref(&chat), &engineer(), &both), no_rule(1));
    assert_eq!(decide(std::slice::from_ref(&unload), &engineer(), &both), no_rule(0));
    let rules = [chat.clone(), unload.clone()];
    assert_eq!(decide(&rules, &engineer(), &both), allowed_by("unload"), "the riskiest decides");
    let rules = [chat, unload, deny("no", &["model.*"])];
    assert_eq!(decide(&rules, &engineer(), &both), denied_by("no"));
}

#[test]
fn a_glob_in_an_allow_rule_never_reaches_a_critical_operation() {
    let exec = request(&["exec"], None);
    for operations in [&["*"][..], &["e*"], &["exec*"], &["*exec"]] {
        assert_eq!(decide(&[allow("glob", operations)], &engineer(), &exec), no_rule(0));
    }
    assert_eq!(decide(&[allow("name", &["exec"])], &engineer(), &exec), allowed_by("name"));
}

#[test]
fn the_risk_of_the_request_counts_and_not_only_that_of_the_operation() {
    let unload = request(&["adapter.unload"], Some("a"));
    let load = Classified {
        operation_risks: vec![Risk::Critical],
        risk: Risk::Critical,
        ..request(&["adapter.load"], Some("a"))
    };
    let glob = [allow("glob", &["adapter.*"])];
    assert_eq!(decide(&glob, &engineer(), &unload), allowed_by("glob"));
    assert_eq!(decide(&glob, &engineer(), &load), no_rule(0));
    let name = [allow("name", &["adapter.load"])];
    assert_eq!(decide(&name, &engineer(), &load), allowed_by("name"));
}

#[test]
fn a_critical_operation_beside_an_ordinary_one_leaves_that_to_globs() {
    let both = request(&["infer.chat", "exec"], Some("m"));
    let rules = [allow("infer", &["infer.*"]), allow("exec", &["exec"])];
    assert_eq!(decide(&rules, &engineer(), &both), allowed_by("exec"));
    assert_eq!(decide(&rules[..1], &engineer(), &both), no_rule(1));
}

#[test]
fn unknown_must_be_named_to_be_allowed_and_not_to_be_denied() {
    let unknown = Classified::unknown();
    for operations in [&["*"][..], &["unknown*"], &["u*"]] {
        assert_eq!(decide(&[allow("glob", operations)], &engineer(), &unknown), no_rule(0));
    }
    let harmless = Classified { operation_risks: vec![Risk::None], ..unknown.clone() };
    assert_eq!(decide(&[allow("glob", &["*"])], &engineer(), &harmless), no_rule(0));
    let name = allow("name", &["unknown"]);
    assert_eq!(decide(std::slice::from_ref(&name), &engineer(), &unknown), allowed_by("name"));
    let rules = [name, deny("no", &["*"])];
    assert_eq!(decide(&rules, &engineer(), &unknown), denied_by("no"));
}

#[test]
fn a_deny_rule_without_subjects_or_operations_concerns_all() {
    let rules = [allow("yes", &["list"]), deny("no", &[])];
    assert_eq!(decide(&rules, &engineer(), &request(&["list"], None)), denied_by("no"));
    let stranger = Identity::default();
    assert_eq!(decide(&rules, &stranger, &request(&["list"], None)), denied_by("no"));
}

#[test]
fn connections_are_names_or_globs() {
    let list = request(&["list"], None);
    for (connections, llama, vllm) in [
        (&["*"][..], true, true),
        (&["llama"], true, false),
        (&["vllm-*"], false, true),
        (&["vllm-a", "llama"], true, true),
    ] {
        let rules = [Rule { connections: strings(connections), ..allow("a", &["list"]) }];
        let is_allowed = |name| decide_on(name, &rules, &engineer(), &list) == allowed_by("a");
        assert_eq!((is_allowed("llama"), is_allowed("vllm-a")), (llama, vllm), "{connections:?}");
    }
}

#[test]
fn models_are_names_or_globs() {
    for (models, model, expected) in [
        (&["m1"][..], "m1", true),
        (&["m1"], "m10", false),
        (&["m*"], "m10", true),
        (&["x", "m1"], "m1", true),
        (&["M1"], "m1", false),
        (&["org/*"], "org/a/b", true),
        (&["*"], "m1", true),
    ] {
        let rules = [Rule { models: strings(models), ..allow("a", &["infer.*"]) }];
        let decision = decide(&rules, &engineer(), &request(&["infer.chat"], Some(model)));
        assert_eq!(decision == allowed_by("a"), expected, "{models:?} {model}");
        let rules =
            [allow("a", &["infer.*"]), Rule { models: strings(models), ..deny("d", &["infer.*"]) }];
        let decision = decide(&rules, &engineer(), &request(&["infer.chat"], Some(model)));
        assert_eq!(decision == denied_by("d"), expected, "{models:?} {model}");
    }
}

#[test]
fn a_request_without_a_model_is_allowed_only_by_a_rule_for_all_models() {
    let list = request(&["list"], None);
    let some = Rule { models: strings(&["m*", "m1"]), ..allow("some", &["list"]) };
    assert_eq!(decide(std::slice::from_ref(&some), &engineer(), &list), no_rule(0));
    let rules = [some, allow("all", &["list"])];
    assert_eq!(decide(&rules, &engineer(), &list), allowed_by("all"));
}

#[test]
fn a_model_that_is_left_to_the_server_does_not_evade_a_deny_rule() {
    let no_secret = Rule { models: strings(&["secret"]), ..deny("no", &["infer.*", "list"]) };
    let rules = [allow("yes", &["infer.*", "list"]), no_secret];
    let unnamed = Classified { unnamed_model: true, ..request(&["infer.chat"], None) };
    assert_eq!(decide(&rules, &engineer(), &unnamed), denied_by("no"));
    let list = request(&["list"], None);
    assert_eq!(decide(&rules, &engineer(), &list), allowed_by("yes"), "it concerns no model");
}

#[test]
fn all_models_of_a_request_must_be_allowed_and_none_denied() {
    let copy = Classified {
        other_models: strings(&["mine-2"]),
        ..request(&["model.alias"], Some("secret"))
    };
    let mine = Rule { models: strings(&["mine-*"]), ..allow("mine", &["model.alias"]) };
    assert_eq!(decide(std::slice::from_ref(&mine), &engineer(), &copy), no_rule(0));
    let own = Classified { model: Some("mine-1".to_owned()), ..copy.clone() };
    assert_eq!(decide(std::slice::from_ref(&mine), &engineer(), &own), allowed_by("mine"));
    let rules = [
        allow("all", &["model.alias"]),
        Rule { models: strings(&["secret"]), ..deny("no", &["model.*"]) },
    ];
    assert_eq!(decide(&rules, &engineer(), &copy), denied_by("no"));
    let half = Classified { unnamed_model: true, other_models: Vec::new(), ..own };
    assert_eq!(decide(&[mine], &engineer(), &half), no_rule(0), "one of them has no name");
}

#[test]
fn another_spelling_of_a_model_is_denied_and_not_allowed() {
    let spelled = Classified {
        spellings: strings(&["secret", "secret:latest"]),
        ..request(&["infer.chat"], Some("Secret:latest"))
    };
    for pattern in ["secret", "SECRET", "Sec*", "secret:latest"] {
        let rules = [
            allow("yes", &["infer.*"]),
            Rule { models: strings(&[pattern]), ..deny("no", &["infer.*"]) },
        ];
        assert_eq!(decide(&rules, &engineer(), &spelled), denied_by("no"), "{pattern}");
    }
    let rules = [Rule { models: strings(&["secret"]), ..allow("yes", &["infer.*"]) }];
    assert_eq!(decide(&rules, &engineer(), &spelled), no_rule(0));
}

#[test]
fn any_entry_of_subjects_matches_and_within_one_all_fields_hold() {
    let list = request(&["list"], None);
    let both = Subject { users: Some(strings(&["ann"])), ..groups(&["ops"]) };
    let rules = [Rule { subjects: vec![both, users(&["ci:*"])], ..allow("a", &["list"]) }];
    let who = |user: &str, names: &[&str]| Identity {
        user: user.to_owned(),
        groups: strings(names),
        ..engineer()
    };
    assert_eq!(decide(&rules, &who("ann", &["ops", "x"]), &list), allowed_by("a"));
    assert_eq!(decide(&rules, &who("ann", &["x"]), &list), no_rule(0));
    assert_eq!(decide(&rules, &who("bob", &["ops"]), &list), no_rule(0));
    assert_eq!(decide(&rules, &who("ci:main", &[]), &list), allowed_by("a"));
}

#[test]
fn groups_are_exact_and_users_are_globs() {
    let who = Identity { user: "repo:acme/app:main".to_owned(), ..engineer() };
    assert!(subject_matches(&users(&["repo:acme/*"]), &who));
    assert!(!subject_matches(&users(&["repo:other/*", "repo:acme"]), &who));
    assert!(subject_matches(&groups(&["x", "engineers"]), &who));
    assert!(!subject_matches(&groups(&["*", "eng*", "Engineers"]), &who));
}

#[test]
fn claims_equal_a_text_by_a_dotted_path() {
    let claims = json!({
        "repository_id": "4711", "n": 42, "half": 0.5, "yes": true, "no": false, "none": null,
        "list": ["a"], "realm": {"role": "dev", "deep": {"x": "y"}},
        "https://example.com/team": "blue", "a.b": "literal", "a": {"b": "nested"},
    });
    let claims = claims.as_object().unwrap().clone();
    let who = Identity { claims, ..engineer() };
    for (path, text, expected) in [
        ("repository_id", "4711", true),
        ("repository_id", "4712", false),
        ("n", "42", true),
        ("n", "42.0", false),
        ("half", "0.5", true),
        ("yes", "true", true),
        ("no", "false", true),
        ("no", "true", false),
        ("none", "null", false),
        ("none", "", false),
        ("list", "a", false),
        ("realm.role", "dev", true),
        ("realm.deep.x", "y", true),
        ("realm", "dev", false),
        ("realm.role.x", "dev", false),
        ("https://example.com/team", "blue", true),
        ("a.b", "literal", true),
        ("a.b", "nested", false),
        ("missing", "", false),
    ] {
        assert_eq!(subject_matches(&claim(path, text), &who), expected, "{path} = {text}");
    }
}

#[test]
fn those_in_except_are_not_concerned() {
    let list = request(&["list"], None);
    let except = vec![users(&["ann"]), groups(&["trainees"])];
    let rules = [Rule { except: except.clone(), ..allow("a", &["list"]) }];
    assert_eq!(decide(&rules, &engineer(), &list), no_rule(0));
    let bob = Identity { user: "bob".to_owned(), ..engineer() };
    assert_eq!(decide(&rules, &bob, &list), allowed_by("a"));
    let trainee = Identity { groups: strings(&["engineers", "trainees"]), ..bob.clone() };
    assert_eq!(decide(&rules, &trainee, &list), no_rule(0));
    let rules = [allow("a", &["list"]), Rule { except, ..deny("d", &["list"]) }];
    assert_eq!(decide(&rules, &engineer(), &list), allowed_by("a"));
    assert_eq!(decide(&rules, &bob, &list), denied_by("d"));
}

#[test]
fn identities_of_another_issuer_are_others() {
    let rules = [Rule {
        subjects: vec![Subject { issuer: Some("ci".to_owned()), ..users(&["ann"]) }],
        ..allow("a", &["list"])
    }];
    let issuers = [issuer("company"), issuer("ci")];
    let policy = Policy::compile(&issuers, &[connection("llama")], &rules).unwrap();
    let connection = policy.connection("llama").unwrap();
    let ann = engineer();
    assert!(!policy.visible(&policy.subject_rules(&ann), connection));
    let ci = Identity { issuer: "ci".to_owned(), ..ann };
    assert!(policy.visible(&policy.subject_rules(&ci), connection));
}

fn intent(accesses: Vec<Access>) -> Identity {
    Identity { intent: Some(Intent { accesses }), ..engineer() }
}

#[test]
fn intent_only_ever_narrows() {
    let chat = request(&["infer.chat"], Some("m1"));
    let rules = [allow("a", &["infer.*"])];
    let all = Access::default();
    assert_eq!(decide(&rules, &intent(vec![all.clone()]), &chat), allowed_by("a"));
    assert_eq!(decide(&rules, &intent(Vec::new()), &chat), INTENT);
    assert_eq!(decide(&[], &intent(vec![all]), &chat), no_rule(0), "it gives nothing itself");
    let narrowed = |access: Access| decide(&rules, &intent(vec![access]), &chat);
    let some = |texts: &[&str]| Some(strings(texts));
    for (access, expected) in [
        (Access { connections: some(&["llama"]), ..Access::default() }, true),
        (Access { connections: some(&["l*"]), ..Access::default() }, true),
        (Access { connections: some(&["vllm-a"]), ..Access::default() }, false),
        (Access { connections: some(&[]), ..Access::default() }, false),
        (Access { operations: some(&["infer.*"]), ..Access::default() }, true),
        (Access { operations: some(&["list"]), ..Access::default() }, false),
        (Access { models: some(&["m1", "m2"]), ..Access::default() }, true),
        (Access { models: some(&["m2"]), ..Access::default() }, false),
    ] {
        let decision = narrowed(access.clone());
        assert_eq!(decision, if expected { allowed_by("a") } else { INTENT }, "{access:?}");
    }
}

#[test]
fn a_request_must_fit_one_access_wholly() {
    let both = request(&["infer.chat", "model.unload"], Some("m1"));
    let rules = [allow("a", &["infer.*", "model.*"])];
    let access = |operations: &[&str], models: Option<&[&str]>| Access {
        operations: Some(strings(operations)),
        models: models.map(strings),
        ..Access::default()
    };
    let halves = vec![access(&["infer.*"], None), access(&["model.*"], None)];
    assert_eq!(decide(&rules, &intent(halves), &both), INTENT);
    let whole = vec![access(&["list"], None), access(&["infer.*", "model.*"], Some(&["m1"]))];
    assert_eq!(decide(&rules, &intent(whole), &both), allowed_by("a"));
}

#[test]
fn intent_for_particular_models_does_not_cover_a_request_without_one() {
    let rules = [allow("a", &["*"])];
    let list = request(&["list"], None);
    let only = |models: &[&str]| {
        intent(vec![Access { models: Some(strings(models)), ..Access::default() }])
    };
    assert_eq!(decide(&rules, &only(&["m1", "m*"]), &list), INTENT);
    assert_eq!(decide(&rules, &only(&["m1", "*"]), &list), allowed_by("a"));
    let half = Classified { unnamed_model: true, ..request(&["list"], Some("m1")) };
    assert_eq!(decide(&rules, &only(&["m1"]), &half), INTENT);
}

#[test]
fn a_connection_is_visible_to_those_whom_an_allow_rule_names_there() {
    let rules = [
        Rule { connections: strings(&["llama"]), ..allow("a", &["list"]) },
        Rule { connections: strings(&["vllm-a"]), ..deny("d", &["list"]) },
    ];
    let policy = compile(&rules);
    let visible = |name: &str, identity: &Identity| {
        policy.visible(&policy.subject_rules(identity), policy.connection(name).unwrap())
    };
    assert!(visible("llama", &engineer()));
    assert!(!visible("vllm-a", &engineer()), "a deny rule shows nothing");
    assert!(!visible("llama", &Identity::default()));
    assert_eq!(policy.connection("other"), None);
}

#[test]
fn of_thousands_of_rules_the_one_that_matches_decides() {
    let mut rules: Vec<Rule> = (0..9_000)
        .map(|index| Rule {
            subjects: vec![groups(&[&format!("team-{index}")])],
            ..allow(&format!("rule-{index}"), &["infer.*"])
        })
        .collect();
    let chat = request(&["infer.chat"], Some("m"));
    let policy = compile(&rules);
    let connection = policy.connection("llama").unwrap();
    for index in [0, 63, 64, 4_095, 4_096, 8_191, 8_192, 8_999] {
        let who = Identity { groups: vec![format!("team-{index}")], ..engineer() };
        let subject = policy.subject_rules(&who);
        let decision = policy.decide(&who, &subject, connection, &chat, NOW_MS);
        assert_eq!(decision, allowed_by(&format!("rule-{index}")));
    }
    rules.push(deny("last", &["infer.chat"]));
    let who = Identity { groups: strings(&["team-5"]), ..engineer() };
    assert_eq!(decide(&rules, &who, &chat), denied_by("last"));
}

#[test]
fn facts_about_another_policy_reach_nothing() {
    let list = request(&["list"], None);
    let rules = [allow("a", &["list"])];
    let (old, new) = (compile(&rules), compile(&rules));
    let stale = old.subject_rules(&engineer());
    let connection = new.connection("llama").unwrap();
    assert_eq!(new.decide(&engineer(), &stale, connection, &list, 0), no_rule(0));
    assert!(!new.visible(&stale, connection));
    let fresh = new.subject_rules(&engineer());
    let beyond = super::ConnectionIndex(7);
    assert_eq!(new.decide(&engineer(), &fresh, beyond, &list, 0), no_rule(0));
    let nothing = Classified { operations: Vec::new(), ..list };
    assert_eq!(new.decide(&engineer(), &fresh, connection, &nothing, 0), no_rule(0));
}

#[test]
fn documents_that_do_not_hold_are_refused_whole() {
    let connections = [connection("llama")];
    let one = [issuer("company")];
    let two = [issuer("company"), issuer("ci")];
    let good = allow("a", &["list"]);
    let with = |subject: Subject| Rule { subjects: vec![subject], ..good.clone() };
    let in_ci = Subject { issuer: Some("ci".to_owned()), ..Subject::default() };
    for (issuers, rule, problem) in [
        (&one[..], Rule { subjects: Vec::new(), ..good.clone() }, "needs subjects"),
        (&one, Rule { operations: Vec::new(), ..good.clone() }, "needs operations"),
        (&one, Rule { connections: strings(&["lama"]), ..good.clone() }, "no connection `lama`"),
        (&one, Rule { operations: strings(&["infer.chta"]), ..good.clone() }, "no operation"),
        (&one, Rule { operations: strings(&["infr.*"]), ..good.clone() }, "no operation"),
        (&one, Rule { models: Vec::new(), ..good.clone() }, "must not be empty"),
        (&one, Rule { connections: Vec::new(), ..good.clone() }, "must not be empty"),
        (&one, with(Subject::default()), "a subject is empty"),
        (&two, with(Subject::default()), "a subject is empty"),
        (&one, with(groups(&[])), "a list in a subject is empty"),
        (&one, with(in_ci.clone()), "no issuer `ci`"),
        (&two, with(groups(&["x"])), "needs its issuer"),
        (&one, Rule { except: vec![in_ci.clone()], ..good.clone() }, "no issuer `ci`"),
    ] {
        let error = Policy::compile(issuers, &connections, &[rule]).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
    assert!(Policy::compile(&two, &connections, &[with(in_ci)]).is_ok());
    let twice = Policy::compile(&one, &connections, &[good.clone(), good]).unwrap_err();
    assert!(twice.contains("twice"), "{twice}");
    let twice = [connection("llama"), connection("llama")];
    assert!(Policy::compile(&one, &twice, &[]).unwrap_err().contains("twice"));
}
