//! What goes out to people and systems, and answers that come in without a token of their sender:
//! what the interface needs behind it for both.

use std::net::IpAddr;

use penstock_app::outbox::{OutboxState, Outgoing};
use penstock_app::{Answer, Event, Requester};

use crate::backend::Later;

/// From where a call comes, where the system says so: put into its extensions by who serves it.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub IpAddr);

/// A message with its signature, by Standard Webhooks.
#[derive(Clone, Copy, Debug)]
pub struct SignedMessage<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`.
    pub signature: &'a str,
    /// The body as it came.
    pub body: &'a [u8],
}

/// What an answer rests on. It is used with the event that it stands for, and not again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OnceOnly {
    /// The key that a mail's link brought. It is used up by an answer that counts alone.
    Link {
        /// SHA-256 of the key, hex.
        key_sha256: String,
        /// The approval that it must be for.
        approval: String,
    },
    /// A signed message. Whatever became of it, it is not taken again.
    Message {
        /// Name of the webhook's document.
        webhook: String,
        /// Its `webhook-id`.
        id: String,
    },
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub enum OnceAnswer {
    /// It was used, and this is the answer.
    Used(Answer),
    /// It was used before, or there never was such a thing, or its time is over.
    NotUsable,
    /// Too many were used of late.
    TooMany,
}

/// What became of a wish to send a message again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retried {
    /// It is due now.
    Due,
    /// It was not given up.
    NotDead,
    /// There is no such message.
    Unknown,
}

/// Messages out, answers in.
pub trait Correspondence: Send + Sync + 'static {
    /// Whether a message is signed with the key of a webhook in force, at about this time.
    fn is_signed(&self, webhook: &str, message: &SignedMessage<'_>) -> bool;

    /// Hands an event to the core if what it rests on can be used, in one transaction with its
    /// use.
    fn submit_once(&self, once: OnceOnly, event: Event) -> Later<'_, OnceAnswer>;

    /// Counts an answer that does not hold; whether there were too many from that address of late.
    fn fails_too_often(&self, address: Option<IpAddr>) -> bool;

    /// Messages, newest first.
    fn notifications(&self, state: Option<OutboxState>, limit: u32) -> Later<'_, Vec<Outgoing>>;

    /// Makes a message that was given up due again.
    fn retry_notification(&self, by: Requester, id: String) -> Later<'_, Retried>;
}
