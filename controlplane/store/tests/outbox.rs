//! Messages that wait, and what counts once.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

use penstock_app::outbox::{ChannelKind, DELIVERED_MAX, OutboxState, Outgoing, PENDING_MAX};
use penstock_config::documents::NotificationEvent;
use penstock_store::{Extra, Once, Revivable, Store};
use tempfile::TempDir;

struct Kept {
    folder: TempDir,
    store: Store,
}

impl Kept {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a.db")).await.unwrap();
        Self { folder, store }
    }

    async fn reopened(self) -> Self {
        self.store.close().await;
        let store = Store::open(&self.folder.path().join("a.db")).await.unwrap();
        Self { store, ..self }
    }

    async fn add(&self, rows: &[Outgoing]) -> u64 {
        let extras: Vec<Extra> = rows.iter().cloned().map(Extra::Outgoing).collect();
        self.store.commit_with(&[], &extras).await.unwrap()
    }

    async fn ids(&self, state: OutboxState) -> Vec<String> {
        let rows = self.store.outgoing(Some(state), 1_000).await.unwrap();
        rows.into_iter().map(|row| row.id).collect()
    }

    async fn claim(&self, now_ms: u64) -> Option<Outgoing> {
        self.store.claim_outgoing(now_ms, now_ms + 60_000, &[]).await.unwrap()
    }
}

fn message(id: &str, channel: &str) -> Outgoing {
    Outgoing {
        id: id.into(),
        kind: ChannelKind::Webhook,
        channel: channel.into(),
        recipient: String::new(),
        event: NotificationEvent::ApprovalRequested,
        approval: "apr-1".into(),
        body: "{}".into(),
        created_ms: 1_000,
        attempts: 0,
        next_ms: 1_000,
        state: OutboxState::Pending,
        problem: String::new(),
    }
}

#[tokio::test]
async fn a_message_is_taken_when_it_is_due_and_its_try_counts_before_it_is_made() {
    let kept = Kept::new().await;
    kept.add(&[message("m", "a")]).await;
    assert_eq!(kept.claim(999).await, None);
    let taken = kept.claim(1_000).await.unwrap();
    assert_eq!(taken, Outgoing { attempts: 1, next_ms: 61_000, ..message("m", "a") });
    assert_eq!(kept.claim(60_999).await, None, "it is being tried");
    let kept = kept.reopened().await;
    let again = kept.claim(61_000).await.unwrap();
    assert_eq!(again.attempts, 2, "whoever tried it is gone");
}

#[tokio::test]
async fn what_became_of_a_message_stays() {
    let kept = Kept::new().await;
    kept.add(&["a", "b", "c"].map(|id| message(id, "x"))).await;
    kept.store.outgoing_delivered("a").await.unwrap();
    kept.store.outgoing_failed("b", 5_000, "status 500").await.unwrap();
    kept.store.outgoing_dead("c", "status 410").await.unwrap();
    let kept = kept.reopened().await;
    assert_eq!(kept.ids(OutboxState::Delivered).await, ["a"]);
    assert_eq!(kept.ids(OutboxState::Dead).await, ["c"]);
    assert_eq!(kept.store.next_outgoing_ms(&[]).await.unwrap(), Some(5_000));
    let rows = kept.store.outgoing(None, 2).await.unwrap();
    let found: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.problem.as_str())).collect();
    assert_eq!(found, [("c", "status 410"), ("b", "status 500")]);
}

#[tokio::test]
async fn the_same_message_is_told_once() {
    let kept = Kept::new().await;
    kept.add(&[message("m", "a")]).await;
    kept.store.outgoing_delivered("m").await.unwrap();
    kept.add(&[message("m", "a")]).await;
    assert_eq!(kept.claim(9_000).await, None);
}

#[tokio::test]
async fn a_channel_that_is_busy_is_passed_over() {
    let kept = Kept::new().await;
    kept.add(&[message("a1", "a"), message("b1", "b"), message("c1", "c")]).await;
    let over = ["webhook/a".to_owned(), "webhook/b".to_owned()];
    let taken = kept.store.claim_outgoing(1_000, 2_000, &over).await.unwrap();
    assert_eq!(taken.unwrap().id, "c1");
    assert_eq!(kept.store.claim_outgoing(1_000, 2_000, &over).await.unwrap(), None);
    assert_eq!(kept.store.next_outgoing_ms(&over).await.unwrap(), Some(2_000));
}

#[tokio::test]
async fn all_that_waits_for_a_channel_is_given_up_at_once() {
    let kept = Kept::new().await;
    kept.add(&[message("a1", "a"), message("a2", "a"), message("b1", "b")]).await;
    assert_eq!(kept.store.channel_gone("webhook/a", "status 410").await.unwrap(), 2);
    assert_eq!(kept.ids(OutboxState::Dead).await, ["a2", "a1"]);
    assert_eq!(kept.ids(OutboxState::Pending).await, ["b1"]);
}

#[tokio::test]
async fn a_dead_message_begins_anew_and_only_a_dead_one() {
    let kept = Kept::new().await;
    kept.add(&[message("m", "a"), message("n", "a")]).await;
    kept.claim(1_000).await.unwrap();
    kept.store.outgoing_dead("m", "status 500").await.unwrap();
    assert_eq!(kept.store.revivable("m").await.unwrap(), Revivable::Yes);
    assert_eq!(kept.store.revivable("n").await.unwrap(), Revivable::NotDead);
    assert_eq!(kept.store.revivable("o").await.unwrap(), Revivable::Unknown);
    for id in ["m", "n", "o"] {
        let revived = Extra::Revived { id: id.into(), now_ms: 500 };
        kept.store.commit_with(&[], &[revived]).await.unwrap();
    }
    let taken = kept.claim(500).await.unwrap();
    assert_eq!((taken.id.as_str(), taken.attempts, taken.problem.as_str()), ("m", 1, ""));
    assert_eq!(kept.claim(500).await, None);
}

#[tokio::test]
async fn no_more_than_so_many_wait_and_the_oldest_is_given_up() {
    let kept = Kept::new().await;
    let rows: Vec<Outgoing> =
        (0..PENDING_MAX).map(|number| message(&format!("m{number}"), "a")).collect();
    assert_eq!(kept.add(&rows).await, 0);
    assert_eq!(kept.add(&[message("x", "a"), message("y", "a")]).await, 2);
    assert_eq!(kept.ids(OutboxState::Dead).await, ["m1", "m0"]);
    let rows = kept.store.outgoing(Some(OutboxState::Dead), 1).await.unwrap();
    assert!(rows[0].problem.contains("too many"));
}

#[tokio::test]
async fn that_glass_was_broken_is_told_while_anything_else_can_be_given_up() {
    let kept = Kept::new().await;
    let urgent = |id: &str, event| Outgoing { event, ..message(id, "a") };
    let mut rows = vec![
        urgent("glass", NotificationEvent::BreakGlassUsed),
        urgent("late", NotificationEvent::BreakGlassUnjustified),
        urgent("ended", NotificationEvent::GrantEnded),
    ];
    rows.extend((3..PENDING_MAX).map(|number| message(&format!("m{number}"), "a")));
    assert_eq!(kept.add(&rows).await, 0);
    assert_eq!(kept.add(&[message("x", "a"), message("y", "a")]).await, 2);
    assert_eq!(kept.ids(OutboxState::Dead).await, ["m4", "m3"]);
    let glass = |number| urgent(&format!("g{number}"), NotificationEvent::BreakGlassUsed);
    let many: Vec<Outgoing> = (0..PENDING_MAX).map(glass).collect();
    assert_eq!(kept.add(&many).await, PENDING_MAX as u64);
    let waits = kept.store.claim_outgoing(1_000, 2_000, &[]).await.unwrap().unwrap();
    assert_eq!(waits.id, "g0", "nothing else is left, and of these the oldest goes");
}

#[tokio::test]
async fn no_more_than_so_many_are_kept_that_were_delivered() {
    let kept = Kept::new().await;
    let delivered =
        |number| Outgoing { state: OutboxState::Delivered, ..message(&format!("m{number}"), "a") };
    let mut rows: Vec<Outgoing> = (0..DELIVERED_MAX).map(delivered).collect();
    rows.push(message("last", "a"));
    kept.add(&rows).await;
    kept.store.outgoing_delivered("last").await.unwrap();
    let kept_ids = kept.ids(OutboxState::Delivered).await;
    assert_eq!(kept_ids.len(), DELIVERED_MAX);
    assert!(!kept_ids.contains(&"m0".to_owned()));
}

#[tokio::test]
async fn a_message_of_a_webhook_is_used_once_and_known_until_it_is_forgotten() {
    let kept = Kept::new().await;
    let used = Extra::Once(Once::Message {
        webhook: "bridge".into(),
        id: "msg_1".into(),
        forget_ms: 10_000,
    });
    kept.store.commit_with(&[], std::slice::from_ref(&used)).await.unwrap();
    let kept = kept.reopened().await;
    assert!(kept.store.is_message_known("bridge", "msg_1").await.unwrap());
    assert!(!kept.store.is_message_known("other", "msg_1").await.unwrap());
    assert!(kept.store.commit_with(&[], &[used]).await.is_err(), "a second time");
    assert!(kept.store.has_room_for_message("bridge", 9_999).await.unwrap());
    assert!(kept.store.is_message_known("bridge", "msg_1").await.unwrap());
    assert!(kept.store.has_room_for_message("bridge", 10_000).await.unwrap());
    assert!(!kept.store.is_message_known("bridge", "msg_1").await.unwrap());
}

#[tokio::test]
async fn a_key_is_used_once_and_with_it_everything_that_rests_on_it() {
    let kept = Kept::new().await;
    kept.store.keep_link("hash", "apr-1", 5_000, 1_000).await.unwrap();
    let kept = kept.reopened().await;
    assert_eq!(kept.store.link("hash").await.unwrap(), Some(("apr-1".into(), 5_000)));
    let used = Extra::Once(Once::Link { key_sha256: "hash".into() });
    kept.store.commit_with(&[], std::slice::from_ref(&used)).await.unwrap();
    assert_eq!(kept.store.link("hash").await.unwrap(), None);
    let both = [Extra::Outgoing(message("m", "a")), used];
    assert!(kept.store.commit_with(&[], &both).await.is_err());
    assert_eq!(kept.ids(OutboxState::Pending).await, [""; 0], "nothing of it is written");
}

#[tokio::test]
async fn keys_that_are_over_are_forgotten() {
    let kept = Kept::new().await;
    kept.store.keep_link("old", "apr-1", 5_000, 1_000).await.unwrap();
    kept.store.keep_link("new", "apr-1", 9_000, 5_000).await.unwrap();
    assert_eq!(kept.store.link("old").await.unwrap(), None);
    assert!(kept.store.link("new").await.unwrap().is_some());
}
