//! Approvals and grants through the database: what is written is what is loaded, wherever the
//! process dies.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

#[path = "../../app/tests/common/mod.rs"]
mod common;
#[path = "../../app/tests/held/mod.rs"]
mod held;

use std::path::Path;

use common::{FIRST_RUN, World, admin, documents};
use held::{RULE, by, deny, eve, fresh, lead, request, session, widened};
use penstock_app::approvals::{AccessRequest, Channel, ShownState, Vote};
use penstock_app::event::{Apply, GrantEnd, Joined, TokenRef};
use penstock_app::{Answer, Event, Refusal, State, Tuning};
use penstock_config::hold::{End, EndOutcome, HoldAnswer};
use penstock_store::{Store, StoreError};
use sqlx::Connection as _;

struct Kept {
    world: World,
    store: Store,
}

impl Kept {
    async fn open(path: &Path) -> Self {
        let store = Store::open(path).await.unwrap();
        store.name_cluster("test").await.unwrap();
        let mut kept = Self { world: World::empty(), store };
        kept.reload().await;
        kept
    }

    /// With a policy and a node.
    async fn ready(path: &Path) -> Self {
        let mut kept = Self::open(path).await;
        let by = admin();
        let sources = vec![common::source(RULE)];
        let (prune, dry_run, expect_version, cut_open) = (false, false, None, false);
        let by_her = by.clone();
        let apply = Apply { by: by_her, sources, prune, dry_run, expect_version, cut_open };
        let joined = Joined {
            token_sha256: "t".into(),
            node: "node-1".into(),
            name: "host".into(),
            certificate_sha256: "c".into(),
        };
        for event in [
            Event::FirstRun { documents: documents(FIRST_RUN) },
            Event::ApplyDocuments(apply),
            Event::JoinFileIssued { by, token_sha256: "t".into() },
            Event::NodeJoined(joined),
        ] {
            kept.send(event).await.unwrap();
        }
        kept
    }

    async fn reload(&mut self) {
        let durable = self.store.load().await.unwrap();
        self.world.state = State::new(durable, Tuning::default());
        assert!(self.world.state.index_holds());
    }

    /// One event, kept.
    async fn send(&mut self, event: Event) -> Result<Answer, Refusal> {
        self.world.changes.clear();
        let answer = self.world.send(event)?;
        self.store.commit(&self.world.changes).await.unwrap();
        Ok(answer)
    }

    async fn is_kept(&self) {
        assert_eq!(self.store.load().await.unwrap(), self.world.state.durable);
    }
}

fn hold(number: u32) -> Event {
    let request = Box::new(request(number, &eve(), &number.to_string()));
    Event::Hold { node: "node-1".into(), request, fresh: fresh(number) }
}

fn id(number: u32) -> String {
    format!("apr-{}", fresh(number))
}

fn vote(name: &str, number: u32, vote: Vote) -> Event {
    Event::Vote { by: lead(name), approval: id(number), vote, channel: Channel::Api }
}

fn ends(number: u32, outcome: EndOutcome) -> Event {
    Event::Ends { node: "node-1".into(), ends: vec![End { session: session(number), outcome }] }
}

fn everything() -> Vec<Event> {
    let access = AccessRequest {
        connection: "llama".into(),
        operations: vec!["adapter.*".into()],
        models: Some(vec!["m*".into()]),
        minutes: 5,
        uses: None,
        reason: Some("tonight".into()),
        ticket: None,
        extends: None,
    };
    let grant = format!("grt-{}", fresh(9));
    let (how, reason) = (GrantEnd::Revoke, Some("enough".to_owned()));
    let token = TokenRef::Id { issuer: "dev".into(), id: "t-1".into() };
    vec![
        hold(1),
        hold(2),
        hold(3),
        vote("lea", 1, Vote::YES),
        hold(1),
        vote("max", 1, deny()),
        vote("lea", 2, deny()),
        ends(3, EndOutcome::Withdrawn),
        ends(4, EndOutcome::HoldOver),
        ends(1, EndOutcome::NothingSent),
        Event::RequestAccess { by: by(eve()), access, fresh: fresh(9) },
        vote("lea", 9, widened(Some(2), Some(1))),
        Event::EndGrant { by: admin(), grant, how, reason },
        Event::RevokeToken { by: admin(), token, reason: None },
        Event::KillSession { by: admin(), session: session(2), reason: None },
        Event::RevokeIdentity {
            by: admin(),
            issuer: "dev".into(),
            subject: "zoe".into(),
            reason: None,
        },
        Event::Tick,
    ]
}

#[tokio::test]
async fn what_is_written_is_what_is_loaded_after_every_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = Kept::ready(&folder.path().join("a.db")).await;
    for event in everything() {
        kept.send(event.clone()).await.unwrap_or_else(|refusal| panic!("{event:?}: {refusal}"));
        kept.is_kept().await;
    }
    for days in [1, 31, 35, 1] {
        kept.world.now_ms += days * 86_400_000;
        kept.send(Event::Tick).await.unwrap();
        kept.is_kept().await;
    }
    let durable = &kept.world.state.durable;
    assert!(durable.uses.is_empty() && durable.revocations.is_empty());
    assert!(durable.approvals.is_empty() && durable.grants.is_empty(), "rows go, acts stay");
    let head = durable.act_head.clone();
    assert_eq!(kept.store.verify_acts().await.unwrap(), Ok(head));
}

/// The life of one approval, each event of which is sent again by whoever got no answer.
fn life() -> Vec<Event> {
    vec![
        hold(1),
        vote("lea", 1, Vote::YES),
        hold(1),
        ends(1, EndOutcome::NothingSent),
        hold_again(),
        Event::Ends {
            node: "node-1".into(),
            ends: vec![End { session: session(7), outcome: EndOutcome::Ended }],
        },
    ]
}

/// The same request under a session of its own.
fn hold_again() -> Event {
    let mut again = request(7, &eve(), "1");
    again.session = session(7);
    Event::Hold { node: "node-1".into(), request: Box::new(again), fresh: fresh(7) }
}

#[tokio::test]
async fn killed_before_or_after_each_write_nothing_is_lost_and_nothing_is_there_twice() {
    for killed in 0..life().len() {
        for is_written in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut kept = Kept::ready(&folder.path().join("a.db")).await;
            for (number, event) in life().into_iter().enumerate() {
                if number == killed {
                    kept.world.changes.clear();
                    kept.world.send(event.clone()).unwrap();
                    if is_written {
                        kept.store.commit(&kept.world.changes).await.unwrap();
                    }
                    // Nobody was answered.
                    kept.reload().await;
                }
                let answer = kept.send(event.clone()).await;
                let is_late = matches!(event, Event::Vote { .. }) && number == killed && is_written;
                let expected = Err(Refusal::Ended(ShownState::Approved));
                assert!(if is_late { answer == expected } else { answer.is_ok() }, "{answer:?}");
            }
            let durable = &kept.world.state.durable;
            let at = format!("killed at {killed}, written: {is_written}");
            assert_eq!((durable.approvals.len(), durable.grants.len()), (1, 1), "{at}");
            let grant = durable.grants.values().next().unwrap();
            assert_eq!((grant.uses, grant.uses_max), (1, 1), "{at}");
            assert_eq!(durable.approvals[&id(1)].votes.len(), 1, "{at}");
            assert_eq!(durable.uses.len(), 2, "{at}");
            kept.is_kept().await;
            assert!(kept.store.verify_acts().await.unwrap().is_ok(), "{at}");
        }
    }
}

#[tokio::test]
async fn a_grant_that_can_not_be_written_leaves_no_vote_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mut kept = Kept::ready(&path).await;
    kept.send(hold(1)).await.unwrap();
    let before = kept.store.load().await.unwrap();
    let url = format!("sqlite://{}", path.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let full = "CREATE TRIGGER disk_is_full BEFORE INSERT ON grants
                    BEGIN SELECT RAISE(ABORT, 'disk is full'); END;";
    sqlx::raw_sql(full).execute(&mut connection).await.unwrap();
    kept.world.changes.clear();
    kept.world.send(vote("lea", 1, Vote::YES)).unwrap();
    let written = kept.store.commit(&kept.world.changes).await;
    assert!(matches!(written, Err(StoreError::Database(_))));
    assert_eq!(kept.store.load().await.unwrap(), before);
    kept.reload().await;
    let answer = kept.world.send(hold(1)).unwrap();
    assert!(matches!(answer, Answer::Hold(HoldAnswer::Pending(_))), "{answer:?}");
}
