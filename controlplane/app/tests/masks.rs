//! Masks among the documents, and the cluster's mask key.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use common::{World, admin, operator};
use penstock_app::state::{DocumentKey, Sealed};
use penstock_app::{Answer, Event, Refusal};
use penstock_config::lease::MASK_KEY;

const MASKED: &str = "kind: connection
name: llama
protocol: openai
endpoints: [http://model]
mask: pii
---
kind: mask
name: pii
detectors: [EMAIL_ADDRESS]
";

fn sealed(world: &World) -> Sealed {
    let generation = world.state.next_credentials_generation();
    Sealed { generation, wrapped_key: "a".into(), ciphertext: "b".into() }
}

fn make_key(world: &mut World) -> Result<Answer, Refusal> {
    let sealed = sealed(world);
    world.send(Event::MaskKeyMade { sealed })
}

fn hashing() -> String {
    format!("{MASKED}action: hash\n")
}

#[test]
fn an_operator_puts_a_mask_in_force_and_nodes_get_it() {
    let mut world = World::new();
    world.apply(operator(), MASKED).unwrap();
    let (masks, connections) = {
        let snapshot = world.published.last().unwrap();
        (snapshot.masks.clone(), snapshot.connections.clone())
    };
    assert_eq!(masks.iter().map(|mask| mask.name.as_str()).collect::<Vec<_>>(), ["pii"]);
    assert_eq!(connections[0].mask.as_deref(), Some("pii"));
}

#[test]
fn a_mask_that_a_connection_is_under_is_not_deleted() {
    let mut world = World::new();
    world.apply(operator(), MASKED).unwrap();
    let key = DocumentKey::new("mask", "pii").unwrap();
    let refused = world.send(Event::DeleteDocument { by: operator(), key: key.clone() });
    let Err(Refusal::Invalid(problems)) = refused else { panic!("{refused:?}") };
    assert_eq!(problems[0].message, "connection `llama`: unknown mask `pii`");
    world.apply(operator(), &MASKED.replace("mask: pii\n", "")).unwrap();
    world.send(Event::DeleteDocument { by: operator(), key }).unwrap();
    assert_eq!(world.state.masks().count(), 0);
}

#[test]
fn the_mask_key_is_made_once_and_only_where_it_is_needed() {
    let mut world = World::new();
    world.apply(operator(), MASKED).unwrap();
    assert!(!world.state.lacks_mask_key());
    world.apply(operator(), &hashing()).unwrap();
    assert!(world.state.lacks_mask_key());
    make_key(&mut world).unwrap();
    assert!(!world.state.lacks_mask_key());
    let first = world.state.durable.secrets[MASK_KEY].clone();
    let generation = world.state.durable.credentials_generation;
    assert_eq!(first.sealed.generation, generation);
    assert_eq!(
        world.published.last().unwrap().credentials_generation,
        generation,
        "nodes are told"
    );
    make_key(&mut world).unwrap();
    assert_eq!(world.state.durable.secrets[MASK_KEY], first);
}

#[test]
fn a_mask_key_that_was_sealed_for_another_generation_is_refused() {
    let mut world = World::new();
    world.apply(operator(), &hashing()).unwrap();
    let sealed = Sealed { generation: 0, ..sealed(&world) };
    assert_eq!(world.send(Event::MaskKeyMade { sealed }), Err(Refusal::Generation));
}

#[test]
fn nodes_get_the_mask_key_while_a_connection_is_under_a_mask_that_hashes() {
    let mut world = World::new();
    world.apply(operator(), &hashing()).unwrap();
    make_key(&mut world).unwrap();
    let leased = |world: &World| {
        let leases = world.state.leases(1_000);
        leases.iter().map(|one| (one.secret.to_owned(), one.ends_ms)).collect::<Vec<_>>()
    };
    assert_eq!(leased(&world), [(MASK_KEY.to_owned(), None)]);
    world.apply(operator(), MASKED).unwrap();
    assert_eq!(leased(&world), []);
}

#[test]
fn nobody_sets_deletes_or_lists_the_mask_key() {
    let mut world = World::new();
    world.apply(operator(), &hashing()).unwrap();
    make_key(&mut world).unwrap();
    let sealed = sealed(&world);
    let client_certificate = penstock_config::certificates::client_certificate("a").map(drop);
    let (by, name) = (admin(), MASK_KEY.to_owned());
    let set = Event::SetSecret { by: by.clone(), name: name.clone(), sealed, client_certificate };
    assert_eq!(world.send(set), Err(Refusal::Name));
    let delete = Event::DeleteSecret { by, name };
    assert_eq!(world.send(delete), Err(Refusal::NotFound("secret")));
    assert_eq!(world.state.named_secrets().count(), 0);
}

#[test]
fn what_the_engine_does_not_take_is_refused_at_its_place() {
    let mut world = World::new();
    let text = MASKED.replace("[EMAIL_ADDRESS]", "[EMAIL_ADRESS, EMAIL_ADDRESS]")
        + "patterns:\n  - {name: OPEN, regex: \"a+\"}\n";
    let refused = world.apply(operator(), &text);
    let Err(Refusal::Invalid(problems)) = refused else { panic!("{refused:?}") };
    let told: Vec<_> = problems.iter().map(|one| (one.line, one.message.as_str())).collect();
    assert_eq!(
        told,
        [
            (9, "mask `pii`: no detector is `EMAIL_ADRESS`"),
            (11, "mask `pii`: OPEN: a match may be longer than 512 bytes"),
        ]
    );
    assert_eq!(world.state.masks().count(), 0);
}
