//! One reading of a pattern for every engine, and what can be told of its matches beforehand.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use crate::rule::{ByteSet, RULE_BYTES_MAX};

/// Literals that the matches of one rule may begin with; with more the rule is not led by them.
const FRONTS_MAX: usize = 64;

/// Bytes or characters, in lower case, of a class that fronts are made of.
const CLASS_FRONTS_MAX: usize = 6;

/// Bytes of a front that are looked for; what follows is left to the automaton.
const FRONT_BYTES_MAX: usize = 16;

/// Levels of nesting of a pattern.
const NESTING_MAX: u32 = 64;

/// Reads a pattern: bytes, no Unicode classes.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn parse(pattern: &str) -> Result<Hir, String> {
    ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .nest_limit(NESTING_MAX)
        .build()
        .parse(pattern)
        .map_err(|error| reason(&error))
}

/// The parser's own words, without its drawing of the pattern.
fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "it can't be read".to_owned(),
    }
}

/// A literal that a match begins with, of two bytes or more.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Front {
    /// In lower case where case does not count.
    pub(crate) bytes: Vec<u8>,
    pub(crate) ignore_case: bool,
    /// Whether nothing but this was seen so far, so that it may grow.
    is_whole: bool,
}

/// The literals one of which each match begins with; `None`: there are none, or too many.
pub(crate) fn fronts(hir: &Hir) -> Option<Vec<Front>> {
    let mut fronts = collect(hir, FRONT_BYTES_MAX);
    let by = |front: &Front| (front.bytes.clone(), front.ignore_case);
    fronts.sort_by_key(by);
    fronts.dedup_by_key(|front| by(front));
    let are_long = fronts.iter().all(|front| front.bytes.len() >= 2);
    (are_long && !fronts.is_empty()).then_some(fronts)
}

/// The one literal that every match is, but for case; `None`: there are others, or longer ones.
pub(crate) fn literal(hir: &Hir) -> Option<Front> {
    let mut fronts = collect(hir, RULE_BYTES_MAX);
    let only = fronts.pop().filter(|front| front.is_whole && front.bytes.len() >= 2);
    only.filter(|_| fronts.is_empty())
}

/// What matches begin with, each up to so many bytes.
fn collect(hir: &Hir, bytes_max: usize) -> Vec<Front> {
    let nothing = |is_whole| vec![Front { is_whole, ..Front::default() }];
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => nothing(true),
        HirKind::Literal(literal) => {
            let mut bytes = literal.0.to_vec();
            let is_whole = bytes.len() <= bytes_max;
            bytes.truncate(bytes_max);
            vec![Front { bytes, ignore_case: false, is_whole }]
        }
        HirKind::Class(class) => {
            let mut all = of_class(class);
            if all.is_empty() || all.len() > CLASS_FRONTS_MAX {
                return nothing(false);
            }
            all.drain(..)
                .map(|(bytes, ignore_case)| Front { bytes, ignore_case, is_whole: true })
                .collect()
        }
        HirKind::Capture(capture) => collect(&capture.sub, bytes_max),
        HirKind::Repetition(Repetition { min, max, sub, .. }) => {
            let mut fronts = collect(sub, bytes_max);
            if *max != Some(1) {
                fronts.iter_mut().for_each(|front| front.is_whole = false);
            }
            if *min == 0 {
                fronts.extend(nothing(true));
            }
            fronts
        }
        HirKind::Alternation(parts) => {
            let fronts: Vec<_> = parts.iter().flat_map(|part| collect(part, bytes_max)).collect();
            if fronts.len() > FRONTS_MAX { nothing(false) } else { fronts }
        }
        HirKind::Concat(parts) => {
            let mut fronts = nothing(true);
            for part in parts {
                if !fronts.iter().any(|front| front.is_whole) {
                    break;
                }
                let Some(longer) = append(&fronts, &collect(part, bytes_max), bytes_max) else {
                    fronts.iter_mut().for_each(|front| front.is_whole = false);
                    break;
                };
                fronts = longer;
            }
            fronts
        }
    }
}

/// What a class stands for, and whether case counts not; nothing where that is too much. The reader
/// makes one of characters where a choice between their bytes was written.
fn of_class(class: &Class) -> Vec<(Vec<u8>, bool)> {
    let mut all: Vec<Vec<u8>> = match class {
        Class::Bytes(_) => bytes_of(class).map(|byte| vec![byte]).collect(),
        Class::Unicode(class) => {
            let characters = class.iter().flat_map(|range| range.start()..=range.end());
            let characters = characters.take(2 * CLASS_FRONTS_MAX + 1);
            characters.map(|one| one.to_string().into_bytes()).collect()
        }
    };
    let as_written = all.clone();
    all.iter_mut().for_each(|bytes| bytes.make_ascii_lowercase());
    all.sort_unstable();
    all.dedup();
    let ignore_case = all.len() < as_written.len();
    let all = if ignore_case { all } else { as_written };
    all.into_iter().map(|bytes| (bytes, ignore_case)).collect()
}

/// Each whole front with each of what may follow it; `None`: too many.
fn append(fronts: &[Front], next: &[Front], bytes_max: usize) -> Option<Vec<Front>> {
    let mut longer = Vec::new();
    for front in fronts {
        if !front.is_whole {
            longer.push(front.clone());
            continue;
        }
        for more in next {
            let mut bytes = front.bytes.clone();
            bytes.extend_from_slice(&more.bytes);
            // Where case counts in one part only, that is left to the automaton.
            let ignore_case = front.ignore_case || more.ignore_case;
            if ignore_case {
                bytes.make_ascii_lowercase();
            }
            let is_whole = more.is_whole && bytes.len() <= bytes_max;
            bytes.truncate(bytes_max);
            longer.push(Front { bytes, ignore_case, is_whole });
        }
        if longer.len() > FRONTS_MAX {
            return None;
        }
    }
    Some(longer)
}

/// The bytes of a class; none of the bytes beyond ASCII where it is one of characters.
pub(crate) fn bytes_of(class: &Class) -> impl Iterator<Item = u8> {
    let mut set = [false; 256];
    match class {
        Class::Bytes(class) => {
            for range in class.iter() {
                for byte in range.start()..=range.end() {
                    mark(&mut set, byte);
                }
            }
        }
        Class::Unicode(class) => {
            for range in class.iter() {
                for byte in 0..=u8::MAX {
                    let is_in = (range.start()..=range.end()).contains(&char::from(byte));
                    if byte.is_ascii() && is_in {
                        mark(&mut set, byte);
                    }
                }
                // A character beyond ASCII is bytes of which each may be any.
                if !range.end().is_ascii() {
                    (0x80..=u8::MAX).for_each(|byte| mark(&mut set, byte));
                }
            }
        }
    }
    (0..=u8::MAX).filter(move |byte| set.get(usize::from(*byte)).copied().unwrap_or(false))
}

fn mark(set: &mut [bool; 256], byte: u8) {
    if let Some(slot) = set.get_mut(usize::from(byte)) {
        *slot = true;
    }
}

/// Every byte that a match may hold.
pub(crate) fn alphabet(hir: &Hir) -> ByteSet {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => ByteSet::NONE,
        HirKind::Literal(literal) => ByteSet::NONE.with_each(&literal.0),
        HirKind::Class(class) => bytes_of(class).fold(ByteSet::NONE, ByteSet::with),
        HirKind::Capture(capture) => alphabet(&capture.sub),
        HirKind::Repetition(repetition) => alphabet(&repetition.sub),
        HirKind::Alternation(parts) | HirKind::Concat(parts) => {
            parts.iter().map(alphabet).fold(ByteSet::NONE, ByteSet::union)
        }
    }
}

/// The bytes that a match may begin with.
pub(crate) fn first_bytes(hir: &Hir) -> ByteSet {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => ByteSet::NONE,
        HirKind::Literal(literal) => {
            literal.0.first().map_or(ByteSet::NONE, |byte| ByteSet::NONE.with(*byte))
        }
        HirKind::Class(class) => bytes_of(class).fold(ByteSet::NONE, ByteSet::with),
        HirKind::Capture(capture) => first_bytes(&capture.sub),
        HirKind::Repetition(repetition) => first_bytes(&repetition.sub),
        HirKind::Alternation(parts) => {
            parts.iter().map(first_bytes).fold(ByteSet::NONE, ByteSet::union)
        }
        HirKind::Concat(parts) => {
            let mut set = ByteSet::NONE;
            for part in parts {
                set = set.union(first_bytes(part));
                if part.properties().minimum_len() != Some(0) {
                    break;
                }
            }
            set
        }
    }
}

/// How many bytes of a match hold a digit for sure, the digit included; `None`: it may have none.
pub(crate) fn digit_within(hir: &Hir) -> Option<usize> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => None,
        HirKind::Literal(literal) => {
            literal.0.iter().position(u8::is_ascii_digit).map(|at| at.saturating_add(1))
        }
        HirKind::Class(class) => bytes_of(class).all(|byte| byte.is_ascii_digit()).then_some(1),
        HirKind::Capture(capture) => digit_within(&capture.sub),
        HirKind::Repetition(Repetition { min, sub, .. }) => {
            if *min == 0 {
                None
            } else {
                digit_within(sub)
            }
        }
        HirKind::Alternation(parts) => {
            let each: Option<Vec<_>> = parts.iter().map(digit_within).collect();
            each?.into_iter().max()
        }
        HirKind::Concat(parts) => {
            let (mut before, mut latest) = (0_usize, 0_usize);
            for part in parts {
                if let Some(within) = digit_within(part) {
                    return Some(latest.max(before.saturating_add(within)));
                }
                match part.kind() {
                    // With it the digit comes within it, without it later.
                    HirKind::Repetition(Repetition { min: 0, sub, .. })
                        if digit_within(sub).is_some() =>
                    {
                        let within = digit_within(sub).unwrap_or(0);
                        latest = latest.max(before.saturating_add(within));
                    }
                    _ => before = before.saturating_add(part.properties().maximum_len()?),
                }
            }
            None
        }
    }
}

/// A rare literal in the middle of each match, and what stands before it.
#[derive(Debug)]
pub(crate) struct Anchor {
    /// What stands before it: it can't hold the literal's first byte.
    pub(crate) head: Hir,
    /// It and what follows it.
    pub(crate) tail: Hir,
    /// The literal.
    pub(crate) literal: Vec<u8>,
}

/// The anchor of a pattern: of the literals that begin with neither letter, digit nor blank, and
/// before which their first byte can't stand, the one that other text has least.
pub(crate) fn anchor(hir: &Hir) -> Option<Anchor> {
    let mut parts = Vec::new();
    flatten(hir, &mut parts);
    let mut before = ByteSet::NONE;
    let mut best: Option<(usize, Anchor)> = None;
    for (index, part) in parts.iter().enumerate() {
        if let HirKind::Literal(literal) = part.kind()
            && let Some(at) = literal.0.iter().position(u8::is_ascii_punctuation)
        {
            let front = literal.0.get(..at).unwrap_or_default();
            let rest = literal.0.get(at..).unwrap_or_default();
            let first = rest.first().copied()?;
            let rarity = rarity(rest);
            let is_free = !before.union(ByteSet::NONE.with_each(front)).has(first);
            if is_free && best.as_ref().is_none_or(|(known, _)| rarity > *known) {
                let mut head: Vec<Hir> = parts.get(..index)?.to_vec();
                head.push(Hir::literal(front.to_vec()));
                let mut tail = vec![Hir::literal(rest.to_vec())];
                tail.extend_from_slice(parts.get(index.saturating_add(1)..)?);
                let (head, tail) = (Hir::concat(head), Hir::concat(tail));
                best = Some((rarity, Anchor { head, tail, literal: rest.to_vec() }));
            }
        }
        before = before.union(alphabet(part));
    }
    best.map(|(_, anchor)| anchor)
}

/// What a pattern is a run of, and the shortest, where it is one: bytes of one set, any number of
/// them up to its longest.
pub(crate) fn run(hir: &Hir) -> Option<(ByteSet, usize)> {
    let of_bytes = |hir: &Hir| match hir.kind() {
        HirKind::Class(class) if hir.properties().maximum_len() == Some(1) => {
            Some(bytes_of(class).fold(ByteSet::NONE, ByteSet::with))
        }
        _ => None,
    };
    let mut parts = Vec::new();
    flatten(hir, &mut parts);
    let mut all = None;
    for part in parts.iter().filter(|part| *part.kind() != HirKind::Empty) {
        let set = match part.kind() {
            HirKind::Repetition(repetition) => of_bytes(&repetition.sub)?,
            _ => of_bytes(part)?,
        };
        if all.is_some_and(|known| known != set) {
            return None;
        }
        all = Some(set);
    }
    Some((all?, hir.properties().minimum_len()?))
}

/// How seldom other text has a literal.
fn rarity(literal: &[u8]) -> usize {
    let first = match literal.first() {
        Some(b'.' | b',' | b'-') => 0,
        Some(b'/' | b':' | b'=' | b'_' | b'"' | b'\'' | b'(' | b')') => 1,
        Some(_) | None => 2,
    };
    literal.len().min(4).saturating_mul(2).saturating_add(first)
}

fn flatten(hir: &Hir, parts: &mut Vec<Hir>) {
    match hir.kind() {
        HirKind::Concat(inner) => inner.iter().for_each(|part| flatten(part, parts)),
        HirKind::Capture(capture) => flatten(&capture.sub, parts),
        // Its first time by itself.
        HirKind::Repetition(Repetition { min: min @ 1.., max, greedy, sub }) => {
            flatten(sub, parts);
            let rest = Repetition {
                min: min.saturating_sub(1),
                max: max.map(|max| max.saturating_sub(1)),
                greedy: *greedy,
                sub: sub.clone(),
            };
            parts.push(Hir::repetition(rest));
        }
        HirKind::Empty
        | HirKind::Literal(_)
        | HirKind::Class(_)
        | HirKind::Look(_)
        | HirKind::Repetition(_)
        | HirKind::Alternation(_) => parts.push(hir.clone()),
    }
}

/// Repeats above this many are taken for any number: that only delays text, and keeps automata
/// small.
const REPEATS_MAX: u32 = 4;

/// What may still become a match, or grow into a longer one: every beginning of every match, the
/// empty text included, a superset where repeats are long. With `whole` also matches that can't
/// grow: what stands behind them decides.
pub(crate) fn beginnings(hir: &Hir, whole: bool) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {
            if whole {
                Hir::empty()
            } else {
                Hir::fail()
            }
        }
        HirKind::Literal(literal) => {
            let last = if whole { Hir::empty() } else { Hir::fail() };
            literal.0.iter().rev().fold(last, |rest, byte| {
                let through = Hir::concat(vec![Hir::literal([*byte]), rest]);
                Hir::alternation(vec![Hir::empty(), through])
            })
        }
        HirKind::Class(_) => {
            let last = if whole { hir.clone() } else { Hir::fail() };
            Hir::alternation(vec![Hir::empty(), last])
        }
        HirKind::Capture(capture) => beginnings(&capture.sub, whole),
        HirKind::Repetition(repetition) => {
            let before = match repetition.max.map(|max| max.saturating_sub(1)) {
                Some(max) if max <= REPEATS_MAX => Some(max),
                Some(_) | None => None,
            };
            let times = Hir::repetition(Repetition {
                min: 0,
                max: before,
                greedy: true,
                sub: Box::new(relaxed(&repetition.sub)),
            });
            Hir::concat(vec![times, beginnings(&repetition.sub, whole)])
        }
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.iter().map(|part| beginnings(part, whole)).collect())
        }
        HirKind::Concat(parts) => {
            let last = if whole { Hir::empty() } else { Hir::fail() };
            parts.iter().rev().fold(last, |rest, part| {
                let through = Hir::concat(vec![relaxed(part), rest]);
                Hir::alternation(vec![beginnings(part, whole), through])
            })
        }
    }
}

/// The same with long repeats as any number.
fn relaxed(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
        HirKind::Capture(capture) => relaxed(&capture.sub),
        HirKind::Repetition(repetition) => {
            let is_long = repetition.max.is_none_or(|max| max > REPEATS_MAX);
            Hir::repetition(Repetition {
                min: repetition.min.min(REPEATS_MAX),
                max: if is_long { None } else { repetition.max },
                greedy: true,
                sub: Box::new(relaxed(&repetition.sub)),
            })
        }
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(relaxed).collect()),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(relaxed).collect()),
    }
}

/// Only where a word begins.
pub(crate) fn at_word_start(hir: Hir) -> Hir {
    Hir::concat(vec![Hir::look(Look::WordStartAscii), hir])
}

#[cfg(test)]
mod tests {
    use super::{anchor, fronts, parse, run};

    #[test]
    fn a_pattern_is_a_run_of_one_set_or_none() {
        for (pattern, least) in [
            ("[a-c]{1,4}", Some(1)),
            ("[a-c][a-c]{0,5}", Some(1)),
            ("[a-c]{3}", Some(3)),
            ("[a-c]{0,4}", Some(0)),
            ("(?:[ab]{2}){0,3}", None),
            ("(?:[ab]{2}){1,3}", None),
            ("[a-c][a-d]{0,3}", None),
            ("ab", None),
            ("", None),
        ] {
            let found = run(&parse(pattern).unwrap());
            assert_eq!(found.map(|(_, least)| least), least, "{pattern}");
        }
    }

    #[test]
    fn what_stands_before_an_anchor_keeps_its_least_and_its_most() {
        let head = anchor(&parse("[a-c]{2,4}://x").unwrap()).unwrap().head;
        let properties = head.properties();
        assert_eq!((properties.minimum_len(), properties.maximum_len()), (Some(2), Some(4)));
    }

    #[test]
    fn a_choice_between_two_letters_beyond_ascii_is_two_fronts() {
        let hir = parse(r"(?i:l(?:\xC3\xB6|\xC3\xB8)senord|pwd)").unwrap();
        let found: Vec<_> = fronts(&hir).unwrap().into_iter().map(|one| one.bytes).collect();
        assert_eq!(found, ["l\u{f6}senord", "l\u{f8}senord", "pwd"].map(str::as_bytes));
    }
}
