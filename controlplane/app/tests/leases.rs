//! Which secrets a data plane may have.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::documents;
use penstock_app::grants::{Grant, GrantState, GrantedModels};
use penstock_app::state::{DocumentKey, Origin, Sealed, StoredDocument, StoredSecret};
use penstock_app::{Durable, State, Tuning};
use penstock_config::documents::{Connection, Document, Effect, ExactIdentity, Rule};
use penstock_config::glob;
use proptest::prelude::*;

const NOW_MS: u64 = 1_000_000_000;
const MINUTE_MS: u64 = 60_000;

/// A grant on a connection, given now, for half an hour.
fn grant(number: usize, connection: &str, state: GrantState) -> Grant {
    let is_used = state != GrantState::Approved;
    Grant {
        id: format!("grt-{number}"),
        approval: format!("apr-{number}"),
        owner: ExactIdentity { issuer: "dev".into(), subject: "ada".into() },
        user: "ada".into(),
        connection: connection.into(),
        operations: vec!["adapter.load".into()],
        models: GrantedModels { names: vec!["*".into()], are_globs: true, or_unnamed: true },
        digest: None,
        rules: vec!["adapters".into()],
        uses_max: 1,
        uses: u64::from(is_used),
        minutes: 30,
        granted_ms: NOW_MS,
        answer_ms: 10 * MINUTE_MS,
        use_by_ms: NOW_MS + 10 * MINUTE_MS,
        first_used_ms: is_used.then_some(NOW_MS),
        ends_ms: is_used.then_some(NOW_MS + 30 * MINUTE_MS),
        state,
        ended: None,
        is_break_glass: false,
        extends: None,
    }
}

fn over(mut grant: Grant) -> Grant {
    grant.ended = Some(penstock_app::approvals::Ended {
        at_ms: NOW_MS,
        by: penstock_app::event::Actor::system(),
        cause: penstock_app::approvals::EndCause::Revoked,
        note: String::new(),
    });
    grant
}

fn connection(name: &str, secret: &str) -> String {
    format!(
        "---\nkind: connection\nname: {name}\nprotocol: openai\nendpoints: [http://model]\n\
         credential: {{secret: {secret}, scheme: bearer}}\n"
    )
}

fn rule(name: &str, effect: Effect, connections: &str) -> String {
    let effect = match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
        Effect::Approve => "approve\napproval: {reviewers: [{groups: [leads]}]}",
    };
    format!(
        "---\nkind: rule\nname: {name}\neffect: {effect}\nsubjects: [{{groups: [engineers]}}]\n\
         operations: [list]\nconnections: [{connections}]\n"
    )
}

fn state(text: &str, secrets: &[&str], grants: Vec<Grant>) -> State {
    let stored = |document: Document| {
        (DocumentKey::of(&document), StoredDocument { origin: Origin::Applied, document })
    };
    let secret = |name: &&str| {
        let sealed = Sealed { generation: 1, wrapped_key: "a".into(), ciphertext: "b".into() };
        let stored = StoredSecret { sealed, is_client_certificate: false, updated_ms: 0 };
        ((*name).to_owned(), stored)
    };
    let mut durable = Durable {
        documents: Arc::new(documents(text).into_iter().map(stored).collect()),
        secrets: Arc::new(secrets.iter().map(secret).collect()),
        ..Durable::default()
    };
    for grant in grants {
        durable.grants.insert(grant.id.clone(), Arc::new(grant));
    }
    State::new(durable, Tuning::default())
}

/// Name and end of everything that a node may have.
fn leases(state: &State, now_ms: u64) -> BTreeMap<String, Option<u64>> {
    state.leases(now_ms).iter().map(|one| (one.secret.to_owned(), one.ends_ms)).collect()
}

fn names(state: &State, now_ms: u64) -> Vec<String> {
    leases(state, now_ms).into_keys().collect()
}

#[test]
fn what_an_allow_rule_reaches_is_leased_without_an_end_and_nothing_else() {
    let text = rule("allows", Effect::Allow, "open") + &connection("open", "key");
    let text = text + &connection("closed", "other");
    let state = state(&text, &["key", "other", "unused"], Vec::new());
    assert_eq!(leases(&state, NOW_MS), BTreeMap::from([("key".to_owned(), None)]));
}

#[test]
fn a_connection_that_needs_approval_has_its_credential_leased_only_while_a_grant_lives() {
    let text = rule("approves", Effect::Approve, "held") + &connection("held", "key");
    assert!(names(&state(&text, &["key"], Vec::new()), NOW_MS).is_empty());

    let approved = state(&text, &["key"], vec![grant(1, "held", GrantState::Approved)]);
    let latest_ms = NOW_MS + 40 * MINUTE_MS;
    assert_eq!(leases(&approved, NOW_MS)["key"], Some(latest_ms), "it may be used at the last");
    assert!(names(&approved, NOW_MS + 10 * MINUTE_MS).is_empty(), "it was not used in time");

    for state_of_grant in [GrantState::Active, GrantState::Spent] {
        let used = state(&text, &["key"], vec![grant(1, "held", state_of_grant)]);
        let ends_ms = NOW_MS + 30 * MINUTE_MS;
        assert_eq!(leases(&used, ends_ms - 1)["key"], Some(ends_ms));
        assert!(names(&used, ends_ms).is_empty(), "{state_of_grant:?}");
    }
    for state_of_grant in [GrantState::Spent, GrantState::Expired, GrantState::Revoked] {
        let ended = over(grant(1, "held", state_of_grant));
        assert!(names(&state(&text, &["key"], vec![ended]), NOW_MS).is_empty());
    }
}

#[test]
fn the_last_of_several_grants_says_when_a_lease_ends() {
    let text = connection("held", "key") + &connection("too", "key");
    let mut longer = grant(2, "too", GrantState::Active);
    longer.ends_ms = Some(NOW_MS + 29 * MINUTE_MS);
    let grants = vec![grant(1, "held", GrantState::Active), longer];
    let state = state(&text, &["key"], grants);
    assert_eq!(leases(&state, NOW_MS)["key"], Some(NOW_MS + 30 * MINUTE_MS));
}

#[test]
fn a_grant_on_a_connection_that_is_gone_leases_nothing() {
    let state = state(&connection("a", "key"), &["key"], vec![grant(1, "b", GrantState::Active)]);
    assert!(names(&state, NOW_MS).is_empty());
}

#[test]
fn a_clock_that_was_set_back_makes_no_grant_longer() {
    let state = state(&connection("a", "key"), &["key"], vec![grant(1, "a", GrantState::Active)]);
    assert!(names(&state, NOW_MS - 60 * MINUTE_MS).is_empty());
}

const CONNECTIONS: [&str; 4] = ["a", "ab", "b", "c"];
const SECRETS: [&str; 3] = ["s0", "s1", "s2"];

fn effect() -> impl Strategy<Value = Effect> {
    prop_oneof![Just(Effect::Allow), Just(Effect::Deny), Just(Effect::Approve)]
}

fn grant_state() -> impl Strategy<Value = GrantState> {
    prop_oneof![
        Just(GrantState::Approved),
        Just(GrantState::Active),
        Just(GrantState::Spent),
        Just(GrantState::Expired),
        Just(GrantState::Revoked),
    ]
}

/// Straight from the sentence: an allow rule reaches its connection, or a live grant is on it.
fn may_have(secret: &str, documents: &[Document], grants: &[Grant], now_ms: u64) -> bool {
    let connections = documents.iter().filter_map(Document::as_connection);
    let rules: Vec<&Rule> = documents.iter().filter_map(Document::as_rule).collect();
    let allowed = |one: &Connection| {
        rules.iter().any(|rule| {
            rule.effect == Effect::Allow
                && rule.connections.iter().any(|pattern| glob::matches(pattern, &one.name))
        })
    };
    let granted = |one: &Connection| {
        grants.iter().any(|grant| {
            let until_ms = grant.ends_ms.unwrap_or(grant.use_by_ms);
            grant.connection == one.name && grant.ended.is_none() && now_ms < until_ms
        })
    };
    let mut named = connections.filter(|one| one.secrets().any(|name| name == secret));
    named.any(|one| allowed(one) || granted(one))
}

proptest! {
    #[test]
    fn a_node_may_have_exactly_what_rules_and_live_grants_stand_for(
        has in prop::collection::vec(0..SECRETS.len(), CONNECTIONS.len()),
        rules in prop::collection::vec(
            (effect(), prop_oneof![Just("a"), Just("\"a*\""), Just("b"), Just("\"*c\"")]),
            0..4,
        ),
        given in prop::collection::vec((0..=CONNECTIONS.len(), grant_state(), any::<bool>()), 0..4),
        stored in prop::collection::vec(any::<bool>(), SECRETS.len()),
        later_ms in 0..45 * MINUTE_MS,
    ) {
        let mut text = String::new();
        for (name, secret) in CONNECTIONS.iter().zip(&has) {
            text += &connection(name, SECRETS[*secret]);
        }
        for (number, (effect, connections)) in rules.iter().enumerate() {
            text += &rule(&format!("r{number}"), *effect, connections);
        }
        let grants: Vec<Grant> = given
            .iter()
            .enumerate()
            .map(|(number, (on, state, ended))| {
                let on = CONNECTIONS.get(*on).unwrap_or(&"gone");
                let one = grant(number, on, *state);
                let is_live = matches!(state, GrantState::Approved | GrantState::Active);
                if *ended && !is_live { over(one) } else { one }
            })
            .collect();
        let set = SECRETS.iter().zip(&stored).filter(|(_, is_set)| **is_set);
        let secrets: Vec<&str> = set.map(|(name, _)| *name).collect();
        let now_ms = NOW_MS + later_ms;
        let state = state(&text, &secrets, grants.clone());
        let documents = documents(&text);
        let expected: Vec<String> = secrets
            .iter()
            .filter(|secret| may_have(secret, &documents, &grants, now_ms))
            .map(|secret| (*secret).to_owned())
            .collect();
        prop_assert_eq!(names(&state, now_ms), expected);
    }
}
