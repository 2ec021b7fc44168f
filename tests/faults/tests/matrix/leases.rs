//! Credentials are leased: they go when their lease ends, when nobody says that it stands any more,
//! and they never come where they were not sealed for this node.

use std::time::Duration;

use penstock_faults::{Behaviour, World, code, usual};
use penstock_harness::{AutonomousUpstream, Response, documents, eventually, requests};

const LIFE: Duration = Duration::from_secs(3_600);

/// A node whose connection `keyed` needs a credential, which leases of that life give it.
fn world(upstream: &AutonomousUpstream, life: Duration, settings: &str) -> World {
    let world = World::start_with(&usual(&upstream.url()), settings);
    world.control.lease(Some(&[("model-key", "the-key")]));
    world.control.lease_for(life);
    let keyed = documents::connection_with_secret("keyed", &upstream.url(), "model-key");
    world.publish(&(usual(&upstream.url()) + &keyed));
    world
}

fn ask(world: &World) -> Response {
    world.node.ask(&requests::get("/keyed/v1/models", &world.token()))
}

fn until_it_is_gone(world: &World) {
    let refused = eventually("a request without the credential", || {
        Some(ask(world)).filter(|response| response.status != 200)
    });
    assert_eq!((refused.status, code(&refused).as_str()), (503, "credential_unavailable"));
    assert_eq!(world.chat().status, 200, "what needs none goes on");
}

#[test]
fn secrets_not_available_any_more_once_their_lease_ended_by_itself() {
    let upstream = AutonomousUpstream::start();
    let silent = "revocation_silence_ms_max: 60000\n";
    let world = world(&upstream, Duration::from_secs(2), silent);
    eventually("the lease", || (ask(&world).status == 200).then_some(()));
    world.control.behave(Behaviour::IsDead);
    until_it_is_gone(&world);
    world.control.behave(Behaviour::Serves);
    eventually("the lease again", || (ask(&world).status == 200).then_some(()));
}

#[test]
fn secrets_not_available_once_the_control_plane_was_silent_for_too_long() {
    let upstream = AutonomousUpstream::start();
    let world = world(&upstream, LIFE, "revocation_silence_ms_max: 1500\n");
    eventually("the lease", || (ask(&world).status == 200).then_some(()));
    world.control.behave(Behaviour::Stalls);
    until_it_is_gone(&world);
    world.control.behave(Behaviour::Serves);
    eventually("the lease again", || (ask(&world).status == 200).then_some(()));
}

#[test]
fn secrets_not_available_as_soon_as_the_control_plane_lists_them_no_more() {
    let upstream = AutonomousUpstream::start();
    let world = world(&upstream, LIFE, "revocation_silence_ms_max: 2000\n");
    eventually("the lease", || (ask(&world).status == 200).then_some(()));
    world.control.lease(Some(&[]));
    until_it_is_gone(&world);
}

#[test]
fn secrets_not_available_where_they_are_sealed_for_another_node() {
    let upstream = AutonomousUpstream::start();
    let world = World::start(&upstream.url());
    world.control.lease(Some(&[("model-key", "the-key")]));
    world.control.seal_for("node-99");
    let keyed = documents::connection_with_secret("keyed", &upstream.url(), "model-key");
    world.publish(&(usual(&upstream.url()) + &keyed));
    until_it_is_gone(&world);
    assert_eq!(upstream.take_seen().len(), 1, "nothing is sent without the key");
    eventually("the operator is told", || {
        let told = world.control.refusal()?;
        told.contains("the leases do not open with this node's key").then_some(())
    });
    world.control.seal_for("node-1");
    eventually("the lease", || (ask(&world).status == 200).then_some(()));
}
