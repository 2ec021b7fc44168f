//! Exchange of workloads' tokens by the core alone: who gets one, when none, and what is told.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use common::{World, admin, operator};
use penstock_app::event::TokenRef;
use penstock_app::exchange::{
    Exchange, ExchangeEvent, ExchangeRefusal, Exchanged, TokenIssuer, details,
};
use penstock_app::state::DocumentKey;
use penstock_app::{Action, Answer, Event, Refusal};
use penstock_config::identity::Identity;
use serde_json::{Value, json};

const WORKLOADS: &str = "
kind: issuer
name: github
issuer: https://token.actions.githubusercontent.com
audiences: [nothing-here]
---
kind: workload
name: nightly
subjects:
  - {issuer: github, claims: {repository_id: \"4711\", environment.name: prod}}
  - {issuer: github, claims: {repository_id: \"4711\", event_name: workflow_dispatch}}
groups: [ci]
connections: [\"*\"]
operations: [infer.*]
minutes_max: 60
---
kind: role
name: administrators
role: admin
subjects: [{issuer: dev, groups: [admins]}]
---
kind: role
name: operators
role: operator
subjects: [{issuer: dev, groups: [operators]}]
";

fn world() -> World {
    let mut world = World::new();
    world.now_ms = 2_000_000_000_500;
    world.send(started("https://penstock.example.com")).unwrap();
    world.apply(admin(), WORKLOADS).unwrap();
    world
}

fn started(url: &str) -> Event {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k"}).as_object().unwrap().clone();
    let issuer = TokenIssuer { url: url.into(), key };
    Event::Exchange(Box::new(ExchangeEvent::Started(issuer)))
}

fn asked(changed: &Value) -> Exchange {
    let mut claims = json!({
        "aud": "penstock-exchange", "iat": 2_000_000_000, "exp": 2_000_000_600, "jti": "job-1",
        "repository_id": "4711", "environment": {"name": "prod"}, "event_name": "schedule",
    });
    claims.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    let identity = Identity {
        issuer: "github".into(),
        subject: "repo:acme/app".into(),
        user: "repo:acme/app".into(),
        claims: claims.as_object().unwrap().clone(),
        ..Identity::default()
    };
    let token_sha256 = "0".repeat(64);
    Exchange { identity, token_sha256, workload: None, details: None, id: "new-1".into() }
}

fn exchange(world: &mut World, asked: Exchange) -> Result<Exchanged, ExchangeRefusal> {
    match world.send(Event::Exchange(Box::new(ExchangeEvent::Asked(asked)))) {
        Ok(Answer::Exchanged(exchanged)) => Ok(*exchanged),
        Err(Refusal::Exchange(refusal)) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_workload_gets_what_its_document_says_and_the_act_has_both_ids() {
    let mut world = world();
    let Exchanged { claims, expires_in_s } = exchange(&mut world, asked(&json!({}))).unwrap();
    let expected = json!({
        "iss": "https://penstock.example.com", "sub": "github:repo:acme/app", "aud": "penstock",
        "iat": 2_000_000_000, "exp": 2_000_000_600, "jti": "new-1", "client_id": "nightly",
        "groups": ["ci"],
        "authorization_details": [{
            "type": "penstock_access", "connections": ["*"], "operations": ["infer.*"],
            "models": ["*"],
        }],
        // A path is found again below `workload`.
        "workload": {"repository_id": "4711", "environment": {"name": "prod"}},
        "source": {
            "iss": "github", "sub": "repo:acme/app", "sha256": "0".repeat(64), "jti": "job-1",
        },
    });
    assert_eq!((Value::Object(claims), expires_in_s), (expected, 600));
    let act = world.acts.last().unwrap();
    assert_eq!((act.action.as_str(), act.object.as_str()), ("token.exchange", "workload/nightly"));
    assert!(act.before.contains("job-1") && act.after.contains("new-1"));
}

#[test]
fn a_token_lives_as_long_as_the_shortest_of_three_and_never_by_a_fraction_longer() {
    let mut world = world();
    // Of the job's own, of the document (60 minutes of now, rounded down), of nothing.
    for (exp, expected) in
        [(2_000_000_001, Some(1)), (2_000_009_999, Some(3_600)), (2_000_000_000, None)]
    {
        let found = exchange(&mut world, asked(&json!({"exp": exp})));
        assert_eq!(found.ok().map(|exchanged| exchanged.expires_in_s), expected, "{exp}");
    }
}

#[test]
fn nobody_gets_anything_without_a_document_that_knows_them() {
    let mut world = world();
    let none = ExchangeRefusal::NoWorkload;
    let rows = [
        (json!({"repository_id": "4712"}), none),
        (json!({"environment": {"name": "test"}}), none),
        (json!({"aud": ["penstock-exchange", "penstock-api"]}), none),
        (json!({"aud": "penstock"}), none),
        (json!({"aud": 1}), none),
        (json!({"event_name": "pull_request"}), ExchangeRefusal::Proposal),
        (json!({"event_name": "pull_request_target"}), ExchangeRefusal::Proposal),
        (json!({"event_name": null}), ExchangeRefusal::Proposal),
        (json!({"pipeline_source": "merge_request_event"}), ExchangeRefusal::Proposal),
        (json!({"pipeline_source": "external_pull_request_event"}), ExchangeRefusal::Proposal),
        (json!({"exp": "2000000600"}), ExchangeRefusal::Ended),
    ];
    let acts = world.acts.len();
    for (changed, expected) in rows {
        assert_eq!(exchange(&mut world, asked(&changed)), Err(expected), "{changed}");
    }
    let other = Identity { issuer: "dev".into(), ..asked(&json!({})).identity };
    let other = Exchange { identity: other, ..asked(&json!({})) };
    assert_eq!(exchange(&mut world, other), Err(none));
    let named = Exchange { workload: Some("release".into()), ..asked(&json!({})) };
    assert_eq!(exchange(&mut world, named), Err(none));
    let long = Identity { subject: "s".repeat(250), ..asked(&json!({})).identity };
    let long = Exchange { identity: long, ..asked(&json!({})) };
    assert_eq!(exchange(&mut world, long), Err(ExchangeRefusal::Subject));
    assert_eq!(world.acts.len(), acts, "what is refused is no act");
}

#[test]
fn a_token_that_nodes_would_not_take_for_its_size_is_not_made() {
    let mut world = world();
    let reason = "r".repeat(1_000);
    let entry = json!({"type": "penstock_access", "reason": reason});
    let text = json!(vec![entry; 6]).to_string();
    let large = Exchange { details: Some(details(&text).unwrap()), ..asked(&json!({})) };
    assert_eq!(exchange(&mut world, large), Err(ExchangeRefusal::Size));
}

#[test]
fn what_was_revoked_is_not_exchanged() {
    for (issuer, subject) in [("github", "repo:acme/app"), ("penstock", "github:repo:acme/app")] {
        let mut world = world();
        exchange(&mut world, asked(&json!({}))).unwrap();
        let revoked = Event::RevokeIdentity {
            by: admin(),
            issuer: issuer.into(),
            subject: subject.into(),
            reason: None,
        };
        world.send(revoked).unwrap();
        let refused = exchange(&mut world, asked(&json!({})));
        assert_eq!(refused, Err(ExchangeRefusal::Revoked), "{issuer}");
        // A token that was issued later counts again, like anybody's.
        world.now_ms += 10_000;
        let later = asked(&json!({"iat": 2_000_000_010}));
        assert!(exchange(&mut world, later).is_ok(), "{issuer}");
    }
}

#[test]
fn revoking_a_jobs_identity_ends_what_its_tokens_were_exchanged_for() {
    let mut world = world();
    let revoke = |issuer: &str, subject: &str| Event::RevokeIdentity {
        by: admin(),
        issuer: issuer.into(),
        subject: subject.into(),
        reason: None,
    };
    world.send(revoke("github", "repo:acme/app")).unwrap();
    let now_ms = world.now_ms;
    let is_revoked = |world: &World, issuer: &str, subject: &str| {
        world.state.is_token_revoked(issuer, subject, now_ms, "", None)
    };
    assert!(is_revoked(&world, "github", "repo:acme/app"));
    assert!(is_revoked(&world, "penstock", "github:repo:acme/app"));
    // People have no workload.
    world.send(revoke("dev", "ann")).unwrap();
    assert!(is_revoked(&world, "dev", "ann") && !is_revoked(&world, "penstock", "dev:ann"));
}

#[test]
fn revoking_a_jobs_token_or_identity_ends_the_token_that_it_was_exchanged_for() {
    let by_hash = TokenRef::Sha256("0".repeat(64));
    let by_id = TokenRef::Id { issuer: "github".into(), id: "job-1".into() };
    let token = |token| Event::RevokeToken { by: admin(), token, reason: None };
    let identity = Event::RevokeIdentity {
        by: admin(),
        issuer: "github".into(),
        subject: "repo:acme/app".into(),
        reason: None,
    };
    let other = TokenRef::Id { issuer: "github".into(), id: "new-1".into() };
    for (event, expected) in
        [(token(by_hash), true), (token(by_id), true), (identity, true), (token(other), false)]
    {
        let mut world = world();
        let Exchanged { claims, .. } = exchange(&mut world, asked(&json!({}))).unwrap();
        let issued_ms = claims["iat"].as_u64().unwrap() * 1_000;
        let job = Identity {
            issuer: "penstock".into(),
            subject: claims["sub"].as_str().unwrap().into(),
            claims,
            ..Identity::default()
        };
        let is_revoked =
            |world: &World, who: &Identity| world.state.is_revoked(who, issued_ms, &"1".repeat(64));
        // Also where no document says any more that such tokens are exchanged.
        let others = WORKLOADS.replace("name: nightly", "name: other").replace("github, ", "dev, ");
        world.apply(admin(), &others).unwrap();
        let key = DocumentKey::new("workload", "nightly").unwrap();
        world.send(Event::DeleteDocument { by: admin(), key }).unwrap();
        assert!(!is_revoked(&world, &job));
        let said = format!("{event:?}");
        world.send(event).unwrap();
        assert_eq!(is_revoked(&world, &job), expected, "{said}");
        let theirs = Identity { issuer: "dev".into(), ..job };
        assert!(!is_revoked(&world, &theirs), "what other issuers' tokens claim says nothing");
    }
}

#[test]
fn only_administrators_write_workloads() {
    let mut world = World::new();
    let refused = world.apply(operator(), WORKLOADS);
    assert_eq!(refused.err(), Some(Refusal::Forbidden(Action::WriteTrust)));
}

#[test]
fn nodes_are_told_of_the_issuer_once_and_again_where_it_changed() {
    let mut world = world();
    let names = |world: &World| -> Vec<String> {
        let issuers = &world.published.last().unwrap().issuers;
        issuers.iter().map(|issuer| issuer.document.name.clone()).collect()
    };
    assert_eq!(names(&world), ["dev", "github", "penstock"]);
    world.send(Event::Started { keys: vec![world.signer.public()] }).unwrap();
    let published = world.published.len();
    world.send(started("https://penstock.example.com")).unwrap();
    assert_eq!(world.published.len(), published, "the same issuer");
    world.send(started("https://other.example.com")).unwrap();
    assert_eq!(world.published.len(), published + 1);
    assert_eq!(
        world.published.last().unwrap().issuers[2].document.issuer,
        "https://other.example.com"
    );
}
