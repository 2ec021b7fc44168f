//! The masked text by the definition, at any price. Shares with the engine the reading of patterns
//! and the fold, and nothing else.

use std::cmp::Reverse;

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::fold::{Behind, Folded, Folder};
use crate::pattern::parse;
use crate::rule::{CONTEXT_BYTES, Guard, RUN_BYTES_MAX, Rule, Run, SHORT_WORD_BYTES};

/// Places in a text, in order, each once.
type Places = Vec<usize>;

/// Rules with their patterns read.
pub(super) struct Oracle {
    rules: Vec<Read>,
}

struct Read {
    rule: Rule,
    lead: Hir,
    value: Hir,
    trail: Hir,
    /// What a match may begin with; only to spend less time.
    first: [bool; 256],
}

impl Oracle {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let read = |rule: &Rule| {
            let [lead, value, trail] =
                [&rule.lead, &rule.value, &rule.trail].map(|part| parse(part).unwrap());
            let mut first = [false; 256];
            if first_of(&lead, &mut first) {
                first_of(&value, &mut first);
            }
            Read { rule: rule.clone(), lead, value, trail, first }
        };
        Self { rules: rules.iter().map(read).collect() }
    }

    /// The masked text: overlapping values are one, named by one that goes on, or the
    /// longest, of those that begin first.
    pub(super) fn masked(&self, text: &str, escapes: bool) -> String {
        let mut folded = Folded::default();
        Folder::new(escapes).fold(text.as_bytes(), 0, Behind::Nothing, &mut folded);
        let bytes = folded.bytes.clone();
        let mut all = Vec::new();
        for (index, read) in self.rules.iter().enumerate() {
            let values = read.values(&bytes).into_iter();
            // A value that its front decides names what others find in it.
            let order = |run_end: Option<usize>, end| (run_end.is_none(), Reverse(end));
            all.extend(
                values.map(|one| (one.begin, order(one.run_end, one.end), index, one.run_end)),
            );
        }
        all.sort();
        let (mut out, mut sent, mut covered) = (Vec::new(), 0, 0);
        for (begin, end, rule, run_end) in all {
            if begin >= covered {
                let clean = sent..folded.start_of(begin).max(sent);
                out.extend_from_slice(&text.as_bytes()[clean]);
                let name = &self.rules[rule].rule.detector;
                out.extend_from_slice(format!("[{name}]").as_bytes());
            }
            let last = run_end.unwrap_or(end.1.0);
            if last > covered {
                covered = last;
                sent = sent.max(folded.end_of(last - 1));
            }
            // What can't be seen behind a run belongs to it.
            if let Some(end) = run_end {
                let behind = if end < bytes.len() { folded.start_of(end) } else { text.len() };
                sent = sent.max(behind);
            }
        }
        out.extend_from_slice(&text.as_bytes()[sent..]);
        String::from_utf8(out).unwrap()
    }
}

/// What a pattern may begin with; `true`: it may match nothing.
fn first_of(hir: &Hir, first: &mut [bool; 256]) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => {
            first[usize::from(literal.0[0])] = true;
            false
        }
        HirKind::Class(Class::Bytes(class)) => {
            for range in class.iter() {
                (range.start()..=range.end()).for_each(|byte| first[usize::from(byte)] = true);
            }
            false
        }
        HirKind::Class(Class::Unicode(_)) => {
            first.fill(true);
            false
        }
        HirKind::Capture(capture) => first_of(&capture.sub, first),
        HirKind::Concat(parts) => parts.iter().all(|part| first_of(part, first)),
        HirKind::Alternation(parts) => {
            parts.iter().fold(false, |any, part| first_of(part, first) | any)
        }
        HirKind::Repetition(repetition) => first_of(&repetition.sub, first) | (repetition.min == 0),
    }
}

fn in_order(mut places: Places) -> Places {
    places.sort_unstable();
    places.dedup();
    places
}

/// Where matches of a pattern end that begin at any of some places.
fn ends(hir: &Hir, text: &[u8], from: &[usize]) -> Places {
    match hir.kind() {
        HirKind::Empty => from.to_vec(),
        HirKind::Look(_) => panic!("no look-around in rules"),
        HirKind::Literal(literal) => from
            .iter()
            .filter(|at| text[**at..].starts_with(&literal.0))
            .map(|at| at + literal.0.len())
            .collect(),
        HirKind::Class(Class::Bytes(class)) => from
            .iter()
            .filter(|at| {
                let byte = text.get(**at);
                byte.is_some_and(|byte| {
                    class.iter().any(|range| (range.start()..=range.end()).contains(byte))
                })
            })
            .map(|at| at + 1)
            .collect(),
        HirKind::Class(Class::Unicode(class)) => {
            let behind = |at: &usize| {
                let four = text.get(*at..text.len().min(at + 4))?;
                let character = four.utf8_chunks().next()?.valid().chars().next()?;
                let is_in = |range: &regex_syntax::hir::ClassUnicodeRange| {
                    (range.start()..=range.end()).contains(&character)
                };
                class.iter().any(is_in).then(|| at + character.len_utf8())
            };
            in_order(from.iter().filter_map(behind).collect())
        }
        HirKind::Capture(capture) => ends(&capture.sub, text, from),
        HirKind::Concat(parts) => {
            let mut here = from.to_vec();
            for part in parts {
                here = ends(part, text, &here);
                if here.is_empty() {
                    break;
                }
            }
            here
        }
        HirKind::Alternation(parts) => {
            in_order(parts.iter().flat_map(|part| ends(part, text, from)).collect())
        }
        HirKind::Repetition(repetition) => {
            let mut all = Vec::new();
            let mut here = from.to_vec();
            let mut times = 0;
            loop {
                if times >= repetition.min {
                    all.extend(here.iter().copied());
                }
                if Some(times) == repetition.max || here.is_empty() {
                    return in_order(all);
                }
                here = ends(&repetition.sub, text, &here);
                times += 1;
            }
        }
    }
}

fn allows(guard: &Guard, near: Option<u8>, far: Option<u8>) -> bool {
    let Some(near) = near else { return true };
    let pair = guard
        .not_pair
        .is_some_and(|(byte, set)| byte == near && far.is_some_and(|far| set.has(far)));
    !guard.not.has(near) && !pair
}

fn has_context(rule: &Rule, text: &[u8], start: usize) -> bool {
    let before = &text[..start];
    rule.context.is_empty()
        || rule.context.iter().flat_map(|word| forms(word)).any(|(word, ends)| {
            (start.saturating_sub(CONTEXT_BYTES)..start).any(|at| {
                let behind = before.get(at + word.len());
                before[at..].get(..word.len()).is_some_and(|here| here.eq_ignore_ascii_case(&word))
                    && (at == 0 || !text[at - 1].is_ascii_alphabetic())
                    && (!ends || behind.is_some_and(|byte| !byte.is_ascii_alphabetic()))
            })
        })
}

/// Every way to write a context word, and whether no letter may stand behind it.
fn forms(word: &str) -> Vec<(Vec<u8>, bool)> {
    let (word, ends) = match word.strip_suffix(' ') {
        Some(front) if word.len() > SHORT_WORD_BYTES => (front, true),
        Some(_) | None => (word, false),
    };
    let mut all = vec![String::new()];
    for (index, part) in word.split(' ').enumerate() {
        let between: &[&str] = match index {
            0 => &[""],
            // The blank that ends a short one.
            _ if part.is_empty() => &[" "],
            _ => &["", " ", "_", "-"],
        };
        all = all
            .iter()
            .flat_map(|front| between.iter().map(move |between| format!("{front}{between}{part}")))
            .collect();
    }
    all.into_iter().map(|form| (form.into_bytes(), ends)).collect()
}

struct Value {
    begin: usize,
    end: usize,
    /// Of a rule whose front decides: where what follows it ends.
    run_end: Option<usize>,
}

impl Read {
    /// Every value of a rule: the longest of each place.
    fn values(&self, text: &[u8]) -> Vec<Value> {
        let Self { rule, lead, value, trail, first } = self;
        let at = |index: Option<usize>| index.and_then(|index| text.get(index)).copied();
        let mut found = Vec::new();
        let has_word = |word: &&str| {
            let mut forms = forms(word).into_iter();
            forms.any(|(form, _)| text.windows(form.len()).any(|p| p.eq_ignore_ascii_case(&form)))
        };
        if !rule.context.is_empty() && !rule.context.iter().any(has_word) {
            return found;
        }
        for start in 0..text.len() {
            let before = [start.checked_sub(1), start.checked_sub(2)].map(at);
            if !first[usize::from(text[start])]
                || !allows(&rule.before, before[0], before[1])
                || !has_context(rule, text, start)
            {
                continue;
            }
            let mut best: Option<(usize, usize)> = None;
            for begin in ends(lead, text, &[start]) {
                for end in ends(value, text, &[begin]) {
                    let behind = ends(trail, text, &[end]);
                    let goes_on = behind
                        .iter()
                        .any(|end| allows(&rule.after, at(Some(*end)), at(Some(end + 1))));
                    let is_longer = best.is_none_or(|(old, last)| end - begin > last - old);
                    if goes_on && is_longer && (rule.is_valid)(&text[begin..end]) {
                        best = Some((begin, end));
                    }
                }
            }
            if let Some((begin, end)) = best {
                let run_end = rule.run.map(|run| end + run_length(run, &text[end..]));
                found.push(Value { begin, end, run_end });
            }
        }
        found
    }
}

fn run_length(run: Run, text: &[u8]) -> usize {
    let text = &text[..text.len().min(RUN_BYTES_MAX)];
    let count = |from: usize, most: usize, is_in: &dyn Fn(u8) -> bool| {
        text[from..].iter().take(most).take_while(|byte| is_in(**byte)).count()
    };
    match run {
        Run::Class(set) => count(0, usize::MAX, &|byte| set.has(byte)),
        // Lines of base64, `-----`, a label, `-----`: as much of it as there is.
        Run::Pem => {
            let base64 = b"+/=\r\n \t\\";
            let is_body = |byte: u8| byte.is_ascii_alphanumeric() || base64.contains(&byte);
            let (from, ends) = headers(text);
            if ends {
                return from;
            }
            let body = from + count(from, usize::MAX, &is_body);
            let dashes = body + count(body, 5, &|byte| byte == b'-');
            if dashes < body + 5 {
                return dashes;
            }
            let is_label =
                |byte: u8| byte == b' ' || byte.is_ascii_uppercase() || byte.is_ascii_digit();
            let label = count(dashes, usize::MAX, &is_label);
            if label == 0 {
                return dashes;
            }
            dashes + label + count(dashes + label, 5, &|byte| byte == b'-')
        }
    }
}

/// The headers of a PEM block: where the body begins, and whether the block ends there already.
fn headers(text: &[u8]) -> (usize, bool) {
    let is_blank = |at: usize| text.get(at).is_some_and(|byte| b" \t\r".contains(byte));
    let blanks = |from: usize| (from..).take_while(|at| is_blank(*at)).count();
    let begins = |from: usize, what: &[u8]| text.get(from..).is_some_and(|t| t.starts_with(what));
    let mut line_end = 0;
    loop {
        let more = blanks(line_end);
        line_end += more;
        if begins(line_end, b"\\r") {
            line_end += 2;
        } else if more == 0 {
            break;
        }
    }
    loop {
        let start = match () {
            () if begins(line_end, b"\n") => line_end + 1,
            () if begins(line_end, b"\\n") => line_end + 2,
            () => return (line_end, false),
        };
        let name = start + blanks(start);
        let is = |at: usize, test: fn(&u8) -> bool| text.get(at).is_some_and(test);
        if !is(name, u8::is_ascii_alphabetic) {
            return (start, false);
        }
        // What may be a name belongs to it, whether it is one or not.
        let mut end = name;
        while is(end, u8::is_ascii_alphanumeric)
            || (begins(end, b"-") && is(end + 1, u8::is_ascii_alphanumeric))
        {
            end += 1;
        }
        if !begins(end, b":") {
            return (end, false);
        }
        line_end = end + 1;
        for taken in 0.. {
            if line_end >= text.len() || begins(line_end, b"\n") || begins(line_end, b"\\n") {
                break;
            }
            let is_escape = text[line_end] == b'\\';
            if taken == 200 {
                return (line_end + usize::from(is_escape), true);
            }
            line_end += if is_escape { 2 } else { 1 };
        }
        if line_end >= text.len() {
            return (text.len(), true);
        }
    }
}
