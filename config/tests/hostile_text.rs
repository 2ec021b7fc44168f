//! Whatever text comes in: no panic, and every problem stands at a place of the text.

use penstock_config::diagnostics::Diagnostic;
use penstock_config::documents::{Source, parse};
use penstock_config::settings::{ControlplaneSettings, DataplaneSettings};
use proptest::prelude::*;
use proptest::sample::{Index, select};

const EXAMPLES: [&str; 5] = [
    include_str!("../examples/quickstart.yaml"),
    include_str!("../examples/vllm-team.yaml"),
    include_str!("../examples/generic-table.yaml"),
    include_str!("../examples/dataplane.yaml"),
    include_str!("../examples/controlplane.yaml"),
];

/// Pieces that mean something in YAML or in documents.
const PIECES: [&str; 41] = [
    "a",
    "kind",
    ": ",
    ":",
    "- ",
    "-",
    "\n",
    "\n  ",
    "\r\n",
    "\r",
    "\t",
    " ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a",
    "*a",
    "!!str",
    "!",
    "<<",
    "|",
    ">",
    "'",
    "\"",
    "\\",
    "\\u00e9",
    "#",
    "%YAML 1.2",
    "---",
    "...",
    "? ",
    "@",
    "`",
    "\u{feff}",
    "\u{0}",
    "\u{2028}",
    "💧",
    "rule",
    "0x1",
];

/// Lines of a text as YAML counts them (YAML 1.2.2 section 5.4), in characters.
fn line_lengths(text: &str) -> Vec<usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.split('\n').map(|line| line.chars().count()).collect()
}

fn check_places(text: &str, problems: &[Diagnostic]) -> Result<(), TestCaseError> {
    let lines = line_lengths(text);
    for problem in problems {
        let line = (problem.line as usize).checked_sub(1).and_then(|line| lines.get(line));
        let inside =
            line.is_some_and(|length| (1..=length + 1).contains(&(problem.column as usize)));
        prop_assert!(inside, "{problem} is outside of {text:?}");
        prop_assert_eq!(&problem.file, "hostile.yaml");
        prop_assert!(problem.message.chars().all(|character| !character.is_control()));
    }
    Ok(())
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let source = Source { name: "hostile.yaml".into(), text: text.into() };
    let found = parse(std::slice::from_ref(&source)).err().unwrap_or_default();
    check_places(text, &found)?;
    check_places(text, &DataplaneSettings::parse(&source).err().unwrap_or_default())?;
    check_places(text, &ControlplaneSettings::parse(&source).err().unwrap_or_default())
}

/// The byte offset of a character, chosen by an index.
fn offset(text: &str, index: &Index) -> usize {
    let offsets: Vec<usize> =
        text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
    offsets[index.index(offsets.len())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_panics_the_readers(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn no_text_of_yaml_pieces_panics_the_readers(
        pieces in prop::collection::vec(select(PIECES.to_vec()), 0..60),
    ) {
        check(&pieces.concat())?;
    }

    #[test]
    fn no_mutated_example_panics_the_readers(
        example in select(EXAMPLES.to_vec()),
        cuts in prop::collection::vec((any::<Index>(), 0..12_usize, select(PIECES.to_vec())), 1..4),
    ) {
        let mut text = example.to_owned();
        for (index, length, piece) in cuts {
            let start = offset(&text, &index);
            let end = text[start..].char_indices().nth(length);
            let end = end.map_or(text.len(), |(at, _)| start + at);
            text.replace_range(start..end, piece);
        }
        check(&text)?;
    }

    #[test]
    fn no_truncated_example_panics_the_readers(
        example in select(EXAMPLES.to_vec()), index in any::<Index>(),
    ) {
        check(&example[..offset(example, &index)])?;
    }
}
