use super::*;

/// Locked memory for a test.
pub(crate) fn arena() -> Arena {
    Arena::new(64 * 1024).expect("locked memory")
}

/// One secret with one value.
pub(crate) fn leases(secret: &str, generation: u64, value: &str) -> Leases {
    leases_of(generation, &[(secret, value)])
}

/// Secrets with one value each.
pub(crate) fn leases_of(generation: u64, secrets: &[(&str, &str)]) -> Leases {
    let arena = arena();
    let leased = secrets.iter().map(|(secret, value)| {
        let value = Value::new(&arena, generation, value.as_bytes()).expect("room");
        ((*secret).to_owned(), Leased::new(value))
    });
    Leases::new(leased.collect())
}

fn value(arena: &Arena, generation: u64) -> Value {
    Value::new(arena, generation, format!("value-{generation}").as_bytes()).expect("room")
}

fn at(leased: &Leased, generation: u64) -> Option<u64> {
    leased.at(generation).map(|value| value.generation)
}

#[test]
fn each_scheme_has_its_form_of_a_value() {
    let mut value = Value::new(&arena(), 1, b"user:password").expect("room");
    assert_eq!(value.in_scheme(CredentialScheme::Raw), Some(&b"user:password"[..]));
    assert_eq!(value.in_scheme(CredentialScheme::Bearer), Some(&b"Bearer user:password"[..]));
    assert_eq!(value.in_scheme(CredentialScheme::Basic), None, "nobody asked for it");
    value.prepare_basic(&arena()).expect("room");
    let basic = value.in_scheme(CredentialScheme::Basic);
    assert_eq!(basic, Some(&b"Basic dXNlcjpwYXNzd29yZA=="[..]));
    assert!(!format!("{value:?}").contains("password"));
}

#[test]
fn a_value_never_goes_with_documents_that_are_older_than_it() {
    let arena = arena();
    let mut leased = Leased::new(value(&arena, 3));
    assert_eq!((at(&leased, 2), at(&leased, 3), at(&leased, 9)), (None, Some(3), Some(3)));
    leased.replace(value(&arena, 5), 3);
    assert_eq!((at(&leased, 3), at(&leased, 4), at(&leased, 5)), (Some(3), Some(3), Some(5)));
    assert!(!leased.outlives(4) && leased.outlives(5));
    leased.replace(value(&arena, 7), 4);
    assert_eq!((at(&leased, 4), at(&leased, 6), at(&leased, 7)), (Some(3), Some(3), Some(7)));
    leased.forget_before();
    assert_eq!((at(&leased, 6), at(&leased, 7)), (None, Some(7)));
}

#[test]
fn a_value_that_is_let_go_gives_its_memory_back() {
    let arena = arena();
    let free = arena.bytes_free();
    let mut leased = Leased::new(value(&arena, 1));
    leased.prepare_basic(&arena).expect("room");
    leased.replace(value(&arena, 2), 1);
    leased.prepare_basic(&arena).expect("room");
    assert_eq!(free - arena.bytes_free(), 256, "two values, two forms");
    leased.forget_before();
    drop(leased);
    assert_eq!(arena.bytes_free(), free);
}

#[test]
fn what_does_not_fit_into_locked_memory_is_refused() {
    let arena = Arena::of(penstock_reactor::locked::Kind::Locked, 4096).expect("memory");
    assert!(Value::new(&arena, 1, &[b'a'; 4096]).is_err());
    let mut value = Value::new(&arena, 1, &[b'a'; 3_000]).expect("room");
    assert_eq!(value.prepare_basic(&arena), Err(ArenaFull));
    assert_eq!(value.in_scheme(CredentialScheme::Basic), None);
}
