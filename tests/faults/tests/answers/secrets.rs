//! The model server's own key: absent, set, changed, wrong.

use penstock_faults::code;
use penstock_harness::{AutonomousUpstream, Dev, documents, eventually, requests};

use super::{engineer, exchange};

fn documents_with_secret(upstream: &AutonomousUpstream) -> String {
    documents::connection_with_secret("m", &upstream.url(), "model-key")
        + &documents::allow("engineers", "engineers", "infer.*, list")
}

fn set(dev: &Dev, value: &str) {
    let output = dev.penstock_with_input(&["secret", "set", "model-key"], value);
    assert_eq!(output.code, 0, "{}", output.stderr);
}

#[test]
fn a_missing_secret_is_said_and_one_that_is_set_works_without_a_restart() {
    let upstream = AutonomousUpstream::start();
    let dev = Dev::start(&documents_with_secret(&upstream));
    let token = engineer(&dev);
    let response = exchange(&dev, &requests::chat(&token));
    assert_eq!((response.status, code(&response).as_str()), (503, "credential_unavailable"));
    assert!(response.header("retry-after").is_some());
    assert_eq!(upstream.connections(), 0, "nothing is sent without the key");

    let dataplane = dev.pids().dataplane;
    for value in ["first-key", "second-key"] {
        set(&dev, value);
        let expected = format!("Bearer {value}");
        eventually("a request with the key that was set", || {
            let status = exchange(&dev, &requests::chat(&token)).status;
            let seen = upstream.take_seen();
            let came = seen.last().and_then(|one| one.authorization().map(str::to_owned));
            assert!(came.as_ref().is_none_or(|came| !came.contains(&token)));
            (status == 200 && came.as_ref() == Some(&expected)).then_some(())
        });
    }
    assert_eq!(dev.pids().dataplane, dataplane);
    let listed = dev.penstock(&["secret", "list", "--output", "json"]);
    assert!(listed.stdout.contains("model-key") && !listed.stdout.contains("second-key"));
}

#[test]
fn a_secret_that_could_end_a_field_is_refused() {
    let upstream = AutonomousUpstream::start();
    let dev = Dev::start(&documents_with_secret(&upstream));
    for value in ["a\r\nx-injected: 1", "a\nb", "a\u{0}b"] {
        let output = dev.penstock_with_input(&["secret", "set", "model-key"], value);
        assert_ne!(output.code, 0, "{value:?}");
        assert!(!output.stderr.contains("x-injected"), "{}", output.stderr);
    }
    let response = exchange(&dev, &requests::chat(&engineer(&dev)));
    assert_eq!((response.status, code(&response).as_str()), (503, "credential_unavailable"));
}
