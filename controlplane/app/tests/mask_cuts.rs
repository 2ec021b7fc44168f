//! Masks that change under exchanges that run: which connections are cut, from when on, for how
//! long.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use std::collections::BTreeMap;

use common::{World, operator, requester};
use penstock_app::event::ApplyReport;
use penstock_app::mask_cuts::{GONE_MAX, MaskMark};
use penstock_app::state::DocumentKey;
use penstock_app::{Durable, Event, Refusal, State, Tuning};
use penstock_config::node::Position;

const TWO: &str = "kind: connection
name: a
protocol: openai
endpoints: [http://model]
mask: pii
---
kind: connection
name: b
protocol: openai
endpoints: [http://model]
mask: pii
---
kind: connection
name: clear
protocol: openai
endpoints: [http://model]
---
kind: mask
name: pii
detectors: [EMAIL_ADDRESS]
";

fn world() -> World {
    let mut world = World::new();
    let report = world.apply(operator(), TWO).unwrap();
    assert_eq!((report.masks_changed, report.cut), (Vec::new(), Vec::new()), "nothing ran");
    world
}

fn apply(world: &mut World, text: &str, cut_open: bool) -> ApplyReport {
    world.apply_with(operator(), text, |apply| apply.cut_open = cut_open).unwrap()
}

fn cuts(world: &World) -> BTreeMap<String, Position> {
    world.published.last().unwrap().mask_cuts.clone()
}

fn at(version: u64) -> Position {
    Position { epoch: 1, version, revision: 0 }
}

fn cut(names: &[&str], version: u64) -> BTreeMap<String, Position> {
    names.iter().map(|name| ((*name).to_owned(), at(version))).collect()
}

fn other() -> String {
    TWO.replace("EMAIL_ADDRESS", "US_SSN")
}

#[test]
fn a_changed_mask_cuts_nothing_unless_that_is_asked_for() {
    let mut world = world();
    let report = apply(&mut world, &other(), false);
    assert_eq!(report.masks_changed, ["a", "b"]);
    assert_eq!((report.cut.len(), cuts(&world)), (0, BTreeMap::new()));
    assert_eq!(world.published.last().unwrap().masks[0].detectors, ["US_SSN"]);
}

#[test]
fn with_cut_open_the_connections_of_a_changed_mask_are_cut_from_the_new_version_on() {
    let mut world = world();
    let report = apply(&mut world, &other(), true);
    assert_eq!(report.masks_changed, ["a", "b"]);
    assert_eq!((report.cut, report.version), (vec!["a".to_owned(), "b".to_owned()], 3));
    assert_eq!(cuts(&world), cut(&["a", "b"], 3));
    let act = world.acts.last().unwrap();
    assert!(act.after.contains(r#""cut_open":["a","b"]"#), "{}", act.after);
}

#[test]
fn a_mask_that_comes_goes_or_is_another_one_is_a_change_and_its_name_alone_is_none() {
    let renamed = TWO.replace("mask: pii\n", "mask: same\n").replace("name: pii", "name: same");
    for (text, expected) in [
        (TWO.replacen("mask: pii\n", "", 1), &["a"][..]),
        (TWO.replace("name: clear\n", "name: clear\nmask: pii\n"), &["clear"]),
        (
            TWO.replacen("mask: pii\n", "mask: own\n", 1)
                + "---\nkind: mask\nname: own\ndetectors: [US_SSN]\n",
            &["a"],
        ),
        (renamed, &[]),
        (TWO.replace("[http://model]", "[http://other]"), &[]),
    ] {
        let mut world = world();
        assert_eq!(apply(&mut world, &text, true).cut, expected, "{text}");
        assert_eq!(cuts(&world), cut(expected, 3), "{text}");
    }
}

#[test]
fn an_override_is_a_change_where_it_holds_and_nowhere_else() {
    let mut world = world();
    let more = "overrides: [{detectors: ['*'], connections: ['a*'], action: hash}]\n";
    assert_eq!(apply(&mut world, &format!("{TWO}{more}"), true).cut, ["a"]);
    let elsewhere = more.replace("'a*'", "a, clear");
    let report = apply(&mut world, &format!("{TWO}{elsewhere}"), true);
    assert_eq!((report.cut.len(), cuts(&world)), (0, cut(&["a"], 3)), "the same as before for a");
    assert_eq!(apply(&mut world, TWO, true).cut, ["a"]);
    assert_eq!(cuts(&world), cut(&["a"], 5));
}

#[test]
fn a_cut_stays_in_later_snapshots_and_moves_only_with_the_next_one() {
    let mut world = world();
    apply(&mut world, &other(), true);
    apply(&mut world, &other().replace("http://model", "http://other"), true);
    assert_eq!(cuts(&world), cut(&["a", "b"], 3));
    apply(&mut world, TWO, false);
    assert_eq!((world.version(), cuts(&world)), (5, cut(&["a", "b"], 3)));
    world.now_ms += Tuning::default().snapshot_lifetime_ms;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.published.last().unwrap().position, Position { revision: 1, ..at(5) });
    assert_eq!(cuts(&world), cut(&["a", "b"], 3));
}

#[test]
fn what_was_left_open_is_cut_by_the_same_documents_once_and_without_a_new_version() {
    let mut world = world();
    apply(&mut world, &other(), false);
    let report = apply(&mut world, &other(), true);
    assert_eq!((report.version, report.revision, report.masks_changed), (3, 1, Vec::new()));
    assert_eq!(report.cut, ["a", "b"]);
    assert_eq!(cuts(&world), cut(&["a", "b"], 3), "from when they changed");
    assert_eq!(world.published.last().unwrap().position, Position { revision: 1, ..at(3) });
    let act = world.acts.last().unwrap();
    assert_eq!((act.action.as_str(), act.object.as_str()), ("documents.cut-open", "version/3"));
    let (acts, published) = (world.acts.len(), world.published.len());
    let again = apply(&mut world, &other(), true);
    assert_eq!((again.revision, again.cut.len()), (1, 0));
    assert_eq!((world.acts.len(), world.published.len()), (acts, published));
}

#[test]
fn what_a_roll_back_left_open_is_cut_by_the_next_apply_that_asks_for_it() {
    let mut world = world();
    apply(&mut world, &other(), false);
    world.roll_back(operator(), 2).unwrap();
    let rule = "kind: rule\nname: r\neffect: deny\noperations: [list]\n";
    let report = apply(&mut world, rule, true);
    assert_eq!((report.masks_changed.len(), report.cut), (0, vec!["a".into(), "b".into()]));
    assert_eq!((report.version, cuts(&world)), (5, cut(&["a", "b"], 4)));
}

#[test]
fn a_dry_run_says_what_would_be_cut_and_cuts_nothing() {
    let mut world = world();
    for text in [other(), TWO.to_owned()] {
        let before = (world.state.clone(), world.changes.len());
        let report = world.apply_with(operator(), &text, |apply| {
            (apply.dry_run, apply.cut_open) = (true, true);
        });
        let report = report.unwrap();
        assert_eq!(report.cut, ["a", "b"]);
        assert_eq!((&world.state, world.changes.len()), (&before.0, before.1));
        assert_eq!(report.version, world.version());
        // The second time nothing differs, and what was left open would be cut.
        apply(&mut world, TWO, false);
        apply(&mut world, &other(), false);
        apply(&mut world, TWO, false);
    }
}

/// A core may go from the snapshot before to the one after, and never see that it was gone.
#[test]
fn a_connection_that_comes_back_begins_anew_and_what_ran_before_it_was_gone_is_cut() {
    let clear = TWO.replacen("mask: pii\n", "", 1);
    for (back, cut_open) in [(TWO.to_owned(), true), (TWO.to_owned(), false), (clear, false)] {
        let mut world = world();
        apply(&mut world, &other(), true);
        let by = operator();
        let key = DocumentKey::new("connection", "a").unwrap();
        world.send(Event::DeleteDocument { by, key }).unwrap();
        assert_eq!(cuts(&world), cut(&["b"], 3), "nothing runs on a");
        let report = apply(&mut world, &back, cut_open);
        assert_eq!(report.masks_changed, ["b"], "a is new");
        assert_eq!(report.cut, if cut_open { vec!["b"] } else { Vec::new() });
        let b = if cut_open { 5 } else { 3 };
        let mut expected = cut(&["b"], b);
        expected.extend(cut(&["a"], 4));
        assert_eq!(cuts(&world), expected);
        // From then on it is like any other.
        apply(&mut world, &other(), true);
        assert_eq!(cuts(&world), cut(&["a", "b"], 6));
    }
}

#[test]
fn connections_that_are_new_need_no_cut() {
    let mut world = world();
    assert_eq!((cuts(&world), world.state.durable.mask_marks.len()), (BTreeMap::new(), 0));
    apply(&mut world, &TWO.replace("name: a\n", "name: c\n"), true);
    assert_eq!(cuts(&world), BTreeMap::new());
}

#[test]
fn of_connections_that_are_gone_the_oldest_are_forgotten() {
    let mut world = world();
    let mut marks = BTreeMap::new();
    for number in 0..GONE_MAX {
        let changed = Position { revision: number as u64, ..at(1) };
        marks.insert(format!("gone-{number}"), MaskMark { changed, cut: Some(changed) });
    }
    world.state.durable.mask_marks = marks.into();
    let key = DocumentKey::new("connection", "a").unwrap();
    world.send(Event::DeleteDocument { by: operator(), key }).unwrap();
    let marks = &world.state.durable.mask_marks;
    assert_eq!(marks.len(), GONE_MAX);
    assert!(marks.contains_key("a") && marks.contains_key("gone-1"));
    assert!(!marks.contains_key("gone-0"));
}

#[test]
fn a_control_plane_that_starts_anew_goes_on_cutting() {
    let mut world = world();
    apply(&mut world, &other(), true);
    apply(&mut world, TWO, false);
    let cluster = world.state.durable.cluster.clone();
    let mut durable = Durable {
        cluster,
        position: Position { epoch: 1, ..Position::default() },
        ..Durable::default()
    };
    for change in &world.changes {
        durable.take(change);
    }
    assert_eq!(durable, world.state.durable);
    world.state = State::new(durable, Tuning::default());
    world.send(Event::Started { keys: vec![world.signer.public()] }).unwrap();
    assert_eq!(cuts(&world), cut(&["a", "b"], 3));
    assert_eq!(apply(&mut world, TWO, true).cut, ["a", "b"], "what was left open is known too");
}

#[test]
fn who_may_not_write_documents_cuts_nothing() {
    let mut world = world();
    apply(&mut world, &other(), false);
    let eve = requester("eve", &["engineers"]);
    let refused = world.apply_with(eve, &other(), |apply| apply.cut_open = true);
    assert!(matches!(refused, Err(Refusal::Forbidden { .. })), "{refused:?}");
    assert_eq!(cuts(&world), BTreeMap::new());
}
