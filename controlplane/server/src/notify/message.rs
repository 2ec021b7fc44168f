//! What channels are told, in their words: JSON for systems, plain text for people. One renderer
//! says what must be known to decide, the core's; here it only gets its form.

use std::fmt::Write as _;

use penstock_app::State;
use penstock_app::notify::Notification;
use penstock_app::outbox::{BODY_BYTES_MAX, ChannelKind, OutboxState, Outgoing, event_name};
use penstock_app::state::DocumentKey;
use penstock_config::documents::{Document, NotificationEvent};
use serde_json::{Value, json};

use super::link::LinkKey;

/// Most characters of who wants what, in a subject.
const SUBJECT_CHARACTERS_MAX: usize = 160;

/// One row a channel that is told of this, and a recipient of a mail. The same notification makes
/// the same rows.
pub(crate) fn rows(state: &State, notification: &Notification) -> Vec<Outgoing> {
    let event = notification.event;
    let told = |events: &[NotificationEvent]| events.is_empty() || events.contains(&event);
    let (mut rows, mut webhook_body, mut mail_body) = (Vec::new(), None, None);
    for document in channels(state) {
        if let Some(webhook) = document.as_webhook().filter(|one| told(&one.events)) {
            let body = webhook_body.get_or_insert_with(|| for_systems(notification));
            rows.push(row(notification, ChannelKind::Webhook, &webhook.name, None, body));
        }
        if let Some(mail) = document.as_mail().filter(|one| told(&one.events)) {
            let body = mail_body.get_or_insert_with(|| for_people(notification));
            let to = mail.to.iter().enumerate();
            rows.extend(to.map(|recipient| {
                row(notification, ChannelKind::Mail, &mail.name, Some(recipient), body)
            }));
        }
    }
    rows
}

/// Documents of channels alone: a thousand rules are not walked through for each message.
fn channels(state: &State) -> impl Iterator<Item = &Document> {
    [ChannelKind::Mail, ChannelKind::Webhook].into_iter().flat_map(|kind| {
        let kind = kind.name();
        let first = DocumentKey { kind, name: String::new() };
        let those = state.durable.documents.range(first..);
        those.take_while(move |(key, _)| key.kind == kind).map(|(_, stored)| &stored.document)
    })
}

fn row(
    notification: &Notification,
    kind: ChannelKind,
    channel: &str,
    recipient: Option<(usize, &String)>,
    body: &str,
) -> Outgoing {
    let mut id = format!("{}-{}-{channel}", notification.id, kind.name());
    if let Some((index, _)) = recipient {
        // Writing to a text does not fail.
        let _ = write!(id, "-{index}");
    }
    Outgoing {
        id,
        kind,
        channel: channel.to_owned(),
        recipient: recipient.map(|(_, address)| address.clone()).unwrap_or_default(),
        event: notification.event,
        approval: notification.approval.clone(),
        body: body.to_owned(),
        created_ms: notification.at_ms,
        attempts: 0,
        next_ms: notification.at_ms,
        state: OutboxState::Pending,
        problem: String::new(),
    }
}

/// `type`, `timestamp`, `data` (Standard Webhooks), below 20 KB: where it would be longer, the end
/// of the summary is left out, and `cut` says so.
fn for_systems(notification: &Notification) -> String {
    let mut payload = json!({
        "type": event_name(notification.event),
        "timestamp": timestamp(notification.at_ms),
        "data": notification,
    });
    loop {
        let text = payload.to_string();
        if text.len() < BODY_BYTES_MAX || !shorten(&mut payload) {
            return text;
        }
    }
}

/// Leaves out the last row; whether there was one.
fn shorten(payload: &mut Value) -> bool {
    let rows = payload.pointer_mut("/data/summary/rows").and_then(Value::as_array_mut);
    let shorter = rows.is_some_and(|rows| rows.pop().is_some());
    if let Some(data) = payload.get_mut("data").and_then(Value::as_object_mut) {
        data.insert("cut".to_owned(), Value::Bool(true));
    }
    shorter
}

/// RFC 3339 in UTC.
fn timestamp(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// The subject, then the text. Whatever callers wrote in it the renderer has made plain: it has no
/// line breaks, and no characters that turn or hide what follows.
fn for_people(notification: &Notification) -> String {
    let (prefix, first) = match notification.event {
        NotificationEvent::ApprovalRequested => ("", "A request waits for reviewers."),
        NotificationEvent::ApprovalEnded => ("over: ", "An approval is over."),
        NotificationEvent::BreakGlassUsed => {
            ("GLASS BROKEN: ", "Somebody went ahead without waiting for reviewers.")
        }
        NotificationEvent::BreakGlassUnjustified => (
            "NOT JUSTIFIED: ",
            "Somebody went ahead without waiting for reviewers, and did not say why in time.",
        ),
        NotificationEvent::GrantEnded => ("ended: ", "A grant was revoked or given back."),
    };
    let title: String = notification.summary.title.chars().take(SUBJECT_CHARACTERS_MAX).collect();
    format!(
        "Penstock: {prefix}{title}\n{first}\n\napproval: {}\nstate: {}\n{}\n{}\n",
        notification.approval,
        notification.state,
        notification.summary.text(),
        notification.url,
    )
}

/// The text with the link that answers.
pub(super) fn with_link(text: &str, url: &str, key: &LinkKey) -> String {
    let link = format!("{url}?key={}", key.text());
    format!(
        "{text}\nTo answer, open this link, sign in, and click. It is good for one answer within \
         an hour; opening it decides nothing.\n\n{link}\n"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use penstock_app::approvals::{ShownState, Summary, SummaryRow};
    use penstock_app::state::{DocumentKey, Origin, StoredDocument};
    use penstock_app::{Durable, Tuning};
    use penstock_config::documents::{Source, parse};

    use super::*;

    const CHANNELS: &str = "
{kind: webhook, name: all, url: 'https://a.example.com', secret: key}
---
{kind: webhook, name: ends, url: 'https://b.example.com', secret: key, events: [grant.ended]}
---
{kind: mail, name: people, to: [a@example.com, b@example.com], events: [approval.requested]}
";

    fn state() -> State {
        let placed = parse(&[Source { name: "a".into(), text: CHANNELS.into() }]).unwrap();
        let documents = placed.into_iter().map(|placed| {
            let document = placed.document;
            (DocumentKey::of(&document), StoredDocument { origin: Origin::Applied, document })
        });
        let documents = Arc::new(documents.collect());
        State::new(Durable { documents, ..Durable::default() }, Tuning::default())
    }

    fn notification(event: NotificationEvent, values: usize) -> Notification {
        let value = "x".repeat(1_000);
        let rows = (0..values).map(|_| SummaryRow { name: "field", value: value.clone() });
        Notification {
            event,
            id: "apr-1-requested".into(),
            at_ms: 1_500,
            approval: "apr-1".into(),
            url: "https://cp.example.com/approvals/apr-1".into(),
            state: ShownState::Pending,
            grant: None,
            summary: Summary { title: "ada asks".into(), rows: rows.collect() },
        }
    }

    fn ids(event: NotificationEvent) -> Vec<String> {
        rows(&state(), &notification(event, 1)).into_iter().map(|row| row.id).collect()
    }

    #[test]
    fn each_channel_that_wants_to_know_and_each_recipient_gets_a_row() {
        let requested = ids(NotificationEvent::ApprovalRequested);
        let expected = [
            "apr-1-requested-mail-people-0",
            "apr-1-requested-mail-people-1",
            "apr-1-requested-webhook-all",
        ];
        assert_eq!(requested, expected);
        assert_eq!(requested, ids(NotificationEvent::ApprovalRequested), "told again");
        let ended = ids(NotificationEvent::GrantEnded);
        assert_eq!(ended, ["apr-1-requested-webhook-all", "apr-1-requested-webhook-ends"]);
    }

    #[test]
    fn a_message_for_systems_has_a_type_a_time_and_data() {
        let text = for_systems(&notification(NotificationEvent::ApprovalRequested, 1));
        let message: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(message["type"], "approval.requested");
        assert_eq!(message["timestamp"], "1970-01-01T00:00:01.5Z");
        assert_eq!(message["data"]["approval"], "apr-1");
        assert_eq!(message["data"]["state"], "pending");
        assert!(message["data"].get("cut").is_none());
    }

    #[test]
    fn a_message_that_is_too_long_loses_its_end_and_says_so() {
        let text = for_systems(&notification(NotificationEvent::ApprovalRequested, 50));
        assert!(text.len() < BODY_BYTES_MAX && text.len() > BODY_BYTES_MAX - 2_000);
        let message: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(message["data"]["cut"], true);
        assert!(message["data"]["url"].as_str().unwrap().ends_with("apr-1"));
    }

    #[test]
    fn a_mail_begins_with_one_line_as_its_subject() {
        let text = for_people(&notification(NotificationEvent::BreakGlassUsed, 1));
        assert!(
            text.starts_with("Penstock: GLASS BROKEN: ada asks\nSomebody went ahead"),
            "{text}"
        );
    }
}
