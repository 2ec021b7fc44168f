//! The control plane is dead, slow or lying: what was proved to be in force goes on, and nothing
//! else.

use penstock_config::node::Position;
use penstock_config::snapshot::SnapshotSigner;
use penstock_faults::{Behaviour, World, code, usual};
use penstock_harness::{AutonomousUpstream, documents, eventually, requests};

const CONNECTED: &str = "penstock_sync_control_connected";
const AGE: &str = "penstock_sync_confirmation_age_seconds";
const REFUSED: &str = "penstock_sync_snapshots_refused_total";

fn until_disconnected(world: &World) {
    eventually("the loss is noticed", || (world.node.metric(CONNECTED, "") == 0).then_some(()));
}

#[test]
fn control_plane_dead_callers_notice_nothing() {
    let upstream = AutonomousUpstream::start();
    let world = World::start(&upstream.url());
    eventually("a connection", || (world.node.metric(CONNECTED, "") == 1).then_some(()));
    world.control.behave(Behaviour::IsDead);
    until_disconnected(&world);
    for _ in 0..20 {
        assert_eq!(world.chat().status, 200);
    }
    eventually("the age of the policy", || (world.node.metric(AGE, "") >= 1).then_some(()));
    assert_eq!(world.node.operations("/readyz").status, 200, "a node alone is ready");
    // What changed meanwhile comes when the control plane is back.
    let more = usual(&upstream.url()) + &documents::allow("more", "sales", "list");
    world.control.publish(&more, &world.issuer);
    world.control.behave(Behaviour::Serves);
    world.node.expect_version(2);
    assert_eq!(world.node.metric(CONNECTED, ""), 1);
    assert_eq!(world.node.ended("served"), 20);
}

#[test]
fn control_plane_dead_beyond_snapshot_staleness_max_is_503_policy_stale() {
    let upstream = AutonomousUpstream::start();
    let settings = "snapshot_staleness_ms_max: 1500\n";
    let world = World::start_with(&usual(&upstream.url()), settings);
    assert_eq!(world.chat().status, 200);
    world.control.behave(Behaviour::IsDead);
    let stale = eventually("a policy that is stale", || {
        Some(world.chat()).filter(|response| response.status != 200)
    });
    assert_eq!((stale.status, code(&stale).as_str()), (503, "policy_stale"));
    assert!(stale.header("retry-after").is_some());
    // For all: also where nothing would be allowed, and without a token.
    let bare = "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(world.node.ask(bare).status, 503);
    let ready = world.node.operations("/readyz");
    let expected = "not ready: the policy was not confirmed for too long\n";
    assert_eq!((ready.status, ready.text().as_str()), (503, expected));
    world.node.expect_ended("policy_stale", 2);
    world.control.behave(Behaviour::Serves);
    eventually("the policy is confirmed", || (world.chat().status == 200).then_some(()));
    assert_eq!(world.node.operations("/readyz").status, 200);
}

#[test]
fn control_plane_slow_callers_notice_nothing() {
    let upstream = AutonomousUpstream::start();
    let world = World::start(&upstream.url());
    world.control.behave(Behaviour::Stalls);
    let more = usual(&upstream.url()) + &documents::allow("more", "sales", "list");
    world.control.publish(&more, &world.issuer);
    eventually("the age of the policy", || {
        assert_eq!(world.chat().status, 200);
        (world.node.metric(AGE, "") >= 1).then_some(())
    });
    assert_eq!(world.node.metric("penstock_sync_policy_version", ""), 1);
    world.control.behave(Behaviour::Serves);
    world.node.expect_version(2);
}

/// The control plane sends that in place of a snapshot: it is refused for that reason, counted and
/// told, the last good one goes on, and the next good one is taken.
#[track_caller]
fn assert_refused(world: &World, documents: &str, lie: Behaviour, why: &str) {
    let before = world.node.metric(REFUSED, "");
    world.control.behave(lie);
    eventually("the refusal", || (world.node.metric(REFUSED, "") > before).then_some(()));
    assert_eq!(world.chat().status, 200);
    let version = world.control.version();
    assert_eq!(world.node.metric("penstock_sync_policy_version", ""), version, "{why}");
    assert!(world.node.stderr().contains(why), "{why}: {}", world.node.stderr());
    world.control.behave(Behaviour::Serves);
    world.publish(documents);
    assert_eq!(world.chat().status, 200);
    eventually("the operator is told", || {
        world.control.refusal().filter(|told| told.contains(why))
    });
}

#[test]
fn control_plane_lying_the_last_good_snapshot_stays_in_force() {
    let upstream = AutonomousUpstream::start();
    let documents = usual(&upstream.url());
    let world = World::start(&upstream.url());
    let older = world.control.signed();
    world.publish(&documents);
    let lie = |bytes: Vec<u8>| Behaviour::Lies(bytes);
    let ahead = |version| Position { epoch: 1, version, revision: 0 };
    let refused = |lie, why| assert_refused(&world, &documents, lie, why);

    refused(lie(older), "older than what was enforced");
    let mut cut = world.control.signed_with(&world.issuer, ahead(91), |_| ());
    let at = find(&cut, b"\"payload\":\"") + 20;
    cut[at] = if cut[at] == b'A' { b'B' } else { b'A' };
    refused(lie(cut), "the signature does not hold");
    let other = world.control.signed_with(&world.issuer, ahead(92), |snapshot| {
        snapshot.cluster = "another".to_owned();
    });
    refused(lie(other), "for another cluster");
    let expired = world.control.signed_with(&world.issuer, ahead(93), |snapshot| {
        snapshot.expires_ms = 1;
    });
    refused(lie(expired), "it has expired");
    let stranger = SnapshotSigner::generate().unwrap().0.public().id;
    let unknown = String::from_utf8(world.control.signed()).unwrap();
    let unknown = unknown.replace(&world.control.key().id, &stranger);
    refused(lie(unknown.into_bytes()), "signed with an unknown key");
    refused(lie(b"{".to_vec()), "not a signed snapshot");
    refused(lie(Vec::new()), "not a signed snapshot");
    refused(Behaviour::FloodsSnapshots, "larger than 64 MiB");
}

fn find(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).unwrap()
}

#[test]
fn secrets_not_available_is_503_where_one_is_injected() {
    let upstream = AutonomousUpstream::start();
    let documents = usual(&upstream.url())
        + &documents::connection_with_secret("keyed", &upstream.url(), "model-key");
    let world = World::start(&upstream.url());
    world.control.lease(None);
    world.publish(&documents);
    let keyed = requests::get("/keyed/v1/models", &world.token());
    let response = world.node.ask(&keyed);
    assert_eq!((response.status, code(&response).as_str()), (503, "credential_unavailable"));
    assert!(response.header("retry-after").is_some());
    assert_eq!(world.chat().status, 200, "what needs none goes on");
    world.node.expect_ended("credential_unavailable", 1);
    assert_eq!(upstream.take_seen().len(), 1, "nothing is sent without the key");
    world.control.lease(Some(&[("model-key", "the-key")]));
    eventually("the lease", || (world.node.ask(&keyed).status == 200).then_some(()));
    let seen = upstream.take_seen();
    assert_eq!(seen.last().and_then(|one| one.authorization()), Some("Bearer the-key"));
}

#[test]
fn node_started_without_its_control_plane_serves_its_last_good_snapshot() {
    let upstream = AutonomousUpstream::start();
    let documents = usual(&upstream.url())
        + &documents::connection_with_secret("keyed", &upstream.url(), "model-key");
    let mut world = World::start(&upstream.url());
    world.control.lease(Some(&[("model-key", "the-key")]));
    world.publish(&documents);
    world.node.expect_kept(&world.control.signed());
    world.control.behave(Behaviour::IsDead);
    world.node.kill();
    world.node.restart("");
    assert_eq!(world.chat().status, 200);
    let ready = world.node.operations("/readyz");
    assert_eq!((ready.status, ready.text().as_str()), (200, "ready\n"));
    let keyed = requests::get("/keyed/v1/models", &world.token());
    let response = world.node.ask(&keyed);
    assert_eq!((response.status, code(&response).as_str()), (503, "credential_unavailable"));
    let outsider = world.issuer.token("eve").groups(&["sales"]).sign();
    assert_eq!(world.node.ask(&requests::models(&outsider)).status, 404, "nothing opens up");
    assert_eq!(world.node.metric(CONNECTED, ""), 0);
}
