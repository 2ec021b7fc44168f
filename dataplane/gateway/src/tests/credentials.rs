//! Credentials that come and go while requests are under way.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use penstock_reactor::network::Network as _;

use super::stage::{MODEL_KEY, Stage};
use crate::leases::{self, tests::leases};
use crate::reason::Reason;

/// What a request that may go finds.
fn wait(stage: &mut Stage, connection: &'static str) -> Result<(), Reason> {
    let core = Rc::clone(&stage.core);
    stage.simulation.run_until(async move { leases::wait(&core, connection).await }).unwrap()
}

#[test]
fn a_request_that_may_go_waits_for_its_lease_for_two_seconds_at_most() {
    let mut stage = Stage::new();
    assert!(wait(&mut stage, "llama").is_ok());
    assert_eq!(stage.simulation.now(), Duration::ZERO, "what is here is not waited for");
    stage.core.node.leases.store(Arc::default());
    let waited = wait(&mut stage, "llama");
    assert!(matches!(waited, Err(Reason::CredentialUnavailable)), "{waited:?}");
    assert_eq!(stage.simulation.now(), Duration::from_secs(2));
}

#[test]
fn a_lease_that_comes_while_a_request_waits_lets_it_go_on() {
    let mut stage = Stage::new();
    stage.core.node.leases.store(Arc::default());
    let core = Rc::clone(&stage.core);
    stage.network.spawn(async move {
        core.network.sleep(Duration::from_millis(500)).await;
        core.node.leases.store(Arc::new(leases("llama-key", 1, MODEL_KEY)));
    });
    assert!(wait(&mut stage, "llama").is_ok());
    let now = stage.simulation.now();
    assert!((500..=510).contains(&now.as_millis()), "{now:?}");
}

#[test]
fn a_lease_of_a_newer_value_than_the_documents_go_with_is_not_used() {
    let mut stage = Stage::new();
    stage.core.node.leases.store(Arc::new(leases("llama-key", 2, "newer")));
    assert!(wait(&mut stage, "llama").is_err());
}

#[test]
fn a_connection_that_is_gone_is_not_waited_for() {
    assert!(wait(&mut Stage::new(), "nowhere").is_ok());
}
