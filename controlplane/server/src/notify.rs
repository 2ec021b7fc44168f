//! Reviewers are reached: what the core tells goes into the outbox with the transaction of its
//! event, and from there to webhooks and mailboxes, at least once, within bounds. Answers come back
//! as signed messages, or from the page behind a mail's link.

mod delivery;
mod failures;
mod link;
mod mail;
mod message;
mod post;
mod signature;
#[cfg(test)]
mod tests;

pub(crate) use delivery::Delivery;
pub(crate) use failures::Failures;
pub(crate) use link::LIFETIME_MS as LINK_LIFETIME_MS;
pub(crate) use mail::Mailer;
pub(crate) use message::rows;
pub(crate) use post::Poster;
pub(crate) use signature::{Signed, WINDOW_MS};
