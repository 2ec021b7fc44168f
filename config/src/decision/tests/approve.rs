use super::*;
use crate::decision::{LiveGrant, LiveGrants, covers};
use crate::documents::{Approval, Day, GrantLimits, HeldStream, Hours, Reason};

pub(super) fn approval() -> Approval {
    Approval {
        reviewers: vec![groups(&["leads"])],
        quorum: 1,
        one_from_each: Vec::new(),
        reason: Reason::Optional,
        ticket: None,
        hold_ms_max: 0,
        answer_ms_max: 1,
        stream: HeldStream::Wait,
        grant: GrantLimits { minutes_max: 1, uses_max: 1 },
        show: Vec::new(),
        auto_approve: Vec::new(),
        break_glass: None,
    }
}

fn approve(name: &str, operations: &[&str]) -> Rule {
    Rule { approval: Some(approval()), ..rule(name, Effect::Approve, operations) }
}

fn held_by(rules: &[&str]) -> Decision {
    let rules = rules.iter().map(|rule| Arc::from(*rule)).collect();
    Decision::Approve { rules, end_with_token: false }
}

fn for_models(rule: Rule, models: &[&str]) -> Rule {
    Rule { models: strings(models), ..rule }
}

#[test]
fn approve_stands_between_deny_and_allow_in_any_order() {
    let chat = request(&["infer.chat"], Some("m"));
    let (yes, ask) = (allow("yes", &["infer.*"]), approve("ask", &["infer.chat"]));
    let no = deny("no", &["infer.chat"]);
    for rules in [[yes.clone(), ask.clone()], [ask.clone(), yes.clone()]] {
        assert_eq!(decide(&rules, &engineer(), &chat), held_by(&["ask"]));
    }
    for rules in [[no.clone(), ask.clone()], [ask, no]] {
        assert_eq!(decide(&rules, &engineer(), &chat), denied_by("no"));
    }
}

#[test]
fn all_approve_rules_that_match_are_named_in_their_order() {
    let both = request(&["infer.chat", "adapter.load"], Some("m"));
    let rules = [
        approve("z", &["adapter.*"]),
        approve("other", &["metrics"]),
        approve("a", &["infer.chat", "adapter.load"]),
        approve("m", &["*"]),
    ];
    assert_eq!(decide(&rules, &engineer(), &both), held_by(&["z", "a", "m"]));
}

#[test]
fn each_operation_needs_an_allow_rule_or_an_approve_rule_that_names_it() {
    let both = request(&["infer.chat", "adapter.unload"], Some("m"));
    let ask = approve("ask", &["adapter.*"]);
    assert_eq!(decide(std::slice::from_ref(&ask), &engineer(), &both), no_rule(0));
    let rules = [ask.clone(), allow("chat", &["infer.chat"])];
    assert_eq!(decide(&rules, &engineer(), &both), held_by(&["ask"]));
    let rules = [ask, approve("chat", &["infer.*"])];
    assert_eq!(decide(&rules, &engineer(), &both), held_by(&["ask", "chat"]));
}

#[test]
fn a_glob_of_an_approve_rule_reaches_critical_operations_and_unknown_ones() {
    let rules = [allow("all", &["exec", "unknown"]), approve("ask", &["*"])];
    assert_eq!(decide(&rules, &engineer(), &request(&["exec"], None)), held_by(&["ask"]));
    assert_eq!(decide(&rules, &engineer(), &Classified::unknown()), held_by(&["ask"]));
    let weights = request(&["weights.export"], None);
    let ask = [approve("ask", &["weights.*"])];
    assert_eq!(decide(&ask, &engineer(), &weights), held_by(&["ask"]), "it gives them too");
}

#[test]
fn an_approve_rule_is_not_evaded_by_a_models_name() {
    let chat = |model: Option<&str>| request(&["infer.chat"], model);
    let rules = [allow("yes", &["infer.*"]), for_models(approve("ask", &["infer.*"]), &["secret"])];
    assert_eq!(decide(&rules, &engineer(), &chat(Some("other"))), allowed_by("yes"));
    assert_eq!(decide(&rules, &engineer(), &chat(Some("secret"))), held_by(&["ask"]));
    let spelled = Classified { spellings: strings(&["secret"]), ..chat(Some("Secret")) };
    assert_eq!(decide(&rules, &engineer(), &spelled), held_by(&["ask"]));
    let second = Classified { other_models: strings(&["secret"]), ..chat(Some("other")) };
    assert_eq!(decide(&rules, &engineer(), &second), held_by(&["ask"]));
    let unnamed = Classified { unnamed_model: true, ..chat(None) };
    assert_eq!(decide(&rules, &engineer(), &unnamed), held_by(&["ask"]));
    assert_eq!(decide(&rules, &engineer(), &chat(None)), allowed_by("yes"));
}

#[test]
fn agreeing_to_one_model_is_not_agreeing_to_another_beside_it() {
    let ask = [for_models(approve("ask", &["model.alias"]), &["mine-*"])];
    let own = request(&["model.alias"], Some("mine-1"));
    assert_eq!(decide(&ask, &engineer(), &own), held_by(&["ask"]));
    let copy = Classified { other_models: strings(&["secret"]), ..own.clone() };
    assert_eq!(decide(&ask, &engineer(), &copy), no_rule(0));
    let unnamed = Classified { unnamed_model: true, ..own };
    assert_eq!(decide(&ask, &engineer(), &unnamed), no_rule(0));
    let [ask] = ask;
    let rules = [ask, allow("yes", &["model.alias"])];
    assert_eq!(decide(&rules, &engineer(), &copy), held_by(&["ask"]), "that one is allowed");
}

#[test]
fn nobody_is_asked_about_what_the_intent_does_not_cover() {
    let rules = [approve("ask", &["list"])];
    let list = request(&["list"], None);
    assert_eq!(decide(&rules, &intent(Vec::new()), &list), INTENT);
    assert_eq!(decide(&rules, &intent(vec![Access::default()]), &list), held_by(&["ask"]));
}

#[test]
fn an_approve_rule_shows_its_connection_at_whatever_hours() {
    let never = Hours { days: vec![Day::Sun], from: 0, to: 1, zone: "UTC".to_owned() };
    let connections = strings(&["llama"]);
    let rules = [Rule { connections, when: vec![never], ..approve("ask", &["list"]) }];
    let policy = compile(&rules);
    let visible = |name: &str, identity: &Identity| {
        policy.visible(&policy.subject_rules(identity), policy.connection(name).unwrap())
    };
    assert!(visible("llama", &engineer()));
    assert!(!visible("vllm-a", &engineer()));
    assert!(!visible("llama", &Identity::default()));
    assert_eq!(decide(&rules, &engineer(), &request(&["list"], None)), no_rule(0));
}

#[test]
fn outside_of_its_hours_a_rule_does_not_match() {
    let list = request(&["list"], None);
    // Friday, 12:00 UTC: 13:00 in Berlin.
    let hours = |from: u16, to: u16| {
        vec![Hours { days: vec![Day::Fri], from, to, zone: "Europe/Berlin".to_owned() }]
    };
    for (when, holds) in [
        (hours(13 * 60, 14 * 60), true),
        (hours(12 * 60, 13 * 60), false),
        ([hours(0, 1), hours(780, 781)].concat(), true),
        (Vec::new(), true),
    ] {
        let at = |rule: Rule| Rule { when: when.clone(), ..rule };
        let expected = |yes: Decision, no: Decision| if holds { yes } else { no };
        let rules = [at(allow("yes", &["list"]))];
        let decision = decide(&rules, &engineer(), &list);
        assert_eq!(decision, expected(allowed_by("yes"), no_rule(0)), "{when:?}");
        let rules = [allow("yes", &["list"]), at(deny("no", &["list"]))];
        let decision = decide(&rules, &engineer(), &list);
        assert_eq!(decision, expected(denied_by("no"), allowed_by("yes")), "{when:?}");
        let rules = [allow("yes", &["list"]), at(approve("ask", &["list"]))];
        let decision = decide(&rules, &engineer(), &list);
        assert_eq!(decision, expected(held_by(&["ask"]), allowed_by("yes")), "{when:?}");
    }
}

#[test]
fn a_rule_for_one_model_has_hours_too() {
    let chat = request(&["infer.chat"], Some("m1"));
    let never = vec![Hours { days: vec![Day::Sun], from: 0, to: 1, zone: "UTC".to_owned() }];
    let named = |name: &str| for_models(allow(name, &["infer.*"]), &["m1"]);
    let rules = [Rule { when: never, ..named("first") }, named("second")];
    assert_eq!(decide(&rules, &engineer(), &chat), allowed_by("second"));
    assert_eq!(decide(&rules[..1], &engineer(), &chat), no_rule(0));
}

#[test]
fn what_ends_with_the_token_is_said_by_each_rule_that_gives() {
    let ends = |rule: Rule| Rule { end_with_token: true, ..rule };
    let both = request(&["infer.chat", "model.unload"], Some("m"));
    let chat = || allow("chat", &["infer.chat"]);
    let unload = || allow("unload", &["model.unload"]);
    let ended = |rules: &[Rule]| match decide(rules, &engineer(), &both) {
        Decision::Allow { end_with_token, .. } | Decision::Approve { end_with_token, .. } => {
            end_with_token
        }
        Decision::Deny { .. } => panic!("denied"),
    };
    assert!(!ended(&[chat(), unload()]));
    assert!(ended(&[ends(chat()), unload()]), "also where another rule decides");
    assert!(ended(&[chat(), ends(unload())]));
    assert!(!ended(&[chat(), unload(), ends(allow("later", &["infer.*"]))]), "it gives nothing");
    let ask = || approve("ask", &["model.*"]);
    assert!(!ended(&[chat(), ask()]));
    assert!(ended(&[chat(), ends(ask())]));
    assert!(ended(&[ends(chat()), ask()]));
}

#[test]
fn a_rule_with_an_approval_that_does_not_hold_is_refused_whole() {
    let connections = [connection("llama")];
    let (one, two) = ([issuer("company")], [issuer("company"), issuer("ci")]);
    let good = approve("a", &["list"]);
    let with = |change: fn(&mut Approval)| {
        let mut approval = approval();
        change(&mut approval);
        Rule { approval: Some(approval), ..good.clone() }
    };
    let hours = |from, to, zone: &str| {
        let when = vec![Hours { days: Vec::new(), from, to, zone: zone.to_owned() }];
        Rule { when, ..good.clone() }
    };
    for (issuers, rule, problem) in [
        (&one[..], Rule { approval: None, ..good.clone() }, "has an approval"),
        (&one, Rule { approval: Some(approval()), ..allow("a", &["list"]) }, "has an approval"),
        (&one, Rule { subjects: Vec::new(), ..good.clone() }, "needs subjects"),
        (&one, Rule { operations: Vec::new(), ..good.clone() }, "needs operations"),
        (&one, Rule { end_with_token: true, ..deny("a", &["list"]) }, "under a deny rule"),
        (&one, with(|approval| approval.reviewers.clear()), "needs reviewers"),
        (&one, with(|approval| approval.reviewers = vec![Subject::default()]), "is empty"),
        (&two, with(|_| ()), "needs its issuer"),
        (&one, with(|approval| approval.quorum = 0), "1 to 16"),
        (&one, with(|approval| approval.quorum = 17), "1 to 16"),
        (&one, with(|approval| approval.one_from_each = vec![groups(&["g"]); 9]), "more than 8"),
        (&one, with(|approval| approval.grant.uses_max = 0), "a grant of nothing"),
        (&one, with(|approval| approval.ticket = Some("(".to_owned())), "not a regular"),
        (&one, hours(0, 1_441, "UTC"), "beyond 24:00"),
        (&one, hours(0, 1, "Europe/Atlantis"), "no time zone `Europe/Atlantis`"),
    ] {
        let error = Policy::compile(issuers, &connections, &[rule]).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
    assert!(Policy::compile(&one, &connections, &[good]).is_ok());
}

fn live(id: &str, operations: &[&str], models: &[&str]) -> LiveGrant {
    LiveGrant {
        id: Arc::from(id),
        issuer: "company".to_owned(),
        subject: "1".to_owned(),
        connection: "llama".to_owned(),
        operations: strings(operations),
        models: strings(models),
        rules: vec![Arc::from("ask")],
    }
}

fn covering(grants: &LiveGrants, connection: &str, request: &Classified) -> Vec<String> {
    let engineer = engineer();
    grants.covering(&engineer, connection, request).map(|grant| grant.id.to_string()).collect()
}

#[test]
fn a_grant_covers_its_holder_on_its_connection_alone() {
    let mut grants = LiveGrants::default();
    let list = request(&["list"], None);
    grants.insert(live("mine", &["list"], &["*"]));
    grants.insert(LiveGrant { subject: "2".to_owned(), ..live("theirs", &["list"], &["*"]) });
    grants.insert(LiveGrant { issuer: "ci".to_owned(), ..live("ci", &["list"], &["*"]) });
    grants.insert(LiveGrant { connection: "*".to_owned(), ..live("glob", &["list"], &["*"]) });
    assert_eq!(covering(&grants, "llama", &list), ["mine"]);
    assert_eq!(covering(&grants, "vllm-a", &list), [""; 0]);
}

#[test]
fn a_grant_covers_all_operations_and_models_of_a_request_or_nothing() {
    let chat = |model: Option<&str>| request(&["infer.chat"], model);
    let two = request(&["infer.chat", "adapter.load"], Some("m1"));
    let other = Classified { other_models: strings(&["m2"]), ..chat(Some("m1")) };
    let unnamed = Classified { unnamed_model: true, ..chat(Some("m1")) };
    let nothing = Classified { operations: Vec::new(), ..chat(Some("m1")) };
    for (operations, models, request, expected) in [
        (&["infer.chat"][..], &["m1"][..], chat(Some("m1")), true),
        (&["infer.*"], &["m*"], chat(Some("m1")), true),
        (&["infer.embed"], &["*"], chat(Some("m1")), false),
        (&["infer.chat"], &["m2"], chat(Some("m1")), false),
        (&["infer.chat"], &["m1"], two.clone(), false),
        (&["infer.*", "adapter.load"], &["m1"], two, true),
        (&["infer.*"], &["m1"], other.clone(), false),
        (&["infer.*"], &["m1", "m2"], other, true),
        (&["infer.*"], &["m1"], unnamed.clone(), false),
        (&["infer.*"], &["*"], unnamed, true),
        (&["infer.*"], &["m1", "m*"], chat(None), false),
        (&["infer.*"], &["*"], chat(None), true),
        (&["*"], &["*"], nothing, false),
    ] {
        let mut grants = LiveGrants::default();
        grants.insert(live("g", operations, models));
        let found = covering(&grants, "llama", &request);
        assert_eq!(found == ["g"], expected, "{operations:?} {models:?} {request:?}");
        assert_eq!(covers(&strings(operations), &strings(models), &request), expected);
    }
}

#[test]
fn grants_come_and_go_by_their_id() {
    let mut grants = LiveGrants::default();
    let list = request(&["list"], None);
    assert!(grants.is_empty() && !grants.remove("a"));
    for id in ["a", "b", "c"] {
        grants.insert(live(id, &["list"], &["*"]));
    }
    assert_eq!(covering(&grants, "llama", &list), ["a", "b", "c"]);
    grants.insert(live("b", &["metrics"], &["*"]));
    assert_eq!((grants.len(), covering(&grants, "llama", &list)), (3, strings(&["a", "c"])));
    assert!(grants.remove("a") && !grants.remove("a"));
    assert_eq!(covering(&grants, "llama", &list), ["c"]);
    assert!(grants.remove("b") && grants.remove("c") && grants.is_empty());
}

#[test]
fn several_grants_together_satisfy_the_rules_that_they_list() {
    let rules: Vec<Arc<str>> = ["ask", "more", "most"].map(Arc::from).to_vec();
    let list = request(&["list"], None);
    let mut grants = LiveGrants::default();
    let left = |grants: &LiveGrants| -> Vec<String> {
        let engineer = engineer();
        let left = grants.unsatisfied(&engineer, "llama", &list, &rules);
        left.map(ToString::to_string).collect()
    };
    assert_eq!(left(&grants), ["ask", "more", "most"]);
    grants.insert(live("a", &["list"], &["*"]));
    assert_eq!(left(&grants), ["more", "most"]);
    let both = vec![Arc::from("most"), Arc::from("more")];
    grants.insert(LiveGrant { rules: both.clone(), ..live("b", &["metrics"], &["*"]) });
    assert_eq!(left(&grants), ["more", "most"], "it does not cover the request");
    grants.insert(LiveGrant { rules: both, ..live("c", &["list"], &["*"]) });
    assert_eq!(left(&grants), [""; 0]);
}

#[test]
fn more_rules_than_a_word_has_bits_are_each_told_apart() {
    let rules: Vec<Arc<str>> = (0..150).map(|at| Arc::from(format!("rule-{at}"))).collect();
    let (engineer, list) = (engineer(), request(&["list"], None));
    let mut grants = LiveGrants::default();
    for (id, listed) in [("a", [0, 63]), ("b", [64, 127]), ("c", [128, 149])] {
        let rules = listed.map(|at| Arc::clone(&rules[at])).to_vec();
        grants.insert(LiveGrant { rules, ..live(id, &["list"], &["*"]) });
    }
    let left: Vec<_> = grants.unsatisfied(&engineer, "llama", &list, &rules).cloned().collect();
    let expected: Vec<_> = (0..150).filter(|at| ![0, 63, 64, 127, 128, 149].contains(at)).collect();
    assert_eq!(left, expected.iter().map(|at| Arc::clone(&rules[*at])).collect::<Vec<_>>());
}
