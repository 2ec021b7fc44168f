use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::documents::{AutoApprove, BreakGlass, Day, GrantLimits, HeldStream, Hours, Reason};

fn groups(name: &str) -> Subject {
    Subject { groups: Some(vec![name.to_owned()]), ..Subject::default() }
}

fn approval(quorum: u32) -> Approval {
    Approval {
        reviewers: vec![groups("leads")],
        quorum,
        one_from_each: Vec::new(),
        reason: Reason::Optional,
        ticket: None,
        hold_ms_max: 0,
        answer_ms_max: 1,
        stream: HeldStream::Wait,
        grant: GrantLimits { minutes_max: 1, uses_max: 1 },
        show: Vec::new(),
        auto_approve: Vec::new(),
        break_glass: None,
    }
}

fn one_from_each(names: &[&str]) -> Approval {
    let entries = names.iter().map(|name| groups(name)).collect();
    Approval { reviewers: Vec::new(), one_from_each: entries, ..approval(1) }
}

fn who(subject: &str, names: &[&str]) -> Identity {
    Identity {
        issuer: "company".to_owned(),
        subject: subject.to_owned(),
        user: subject.to_owned(),
        groups: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Identity::default()
    }
}

fn exact(issuer: &str, subject: &str) -> ExactIdentity {
    ExactIdentity { issuer: issuer.to_owned(), subject: subject.to_owned() }
}

/// Ann has a second identity; everybody else has one.
fn persons() -> Persons {
    let identities = vec![exact("company", "ann"), exact("company", "ann-admin")];
    Persons::new(&[Person { name: "ann".to_owned(), identities }])
}

/// Whether these people satisfy an approval that `requester` asked for.
fn agreed(approval: &Approval, requester: &str, people: &[Identity]) -> bool {
    let persons = persons();
    let keys: Vec<PersonKey> = people.iter().map(|one| persons.key_of(one)).collect();
    let approvers: Vec<Approver<'_>> =
        people.iter().zip(&keys).map(|(identity, person)| Approver { identity, person }).collect();
    satisfied(approval, &persons.key("company", requester), &approvers)
}

#[test]
fn a_quorum_is_distinct_people_among_the_reviewers() {
    let lead = |name: &str| who(name, &["leads"]);
    assert!(!agreed(&approval(1), "req", &[]));
    assert!(agreed(&approval(1), "req", &[lead("bob")]));
    assert!(!agreed(&approval(2), "req", &[lead("bob")]));
    assert!(!agreed(&approval(2), "req", &[lead("bob"), lead("bob")]), "one person twice");
    assert!(!agreed(&approval(2), "req", &[lead("ann"), lead("ann-admin")]), "linked identities");
    assert!(!agreed(&approval(2), "req", &[lead("bob"), who("eve", &["others"])]));
    assert!(agreed(&approval(2), "req", &[lead("bob"), lead("ann")]));
    assert!(agreed(&approval(0), "req", &[lead("bob")]));
    assert!(!agreed(&approval(0), "req", &[]), "nobody is never enough");
}

#[test]
fn a_requester_never_counts_under_whichever_of_their_identities() {
    let lead = |name: &str| who(name, &["leads", "administrators"]);
    for own in ["ann", "ann-admin"] {
        for requester in ["ann", "ann-admin"] {
            assert!(!agreed(&approval(1), requester, &[lead(own)]), "{requester} by {own}");
            assert!(!agreed(&one_from_each(&["leads"]), requester, &[lead(own)]));
        }
    }
    assert!(!agreed(&approval(2), "ann", &[lead("ann-admin"), lead("bob")]));
    assert!(agreed(&approval(1), "ann", &[lead("ann-admin"), lead("bob")]));
}

#[test]
fn the_same_subject_of_another_issuer_is_somebody_else() {
    let elsewhere = Identity { issuer: "ci".to_owned(), ..who("ann", &["leads"]) };
    assert!(agreed(&approval(1), "ann", &[elsewhere]));
}

#[test]
fn one_person_in_two_groups_does_not_stand_for_both() {
    let both = one_from_each(&["security", "operations"]);
    let bob = who("bob", &["security", "operations"]);
    assert!(!agreed(&both, "req", std::slice::from_ref(&bob)));
    let halves = [who("ann", &["security"]), who("ann-admin", &["operations"])];
    assert!(!agreed(&both, "req", &halves), "linked identities are one person");
    assert!(!agreed(&both, "req", &[bob.clone(), who("eve", &["sales"])]));
    assert!(agreed(&both, "req", &[bob.clone(), who("eve", &["security"])]));
    assert!(agreed(&both, "req", &[who("eve", &["operations"]), bob]));
}

#[test]
fn somebody_gives_way_where_another_fits_one_entry_alone() {
    // Whoever is found first for an entry is not the one who must keep it.
    let three = one_from_each(&["a", "b", "c"]);
    let people = [who("x", &["a", "b", "c"]), who("y", &["a", "b"]), who("z", &["a"])];
    assert!(agreed(&three, "req", &people));
    assert!(!agreed(&three, "req", &people[1..]));
    let people = [who("x", &["a", "b"]), who("y", &["a", "b"]), who("z", &["a", "b"])];
    assert!(!agreed(&three, "req", &people));
}

#[test]
fn the_quorum_counts_reviewers_and_entries_are_asked_besides() {
    let approval = Approval { one_from_each: vec![groups("security")], ..approval(2) };
    let lead = |name: &str| who(name, &["leads"]);
    let guard = who("sam", &["security"]);
    assert!(!agreed(&approval, "req", &[lead("bob"), guard.clone()]));
    assert!(agreed(&approval, "req", &[lead("bob"), lead("eve"), guard]));
    let both = who("eve", &["leads", "security"]);
    assert!(agreed(&approval, "req", &[lead("bob"), both]), "an entry is no vote less");
    assert!(!agreed(&approval, "req", &[lead("bob"), lead("eve")]));
}

#[test]
fn reviewers_and_who_matches_an_entry_may_answer_and_nobody_else() {
    let approval = Approval { one_from_each: vec![groups("security")], ..approval(1) };
    assert!(may_answer(&approval, &who("a", &["leads"])));
    assert!(may_answer(&approval, &who("a", &["security"])));
    assert!(!may_answer(&approval, &who("a", &["administrators"])));
    let nobody = Approval { reviewers: Vec::new(), one_from_each: Vec::new(), ..approval };
    assert!(!may_answer(&nobody, &who("a", &["leads"])));
    assert!(!agreed(&nobody, "req", &[who("a", &["leads"])]));
}

#[test]
fn a_ticket_matches_as_a_whole_or_not() {
    let with = |pattern: &str| Approval { ticket: Some(pattern.to_owned()), ..approval(1) };
    let ops = with("OPS-[0-9]{1,4}");
    assert!(ticket_matches(&ops, Some("OPS-12")));
    for ticket in ["", "OPS-", "xOPS-12", "OPS-12x", "OPS-12\n", "ops-12", "OPS-12345"] {
        assert!(!ticket_matches(&ops, Some(ticket)), "{ticket:?}");
    }
    assert!(!ticket_matches(&ops, None));
    let either = with("A|B");
    assert!(ticket_matches(&either, Some("B")) && !ticket_matches(&either, Some("AB")));
    assert!(!ticket_matches(&with("(?m)^A$"), Some("x\nA")), "lines are no way out");
    assert!(!ticket_matches(&with("["), Some("[")), "what is no pattern matches nothing");
    assert!(ticket_matches(&approval(1), None) && ticket_matches(&approval(1), Some("x")));
}

#[test]
fn a_ticket_pattern_is_one_by_itself_and_of_limited_size() {
    for pattern in ["a)|(b", "(", "\\1", "(?x) a # b", "(?=a)"] {
        assert_eq!(ticket_pattern(pattern).err(), Some("not a regular expression"), "{pattern}");
    }
    let large = ticket_pattern("(?:[a-z0-9]{1,900}){1,900}").err();
    assert_eq!(large, Some("a pattern that takes too much memory"));
    assert_eq!(ticket_pattern(&"a".repeat(513)).err(), Some("longer than 512 bytes"));
    assert!(ticket_pattern(&"a".repeat(512)).is_ok());
}

#[test]
fn an_approval_answers_itself_where_all_of_an_entry_holds() {
    let noon = Hours { days: vec![Day::Fri], from: 720, to: 780, zone: "UTC".to_owned() };
    // 2026-11-27 12:00 UTC is a Friday.
    let (friday, saturday) = (1_795_780_800_000, 1_795_867_200_000);
    let subjects = vec![groups("on-call")];
    let with = |subjects: Vec<Subject>, when: Vec<Hours>| Approval {
        auto_approve: vec![AutoApprove { subjects, when }],
        ..approval(1)
    };
    let (on_call, other) = (who("a", &["on-call"]), who("b", &["others"]));
    for (approval, identity, now_ms, expected) in [
        (with(subjects.clone(), vec![]), &on_call, saturday, true),
        (with(subjects.clone(), vec![]), &other, saturday, false),
        (with(vec![], vec![noon.clone()]), &other, friday, true),
        (with(vec![], vec![noon.clone()]), &other, saturday, false),
        (with(subjects.clone(), vec![noon.clone()]), &on_call, friday, true),
        (with(subjects.clone(), vec![noon.clone()]), &on_call, saturday, false),
        (with(subjects, vec![noon]), &other, friday, false),
        (with(vec![], vec![]), &on_call, friday, false),
        (approval(1), &on_call, friday, false),
    ] {
        assert_eq!(auto_approved(&approval, identity, now_ms), expected, "{approval:?}");
    }
}

#[test]
fn only_those_who_are_named_break_the_glass() {
    let subjects = vec![groups("on-call")];
    let glass = BreakGlass { subjects, minutes_max: 60, justify_ms_max: 1 };
    let with = Approval { break_glass: Some(glass), ..approval(1) };
    assert!(may_break_glass(&with, &who("a", &["on-call"])));
    assert!(!may_break_glass(&with, &who("a", &["leads"])));
    assert!(!may_break_glass(&approval(1), &who("a", &["on-call"])));
}

#[test]
fn a_person_is_known_by_any_of_their_identities() {
    let persons = persons();
    assert_eq!(persons.key("company", "ann"), PersonKey::Person("ann".to_owned()));
    assert_eq!(persons.key("company", "ann"), persons.key_of(&who("ann-admin", &[])));
    let bob = PersonKey::Identity(exact("company", "bob"));
    assert_eq!(persons.key("company", "bob"), bob);
    assert_ne!(persons.key("ci", "ann"), persons.key("company", "ann"));
    let json = serde_json::to_string(&bob).expect("JSON");
    assert_eq!(serde_json::from_str::<PersonKey>(&json).ok(), Some(bob));
}

/// Tries every way to give entries to people.
fn by_brute_force(entries: &[Vec<usize>], taken: &mut Vec<usize>) -> bool {
    let Some((first, rest)) = entries.split_first() else { return true };
    first.iter().any(|person| {
        if taken.contains(person) {
            return false;
        }
        taken.push(*person);
        let found = by_brute_force(rest, taken);
        taken.pop();
        found
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn entries_are_given_to_people_as_trying_every_way_would(
        // Few people for many entries, so that either answer is common.
        fits in (1_usize..=8).prop_flat_map(|entries| {
            vec(vec(prop::bool::weighted(0.3), entries), entries.saturating_sub(1)..=16)
        }),
    ) {
        let entries = fits.first().map_or(1, Vec::len);
        let names: Vec<String> = (0..entries).map(|entry| format!("g{entry}")).collect();
        let approval = one_from_each(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let people: Vec<Identity> = fits
            .iter()
            .enumerate()
            .map(|(person, fits)| {
                let held = names.iter().zip(fits).filter(|(_, fits)| **fits);
                who(&format!("p{person}"), &held.map(|(name, _)| name.as_str()).collect::<Vec<_>>())
            })
            .collect();
        let by_entry: Vec<Vec<usize>> = (0..entries)
            .map(|entry| (0..fits.len()).filter(|person| fits[*person][entry]).collect())
            .collect();
        let expected = by_brute_force(&by_entry, &mut Vec::new());
        prop_assert_eq!(agreed(&approval, "req", &people), expected);
    }
}
