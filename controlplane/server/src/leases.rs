//! Credentials on their way to data planes: opened with the master key, and sealed for the key that
//! a node made at its start (see `penstock_config::lease`). In clear they are here for a moment,
//! and zeroised.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use penstock_api::Problem;
use penstock_app::vault::{self, MasterKey};
use penstock_app::{self as app, Refusal};
use penstock_config::lease::{
    Binding, HELD_MAX, LeaseAnswer, LeaseError, LeaseRequest, Terms, Until, seal,
};

use crate::log::now_ms;
use crate::nodes::{NodeId, Nodes, body, internal};

/// Largest request: [`HELD_MAX`] names.
pub(crate) const LEASES_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Everything that a node may have now, but the values that it has.
pub(crate) async fn leases(
    State(nodes): State<Nodes>,
    NodeId(node): NodeId,
    request: Result<Json<LeaseRequest>, JsonRejection>,
) -> Result<Response, Problem> {
    let request = body(request)?;
    if request.have.len() > HELD_MAX {
        return Err(Refusal::Bounds.into());
    }
    let state = nodes.handle.state();
    // Thousands of values take a tenth of a second: others are served meanwhile.
    let sealing = tokio::task::spawn_blocking(move || {
        sealed(&state, &nodes.master, &node, &request, now_ms())
    });
    let answer = sealing.await.map_err(|_| internal("leases", "sealing ended early"))??;
    let mut response = Json(&answer).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn sealed(
    state: &app::State,
    master: &MasterKey,
    node: &str,
    request: &LeaseRequest,
    now_ms: u64,
) -> Result<LeaseAnswer, Problem> {
    let have: HashSet<(&str, u64)> =
        request.have.iter().map(|one| (one.secret.as_str(), one.generation)).collect();
    let mut leases = Vec::new();
    for leasable in state.leases(now_ms) {
        let (secret, generation) = (leasable.secret, leasable.sealed.generation);
        let until = leasable
            .ends_ms
            .map(|ends_ms| Until { ends_ms, left_ms: ends_ms.saturating_sub(now_ms) });
        let value = if have.contains(&(secret, generation)) {
            None
        } else {
            let opened = vault::open(master, secret, leasable.sealed);
            let unreadable = |error| internal("secret_unreadable", &format!("{secret}: {error}"));
            Some(opened.map_err(unreadable)?)
        };
        leases.push((Terms { secret: secret.to_owned(), generation, until }, value));
    }
    let generation = state.durable.credentials_generation;
    let binding = Binding { node, generation, server_ms: now_ms };
    seal(&request.public_key, binding, leases).map_err(|error| match error {
        LeaseError::PublicKey => Problem::bad_request("the public key is not one"),
        LeaseError::KeyPair | LeaseError::Open | LeaseError::Seal | LeaseError::MaskKey => {
            internal("leases", &error.to_string())
        }
    })
}
