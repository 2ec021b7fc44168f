use super::*;
use crate::leases::tests::arena;

const START: Clocks = Clocks { wall_ms: 1_000_000, boot: Duration::from_secs(100) };

fn after_ms(ms: u64) -> Clocks {
    Clocks { wall_ms: START.wall_ms + ms, boot: START.boot + Duration::from_millis(ms) }
}

fn terms(secret: &str, generation: u64, ends_in_ms: Option<u64>) -> Terms {
    let until = ends_in_ms.map(|ms| Until { ends_ms: START.wall_ms + ms, left_ms: ms });
    Terms { secret: secret.to_owned(), generation, until }
}

/// What an answer gives with a value.
fn given(arena: &Arena, terms: Terms) -> (Terms, Given) {
    let value = Value::new(arena, terms.generation, b"sk-model").expect("room");
    (terms, Given::Value(value))
}

fn names(holding: &Holding) -> Vec<String> {
    holding.have().into_iter().map(|one| one.secret).collect()
}

/// `own`, for which a rule stands, and `lent`, for which a grant does.
fn holding(arena: &Arena) -> Holding {
    let mut holding = Holding::default();
    let leases =
        vec![given(arena, terms("lent", 1, Some(1_000))), given(arena, terms("own", 1, None))];
    assert_eq!(holding.take(1, leases, 1, START), Ok(Taken::default()));
    holding
}

#[test]
fn what_an_answer_does_not_list_any_more_is_gone_with_it() {
    let arena = arena();
    let mut holding = holding(&arena);
    let free = arena.bytes_free();
    let leases = vec![(terms("own", 1, None), Given::Before)];
    assert_eq!(holding.take(1, leases, 1, START), Ok(Taken::default()));
    assert_eq!(names(&holding), ["own"]);
    assert!(arena.bytes_free() > free, "its memory too");
    assert!(holding.published().value("lent", 9).is_none());
}

#[test]
fn a_lease_ends_by_the_clock_that_is_further() {
    for late in [
        after_ms(1_000),
        Clocks { wall_ms: after_ms(1_000).wall_ms, ..START },
        Clocks { boot: after_ms(1_000).boot, ..START },
        // The wall clock was set back meanwhile.
        Clocks { wall_ms: 0, boot: after_ms(1_000).boot },
    ] {
        let mut holding = holding(&arena());
        assert!(!holding.end(after_ms(999)), "not before its end");
        assert!(holding.end(late), "{late:?}");
        assert_eq!(names(&holding), ["own"], "{late:?}");
    }
}

#[test]
fn a_lease_is_renewed_by_the_next_answer() {
    let mut holding = holding(&arena());
    assert_eq!(holding.next_end(START), Some(Duration::from_secs(1)));
    let leases = vec![(terms("lent", 1, Some(3_000)), Given::Before)];
    assert_eq!(holding.take(1, leases, 1, START), Ok(Taken::default()));
    assert!(!holding.end(after_ms(2_999)) && holding.end(after_ms(3_000)));
}

#[test]
fn without_the_control_plane_nothing_stands_for_a_grant_and_rules_go_on() {
    let mut holding = holding(&arena());
    assert!(holding.has_granted() && holding.end_granted() && !holding.has_granted());
    assert_eq!(names(&holding), ["own"]);
}

#[test]
fn a_rule_that_is_gone_takes_its_credential_along_and_leaves_those_of_grants() {
    let mut holding = holding(&arena());
    assert!(!holding.keep_standing(&BTreeSet::from(["own"])));
    assert!(holding.keep_standing(&BTreeSet::new()));
    assert_eq!(names(&holding), ["lent"]);
}

#[test]
fn an_answer_that_is_older_than_one_before_changes_nothing() {
    let mut holding = holding(&arena());
    assert_eq!(holding.take(0, Vec::new(), 1, START), Err(Older));
    assert_eq!(names(&holding), ["lent", "own"]);
}

#[test]
fn a_replaced_value_goes_on_with_older_documents_until_nobody_enforces_them() {
    let arena = arena();
    let mut holding = holding(&arena);
    let leases = vec![given(&arena, terms("own", 2, None))];
    assert_eq!(holding.take(2, leases, 1, START), Ok(Taken::default()));
    let published = holding.published();
    assert!(published.value("own", 1).is_some() && published.value("own", 2).is_some());
    assert!(!holding.outlives(1), "the documents in force need it");
    assert!(holding.outlives(2));
    holding.forget_before(2);
    assert!(holding.published().value("own", 1).is_none());
    assert!(holding.published().value("own", 2).is_some());
}

#[test]
fn what_went_while_a_call_was_under_way_is_asked_for_again() {
    let mut holding = Holding::default();
    let leases = vec![(terms("own", 1, None), Given::Before)];
    let taken = holding.take(1, leases, 1, START);
    assert_eq!(taken, Ok(Taken { refused: 0, is_short: true }));
    assert!(holding.is_empty());
}

#[test]
fn a_value_that_does_not_fit_is_counted_and_not_held() {
    let mut holding = holding(&arena());
    let leases = vec![(terms("own", 2, None), Given::NoRoom)];
    assert_eq!(holding.take(2, leases, 1, START), Ok(Taken { refused: 1, is_short: false }));
    assert!(holding.is_empty(), "the value before is not what the control plane gives any more");
}

#[test]
fn a_grant_is_covered_by_a_rule_or_by_a_lease_that_is_as_long() {
    let holding = holding(&arena());
    assert!(holding.covers("own", u64::MAX));
    assert!(holding.covers("lent", START.wall_ms + 1_000));
    assert!(!holding.covers("lent", START.wall_ms + 1_001));
    assert!(!holding.covers("other", 0));
}
