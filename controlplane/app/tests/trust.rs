//! Secrets, issuers' keys, nodes, snapshots.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use common::{FIRST_RUN, POLICY, World, admin, operator, requester};
use penstock_app::event::Joined;
use penstock_app::state::{KeySet, KeySource, Sealed};
use penstock_app::{Action, Event, Refusal, Requester};
use penstock_config::certificates::PemError;
use penstock_config::node::{NodeStatus, SnapshotKey};
use penstock_config::snapshot::SnapshotSigner;
use serde_json::json;

fn keys(ids: &[&str]) -> KeySet {
    let key = |id: &&str| json!({"kid": id, "kty": "OKP"}).as_object().unwrap().clone();
    ids.iter().map(key).collect()
}

fn source() -> KeySource {
    KeySource { issuer: "http://127.0.0.1:9000".into(), jwks_uri: None }
}

fn fetched(ids: &[&str]) -> Event {
    Event::KeysFetched { issuer: "dev".into(), source: source(), keys: keys(ids) }
}

fn failed() -> Event {
    Event::KeysFailed { issuer: "dev".into(), source: source(), problem: "x".into(), jitter: 1_000 }
}

fn unknown(kid: &str) -> Event {
    Event::UnknownKey { issuer: "dev".into(), kid: kid.into() }
}

fn published_ids(world: &World) -> Vec<String> {
    let snapshot = world.published.last().unwrap();
    let keys = snapshot.issuers[0].keys.iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn sealed(generation: u64) -> Sealed {
    Sealed { generation, wrapped_key: "a".into(), ciphertext: "b".into() }
}

/// A value that is no certificate.
fn set_by(by: Requester, name: &str, sealed: Sealed) -> Event {
    let client_certificate = Err(PemError::Base64);
    Event::SetSecret { by, name: name.into(), sealed, client_certificate }
}

fn set(world: &mut World, name: &str) -> Result<penstock_app::Answer, Refusal> {
    let sealed = sealed(world.state.next_credentials_generation());
    world.send(set_by(operator(), name, sealed))
}

#[test]
fn a_secret_raises_generation_and_revision_and_its_act_holds_no_ciphertext() {
    let mut world = World::new();
    set(&mut world, "llama-key").unwrap();
    let snapshot = world.published.last().unwrap();
    assert_eq!((snapshot.credentials_generation, snapshot.position.revision), (1, 1));
    assert_eq!(snapshot.position.version, 1);
    let act = world.acts.last().unwrap();
    assert_eq!((act.action.as_str(), act.before.as_str()), ("secret.set", "null"));
    assert_eq!(act.after, r#"{"generation":1}"#);
}

#[test]
fn only_secrets_that_connections_in_force_name_are_leased() {
    let mut world = World::new();
    set(&mut world, "llama-key").unwrap();
    set(&mut world, "other").unwrap();
    assert!(world.state.leases(0).is_empty());
    world.apply(operator(), POLICY).unwrap();
    let names: Vec<&str> = world.state.leases(0).iter().map(|one| one.secret).collect();
    assert_eq!(names, ["llama-key"]);
}

#[test]
fn a_secret_that_was_sealed_for_another_generation_is_refused() {
    let mut world = World::new();
    let event = set_by(admin(), "a", sealed(2));
    assert_eq!(world.send(event), Err(Refusal::Generation));
}

#[test]
fn a_secret_without_a_proper_name_is_refused() {
    let mut world = World::new();
    for name in ["", "A", "-a", "a/b", &"a".repeat(64)] {
        assert_eq!(set(&mut world, name), Err(Refusal::Name), "{name}");
    }
}

#[test]
fn a_deleted_secret_is_gone_and_told() {
    let mut world = World::new();
    set(&mut world, "a").unwrap();
    world.send(Event::DeleteSecret { by: operator(), name: "a".into() }).unwrap();
    assert!(world.state.durable.secrets.is_empty());
    assert_eq!(world.published.last().unwrap().credentials_generation, 2);
    let again = world.send(Event::DeleteSecret { by: operator(), name: "a".into() });
    assert_eq!(again, Err(Refusal::NotFound("secret")));
}

#[test]
fn an_issuer_is_fetched_as_soon_as_it_is_in_force_and_once_at_a_time() {
    let mut world = World::new();
    assert_eq!(world.fetches, ["dev"]);
    world.send(Event::Tick).unwrap();
    world.apply(operator(), POLICY).unwrap();
    assert_eq!(world.fetches.len(), 1, "one fetch is under way");
}

#[test]
fn other_keys_are_a_new_revision_and_a_removed_key_is_gone_at_once() {
    let mut world = World::new();
    world.send(fetched(&["a", "b"])).unwrap();
    assert_eq!(published_ids(&world), ["a", "b"]);
    let published = world.published.len();
    world.send(fetched(&["b", "a"])).unwrap();
    assert_eq!(world.published.len(), published, "the same keys in another order");
    world.send(fetched(&["b"])).unwrap();
    assert_eq!(published_ids(&world), ["b"]);
    assert_eq!(world.state.durable.position.revision, 2);
    assert_eq!(world.acts.last().unwrap().action, "keys.change");
}

#[test]
fn keys_are_fetched_again_when_they_are_due() {
    let mut world = World::new();
    world.send(fetched(&["a"])).unwrap();
    world.fetches.clear();
    world.now_ms += world.state.tuning.jwks_refresh_ms - 1;
    world.send(Event::Tick).unwrap();
    assert!(world.fetches.is_empty());
    world.now_ms += 1;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.fetches, ["dev"]);
}

#[test]
fn a_failure_keeps_the_last_good_keys_and_each_one_waits_longer_up_to_a_bound() {
    let mut world = World::new();
    world.send(fetched(&["a"])).unwrap();
    let mut waits = Vec::new();
    for _ in 0..12 {
        world.send(failed()).unwrap();
        waits.push(world.state.fetches["dev"].next_ms - world.now_ms);
    }
    assert_eq!(published_ids(&world), ["a"]);
    assert_eq!(waits[..3], [1_000, 2_000, 4_000]);
    assert_eq!(waits[11], 300_000);
    world.send(fetched(&["a"])).unwrap();
    assert_eq!(world.state.fetches["dev"].failures, 0);
}

#[test]
fn row_32_a_flood_of_unknown_key_ids_causes_one_fetch_an_interval() {
    let mut world = World::new();
    world.send(fetched(&["a"])).unwrap();
    world.fetches.clear();
    for number in 0..100 {
        world.send(unknown(&format!("made-up-{number}"))).unwrap();
    }
    assert_eq!(world.fetches.len(), 1, "the first report fetches at once");
    world.send(fetched(&["a"])).unwrap();
    world.send(unknown("made-up")).unwrap();
    assert_eq!(world.fetches.len(), 1);
    world.now_ms += world.state.tuning.unknown_key_interval_ms;
    world.send(unknown("made-up")).unwrap();
    assert_eq!(world.fetches.len(), 2);
}

#[test]
fn a_known_key_id_and_an_unknown_issuer_cause_no_fetch() {
    let mut world = World::new();
    world.send(fetched(&["a"])).unwrap();
    world.fetches.clear();
    world.send(unknown("a")).unwrap();
    world.send(unknown(&"x".repeat(257))).unwrap();
    world.send(Event::UnknownKey { issuer: "nobody".into(), kid: "x".into() }).unwrap();
    assert!(world.fetches.is_empty());
}

#[test]
fn keys_of_another_place_count_no_more_once_the_issuer_moved() {
    let mut world = World::new();
    world.send(fetched(&["a"])).unwrap();
    world.fetches.clear();
    world.apply(Requester::System, &FIRST_RUN.replace("9000", "9001")).unwrap();
    assert!(world.published.last().unwrap().issuers[0].keys.is_empty());
    assert_eq!(world.fetches, ["dev"]);
    world.send(fetched(&["late"])).unwrap();
    assert!(world.state.durable.keys.is_empty(), "an answer from the old place comes too late");
}

#[test]
fn a_join_token_works_once_and_for_an_hour() {
    let mut world = World::new();
    let join = |node: &str| {
        Event::NodeJoined(Joined {
            token_sha256: "t".repeat(64),
            node: node.into(),
            name: "host-1".into(),
            certificate_sha256: format!("certificate of {node}"),
        })
    };
    let issue = || Event::JoinFileIssued { by: admin(), token_sha256: "t".repeat(64) };
    assert_eq!(world.send(join("n0")), Err(Refusal::JoinToken));
    world.send(issue()).unwrap();
    world.send(join("n1")).unwrap();
    assert_eq!(world.send(join("n2")), Err(Refusal::JoinToken));
    assert_eq!(world.state.node_with_certificate("certificate of n1"), Some("n1"));
    world.send(issue()).unwrap();
    world.now_ms += world.state.tuning.join_file_lifetime_ms;
    assert_eq!(world.send(join("n3")), Err(Refusal::JoinToken));
    world.send(Event::JoinFileIssued { by: admin(), token_sha256: "u".repeat(64) }).unwrap();
    assert_eq!(world.state.durable.join_tokens.len(), 1, "expired ones are forgotten");
}

#[test]
fn unused_join_files_are_bounded() {
    let mut world = World::new();
    for number in 0..penstock_app::state::JOIN_TOKENS_MAX {
        let event = Event::JoinFileIssued { by: admin(), token_sha256: format!("{number:064}") };
        world.send(event).unwrap();
    }
    let refused = world.send(Event::JoinFileIssued { by: admin(), token_sha256: "x".repeat(64) });
    assert!(matches!(refused, Err(Refusal::Full { .. })));
}

#[test]
fn a_status_of_an_unknown_node_or_out_of_bounds_is_refused() {
    let mut world = World::new();
    let status = NodeStatus {
        cores: Vec::new(),
        enforced_at_ms: 0,
        upstreams: Vec::new(),
        program: "p".repeat(1_025),
        listen: String::new(),
        refused: None,
    };
    let event = Event::NodeStatus { node: "n1".into(), status: status.clone() };
    assert_eq!(world.send(event), Err(Refusal::NotFound("node")));
    world.send(Event::JoinFileIssued { by: admin(), token_sha256: "t".into() }).unwrap();
    let joined = Joined {
        token_sha256: "t".into(),
        node: "n1".into(),
        name: "host".into(),
        certificate_sha256: "c".into(),
    };
    world.send(Event::NodeJoined(joined)).unwrap();
    let event = Event::NodeStatus { node: "n1".into(), status };
    assert_eq!(world.send(event), Err(Refusal::Bounds));
}

#[test]
fn somebody_without_the_role_gets_no_join_file_and_sets_no_secret() {
    let mut world = World::new();
    let eve = requester("eve", &["engineers"]);
    for by in [eve.clone(), operator()] {
        let event = Event::JoinFileIssued { by, token_sha256: "t".into() };
        assert_eq!(world.send(event), Err(Refusal::Forbidden(Action::IssueJoinFiles)));
    }
    let event = set_by(eve, "a", sealed(1));
    assert_eq!(world.send(event), Err(Refusal::Forbidden(Action::WriteSecrets)));
}

#[test]
fn a_snapshot_is_issued_again_at_half_of_its_life_and_names_the_one_before() {
    let mut world = World::new();
    world.send(fetched(&["a"])).unwrap();
    let first = world.state.durable.snapshot.clone().unwrap();
    world.now_ms += world.state.tuning.snapshot_lifetime_ms / 2 - 1;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.state.durable.snapshot.as_ref().unwrap().position, first.position);
    world.now_ms += 1;
    world.send(Event::Tick).unwrap();
    let renewed = world.published.last().unwrap();
    assert!(renewed.position > first.position);
    assert_eq!(renewed.position.version, first.position.version);
    assert_eq!(renewed.previous, first.sha256);
}

#[test]
fn other_snapshot_keys_are_told_in_a_new_revision_and_the_same_ones_in_none() {
    let mut world = World::new();
    let (own, next) = (world.signer.public(), SnapshotSigner::generate().unwrap().0.public());
    let mut start = |keys: &[SnapshotKey]| {
        world.send(Event::Started { keys: keys.to_vec() }).unwrap();
        let published = world.published.last().unwrap();
        (world.state.durable.position.revision, published.snapshot_keys.clone())
    };
    let one = vec![own.clone()];
    let both = vec![own, next];
    assert_eq!(start(&one), (1, one.clone()));
    assert_eq!(start(&one), (1, one.clone()));
    assert_eq!(start(&both), (2, both.clone()));
    assert_eq!(start(&one), (3, one));
    let published = world.published.len();
    world.apply(operator(), POLICY).unwrap();
    assert_eq!(world.published[published].snapshot_keys.len(), 1, "every snapshot tells them");
}

#[test]
fn another_snapshot_key_signs_again() {
    let mut world = World::new();
    world.send(Event::Started { keys: vec![world.signer.public()] }).unwrap();
    let before = world.state.durable.position;
    world.signer = SnapshotSigner::generate().unwrap().0;
    world.send(Event::Started { keys: vec![world.signer.public()] }).unwrap();
    assert!(world.state.durable.position > before);
}

#[test]
fn a_removed_node_is_a_stranger_and_only_administrators_remove() {
    let mut world = World::new();
    world.send(Event::JoinFileIssued { by: admin(), token_sha256: "t".into() }).unwrap();
    let joined = Joined {
        token_sha256: "t".into(),
        node: "n1".into(),
        name: "host".into(),
        certificate_sha256: "c".into(),
    };
    world.send(Event::NodeJoined(joined)).unwrap();
    let remove = |by| Event::RemoveNode { by, node: "n1".into() };
    assert_eq!(world.send(remove(operator())), Err(Refusal::Forbidden(Action::RemoveNodes)));
    world.send(remove(admin())).unwrap();
    assert_eq!(world.state.node_with_certificate("c"), None);
    assert!(!world.state.statuses.contains_key("n1"));
    let act = world.acts.last().unwrap();
    assert_eq!((act.action.as_str(), act.object.as_str()), ("node.remove", "node/n1"));
    assert_eq!(world.send(remove(admin())), Err(Refusal::NotFound("node")));
}

#[test]
fn members_of_a_key_that_verifying_does_not_take_are_neither_compared_nor_kept() {
    let mut world = World::new();
    let with = |more: &str| {
        let mut keys = keys(&["a"]);
        keys[0].insert("x5c".into(), json!([more]));
        keys[0].insert("d".into(), json!("private"));
        Event::KeysFetched { issuer: "dev".into(), source: source(), keys }
    };
    world.send(with("one")).unwrap();
    let published = world.published.len();
    let kept = world.published.last().unwrap().issuers[0].keys[0].clone();
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["kid", "kty"]);
    world.send(with("two")).unwrap();
    assert_eq!(world.published.len(), published);
}

#[test]
fn what_was_planned_before_the_clock_was_set_back_is_due_at_once() {
    let mut world = World::new();
    let hour_ms = 3_600_000;
    world.now_ms = 10 * hour_ms;
    world.send(fetched(&["a"])).unwrap();
    world.send(unknown("x")).unwrap();
    world.send(Event::JoinFileIssued { by: admin(), token_sha256: "t".into() }).unwrap();
    world.fetches.clear();
    let (published, revision) = (world.published.len(), world.state.durable.position.revision);
    world.now_ms = hour_ms;
    assert!(!world.state.join_token_holds("t", world.now_ms), "it would hold for ten hours");
    assert!(world.state.is_worth_fetching("dev", "y", world.now_ms));
    world.send(Event::Tick).unwrap();
    assert_eq!(world.fetches, ["dev"]);
    assert_eq!(world.published.len(), published + 1);
    world.send(Event::Tick).unwrap();
    assert_eq!(world.state.durable.position.revision, revision + 1, "once");
}
