use proptest::prelude::*;

use super::*;
use crate::documents::{Document, Source, parse};

const VALUE: &str = "sk-model-credential-4711";

fn binding() -> Binding<'static> {
    Binding { node: "node-1", generation: 7, server_ms: 1_000 }
}

fn terms(secret: &str, until: Option<Until>) -> Terms {
    Terms { secret: secret.to_owned(), generation: 3, until }
}

/// Two values and one that the node has, sealed for a key.
fn sealed(public_key: &str) -> LeaseAnswer {
    let until = Until { ends_ms: 9_000, left_ms: 8_000 };
    let value = |text: &str| Some(Zeroizing::new(text.to_owned()));
    let leases = vec![
        (terms("first", None), value(VALUE)),
        (terms("granted", Some(until)), value("another")),
        (terms("had", None), None),
    ];
    seal(public_key, binding(), leases).unwrap()
}

/// What is changed of an answer, and how.
type Change = (&'static str, fn(&mut LeaseAnswer));

/// Everything that an answer yields, or the first error.
fn opened(
    answer: &LeaseAnswer,
    private_key: &[u8],
    node: &str,
) -> Result<Vec<(Terms, Option<String>)>, LeaseError> {
    let text = |value: Zeroizing<Vec<u8>>| String::from_utf8(value.to_vec()).unwrap();
    let opening = answer.open(private_key, node)?;
    opening.map(|one| one.map(|(terms, value)| (terms.clone(), value.map(text)))).collect()
}

#[test]
fn a_sealed_answer_opens_with_its_nodes_key_and_says_what_was_sealed() {
    let (public, private) = key_pair().unwrap();
    let answer = sealed(&public);
    let values = opened(&answer, &private, "node-1").unwrap();
    let values: Vec<_> = values.iter().map(|(_, value)| value.as_deref()).collect();
    assert_eq!(values, [Some(VALUE), Some("another"), None]);
}

#[test]
fn the_key_of_another_node_or_of_an_earlier_start_opens_nothing() {
    let (public, private) = key_pair().unwrap();
    let (_, other) = key_pair().unwrap();
    let answer = sealed(&public);
    assert_eq!(opened(&answer, &other, "node-1"), Err(LeaseError::Open));
    assert_eq!(opened(&answer, &private, "node-2"), Err(LeaseError::Open));
    assert_eq!(opened(&answer, b"short", "node-1"), Err(LeaseError::Open));
}

#[test]
fn whatever_of_an_answer_is_changed_it_does_not_open() {
    let (public, private) = key_pair().unwrap();
    let good = sealed(&public);
    let changes: [Change; 12] = [
        ("generation", |answer| answer.generation += 1),
        ("time", |answer| answer.server_ms -= 1),
        ("key", |answer| answer.encapsulated = STANDARD.encode([9; KEY_BYTES])),
        ("no key", |answer| answer.encapsulated.clear()),
        ("name", |answer| answer.leases[0].terms.secret = "other".into()),
        ("value's generation", |answer| answer.leases[0].terms.generation += 1),
        ("end", |answer| answer.leases[1].terms.until = None),
        ("a later end", |answer| {
            answer.leases[1].terms.until = Some(Until { ends_ms: 9_001, left_ms: 8_000 });
        }),
        ("order", |answer| answer.leases.swap(0, 1)),
        ("cut", |answer| drop(answer.leases.pop())),
        ("repeated", |answer| answer.leases.push(answer.leases[0].clone())),
        ("no message", |answer| answer.leases[2].sealed.clear()),
    ];
    for (what, change) in changes {
        let mut answer = good.clone();
        change(&mut answer);
        assert_eq!(opened(&answer, &private, "node-1"), Err(LeaseError::Open), "{what}");
    }
}

proptest! {
    #[test]
    fn a_message_with_any_bit_changed_does_not_open(at in 0..40_usize, bit in 0..8_u32) {
        let (public, private) = key_pair().unwrap();
        let mut answer = sealed(&public);
        let mut message = STANDARD.decode(&answer.leases[0].sealed).unwrap();
        prop_assert_eq!(message.len(), 40, "24 bytes of value and a tag");
        message[at] ^= 1 << bit;
        answer.leases[0].sealed = STANDARD.encode(message);
        prop_assert_eq!(opened(&answer, &private, "node-1"), Err(LeaseError::Open));
    }
}

#[test]
fn no_answer_has_a_value_in_clear_nor_two_answers_the_same_ciphertext() {
    let (public, _) = key_pair().unwrap();
    let (one, two) = (sealed(&public), sealed(&public));
    let text = serde_json::to_string(&one).unwrap();
    let message = STANDARD.decode(&one.leases[0].sealed).unwrap();
    assert!(!text.contains(VALUE) && !text.contains(&STANDARD.encode(VALUE)));
    assert!(!message.windows(8).any(|part| VALUE.as_bytes().windows(8).any(|own| own == part)));
    assert_ne!(one.leases[0].sealed, two.leases[0].sealed);
    let again: LeaseAnswer = serde_json::from_str(&text).unwrap();
    assert_eq!(again, one);
}

#[test]
fn what_is_no_public_key_is_refused() {
    let short = STANDARD.encode([1; 31]);
    let low_order = STANDARD.encode([0; 32]);
    for key in ["", "####", &short, &low_order] {
        let refused = seal(key, binding(), Vec::new()).map(|_| ());
        assert_eq!(refused, Err(LeaseError::PublicKey), "{key}");
    }
}

/// `key-NAME` for each connection.
fn documents(connections: &[&str], rules: &str) -> (Vec<Connection>, Vec<Rule>) {
    let mut text = rules.to_owned();
    for name in connections {
        text += &format!(
            "---\nkind: connection\nname: {name}\nprotocol: openai\nendpoints: [http://a]\n\
             credential: {{secret: key-{name}, scheme: bearer}}\n"
        );
    }
    let source = Source { name: "test".to_owned(), text };
    let (mut connections, mut rules) = (Vec::new(), Vec::new());
    for placed in parse(&[source]).unwrap() {
        match placed.document {
            Document::Connection(one) => connections.push(one),
            Document::Rule(one) => rules.push(one),
            other => panic!("{other:?}"),
        }
    }
    (connections, rules)
}

#[test]
fn a_credential_stands_only_where_an_allow_rule_reaches_its_connection() {
    let rules = "kind: rule\nname: a\neffect: allow\nsubjects: [{users: [ada]}]\n\
        operations: [list]\nconnections: [named, \"glob-*\"]\n---\n\
        kind: rule\nname: b\neffect: deny\nconnections: [denied]\n";
    let names = ["named", "glob-1", "glob-2", "denied", "nobody"];
    let (connections, mut rules) = documents(&names, rules);
    let secrets: Vec<_> = standing(&connections, &rules, []).into_iter().collect();
    assert_eq!(secrets, ["key-glob-1", "key-glob-2", "key-named"]);
    rules[0].effect = Effect::Approve;
    assert!(standing(&connections, &rules, []).is_empty(), "approval alone gives no standing");
}

#[test]
fn the_mask_key_stands_only_while_a_connection_is_under_a_mask_that_hashes() {
    let mask = |text: &str| {
        let text = format!("kind: mask\nname: pii\ndetectors: [\"*\"]\n{text}");
        let placed = parse(&[Source { name: "test".to_owned(), text }]).unwrap();
        placed[0].document.as_mask().unwrap().clone()
    };
    let (mut connections, _) = documents(&["one"], "");
    let hashing = mask("action: hash\n");
    let stands = |connections: &[Connection], masks: &[Mask]| {
        standing(connections, &[], masks).contains(MASK_KEY)
    };
    assert!(!stands(&connections, std::slice::from_ref(&hashing)), "nobody uses it");
    connections[0].mask = Some("pii".to_owned());
    assert!(stands(&connections, std::slice::from_ref(&hashing)));
    assert!(!stands(&connections, &[mask("action: redact\n")]));
    let overridden = mask("overrides: [{detectors: [US_SSN], action: surrogate}]\n");
    assert!(stands(&connections, &[overridden]));
}

#[test]
fn a_mask_key_of_another_length_is_none() {
    assert_eq!(*mask_key(STANDARD.encode([7; 32]).as_bytes()).unwrap(), [7; 32]);
    for value in [STANDARD.encode([7; 31]), STANDARD.encode([7; 33]), "####".to_owned()] {
        assert_eq!(mask_key(value.as_bytes()).err(), Some(LeaseError::MaskKey));
    }
}
