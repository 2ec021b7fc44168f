//! How the matches of each rule are found: the rarest thing that all of them have.

use std::collections::BTreeMap;

use memchr::memmem::Finder;
use regex_syntax::hir::Hir;

use super::Literal as Kind;
use super::compile::Read;
use super::{
    Anchor, Anchors, Before, Fronts, Group, Head, HeadRun, Led, Others, Pairs, Runs, Tells, Tokens,
    Ways,
};
use crate::automaton::{Automaton, Direction};
use crate::find::{RUN_WORD_BYTES, beside_min};
use crate::literals::{Engine, Literal, Literals};
use crate::pattern::{anchor, digit_within, first_bytes, fronts, run};
use crate::places::{Candidates, places};
use crate::rule::{ByteSet, RULE_BYTES_MAX, SHORT_WORD_BYTES};

/// How many bytes at the front of a token rule's matches hold a digit.
pub(crate) const TOKEN_DIGIT_WITHIN: usize = 8;

/// Bytes of a front that is rare enough to be looked for first.
const FRONT_BYTES_MIN: usize = 4;

/// Bytes of an anchor that is rarer than a long run is.
const ANCHOR_BYTES_MIN: usize = 4;

/// Bytes of a word's first part that is looked for without its second.
const LONG_FRONT_BYTES_MIN: usize = 8;

/// What long runs are made of: words without anything between them that divides a sentence.
const RUN_BYTES: ByteSet = ByteSet::WORD.with_each(b"+/-=~.");

/// Bytes of a run that is longer than nearly every word, and that has a whole word at whatever
/// offset it stands.
const RUN_BYTES_MIN: usize = 2 * RUN_WORD_BYTES - 1;

/// Context words shorter than this stand everywhere.
const WORD_BYTES_MIN: usize = 2;

/// Whether case does not count, and the bytes.
type Front = (bool, Vec<u8>);

/// How the matches of a rule are found.
enum Way {
    /// They begin with a literal.
    Led(Vec<Front>),
    /// They begin where letters and digits do, with a digit near.
    Token,
    /// As [`Way::Token`], and a word must stand before them.
    Told,
    /// A word must stand before them.
    Near,
    /// They begin with a long run.
    Run,
    /// They have a rare literal in the middle.
    Anchor { head: Hir, tail: Hir, literal: Vec<u8> },
    /// They can begin and end anywhere.
    Other,
}

impl Read {
    fn way(&self) -> Way {
        // All of it where it is one: other texts may begin like it.
        let fronts = match &self.literal {
            Some(literal) => Some(vec![literal.clone()]),
            None => fronts(&self.whole),
        };
        let fronts = fronts.map(|fronts| {
            let each = fronts.into_iter().map(|front| (front.ignore_case, front.bytes));
            each.collect::<Vec<_>>()
        });
        let shortest = fronts.iter().flatten().map(|(_, bytes)| bytes.len()).min().unwrap_or(0);
        let begins_with_digit =
            fronts.iter().flatten().any(|(_, bytes)| bytes.first().is_some_and(u8::is_ascii_digit));
        let is_told = self.is_told();
        if shortest >= FRONT_BYTES_MIN && !begins_with_digit && !is_told {
            return fronts.map_or(Way::Other, Way::Led);
        }
        if self.is_token() {
            return if is_told { Way::Told } else { Way::Token };
        }
        let anchor = anchor(&self.whole);
        let is_rare = anchor.as_ref().is_some_and(|one| one.literal.len() >= ANCHOR_BYTES_MIN);
        if !is_rare && self.run_bytes() >= RUN_BYTES_MIN {
            return Way::Run;
        }
        if is_told && !is_rare {
            return Way::Near;
        }
        match (fronts, anchor) {
            (Some(fronts), _) => Way::Led(fronts),
            (None, Some(one)) => {
                Way::Anchor { head: one.head, tail: one.tail, literal: one.literal }
            }
            (None, None) => Way::Other,
        }
    }

    /// Whether a word must stand before its matches.
    fn is_told(&self) -> bool {
        let words = self.rule.context;
        !words.is_empty() && words.iter().all(|word| word.len() >= WORD_BYTES_MIN)
    }

    /// Whether its matches begin only where letters and digits do, or with a sign before digits.
    fn is_token(&self) -> bool {
        let first = first_bytes(&self.whole);
        let signs = ByteSet::NONE.with_each(b"+(");
        let within = |set: ByteSet| (0..=u8::MAX).all(|byte| !first.has(byte) || set.has(byte));
        let guarded = |set: ByteSet| {
            (0..=u8::MAX).all(|byte| !set.has(byte) || self.rule.before.not.has(byte))
        };
        if !within(ByteSet::ALPHANUMERIC.union(signs)) {
            return false;
        }
        let has_letter = !within(ByteSet::DIGITS.union(signs));
        let has_alphanumeric = !within(signs);
        let is_guarded = !has_alphanumeric
            || guarded(ByteSet::ALPHANUMERIC)
            || (!has_letter && guarded(ByteSet::DIGITS));
        is_guarded && digit_within(&self.whole).is_some_and(|within| within <= TOKEN_DIGIT_WITHIN)
    }

    /// Bytes of the run that each match begins with; 0 where a match may begin within a word, since
    /// then a run has too many beginnings.
    fn run_bytes(&self) -> usize {
        if !ByteSet::ALPHANUMERIC.is_within(self.rule.before.not) {
            return 0;
        }
        self.places.iter().take_while(|set| set.is_within(RUN_BYTES)).count()
    }
}

/// What is gathered of rules, by way.
#[derive(Default)]
struct Gathered {
    led: BTreeMap<Front, Vec<usize>>,
    tokens: Vec<usize>,
    told: Vec<usize>,
    near: Vec<usize>,
    runs: Vec<usize>,
    anchors: BTreeMap<Vec<u8>, Vec<(usize, Hir, Hir)>>,
    others: Vec<usize>,
}

impl Gathered {
    fn add(&mut self, index: usize, rule: &Read) {
        match rule.way() {
            Way::Led(fronts) => {
                for front in fronts {
                    self.led.entry(front).or_default().push(index);
                }
            }
            Way::Token => self.tokens.push(index),
            Way::Told => self.told.push(index),
            Way::Near => self.near.push(index),
            Way::Run => self.runs.push(index),
            Way::Anchor { head, tail, literal } => {
                self.anchors.entry(literal).or_default().push((index, head, tail));
            }
            Way::Other => self.others.push(index),
        }
    }
}

/// The ways of all rules, with what their author should know.
pub(super) fn ways(rules: &[Read]) -> Result<(Ways, Vec<String>, Engine), String> {
    let mut gathered = Gathered::default();
    for (index, rule) in rules.iter().enumerate() {
        gathered.add(index, rule);
    }
    let slow = gathered.others.iter().filter_map(|index| rules.get(*index));
    let mut warnings: Vec<_> = slow
        .map(|one| {
            format!(
                "{}: `{}` can begin anywhere, which makes the whole mask slower: let it begin with \
                 letters that are always the same, or with a digit where a word begins",
                one.rule.detector, one.rule.value
            )
        })
        .collect();
    let words = words(&gathered, rules);
    let anchors = anchors(gathered.anchors, rules)?;
    let (led, engine) = led(gathered.led, words, anchors.as_ref(), &mut warnings)?;
    let mut caches = 0;
    let mut group = |indices: &[usize]| group(indices, rules, &mut caches);
    let ways = Ways {
        led,
        tokens: Tokens { plain: group(&gathered.tokens)?, told: group(&gathered.told)? },
        near: group(&gathered.near)?,
        runs: runs(&gathered.runs, rules, &mut caches)?,
        anchors,
        others: others(&gathered.others, rules)?,
    };
    Ok((ways, warnings, engine))
}

/// Literals that stand where words stand that matches need, with what they tell. One that begins
/// like another stands where that stands.
fn words(gathered: &Gathered, rules: &[Read]) -> Vec<(String, Tells)> {
    let mut words: BTreeMap<String, Tells> = BTreeMap::new();
    let mut note = |indices: &[usize], tell: fn(&mut Tells)| {
        let told = indices.iter().filter_map(|index| rules.get(*index));
        let told = told.filter(|rule| rule.is_told());
        for word in told.flat_map(|rule| rule.rule.context.iter()).flat_map(|word| fronts_of(word))
        {
            tell(words.entry(word).or_default());
        }
    };
    note(&gathered.told, |tells| tells.tokens = true);
    note(&gathered.near, |tells| tells.near = true);
    note(&gathered.runs, |tells| tells.runs = true);
    let mut shortest: Vec<(String, Tells)> = Vec::new();
    for (word, tells) in words {
        match shortest.last_mut() {
            Some((last, known)) if word.starts_with(last.as_str()) => {
                known.join(tells);
            }
            Some(_) | None => shortest.push((word, tells)),
        }
    }
    shortest
}

/// What each form of a context word begins with: the part before its first blank, or, where others
/// begin with that too often, every form up to the second; without a blank that stands for others.
fn fronts_of(word: &str) -> Vec<String> {
    match word.split_once(' ') {
        Some((front, rest)) if !rest.is_empty() && front.len() < LONG_FRONT_BYTES_MIN => {
            let rest = rest.split(' ').next().unwrap_or_default();
            [" ", "_", "-", ""].map(|between| [front, between, rest].concat()).to_vec()
        }
        Some((front, _)) if word.len() > SHORT_WORD_BYTES => vec![front.to_owned()],
        Some(_) | None => vec![word.to_owned()],
    }
}

fn led(
    by_front: BTreeMap<Front, Vec<usize>>,
    words: Vec<(String, Tells)>,
    anchors: Option<&Anchors>,
    warnings: &mut Vec<String>,
) -> Result<(Option<Led>, Engine), String> {
    let fronts = shortest(by_front);
    let mut list = Vec::new();
    let mut kinds = Vec::new();
    for front in &fronts {
        list.push(Literal { bytes: front.bytes.clone(), ignore_case: front.ignore_case });
        kinds.push(Kind::Front { bytes: front.bytes.len(), tells: Tells::default() });
    }
    for (word, tells) in words {
        // Where a word begins like a front, the front says both: fewer literals are found sooner.
        let begins =
            |front: &Fronts| front.ignore_case && word.as_bytes().starts_with(&front.bytes);
        let front = fronts.iter().position(begins).and_then(|index| kinds.get_mut(index));
        if let Some(Kind::Front { tells: known, .. }) = front {
            known.join(tells);
            continue;
        }
        kinds.push(Kind::Word { bytes: word.len(), tells });
        list.push(Literal { bytes: word.into_bytes(), ignore_case: true });
    }
    let anchors = anchors.iter().flat_map(|anchors| &anchors.list).enumerate();
    for (index, anchor) in anchors.filter(|(_, anchor)| anchor.literal.len() > 1) {
        list.push(Literal { bytes: anchor.literal.clone(), ignore_case: false });
        kinds.push(Kind::Anchor { bytes: anchor.literal.len(), index });
    }
    if list.is_empty() {
        return Ok((None, Engine::FASTEST));
    }
    let compile = |engine| Literals::new(&list, engine).map_err(|error| error.to_string());
    let mut engine = Engine::FASTEST;
    let mut literals = compile(engine)?;
    if engine != Engine::AhoCorasick && !literals.self_test() {
        warnings.push("the fast engine misses some literals: the other one is used".to_owned());
        engine = Engine::AhoCorasick;
        literals = compile(engine)?;
    }
    let pairs = Pairs::new(&fronts);
    Ok((Some(Led { literals, kinds, fronts, pairs }), engine))
}

/// Without those that begin like another one, which takes their rules: where they stand, that
/// stands. Those where case counts come first; each kind in the order of its bytes.
fn shortest(by_front: BTreeMap<Front, Vec<usize>>) -> Vec<Fronts> {
    let mut fronts: Vec<Fronts> = Vec::new();
    for ((ignore_case, bytes), rules) in by_front {
        match fronts.last_mut() {
            Some(last) if last.ignore_case == ignore_case && bytes.starts_with(&last.bytes) => {
                let new = rules.iter().filter(|rule| !last.rules.contains(rule));
                let new: Vec<_> = new.copied().collect();
                last.rules.extend(new);
            }
            Some(_) | None => fronts.push(Fronts { bytes, ignore_case, rules }),
        }
    }
    fronts
}

fn group(indices: &[usize], rules: &[Read], caches: &mut usize) -> Result<Option<Group>, String> {
    if indices.is_empty() {
        return Ok(None);
    }
    let of = || indices.iter().filter_map(|index| rules.get(*index));
    let patterns: Vec<_> = of().map(|rule| rule.whole.clone()).collect();
    let cache = *caches;
    *caches = caches.saturating_add(1);
    Ok(Some(Group {
        automaton: Automaton::new(&patterns, Direction::Forward)?,
        cache,
        is_told: of().all(Read::is_told),
        rules: indices.to_vec(),
        not_before: of()
            .fold(ByteSet::NONE.not(), |set, rule| set.intersection(rule.rule.before.not)),
        candidates: Candidates::new(of().map(|rule| rule.places.as_slice()), super::PLACES_TESTED),
    }))
}

fn runs(indices: &[usize], rules: &[Read], caches: &mut usize) -> Result<Option<Runs>, String> {
    let of = || indices.iter().filter_map(|index| rules.get(*index));
    let Some(bytes_min) = of().map(Read::run_bytes).min() else { return Ok(None) };
    let front = of().flat_map(|rule| rule.places.iter().take(bytes_min));
    let bytes = front.fold(ByteSet::NONE, |set, place| set.union(*place));
    // Each with those of the same guard, since a run has many beginnings to a narrow one.
    let mut guards: Vec<((ByteSet, bool), Vec<usize>)> = Vec::new();
    for index in indices {
        let Some(rule) = rules.get(*index) else { continue };
        let guard = (rule.rule.before.not, rule.is_told());
        match guards.iter_mut().find(|(known, _)| *known == guard) {
            Some((_, list)) => list.push(*index),
            None => guards.push((guard, vec![*index])),
        }
    }
    let mut groups = Vec::new();
    for (_, list) in &guards {
        groups.extend(group(list, rules, caches)?);
    }
    let all = ByteSet::NONE.not();
    let not_before = groups.iter().fold(all, |set, group| set.intersection(group.not_before));
    let beside_min = beside_min(bytes_min);
    Ok(Some(Runs { groups, not_before, bytes, bytes_min, beside_min }))
}

fn anchors(
    by_literal: BTreeMap<Vec<u8>, Vec<(usize, Hir, Hir)>>,
    rules: &[Read],
) -> Result<Option<Anchors>, String> {
    if by_literal.is_empty() {
        return Ok(None);
    }
    let mut patterns = Vec::new();
    let mut list = Vec::new();
    for (literal, anchored) in by_literal {
        let heads = anchored.into_iter().map(|(rule, head, tail)| {
            let bytes_max = head.properties().maximum_len().unwrap_or(RULE_BYTES_MAX);
            let guard = rules.get(rule).map_or(ByteSet::NONE, |one| one.rule.before.not);
            let before = match run(&head) {
                _ if bytes_max == 0 => Before::Nothing,
                Some((bytes, count_min)) => {
                    let may_begin_within = !bytes.is_within(guard);
                    Before::Run(HeadRun { bytes, count_min, may_begin_within })
                }
                None => {
                    patterns.push(head);
                    Before::Pattern(patterns.len().saturating_sub(1))
                }
            };
            let tail = places(&tail).into_iter().take(super::PLACES_TESTED).collect();
            Head { rule, before, bytes_max, tail }
        });
        let heads = heads.collect();
        let finder = Finder::new(&literal).into_owned();
        list.push(Anchor { literal, finder, heads });
    }
    Ok(Some(Anchors { list, heads: Automaton::new(&patterns, Direction::Backward)? }))
}

fn others(indices: &[usize], rules: &[Read]) -> Result<Option<Others>, String> {
    if indices.is_empty() {
        return Ok(None);
    }
    let of = indices.iter().filter_map(|index| rules.get(*index));
    let patterns: Vec<_> = of.map(|rule| rule.whole.clone()).collect();
    let begins = Automaton::new(&patterns, Direction::Backward)?;
    Ok(Some(Others { begins, rules: indices.to_vec() }))
}
