//! Small faults, one after the other, in the whole product: each has a clear answer, and is over
//! when its cause is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod documents;
mod ending;
mod planes;
mod refusals;
mod secrets;
mod snapshots;
mod start;
mod upstream;

use penstock_harness::{Dev, RawClient, Response};

/// A caller of a running product.
fn client(dev: &Dev) -> RawClient {
    RawClient::connect(&dev.ready().gateway)
}

/// One exchange on a connection of its own.
#[track_caller]
fn exchange(dev: &Dev, request: &str) -> Response {
    client(dev).exchange(request)
}

/// A token of an engineer, who may infer and list.
#[track_caller]
fn engineer(dev: &Dev) -> String {
    dev.token("ada", &["engineers"], &[])
}
