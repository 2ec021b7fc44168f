//! What people and systems are to be told, as it waits to be delivered, and when the next try is.
//! Pure: the rows are the store's, sending is the server's.

use penstock_config::documents::NotificationEvent;
use serde_json::json;

use crate::draft::Draft;
use crate::event::{Answer, Outcome, Refusal, Requester};
use crate::roles::{Action, authorise};
use crate::state::State;

/// Most rows that wait to be delivered. Where one more comes, the oldest is given up:
/// of questions and their answers first.
pub const PENDING_MAX: usize = 20_000;
/// Most rows that were given up and are kept for people to look at.
pub const DEAD_MAX: usize = 20_000;
/// Most rows that were delivered and are kept for people to look at.
pub const DELIVERED_MAX: usize = 1_000;
/// Most bytes of a message's JSON (Standard Webhooks: below 20 KB).
pub const BODY_BYTES_MAX: usize = 20_000;

/// Waits before each try, in milliseconds (Standard Webhooks): at once, 5 s, 5 min, 30 min, 2 h,
/// 5 h, 10 h, 14 h, 20 h, 24 h. After the last one a row is dead.
const WAITS_MS: [u64; 10] = [
    0, 5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000,
    86_400_000,
];
/// Jitter as it is passed in: 0 to this, of a tenth of the wait.
pub const JITTER_MAX: u16 = 1_000;

/// What a message goes through. A further kind of channel is one more of these, with its document,
/// and one more arm where the server delivers.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ChannelKind {
    /// A `webhook` document: signed, by HTTP.
    Webhook,
    /// A `mail` document: by SMTP.
    Mail,
}

impl ChannelKind {
    /// The kind of its documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Mail => "mail",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Webhook, Self::Mail].into_iter().find(|kind| kind.name() == name)
    }
}

/// Where a row stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OutboxState {
    /// It waits for its first or next try.
    Pending,
    /// The other side took it.
    Delivered,
    /// It was given up.
    Dead,
}

impl OutboxState {
    /// `pending`, `delivered` or `dead`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Pending, Self::Delivered, Self::Dead].into_iter().find(|state| state.name() == name)
    }
}

/// One message to one recipient.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// Its id, the `webhook-id`: the same for each try, so that who gets it twice can tell.
    pub id: String,
    /// What it goes through.
    pub kind: ChannelKind,
    /// Name of the channel's document.
    pub channel: String,
    /// The address of a mail; empty for a webhook.
    pub recipient: String,
    /// What it tells of.
    pub event: NotificationEvent,
    /// The approval that it is about; empty where it is about none.
    pub approval: String,
    /// What is sent: JSON for a webhook, text for a mail. Never a key or a token.
    pub body: String,
    /// When it happened, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Tries that were begun.
    pub attempts: u32,
    /// When the next one is due, milliseconds since the Unix epoch.
    pub next_ms: u64,
    /// Where it stands.
    pub state: OutboxState,
    /// Why the last try failed; empty where none did. Nothing that the other side sent.
    pub problem: String,
}

impl Outgoing {
    /// The channel's document: `webhook/bridge`.
    pub fn channel_key(&self) -> String {
        format!("{}/{}", self.kind.name(), self.channel)
    }
}

/// Somebody has a message sent again that was given up: an act, and nothing else here.
pub(crate) fn retry(
    state: &State,
    by: &Requester,
    id: &str,
    now_ms: u64,
) -> Result<Outcome, Refusal> {
    authorise(state, by, Action::RetryNotifications)?;
    let mut draft = Draft::new(state, now_ms);
    let (before, after) = (json!({"state": "dead"}), json!({"state": "pending"}));
    draft.act(by.actor(), "notification.retry", format!("notification/{id}"), &before, &after);
    Ok(draft.finish(Answer::Done))
}

/// The name of an event, as documents have it: `approval.requested`.
pub fn event_name(event: NotificationEvent) -> &'static str {
    match event {
        NotificationEvent::ApprovalRequested => "approval.requested",
        NotificationEvent::ApprovalEnded => "approval.ended",
        NotificationEvent::BreakGlassUsed => "break_glass.used",
        NotificationEvent::BreakGlassUnjustified => "break_glass.unjustified",
        NotificationEvent::GrantEnded => "grant.ended",
    }
}

/// The event of that name.
pub fn event_named(name: &str) -> Option<NotificationEvent> {
    [
        NotificationEvent::ApprovalRequested,
        NotificationEvent::ApprovalEnded,
        NotificationEvent::BreakGlassUsed,
        NotificationEvent::BreakGlassUnjustified,
        NotificationEvent::GrantEnded,
    ]
    .into_iter()
    .find(|event| event_name(*event) == name)
}

/// When to try again after so many failures, with `jitter` from 0 to [`JITTER_MAX`]; none where it
/// was tried often enough.
pub fn next_try_ms(attempts: u32, now_ms: u64, jitter: u16) -> Option<u64> {
    let wait = *WAITS_MS.get(usize::try_from(attempts).ok()?)?;
    let spread = wait / 10 * u64::from(jitter.min(JITTER_MAX)) / u64::from(JITTER_MAX);
    Some(now_ms.saturating_add(wait).saturating_add(spread))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_follow_the_schedule_and_end() {
        let waits: Vec<u64> = (0..).map_while(|tries| next_try_ms(tries, 0, 0)).collect();
        let hours = [2, 5, 10, 14, 20, 24].map(|hours| hours * 3_600_000);
        assert_eq!(waits[..4], [0, 5_000, 300_000, 1_800_000]);
        assert_eq!(waits[4..], hours);
        assert_eq!(next_try_ms(10, 0, 0), None);
        assert_eq!(next_try_ms(u32::MAX, 0, 0), None);
    }

    #[test]
    fn jitter_only_ever_delays_and_by_a_tenth_at_most() {
        assert_eq!(next_try_ms(1, 1_000, 0), Some(6_000));
        assert_eq!(next_try_ms(1, 1_000, JITTER_MAX), Some(6_500));
        assert_eq!(next_try_ms(1, 1_000, u16::MAX), Some(6_500));
        assert_eq!(next_try_ms(9, u64::MAX, JITTER_MAX), Some(u64::MAX));
    }

    #[test]
    fn names_of_events_are_those_of_documents_and_come_back() {
        let names = [
            "approval.requested",
            "approval.ended",
            "break_glass.used",
            "break_glass.unjustified",
            "grant.ended",
        ];
        for name in names {
            let event = event_named(name).unwrap();
            assert_eq!(serde_json::to_value(event).unwrap(), name);
        }
        assert_eq!(event_named("approval"), None);
    }
}
