//! Messages out and answers in, as the interface asks for them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures_util::FutureExt as _;
use penstock_api::Backend as _;
use penstock_api::backend::Later;
use penstock_api::correspondence::{Correspondence, OnceAnswer, OnceOnly, Retried, SignedMessage};
use penstock_api::sign_in::{Begun, Returned, SignedIn};
use penstock_app::outbox::{OutboxState, Outgoing};
use penstock_app::state::DocumentKey;
use penstock_app::{Event, Requester};
use penstock_config::documents::Document;
use penstock_config::identity::Identity;

use crate::backend::ServerBackend;
use crate::log::{self, Level, now_ms};
use crate::notify::{Delivery, Failures, Signed};
use crate::sign_in::SignIn;
use crate::worker::{Command, unavailable};

/// What the backend needs for this. Copies share it.
#[derive(Clone)]
pub(crate) struct Mailroom {
    pub(crate) delivery: Delivery,
    pub(crate) failures: Arc<Failures>,
    /// None where the settings name no issuer for it.
    pub(crate) sign_in: Option<SignIn>,
}

impl ServerBackend {
    fn holds(&self, webhook: &str, message: &SignedMessage<'_>) -> Result<bool, String> {
        let key = DocumentKey { kind: "webhook", name: webhook.to_owned() };
        let state = self.handle.state();
        let document = state.durable.documents.get(&key).map(|stored| &stored.document);
        let Some(Document::Webhook(document)) = document else { return Ok(false) };
        let SignedMessage { id, timestamp, signature, body } = *message;
        let signed = Signed { id, timestamp, signature, body };
        Ok(self.mailroom.delivery.keys(&document.secret)?.holds(&signed, now_ms()))
    }
}

impl Correspondence for ServerBackend {
    fn is_signed(&self, webhook: &str, message: &SignedMessage<'_>) -> bool {
        self.holds(webhook, message).unwrap_or_else(|problem| {
            log::line(Level::Warning, "webhook_key", &problem);
            false
        })
    }

    fn submit_once(&self, once: OnceOnly, event: Event) -> Later<'_, OnceAnswer> {
        self.handle.ask(move |reply| Command::Once(once, Box::new(event), reply)).boxed()
    }

    fn fails_too_often(&self, address: Option<IpAddr>) -> bool {
        // Where the system does not say from where a call comes, all of these are one address.
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let too_many = self.mailroom.failures.are_too_many(address, now_ms());
        if !too_many {
            let text = format!("an answer that does not hold came from {address}");
            log::line(Level::Warning, "answer_refused", &text);
        }
        too_many
    }

    fn notifications(&self, state: Option<OutboxState>, limit: u32) -> Later<'_, Vec<Outgoing>> {
        async move { self.store.outgoing(state, limit).await.map_err(|error| unavailable(&error)) }
            .boxed()
    }

    fn retry_notification(&self, by: Requester, id: String) -> Later<'_, Retried> {
        self.handle.ask(move |reply| Command::Retry(by, id, reply)).boxed()
    }
}

impl penstock_api::sign_in::SignIn for ServerBackend {
    fn has_sign_in(&self) -> bool {
        self.mailroom.sign_in.is_some()
    }

    fn begin_sign_in(&self, approval: String, key: String) -> Later<'_, Option<Begun>> {
        async move {
            match &self.mailroom.sign_in {
                Some(sign_in) => Ok(sign_in.begin(approval, key).await),
                None => Ok(None),
            }
        }
        .boxed()
    }

    fn end_sign_in(&self, returned: Returned) -> Later<'_, Option<SignedIn>> {
        async move {
            match &self.mailroom.sign_in {
                Some(sign_in) => Ok(sign_in.end(returned).await),
                None => Ok(None),
            }
        }
        .boxed()
    }

    fn identify_on_page(&self, token: &[u8]) -> Option<Identity> {
        self.identify(token).or_else(|| self.mailroom.sign_in.as_ref()?.identify(token))
    }
}
