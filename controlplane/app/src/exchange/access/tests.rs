//! What is granted is never wider than any of the three that it comes from.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

fn workload(connections: &[&str], operations: &[&str], models: &[&str]) -> Workload {
    Workload {
        name: "nightly".into(),
        subjects: Vec::new(),
        audience: "penstock-exchange".into(),
        groups: Vec::new(),
        connections: texts(connections),
        operations: texts(operations),
        models: texts(models),
        minutes_max: 15,
    }
}

#[test]
fn without_a_question_all_that_the_document_allows_is_granted() {
    let workload = workload(&["llama"], &["infer.*", "list"], &["smol-*"]);
    let granted = granted(&workload, None, None).unwrap();
    let expected = json!([{
        "type": "penstock_access", "connections": ["llama"], "operations": ["infer.*", "list"],
        "models": ["smol-*"]
    }]);
    assert_eq!(written(&granted), expected);
}

/// What the document allows, what is asked for, what is granted.
type Row = (&'static [&'static str], &'static [&'static str], Option<&'static [&'static str]>);

#[test]
fn each_row_of_widening_is_narrowed_or_refused() {
    let rows: [Row; 12] = [
        (&["llama"], &["llama"], Some(&["llama"])),
        (&["llama"], &["*"], Some(&["llama"])),
        (&["llama"], &["l*"], Some(&["llama"])),
        (&["llama"], &["vllm"], None),
        (&["llama"], &["llama", "vllm"], Some(&["llama"])),
        (&["infer.*"], &["infer.chat"], Some(&["infer.chat"])),
        (&["infer.*"], &["infer.chat", "weights.import"], Some(&["infer.chat"])),
        (&["infer.*"], &["i*"], Some(&["infer.*"])),
        (&["infer.*"], &["*.chat"], None),
        (&["*"], &["a*b"], Some(&["a*b"])),
        (&["**"], &["*"], Some(&["**"])),
        (&["a*c"], &["a*b*c", "ac", "ab"], Some(&["a*b*c", "ac"])),
    ];
    for (allowed, asked, expected) in rows {
        let found = common(Some(&texts(allowed)), Some(&texts(asked)));
        assert_eq!(found, expected.map(texts), "{allowed:?} {asked:?}");
    }
}

#[test]
fn a_question_of_which_one_entry_leaves_nothing_is_refused_whole() {
    let workload = workload(&["llama"], &["infer.*"], &["*"]);
    let asked =
        |operation: &str| Access { operations: Some(texts(&[operation])), ..Access::default() };
    let both = [asked("infer.chat"), asked("weights.import")];
    assert_eq!(granted(&workload, None, Some(&both)), None);
    assert!(granted(&workload, None, Some(&both[..1])).is_some());
}

#[test]
fn what_the_workloads_own_token_was_asked_for_narrows_as_well() {
    let workload = workload(&["*"], &["infer.*", "list"], &["*"]);
    let own = Intent {
        accesses: vec![Access {
            operations: Some(texts(&["list", "lifecycle"])),
            ..Access::default()
        }],
    };
    let granted_alone = granted(&workload, Some(&own), None).unwrap();
    assert_eq!(granted_alone[0].operations, Some(texts(&["list"])));
    let asked = [Access { operations: Some(texts(&["infer.chat"])), ..Access::default() }];
    assert_eq!(granted(&workload, Some(&own), Some(&asked)), None);
    let nothing =
        Intent { accesses: vec![Access { models: Some(Vec::new()), ..Access::default() }] };
    assert_eq!(granted(&workload, Some(&nothing), None), None);
}

#[test]
fn the_reason_and_the_ticket_of_the_call_are_kept() {
    let text = r#"[{"type":"penstock_access","reason":"nightly evaluation","ticket":"ML-7"}]"#;
    let workload = workload(&["a"], &["list"], &["*"]);
    let granted = granted(&workload, None, Some(&details(text).unwrap())).unwrap();
    let written = written(&granted);
    assert_eq!(
        (&written[0]["reason"], &written[0]["ticket"]),
        (&json!("nightly evaluation"), &json!("ML-7"))
    );
}

#[test]
fn details_that_are_not_ours_are_refused() {
    let many = format!("[{}]", vec![r#"{"type":"penstock_access"}"#; 17].join(","));
    let long = format!(r#"[{{"type":"penstock_access","models":["{}"]}}]"#, "m".repeat(257));
    let wide = json!([{"type": TYPE, "models": vec!["m"; 65]}]).to_string();
    let reason = json!([{"type": TYPE, "reason": "r".repeat(1_025)}]).to_string();
    let rows = [
        ("", DetailsError::Malformed),
        ("{}", DetailsError::Malformed),
        (r#"{"type":"penstock_access"}"#, DetailsError::Malformed),
        ("[1]", DetailsError::Malformed),
        ("[{}]", DetailsError::Malformed),
        (r#"[{"type":1}]"#, DetailsError::Malformed),
        (r#"[{"type":"payment_initiation"}]"#, DetailsError::Type),
        (r#"[{"type":"penstock_access"},{"type":"x"}]"#, DetailsError::Type),
        (r#"[{"type":"penstock_access","actions":["a"]}]"#, DetailsError::Malformed),
        (r#"[{"type":"penstock_access","models":null}]"#, DetailsError::Malformed),
        (r#"[{"type":"penstock_access","models":"m"}]"#, DetailsError::Malformed),
        (r#"[{"type":"penstock_access","models":[1]}]"#, DetailsError::Malformed),
        (r#"[{"type":"penstock_access","models":["a"],"models":["*"]}]"#, DetailsError::Malformed),
        (r#"[{"type":"x","type":"penstock_access"}]"#, DetailsError::Malformed),
        (r#"[{"type":"penstock_access"}] x"#, DetailsError::Malformed),
        ("[]", DetailsError::Bounds),
        (r#"[{"type":"penstock_access","models":[]}]"#, DetailsError::Bounds),
        (r#"[{"type":"penstock_access","models":[""]}]"#, DetailsError::Bounds),
        (r#"[{"type":"penstock_access","reason":"a\nb"}]"#, DetailsError::Bounds),
        (many.as_str(), DetailsError::Bounds),
        (long.as_str(), DetailsError::Bounds),
        (wide.as_str(), DetailsError::Bounds),
        (reason.as_str(), DetailsError::Bounds),
    ];
    for (text, expected) in rows {
        assert_eq!(details(text), Err(expected), "{text}");
    }
}

fn patterns() -> impl Strategy<Value = Vec<String>> {
    vec("[ab*]{1,5}", 1..4)
}

fn one() -> impl Strategy<Value = Access> {
    (option::of(patterns()), option::of(patterns()), option::of(patterns())).prop_map(
        |(connections, operations, models)| Access {
            connections,
            operations,
            models,
            reason: None,
            ticket: None,
        },
    )
}

/// Whether an access lets a request pass, as nodes decide it: by name, and `*` alone for requests
/// that name no model.
fn lets_pass(access: &Access, connection: &str, operation: &str, model: Option<&str>) -> bool {
    let matches = |patterns: &Option<Vec<String>>, text: &str| {
        patterns.as_ref().is_none_or(|all| all.iter().any(|glob| glob::matches(glob, text)))
    };
    matches(&access.connections, connection)
        && matches(&access.operations, operation)
        && match model {
            Some(model) => matches(&access.models, model),
            None => access.models.as_ref().is_none_or(|all| all.iter().any(|glob| glob == "*")),
        }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_token_never_lets_pass_what_one_of_its_three_sources_does_not(
        document in (patterns(), patterns(), patterns()),
        own in option::of(vec(one(), 1..3)),
        asked in option::of(vec(one(), 1..3)),
        request in ("[ab]{0,4}", "[ab]{0,4}", option::of("[ab]{0,4}")),
    ) {
        let (connections, operations, models) = document;
        let workload = Workload { connections, operations, models, ..workload(&[], &[], &[]) };
        let allowed = Access {
            connections: Some(workload.connections.clone()),
            operations: Some(workload.operations.clone()),
            models: Some(workload.models.clone()),
            ..Access::default()
        };
        let own = own.map(|accesses| Intent { accesses });
        if let Some(granted) = granted(&workload, own.as_ref(), asked.as_deref()) {
            prop_assert!(!granted.is_empty());
            let (connection, operation, model) = &request;
            let model = model.as_deref();
            let passes = |access: &Access| lets_pass(access, connection, operation, model);
            if granted.iter().any(passes) {
                prop_assert!(passes(&allowed));
                prop_assert!(own.is_none_or(|own| own.accesses.iter().any(passes)));
                prop_assert!(asked.is_none_or(|asked| asked.iter().any(passes)));
            }
        }
    }

    #[test]
    fn names_without_globs_are_compared_as_sets(
        one in vec("[abc]", 1..4), other in vec("[abc]", 1..4),
    ) {
        let expected: BTreeSet<String> =
            one.iter().filter(|name| other.contains(name)).cloned().collect();
        let found = common(Some(&one), Some(&other)).unwrap_or_default();
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }
}
