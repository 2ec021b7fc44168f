//! Both engines find the same.

use super::*;

fn literals(list: &[(&str, bool)]) -> Vec<Literal> {
    list.iter()
        .map(|(text, ignore_case)| Literal {
            bytes: text.as_bytes().to_vec(),
            ignore_case: *ignore_case,
        })
        .collect()
}

fn engines() -> Vec<Engine> {
    let mut engines = vec![Engine::AhoCorasick];
    engines.extend((Engine::FASTEST != Engine::AhoCorasick).then_some(Engine::FASTEST));
    engines
}

fn found(set: &Literals, text: &[u8]) -> Vec<(usize, usize)> {
    let mut ends = Vec::new();
    set.find(&mut set.scratch(), text, &mut |index, end| ends.push((index, end)));
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// Without any library.
fn expected(list: &[Literal], text: &[u8]) -> Vec<(usize, usize)> {
    let mut ends = Vec::new();
    for (index, literal) in list.iter().enumerate() {
        for (start, window) in text.windows(literal.bytes.len()).enumerate() {
            let is_same = if literal.ignore_case {
                window.eq_ignore_ascii_case(&literal.bytes)
            } else {
                window == literal.bytes
            };
            if is_same {
                ends.push((index, start + window.len()));
            }
        }
    }
    ends
}

#[test]
fn each_engine_finds_overlapping_literals_and_equal_ones_each_by_its_index() {
    let list = literals(&[("AKIA", false), ("KIA", false), ("IA", false), ("AKIA", false)]);
    for engine in engines() {
        let set = Literals::new(&list, engine).unwrap();
        let ends = [(0, 6), (1, 6), (2, 6), (3, 6)];
        assert_eq!(found(&set, b"x AKIA"), ends, "{engine:?}");
    }
}

#[test]
fn each_engine_ignores_case_only_where_the_literal_says_so() {
    let list = literals(&[("Bearer ", true), ("ghp_", false), ("@", false), ("\u{fc}B", true)]);
    let text = "BEARER ghp_ bearer GHP_ a@b \u{fc}b \u{dc}B".as_bytes();
    for engine in engines() {
        let set = Literals::new(&list, engine).unwrap();
        assert_eq!(found(&set, text), expected(&list, text), "{engine:?}");
    }
}

#[test]
fn each_engine_finds_what_ends_with_the_text_at_every_length() {
    let list = literals(&[("sk-ant-api03-", false), ("-", false), ("\0", false), ("03-\0", false)]);
    for engine in engines() {
        let set = Literals::new(&list, engine).unwrap();
        let mut scratch = set.scratch();
        for length in (0..200).chain(1000..1100).chain([4096, 65_536, 70_001]) {
            let mut text = vec![b'a'; length];
            text.extend_from_slice(b"sk-ant-api03-");
            let mut ends = Vec::new();
            set.find(&mut scratch, &text, &mut |index, end| ends.push((index, end)));
            ends.sort_unstable();
            ends.dedup();
            let wanted = [(0, length + 13), (1, length + 3), (1, length + 7), (1, length + 13)];
            assert_eq!(ends, wanted, "{engine:?} {length}");
        }
    }
}

#[test]
fn an_engine_whose_scratch_is_of_another_set_finds_all_the_same() {
    let one = Literals::new(&literals(&[("one", false)]), Engine::FASTEST).unwrap();
    let two = Literals::new(&literals(&[("two", false)]), Engine::FASTEST).unwrap();
    let mut ends = Vec::new();
    two.find(&mut one.scratch(), b"one two", &mut |index, end| ends.push((index, end)));
    assert_eq!(ends, [(0, 7)]);
}

#[test]
fn a_literal_that_is_empty_or_too_long_is_refused() {
    for length in [0, LITERAL_BYTES_MAX + 1] {
        let list = [Literal { bytes: vec![b'a'; length], ignore_case: false }];
        let error = Literals::new(&list, Engine::FASTEST).unwrap_err();
        assert_eq!(error, LiteralsError::Length { index: 0, length });
    }
}

#[test]
fn an_empty_set_finds_nothing_and_passes_its_test() {
    let set = Literals::new(&[], Engine::FASTEST).unwrap();
    assert!(set.self_test());
    assert!(found(&set, b"anything").is_empty());
}

#[test]
fn the_engines_agree_on_vendor_prefixes_at_every_alignment() {
    let list = literals(&[
        ("AKIA", false),
        ("ghp_", false),
        ("github_pat_", false),
        ("sk-ant-api03-", false),
        ("xoxb-", false),
        ("-----BEGIN ", false),
        ("bearer ", true),
        ("://", false),
        ("@", false),
        ("password", true),
    ]);
    assert!(Literals::new(&list, Engine::FASTEST).unwrap().self_test());
}

proptest::proptest! {
    #[test]
    fn each_engine_finds_what_a_naive_search_finds(
        list in proptest::collection::vec(("[aAbB\u{e9}\\x00]{1,5}", proptest::bool::ANY), 1..8),
        text in "[aAbB\u{e9}\\x00]{0,120}",
    ) {
        let list: Vec<_> = list
            .into_iter()
            .map(|(text, ignore_case)| Literal { bytes: text.into_bytes(), ignore_case })
            .collect();
        for engine in engines() {
            let set = Literals::new(&list, engine).unwrap();
            let text = text.as_bytes();
        proptest::prop_assert_eq!(found(&set, text), expected(&list, text));
        }
    }
}

#[test]
fn a_set_is_shared_by_cores_and_a_scratch_goes_to_its_core() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Literals>();
    sent::<LiteralsScratch>();
}
