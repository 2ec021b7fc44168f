use super::*;

fn rule(text: &str) -> Rule {
    match document(text) {
        Document::Rule(rule) => rule,
        other => panic!("not a rule: {other:?}"),
    }
}

fn groups(name: &str) -> Subject {
    Subject { groups: Some(vec![name.into()]), ..Subject::default() }
}

/// Problems of members of an approval, which stand in its eighth line.
fn refused(members: &str) -> Vec<String> {
    problems(&format!("{APPROVE}  {members}\n"))
}

/// Problems and warnings of references, as `line:column: message`.
fn references(text: &str) -> Vec<String> {
    let sources = [source(text)];
    let placed = parse(&sources).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let set: Vec<Document> = placed.iter().map(|one| one.document.clone()).collect();
    let found = check_references(&set, &sources, &placed).unwrap_or_else(|problems| problems);
    found.iter().map(|one| format!("{}:{}: {}", one.line, one.column, one.message)).collect()
}

#[test]
fn an_approval_has_the_documented_defaults() {
    let expected = Approval {
        reviewers: vec![groups("ml-leads")],
        quorum: 1,
        one_from_each: Vec::new(),
        reason: Reason::Optional,
        ticket: None,
        hold_ms_max: 300_000,
        answer_ms_max: 3_600_000,
        stream: HeldStream::Wait,
        grant: GrantLimits { minutes_max: 30, uses_max: 1 },
        show: Vec::new(),
        auto_approve: Vec::new(),
        break_glass: None,
    };
    let rule = rule(APPROVE);
    assert_eq!(rule.effect, Effect::Approve);
    assert_eq!(rule.approval, Some(expected));
    assert_eq!((rule.when, rule.end_with_token), (Vec::new(), false));
}

#[test]
fn every_key_of_an_approval_is_read() {
    let text = format!(
        "{APPROVE}  quorum: 16
  one_from_each: [{{groups: [a]}}, {{groups: [b]}}]
  reason: required
  ticket: OPS-[0-9]+
  hold_ms_max: 0
  answer_ms_max: 1
  stream: commit
  grant: {{minutes_max: 10080, uses_max: 100000}}
  show: [lora_name, adapter.path]
  auto_approve:
    - subjects: [{{groups: [c]}}]
    - when: [{{days: [sat, sun], from: \"00:00\", to: \"24:00\", zone: Europe/Berlin}}]
  break_glass: {{subjects: [{{groups: [d]}}], minutes_max: 5, justify_ms_max: 6}}
"
    );
    let weekend =
        Hours { days: vec![Day::Sat, Day::Sun], from: 0, to: 1_440, zone: "Europe/Berlin".into() };
    let expected = Approval {
        reviewers: vec![groups("ml-leads")],
        quorum: 16,
        one_from_each: vec![groups("a"), groups("b")],
        reason: Reason::Required,
        ticket: Some("OPS-[0-9]+".into()),
        hold_ms_max: 0,
        answer_ms_max: 1,
        stream: HeldStream::Commit,
        grant: GrantLimits { minutes_max: 10_080, uses_max: 100_000 },
        show: vec!["lora_name".into(), "adapter.path".into()],
        auto_approve: vec![
            AutoApprove { subjects: vec![groups("c")], when: Vec::new() },
            AutoApprove { subjects: Vec::new(), when: vec![weekend] },
        ],
        break_glass: Some(BreakGlass {
            subjects: vec![groups("d")],
            minutes_max: 5,
            justify_ms_max: 6,
        }),
    };
    let read = rule(&text).approval.expect("an approval");
    assert_eq!(read, expected);
    let named: Vec<&Subject> = read.subjects().collect();
    assert_eq!(named, ["ml-leads", "a", "b", "c", "d"].map(groups).iter().collect::<Vec<_>>());
}

#[test]
fn half_of_a_grant_keeps_the_other_halfs_default() {
    let text = format!(
        "{APPROVE}  grant: {{uses_max: 7}}\n  break_glass: {{subjects: [{{users: [a]}}]}}\n"
    );
    let approval = rule(&text).approval.expect("an approval");
    assert_eq!(approval.grant, GrantLimits { minutes_max: 30, uses_max: 7 });
    let glass = approval.break_glass.expect("break-glass");
    assert_eq!((glass.minutes_max, glass.justify_ms_max), (60, 86_400_000));
}

#[test]
fn an_approval_may_ask_one_of_each_group_alone() {
    let text = APPROVE.replace("reviewers", "one_from_each");
    assert_eq!(problems(&text), [""; 0]);
    let nobody = APPROVE.replace("reviewers: [{groups: [ml-leads]}]", "quorum: 1");
    assert_eq!(problems(&nobody), ["7:3: an approval that nobody could give"]);
    assert_eq!(hint(&nobody), "add `reviewers`");
}

#[test]
fn an_approval_stands_exactly_where_the_effect_is_to_approve() {
    let (without, _) = APPROVE.split_once("approval:").expect("an approval");
    assert_eq!(problems(without), ["1:1: missing key `approval`"]);
    for effect in ["allow", "deny"] {
        let text = APPROVE.replace("effect: approve", &format!("effect: {effect}"));
        assert_eq!(problems(&text), ["7:3: `approval` in a rule of another effect"]);
        assert_eq!(hint(&text), "write `effect: approve`, or remove it");
    }
}

#[test]
fn an_approve_rule_names_its_subjects_and_operations() {
    let text = APPROVE
        .replace("subjects: [{groups: [engineers]}]\n", "")
        .replace("operations: [adapter.*]\n", "");
    let missing = ["1:1: missing key `subjects`", "1:1: missing key `operations`"];
    assert_eq!(problems(&text), missing);
}

#[test]
fn numbers_beyond_their_range_are_refused() {
    for (members, column) in [
        ("quorum: 0", 11),
        ("quorum: 17", 11),
        ("hold_ms_max: 86400001", 16),
        ("answer_ms_max: 0", 18),
        ("answer_ms_max: 2592000001", 18),
        ("grant: {minutes_max: 0}", 24),
        ("grant: {minutes_max: 10081}", 24),
        ("grant: {uses_max: 0}", 21),
        ("grant: {uses_max: 100001}", 21),
        ("break_glass: {subjects: [{users: [a]}], minutes_max: 10081}", 56),
    ] {
        assert_eq!(refused(members), [format!("8:{column}: out of range")], "{members}");
    }
}

#[test]
fn words_and_keys_that_there_are_not_are_refused() {
    for (members, expected) in [
        ("reason: maybe", "8:11: unknown value `maybe`"),
        ("stream: now", "8:11: unknown value `now`"),
        ("reviewer: []", "8:3: unknown key `reviewer`"),
        ("grant: {minutes: 5}", "8:11: unknown key `minutes`"),
        ("auto_approve: [{}]", "8:18: an empty entry would approve everything"),
        ("auto_approve: [{subjects: [{}]}]", "8:30: an empty entry would hold for everybody"),
        ("auto_approve: [{subjects: []}]", "8:29: an empty list"),
        ("one_from_each: []", "8:18: an empty list"),
        ("break_glass: {minutes_max: 5}", "8:16: missing key `subjects`"),
    ] {
        assert_eq!(refused(members), [expected], "{members}");
    }
    let nine = ["{groups: [g]}"; 9].join(", ");
    assert_eq!(refused(&format!("one_from_each: [{nine}]")), ["8:18: more than 8 entries"]);
    let empty = APPROVE.replace("[{groups: [ml-leads]}]", "[]");
    assert_eq!(problems(&empty), ["7:14: an empty list"]);
}

#[test]
fn a_pattern_for_tickets_is_a_regular_expression_of_limited_size() {
    for (pattern, expected) in [
        ("(", "not a regular expression"),
        ("a)|(b", "not a regular expression"),
        ("(?=a)", "not a regular expression"),
        ("(?:[a-z]{1,999}){1,999}", "a pattern that takes too much memory"),
    ] {
        assert_eq!(refused(&format!("ticket: \"{pattern}\"")), [format!("8:11: {expected}")]);
    }
    assert_eq!(refused("ticket: \"\""), ["8:11: empty text"]);
}

#[test]
fn a_member_that_carries_prompts_is_never_shown() {
    for member in [
        "messages",
        "prompt",
        "input",
        "inputs",
        "text",
        "system",
        "suffix",
        "template",
        "query",
        "documents",
        "content",
        "instructions",
        "Messages",
        "images",
        "tool_calls",
        "modelfile",
    ] {
        for path in [member.to_owned(), format!("{member}.a"), format!("a.{member}")] {
            let expected = format!("8:10: `{member}` carries prompts, and reviewers never see one");
            assert_eq!(refused(&format!("show: [\"{path}\"]")), [expected]);
        }
    }
    for path in ["a..b", ".a", "a."] {
        assert_eq!(refused(&format!("show: [{path}]")), ["8:10: not a path"], "{path}");
    }
    let paths = vec!["lora_name"; 17].join(", ");
    assert_eq!(refused(&format!("show: [{paths}]")), ["8:9: more than 16 paths"]);
    assert_eq!(refused("show: [lora_name, text_config, adapter.path]"), [""; 0]);
}

#[test]
fn a_rule_has_hours_whatever_its_effect() {
    let when = "when: [{days: [mon, tue], from: \"08:00\", to: \"18:00\", zone: Europe/Berlin}, \
                {from: \"22:30\", to: \"06:00\"}]\n";
    let days = vec![Day::Mon, Day::Tue];
    let zone = "Europe/Berlin".to_owned();
    let expected = [
        Hours { days, from: 480, to: 1_080, zone },
        Hours { days: Vec::new(), from: 1_350, to: 360, zone: "UTC".into() },
    ];
    for text in [ALLOW, APPROVE, &ALLOW.replace("effect: allow", "effect: deny")] {
        assert_eq!(rule(&format!("{text}{when}")).when, expected);
    }
}

#[test]
fn hours_that_no_clock_shows_are_refused() {
    let refused = |hours: &str| problems(&format!("{ALLOW}when: [{hours}]\n"));
    for (hours, expected) in [
        ("{from: \"8:00\", to: \"18:00\"}", "6:15: not a time of a day"),
        ("{from: \"24:00\", to: \"18:00\"}", "6:15: not a time of a day"),
        ("{from: \"08:00\", to: \"24:01\"}", "6:28: not a time of a day"),
        ("{from: \"08:00\", to: 18}", "6:28: expected text, found an integer"),
        ("{from: \"08:00\"}", "6:8: missing key `to`"),
        ("{days: [Mon], from: \"00:00\", to: \"01:00\"}", "6:16: unknown value `Mon`"),
        ("{days: [mon, mon], from: \"00:00\", to: \"01:00\"}", "6:15: a day stands twice"),
        ("{days: [], from: \"00:00\", to: \"01:00\"}", "6:15: an empty list"),
    ] {
        assert_eq!(refused(hours), [expected], "{hours}");
    }
    assert_eq!(problems(&format!("{ALLOW}when: []\n")), ["6:7: an empty list"]);
    let zone =
        |name: &str| format!("{ALLOW}when: [{{from: \"00:00\", to: \"01:00\", zone: {name}}}]\n");
    assert_eq!(problems(&zone("Europe/Berln")), ["6:43: unknown time zone `Europe/Berln`"]);
    assert_eq!(hint(&zone("Europe/Berln")), "did you mean `Europe/Berlin`?");
    let far = hint(&zone("somewhere"));
    assert!(far.starts_with("a name of the IANA time zone database"), "{far}");
}

#[test]
fn what_is_allowed_or_approved_may_end_with_the_token_and_nothing_else() {
    for text in [ALLOW, APPROVE] {
        assert!(rule(&format!("{text}end_with_token: true\n")).end_with_token);
        assert!(!rule(&format!("{text}end_with_token: false\n")).end_with_token);
    }
    let deny = ALLOW.replace("effect: allow", "effect: deny");
    let text = format!("{deny}end_with_token: true\n");
    assert_eq!(problems(&text), ["6:17: nothing runs under a deny rule"]);
    assert_eq!(problems(&format!("{deny}end_with_token: false\n")), [""; 0]);
    let text = format!("{ALLOW}end_with_token: \"true\"\n");
    assert_eq!(problems(&text), ["6:17: expected true or false, found text"]);
}

#[test]
fn issuers_that_an_approval_names_must_be_there() {
    let text = format!(
        "{ISSUER}---\n{APPROVE}  hold_ms_max: 60000
  one_from_each: [{{issuer: a, groups: [g]}}]
  auto_approve: [{{subjects: [{{groups: [g]}}, {{issuer: b}}]}}]
  break_glass: {{subjects: [{{issuer: c}}]}}
"
    );
    let expected = [
        "14:28: rule `adapters`: unknown issuer `a`",
        "15:54: rule `adapters`: unknown issuer `b`",
        "16:37: rule `adapters`: unknown issuer `c`",
    ];
    assert_eq!(references(&text), expected);
    let second = ISSUER.replace("company", "ci").replace("id.example.com", "ci.example.com");
    let text = format!("{ISSUER}---\n{second}---\n{APPROVE}");
    let message = "rule `adapters`: a subject without `issuer`, and there are several issuers";
    assert_eq!(references(&text), [format!("14:12: {message}"), format!("17:15: {message}")]);
}

#[test]
fn a_hold_that_outlasts_common_proxies_warns() {
    let text = |hold: &str| format!("{ISSUER}---\n{APPROVE}{hold}");
    for hold in ["  hold_ms_max: 60000\n", "  hold_ms_max: 0\n"] {
        assert_eq!(references(&text(hold)), [""; 0]);
    }
    let message = "rule `adapters`: requests are held for longer than the 60 s that common proxies \
                   wait for an answer";
    let found = references(&text("  hold_ms_max: 60001\n"));
    assert_eq!(found, [format!("13:16: {message}")]);
    let by_default = references(&text(""));
    assert_eq!(by_default, [format!("12:3: {message}")], "the default is longer too");
}

#[test]
fn a_glob_of_an_approve_rule_needs_no_warning() {
    let text = APPROVE.replace("adapter.*", "\"*\"");
    assert_eq!(references(&format!("{ISSUER}---\n{text}  hold_ms_max: 1\n")), [""; 0]);
}

#[test]
fn an_approve_rule_is_written_as_people_write_it() {
    let text = format!(
        "{APPROVE}  grant: {{uses_max: 2}}
  break_glass: {{subjects: [{{groups: [on-call]}}]}}
when: [{{days: [mon], from: \"08:00\", to: \"24:00\", zone: Europe/Berlin}}]
end_with_token: true
"
    );
    let expected = "models: [\"*\"]
when:
  - {days: [mon], from: \"08:00\", to: \"24:00\", zone: Europe/Berlin}
end_with_token: true
approval:
  reviewers: [{groups: [ml-leads]}]
  quorum: 1
  reason: optional
  hold_ms_max: 300000
  answer_ms_max: 3600000
  stream: wait
  grant: {minutes_max: 30, uses_max: 2}
  break_glass: {subjects: [{groups: [on-call]}], minutes_max: 60, justify_ms_max: 86400000}
";
    let written = to_yaml(&document(&text));
    assert!(written.ends_with(expected), "{written}");
}

#[test]
fn hours_stand_in_json_as_in_documents() {
    let text = format!("{ALLOW}when: [{{from: \"08:05\", to: \"24:00\"}}]\n");
    let json = serde_json::to_value(document(&text)).expect("JSON");
    let expected = serde_json::json!([{"from": "08:05", "to": "24:00", "zone": "UTC"}]);
    assert_eq!(json["when"], expected);
    for bad in ["8:00", "25:00", ""] {
        let mut json = json.clone();
        json["when"][0]["from"] = bad.into();
        assert!(serde_json::from_value::<Document>(json).is_err(), "{bad}");
    }
}

#[test]
fn a_rule_without_what_is_new_is_written_as_by_an_earlier_version() {
    let json = serde_json::to_value(document(ALLOW)).expect("JSON");
    let keys: Vec<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    let earlier = ["connections", "effect", "kind", "models", "name", "operations", "subjects"];
    assert_eq!(keys, earlier);
    assert_eq!(serde_json::from_value::<Document>(json).expect("read"), document(ALLOW));
}
