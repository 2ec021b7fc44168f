//! Whatever happens, in whatever order: the invariants hold after every step.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use common::{FIRST_RUN, POLICY, World, admin, documents, operator, requester};
use penstock_app::acts::verify;
use penstock_app::event::{Apply, Joined};
use penstock_app::state::{ActHead, DocumentKey, KeySource, Origin, Sealed};
use penstock_app::{Event, Requester};
use penstock_config::certificates::PemError;
use penstock_config::snapshot::SnapshotSigner;
use proptest::prelude::*;
use serde_json::json;

/// One step: which event, by whom, with which of a few arguments, after how long.
#[derive(Clone, Copy, Debug)]
struct Step {
    event: u8,
    by: u8,
    choice: u8,
    flags: u8,
    wait_ms: u64,
}

fn step() -> impl Strategy<Value = Step> {
    (0..13_u8, 0..4_u8, 0..4_u8, any::<u8>(), 0..400_000_u64)
        .prop_map(|(event, by, choice, flags, wait_ms)| Step { event, by, choice, flags, wait_ms })
}

fn who(by: u8) -> Requester {
    match by {
        0 => admin(),
        1 => operator(),
        2 => requester("eve", &["engineers"]),
        _ => Requester::System,
    }
}

fn text(choice: u8) -> String {
    match choice {
        0 => POLICY.to_owned(),
        1 => POLICY.split("---").nth(1).unwrap_or_default().to_owned(),
        2 => FIRST_RUN.replace("9000", "9001"),
        _ => "kind: rule\nname: broken\n".to_owned(),
    }
}

fn event(world: &World, step: Step) -> Event {
    let Step { event, by, choice, flags, .. } = step;
    let by = who(by);
    let name = ["a", "llama-key", "b", "Not A Name"][usize::from(choice)].to_owned();
    let port = if flags & 1 == 0 { 9000 } else { 9001 };
    let source = KeySource { issuer: format!("http://127.0.0.1:{port}"), jwks_uri: None };
    let issuer = "dev".to_owned();
    match event {
        0 => Event::FirstRun { documents: documents(FIRST_RUN) },
        1 | 2 => Event::ApplyDocuments(Apply {
            by,
            sources: vec![common::source(&text(choice))],
            prune: flags & 1 != 0,
            dry_run: flags & 2 != 0,
            expect_version: (flags & 4 != 0).then_some(u64::from(flags >> 4)),
            cut_open: flags & 8 != 0,
        }),
        3 => {
            let keys = world.state.durable.documents.keys();
            let key = keys.cycle().nth(usize::from(flags)).cloned();
            let key = key.unwrap_or(DocumentKey { kind: "rule", name });
            Event::DeleteDocument { by, key }
        }
        4 => {
            let version = u64::from(choice) + 1;
            let found = world.versions.get(&version);
            let documents = found.map(|(_, documents)| documents.clone()).unwrap_or_default();
            Event::RollBack { by, version, documents }
        }
        5 => {
            let generation = world.state.next_credentials_generation() + u64::from(flags & 1);
            let sealed = Sealed { generation, wrapped_key: "a".into(), ciphertext: "b".into() };
            let client_certificate = Err(PemError::Base64);
            Event::SetSecret { by, name, sealed, client_certificate }
        }
        6 => Event::DeleteSecret { by, name },
        7 => {
            let key = json!({"kid": name, "kty": "OKP"});
            let keys = key.as_object().cloned().into_iter().collect();
            Event::KeysFetched { issuer, source, keys }
        }
        8 => Event::KeysFailed { issuer, source, problem: name, jitter: u16::from(flags) },
        9 => Event::UnknownKey { issuer, kid: name },
        10 if flags & 1 == 0 => Event::JoinFileIssued { by, token_sha256: name.repeat(64) },
        10 => Event::NodeJoined(Joined {
            token_sha256: name.repeat(64),
            node: format!("node-{}", flags % 8),
            name: "host".into(),
            certificate_sha256: format!("{flags}"),
        }),
        11 => Event::RemoveNode { by, node: format!("node-{}", flags % 8) },
        _ => Event::Tick,
    }
}

fn first_run_keys(world: &World) -> Vec<DocumentKey> {
    let documents = world.state.durable.documents.iter();
    let own = documents.filter(|(_, stored)| stored.origin == Origin::FirstRun);
    own.map(|(key, _)| key.clone()).collect()
}

fn check(world: &World, before: &common::World, event: &Event, refused: bool) {
    let (old, new) = (&before.state.durable, &world.state.durable);
    assert!(new.position >= old.position, "a position never goes back");
    assert!(new.credentials_generation >= old.credentials_generation);
    if refused {
        assert_eq!(world.state, before.state, "a refused change changes nothing");
    }
    if new.documents != old.documents {
        assert_eq!(new.position.version, old.position.version + 1);
        let kept = &world.versions[&new.position.version].1;
        assert!(kept.iter().eq(new.documents.values()));
    } else {
        assert_eq!(new.position.version, old.position.version);
    }
    let differs = new.documents != old.documents
        || new.secrets != old.secrets
        || new.nodes != old.nodes
        || new.join_tokens != old.join_tokens;
    assert!(!differs || world.acts.len() == before.acts.len() + 1, "a change is one act");
    if matches!(event, Event::ApplyDocuments(_)) {
        let left = first_run_keys(world);
        assert!(first_run_keys(before).iter().all(|key| left.contains(key)));
    }
    let signed = new.snapshot.as_ref().map(|signed| signed.position).unwrap_or_default();
    assert!(new.position.version == 0 || signed == new.position, "what is in force is signed");
}

fn copy(world: &World) -> World {
    World {
        state: world.state.clone(),
        now_ms: world.now_ms,
        acts: world.acts.clone(),
        versions: world.versions.clone(),
        published: Vec::new(),
        fetches: Vec::new(),
        changes: Vec::new(),
        told: Vec::new(),
        signer: SnapshotSigner::generate().unwrap().0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn invariants_hold_after_every_step(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::empty();
        for step in steps {
            let before = copy(&world);
            world.now_ms += step.wait_ms;
            let event = event(&world, step);
            let refused = world.send(event.clone()).is_err();
            check(&world, &before, &event, refused);
        }
        let head = verify(&ActHead::default(), &world.acts);
        prop_assert_eq!(head, Ok(world.state.durable.act_head.clone()));
        for pair in world.published.windows(2) {
            prop_assert!(pair[1].position > pair[0].position);
        }
    }

    #[test]
    fn an_edited_removed_or_swapped_act_is_found(index in 0..6_usize, how in 0..4_u8) {
        let mut world = World::new();
        for _ in 0..6 {
            let sealed = Sealed {
                generation: world.state.next_credentials_generation(),
                wrapped_key: "a".into(),
                ciphertext: "b".into(),
            };
            let client_certificate = Err(PemError::Base64);
            let event =
                Event::SetSecret { by: admin(), name: "a".into(), sealed, client_certificate };
            prop_assert!(world.send(event).is_ok());
        }
        let mut acts = world.acts.clone();
        match how {
            0 => acts[index].at_ms += 1,
            1 => acts[index].actor.subject.push('x'),
            2 => drop(acts.remove(index)),
            _ => acts.swap(index, index + 1),
        }
        prop_assert!(verify(&ActHead::default(), &acts).is_err());
    }
}
