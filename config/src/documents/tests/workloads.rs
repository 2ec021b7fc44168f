//! What a workload document changes for a whole set: the control plane is an issuer besides.

use super::*;

const GITHUB: &str = "kind: issuer
name: github
issuer: https://token.actions.githubusercontent.com
audiences: [nothing-here]
";

const WORKLOAD: &str = "kind: workload
name: nightly
subjects: [{issuer: github, claims: {repository_id: \"4711\"}}]
connections: [\"*\"]
operations: [list]
";

const EXCHANGED_LIST: &str = "kind: rule
name: nightly-lists
effect: allow
subjects: [{issuer: penstock}]
operations: [list]
";

/// Problems of a set as `line: message`.
fn found(texts: &[&str]) -> Vec<String> {
    let sources = [source(&texts.join("---\n"))];
    let placed = parse(&sources).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let set: Vec<Document> = placed.iter().map(|one| one.document.clone()).collect();
    let problems = check_references(&set, &sources, &placed).err().unwrap_or_default();
    problems.iter().map(|one| format!("{}: {}", one.line, one.message)).collect()
}

#[test]
fn rules_may_name_the_control_plane_as_issuer_while_a_workload_is_in_force() {
    assert_eq!(found(&[GITHUB, WORKLOAD, EXCHANGED_LIST]), Vec::<String>::new());
    let without = found(&[GITHUB, EXCHANGED_LIST]);
    assert_eq!(without, ["9: rule `nightly-lists`: unknown issuer `penstock`"]);
}

#[test]
fn with_a_workload_every_subject_names_its_issuer() {
    let anybody = EXCHANGED_LIST.replace("{issuer: penstock}", "{groups: [engineers]}");
    assert_eq!(found(&[GITHUB, &anybody]), Vec::<String>::new());
    let problems = found(&[GITHUB, WORKLOAD, &anybody]);
    let expected = "a subject without `issuer`, and there are several issuers";
    assert!(problems.len() == 1 && problems[0].ends_with(expected), "{problems:?}");
}

#[test]
fn no_issuer_document_takes_the_name_of_the_control_planes_own_tokens() {
    let problems = found(&[&GITHUB.replace("name: github", "name: penstock")]);
    let expected = "the name of the control plane's own tokens, those of workloads";
    assert!(problems.len() == 1 && problems[0].ends_with(expected), "{problems:?}");
}

#[test]
fn what_is_exchanged_comes_from_another_issuer_and_opens_nothing_by_itself() {
    let own = WORKLOAD.replace("issuer: github", "issuer: penstock");
    let problems = found(&[GITHUB, &own]);
    assert!(problems.len() == 1 && problems[0].contains("not exchanged again"), "{problems:?}");
    let open = GITHUB.replace("nothing-here", "penstock-exchange");
    let problems = found(&[&open, WORKLOAD]);
    assert!(problems.len() == 1 && problems[0].contains("open the gateway"), "{problems:?}");
    for audience in ["penstock", "penstock-api"] {
        let problems = problems_of(&format!("{WORKLOAD}audience: {audience}\n"));
        assert!(problems.contains("whose tokens open something"), "{problems}");
    }
}

fn problems_of(text: &str) -> String {
    problems(text).join("\n")
}

#[test]
fn the_policy_of_a_set_with_a_workload_compiles_with_the_issuer_that_nodes_get() {
    let sources = [source(&[GITHUB, WORKLOAD, EXCHANGED_LIST].join("---\n"))];
    let mut issuers = vec![exchange_issuer("https://penstock.example.com")];
    let mut rules = Vec::new();
    for placed in parse(&sources).unwrap_or_else(|problems| panic!("{problems:#?}")) {
        match placed.document {
            Document::Issuer(issuer) => issuers.push(issuer),
            Document::Rule(rule) => rules.push(rule),
            other => assert_eq!(other.kind(), "workload"),
        }
    }
    assert!(crate::decision::Policy::compile(&issuers, &[], &rules).is_ok());
    assert!(crate::decision::Policy::compile(&issuers[1..], &[], &rules).is_err());
}
