//! Secrets as the state sees them: names, times and ciphertext.

use std::sync::Arc;

use penstock_config::certificates::PemError;
use penstock_config::lease::{MASK_KEY, needs_mask_key};
use serde_json::{Value, json};

use crate::draft::Draft;
use crate::event::{Answer, Change, Outcome, Refusal, Requester};
use crate::roles::{Action, authorise};
use crate::state::{SECRETS_MAX, Sealed, State, StoredSecret};

impl State {
    /// The generation that the next secret is sealed for.
    pub fn next_credentials_generation(&self) -> u64 {
        self.durable.credentials_generation.saturating_add(1)
    }

    /// Whether nodes need the cluster's mask key, and none was made yet.
    pub fn lacks_mask_key(&self) -> bool {
        !self.durable.secrets.contains_key(MASK_KEY)
            && needs_mask_key(self.connections(), self.masks())
    }

    /// Secrets that people set, by name: all but the cluster's own.
    pub fn named_secrets(&self) -> impl Iterator<Item = (&str, &StoredSecret)> {
        let all = self.durable.secrets.iter().map(|(name, stored)| (name.as_str(), stored));
        all.filter(|(name, _)| *name != MASK_KEY)
    }

    /// A connection in force that shows this secret to its servers as the gateway's certificate.
    fn connection_showing(&self, secret: &str) -> Option<&str> {
        let mut connections = self.connections();
        connections
            .find(|connection| connection.client_certificate_secret() == Some(secret))
            .map(|connection| connection.name.as_str())
    }

    /// A connection in force that sends this secret to its servers in a header.
    fn connection_sending(&self, secret: &str) -> Option<&str> {
        let mut connections = self.connections();
        connections
            .find(|connection| {
                connection.credential.as_ref().is_some_and(|one| one.secret == secret)
            })
            .map(|connection| connection.name.as_str())
    }
}

/// Keeps a sealed value under a name.
pub(crate) fn set(
    state: &State,
    by: &Requester,
    name: String,
    sealed: Sealed,
    client_certificate: Result<(), PemError>,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    authorise(state, by, Action::WriteSecrets)?;
    if !is_name(&name) {
        return Err(Refusal::Name);
    }
    if sealed.generation != state.next_credentials_generation() {
        return Err(Refusal::Generation);
    }
    let secrets = &state.durable.secrets;
    if secrets.len() >= SECRETS_MAX && !secrets.contains_key(&name) {
        return Err(Refusal::Full { what: "secrets", limit: SECRETS_MAX });
    }
    match client_certificate {
        Ok(()) => {
            if let Some(connection) = state.connection_sending(&name) {
                return Err(Refusal::SentInHeader { connection: connection.to_owned() });
            }
        }
        Err(error) => {
            if let Some(connection) = state.connection_showing(&name) {
                return Err(Refusal::ClientCertificate {
                    connection: connection.to_owned(),
                    error,
                });
            }
        }
    }
    let mut draft = Draft::new(state, now_ms);
    let before = shown(secrets.get(&name));
    let is_client_certificate = client_certificate.is_ok();
    let stored = StoredSecret { sealed, is_client_certificate, updated_ms: now_ms };
    let after = shown(Some(&stored));
    draft.state.durable.credentials_generation = stored.sealed.generation;
    Arc::make_mut(&mut draft.state.durable.secrets).insert(name.clone(), stored.clone());
    let object = format!("secret/{name}");
    draft.change(Change::SecretSet(name, stored));
    draft.publish_revision();
    draft.act(by.actor(), "secret.set", object, &before, &after);
    Ok(draft.finish(Answer::Done))
}

/// Keeps the cluster's mask key, once: with another one the same value would have another tag.
pub(crate) fn mask_key(state: &State, sealed: Sealed, now_ms: u64) -> Result<Outcome, Refusal> {
    let mut draft = Draft::new(state, now_ms);
    let secrets = &state.durable.secrets;
    if secrets.contains_key(MASK_KEY) {
        return Ok(draft.finish(Answer::Done));
    }
    if sealed.generation != state.next_credentials_generation() {
        return Err(Refusal::Generation);
    }
    if secrets.len() >= SECRETS_MAX {
        return Err(Refusal::Full { what: "secrets", limit: SECRETS_MAX });
    }
    let stored = StoredSecret { sealed, is_client_certificate: false, updated_ms: now_ms };
    let after = shown(Some(&stored));
    draft.state.durable.credentials_generation = stored.sealed.generation;
    Arc::make_mut(&mut draft.state.durable.secrets).insert(MASK_KEY.to_owned(), stored.clone());
    draft.change(Change::SecretSet(MASK_KEY.to_owned(), stored));
    draft.publish_revision();
    let by = Requester::System.actor();
    draft.act(by, "mask-key.make", "mask-key".to_owned(), &Value::Null, &after);
    Ok(draft.finish(Answer::Done))
}

/// Forgets a secret; connections that need it answer 503 from then on.
pub(crate) fn delete(
    state: &State,
    by: &Requester,
    name: &str,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    authorise(state, by, Action::WriteSecrets)?;
    if !is_name(name) {
        return Err(Refusal::NotFound("secret"));
    }
    let mut draft = Draft::new(state, now_ms);
    let secrets = Arc::make_mut(&mut draft.state.durable.secrets);
    let removed = secrets.remove(name).ok_or(Refusal::NotFound("secret"))?;
    draft.state.durable.credentials_generation = state.next_credentials_generation();
    draft.change(Change::SecretDeleted(name.to_owned()));
    draft.publish_revision();
    let before = shown(Some(&removed));
    draft.act(by.actor(), "secret.delete", format!("secret/{name}"), &before, &Value::Null);
    Ok(draft.finish(Answer::Done))
}

/// A secret as an act keeps it: which value it was, never the value.
fn shown(stored: Option<&StoredSecret>) -> Value {
    stored.map_or(Value::Null, |stored| json!({"generation": stored.sealed.generation}))
}

/// `[a-z0-9][a-z0-9-]{0,62}`.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 63
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || byte == b'-')
}
