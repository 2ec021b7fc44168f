//! Messages and answers in memory: the signature of everybody is `v1,good`.

use std::net::IpAddr;

use futures_util::FutureExt as _;
use penstock_app::outbox::{OutboxState, Outgoing};
use penstock_app::{Answer, Event, Requester};
use penstock_config::identity::Identity;
use zeroize::Zeroizing;

use super::Memory;
use crate::backend::Backend as _;
use crate::backend::{Failure, Later};
use crate::correspondence::{Correspondence, OnceAnswer, OnceOnly, Retried, SignedMessage};
use crate::sign_in::{Begun, Returned, SignIn, SignedIn};

/// Failures before one is too many.
pub(crate) const FAILURES_MAX: usize = 2;

impl Memory {
    /// A key that a mail brought.
    pub(crate) fn keep_link(&self, key_sha256: &str, approval: &str) {
        let mut kept = self.0.lock().unwrap();
        kept.links.insert((key_sha256.to_owned(), approval.to_owned()));
    }

    /// Something that was told.
    pub(crate) fn tell(&self, outgoing: Outgoing) {
        self.0.lock().unwrap().outgoing.push(outgoing);
    }

    fn once(&self, once: OnceOnly, event: Event) -> Result<OnceAnswer, Failure> {
        match once {
            OnceOnly::Message { webhook, id } => {
                if !self.0.lock().unwrap().messages.insert((webhook, id)) {
                    return Ok(OnceAnswer::NotUsable);
                }
                self.handle(event).map(OnceAnswer::Used)
            }
            OnceOnly::Link { key_sha256, approval } => {
                let link = (key_sha256, approval);
                if !self.0.lock().unwrap().links.contains(&link) {
                    return Ok(OnceAnswer::NotUsable);
                }
                let answer: Answer = self.handle(event)?;
                self.0.lock().unwrap().links.remove(&link);
                Ok(OnceAnswer::Used(answer))
            }
        }
    }
}

impl Correspondence for Memory {
    fn is_signed(&self, _: &str, message: &SignedMessage<'_>) -> bool {
        message.signature == "v1,good"
    }

    fn submit_once(&self, once: OnceOnly, event: Event) -> Later<'_, OnceAnswer> {
        std::future::ready(self.once(once, event)).boxed()
    }

    fn fails_too_often(&self, _: Option<IpAddr>) -> bool {
        let mut kept = self.0.lock().unwrap();
        kept.failures += 1;
        kept.failures > FAILURES_MAX
    }

    fn notifications(&self, state: Option<OutboxState>, limit: u32) -> Later<'_, Vec<Outgoing>> {
        let kept = self.0.lock().unwrap();
        let rows = kept.outgoing.iter().rev().filter(|row| state.is_none_or(|s| s == row.state));
        let limit = usize::try_from(limit).unwrap();
        std::future::ready(Ok(rows.take(limit).cloned().collect())).boxed()
    }

    fn retry_notification(&self, by: Requester, id: String) -> Later<'_, Retried> {
        let state =
            self.0.lock().unwrap().outgoing.iter().find(|row| row.id == id).map(|r| r.state);
        let retried = match state {
            None => Ok(Retried::Unknown),
            Some(OutboxState::Dead) => {
                self.handle(Event::RetryNotification { by, id }).map(|_| Retried::Due)
            }
            Some(OutboxState::Pending | OutboxState::Delivered) => Ok(Retried::NotDead),
        };
        std::future::ready(retried).boxed()
    }
}

impl SignIn for Memory {
    fn has_sign_in(&self) -> bool {
        true
    }

    /// The cookie is what is to be known again.
    fn begin_sign_in(&self, approval: String, key: String) -> Later<'_, Option<Begun>> {
        let begun = Begun {
            location: "https://id.example.com/authorize".into(),
            cookie: format!("{approval}.{key}"),
            is_secure: true,
        };
        std::future::ready(Ok(Some(begun))).boxed()
    }

    /// The code is the token.
    fn end_sign_in(&self, returned: Returned) -> Later<'_, Option<SignedIn>> {
        let signed_in = self.identify(returned.code.as_bytes()).map(|identity| {
            let (approval, key) = returned.cookie.split_once('.').unwrap();
            SignedIn {
                identity,
                token: returned.code.clone(),
                approval: approval.into(),
                key: Zeroizing::new(key.into()),
            }
        });
        std::future::ready(Ok(signed_in)).boxed()
    }

    fn identify_on_page(&self, token: &[u8]) -> Option<Identity> {
        self.identify(token)
    }
}
