//! Documents: applied, pruned, deleted, rolled back.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use common::{FIRST_RUN, POLICY, World, admin, documents, operator, requester};
use penstock_app::event::ChangeKind;
use penstock_app::state::{DocumentKey, Origin};
use penstock_app::{Action, Answer, Event, Refusal, Requester};

fn key(kind: &str, name: &str) -> DocumentKey {
    DocumentKey::new(kind, name).unwrap()
}

#[test]
fn the_first_run_is_version_one_and_runs_once() {
    let mut world = World::new();
    assert_eq!(world.version(), 1);
    let other = FIRST_RUN.replace("9000", "9001");
    world.send(Event::FirstRun { documents: documents(&other) }).unwrap();
    assert_eq!(world.version(), 1);
}

#[test]
fn a_development_state_follows_its_first_run_documents() {
    let mut world = World::new();
    world.state.tuning.development = true;
    let other = FIRST_RUN.replace("9000", "9001");
    world.send(Event::FirstRun { documents: documents(&other) }).unwrap();
    assert_eq!(world.version(), 2);
    let issuer = world.state.issuers().next().unwrap();
    assert_eq!(issuer.issuer, "http://127.0.0.1:9001");
    world.send(Event::FirstRun { documents: documents(&other) }).unwrap();
    assert_eq!(world.version(), 2, "the same documents make no version");
    world.roll_back(admin(), 1).unwrap();
    let issuer = world.state.issuers().next().unwrap();
    assert_eq!(issuer.issuer, "http://127.0.0.1:9001", "a roll-back leaves them");
}

#[test]
fn applied_documents_are_one_version_with_one_act() {
    let mut world = World::new();
    let report = world.apply(operator(), POLICY).unwrap();
    assert_eq!(report.version, 2);
    let created: Vec<_> = report.changed.iter().map(|(k, c)| (k.name.as_str(), *c)).collect();
    assert_eq!(created, [("llama", ChangeKind::Created), ("engineers-infer", ChangeKind::Created)]);
    let act = world.acts.last().unwrap();
    assert_eq!((act.action.as_str(), act.object.as_str()), ("documents.apply", "version/2"));
    assert_eq!(act.actor.subject, "otto");
    assert!(act.after.contains("engineers-infer") && !act.before.contains("engineers-infer"));
    let published = world.published.last().unwrap();
    assert_eq!((published.position.version, published.rules.len()), (2, 1));
}

#[test]
fn an_unchanged_apply_makes_no_version() {
    let mut world = World::new();
    world.apply(operator(), POLICY).unwrap();
    let (acts, published) = (world.acts.len(), world.published.len());
    let report = world.apply(operator(), POLICY).unwrap();
    assert_eq!(report.version, 2);
    assert!(report.changed.iter().all(|(_, change)| *change == ChangeKind::Unchanged));
    assert_eq!((world.acts.len(), world.published.len()), (acts, published));
}

#[test]
fn a_connection_whose_secret_has_no_value_is_warned_about_at_its_place() {
    let mut world = World::new();
    let report = world.apply(operator(), POLICY).unwrap();
    let warning = report.warnings.iter().find(|w| w.message.contains("llama-key")).unwrap();
    assert_eq!((warning.file.as_str(), warning.line), ("test.yaml", 2));
}

#[test]
fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let mut world = World::new();
    let before = world.state.clone();
    let report = world.apply_with(operator(), POLICY, |apply| apply.dry_run = true).unwrap();
    assert!(report.dry_run);
    assert_eq!((report.version, report.changed.len()), (1, 2));
    assert_eq!(world.state, before);
}

#[test]
fn an_unexpected_version_is_a_conflict() {
    let mut world = World::new();
    let refused = world.apply_with(operator(), POLICY, |apply| apply.expect_version = Some(7));
    assert_eq!(refused, Err(Refusal::VersionConflict { expected: 7, current: 1 }));
    world.apply_with(operator(), POLICY, |apply| apply.expect_version = Some(1)).unwrap();
}

#[test]
fn a_bad_document_refuses_the_whole_change_with_every_problem() {
    let mut world = World::new();
    let before = world.state.clone();
    let bad = format!("{POLICY}---\nkind: rule\nname: Bad Name\neffekt: allow\n");
    let Err(Refusal::Invalid(problems)) = world.apply(operator(), &bad) else { panic!() };
    assert!(problems.len() >= 2, "{problems:?}");
    assert_eq!(world.state, before);
}

#[test]
fn a_reference_to_nothing_refuses_the_whole_change() {
    let mut world = World::new();
    let bad = POLICY.replace("subjects: [{groups", "subjects: [{issuer: nobody, groups");
    let Err(Refusal::Invalid(problems)) = world.apply(operator(), &bad) else { panic!() };
    assert!(problems.iter().any(|p| p.message.contains("nobody")), "{problems:?}");
    assert_eq!(world.version(), 1);
}

#[test]
fn what_the_sources_lack_is_listed_and_only_pruned_when_asked() {
    let mut world = World::new();
    world.apply(operator(), POLICY).unwrap();
    let rule = POLICY.split("---").nth(1).unwrap();
    let rule = rule.replace("list]", "embed]");
    let report = world.apply(operator(), &rule).unwrap();
    assert_eq!(report.absent, [key("connection", "llama")]);
    assert!(world.has("connection", "llama"));
    let report = world.apply_with(operator(), &rule, |apply| apply.prune = true).unwrap();
    assert!(report.absent.is_empty());
    assert!(report.changed.contains(&(key("connection", "llama"), ChangeKind::Deleted)));
    assert!(!world.has("connection", "llama"));
    assert!(world.has("issuer", "dev"), "what the first run put in force is never pruned");
}

#[test]
fn an_empty_file_never_prunes_everything() {
    let mut world = World::new();
    for empty in ["", "---\n# a generator that failed\n"] {
        let refused = world.apply_with(operator(), empty, |apply| apply.prune = true);
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    }
}

#[test]
fn a_first_run_document_that_somebody_applies_again_is_still_never_pruned() {
    let mut world = World::new();
    let roles = FIRST_RUN.replace("[operators]", "[operators, platform]");
    world.apply(admin(), &roles).unwrap();
    world.apply_with(admin(), POLICY, |apply| apply.prune = true).unwrap();
    assert!(world.has("role", "operators"));
    let stored = &world.state.durable.documents[&key("role", "operators")];
    assert_eq!(stored.origin, Origin::FirstRun);
}

#[test]
fn an_operator_writes_rules_but_neither_issuers_nor_roles() {
    let mut world = World::new();
    let mine = "kind: role\nname: mine\nrole: admin\nsubjects: [{users: [otto]}]\n";
    let refused = world.apply(operator(), &format!("{POLICY}---\n{mine}"));
    assert_eq!(refused, Err(Refusal::Forbidden(Action::WriteTrust)));
    assert_eq!(world.version(), 1);
    let with_unchanged_roles = format!("{POLICY}---{FIRST_RUN}");
    world.apply(operator(), &with_unchanged_roles).unwrap();
}

#[test]
fn an_operator_cannot_bring_back_an_old_role() {
    let mut world = World::new();
    let mine = "kind: role\nname: mine\nrole: admin\nsubjects: [{users: [otto]}]\n";
    world.apply(admin(), mine).unwrap();
    world.send(Event::DeleteDocument { by: admin(), key: key("role", "mine") }).unwrap();
    assert_eq!(world.roll_back(operator(), 2), Err(Refusal::Forbidden(Action::WriteTrust)),);
}

#[test]
fn somebody_without_a_role_writes_nothing() {
    let mut world = World::new();
    let refused = world.apply(requester("eve", &["engineers"]), POLICY);
    assert_eq!(refused, Err(Refusal::Forbidden(Action::WriteDocuments)));
}

#[test]
fn an_administrator_cannot_lock_themselves_out() {
    let mut world = World::new();
    for key in [key("role", "administrators"), key("issuer", "dev")] {
        let before = world.state.clone();
        let refused = world.send(Event::DeleteDocument { by: admin(), key });
        assert!(matches!(refused, Err(Refusal::LockOut | Refusal::Invalid(_))), "{refused:?}");
        assert_eq!(world.state, before);
    }
}

#[test]
fn an_administrator_cannot_change_how_the_issuer_that_vouches_for_them_is_trusted() {
    let mut world = World::new();
    let own = FIRST_RUN.split("---").next().unwrap();
    let before = world.state.clone();
    for line in [
        "jwks_uri: http://127.0.0.1:9000/other",
        "user_claim: email",
        "groups_claim: roles",
        "leeway_ms: 0",
        "lifetime_ms_max: 1",
        "token_types: [JWT]",
    ] {
        let refused = world.apply(admin(), &format!("{own}{line}\n"));
        assert_eq!(refused, Err(Refusal::LockOut), "{line}");
    }
    let moved = own.replace("9000", "9001");
    assert_eq!(world.apply(admin(), &moved), Err(Refusal::LockOut));
    assert_eq!(world.state, before);
    world.apply(admin(), &own.replace("[penstock]", "[penstock, more]")).unwrap();
    world.apply(Requester::System, &moved).unwrap();
    assert_eq!(world.roll_back(admin(), 1), Err(Refusal::LockOut));
}

#[test]
fn a_roll_back_is_a_new_version_with_the_old_content() {
    let mut world = World::new();
    world.apply(operator(), POLICY).unwrap();
    let two = world.state.durable.documents.clone();
    world
        .send(Event::DeleteDocument { by: operator(), key: key("rule", "engineers-infer") })
        .unwrap();
    assert!(!world.has("rule", "engineers-infer"));
    assert_eq!(world.roll_back(operator(), 2), Ok(Answer::Version(4)));
    assert_eq!(world.state.durable.documents, two);
    assert_eq!(world.versions[&4].0.summary, "rolled back to version 2");
}

#[test]
fn deleting_what_is_not_there_is_not_found() {
    let mut world = World::new();
    let event = Event::DeleteDocument { by: admin(), key: key("rule", "nothing") };
    assert_eq!(world.send(event), Err(Refusal::NotFound("document")));
}
