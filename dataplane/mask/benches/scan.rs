//! Decoded text through the whole mask, on one core: megabytes a second in pieces of 16 KiB, and
//! nanoseconds a piece of four characters. The peer is one multi-pattern regex of the same rules,
//! which says where the first alternative matches, and neither checks nor replaces anything.
//!
//! Texts come from the repository's own documents: prose without tables and code, and all of them.

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use penstock_mask::action::Action;
use penstock_mask::catalogue::catalogue;
use penstock_mask::channel::{Channel, PUSH_BYTES_MAX};
use penstock_mask::profile::{Masking, Profile};
use penstock_mask::rule::Rule;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

const DOCUMENTS: [&str; 4] = [
    include_str!("../../../README.md"),
    include_str!("../../ARCHITECTURE.md"),
    include_str!("../../LIFECYCLE.md"),
    include_str!("../../../controlplane/ARCHITECTURE.md"),
];
const LICENCE: &str = include_str!("../../../LICENSE");
const TEXT_BYTES: usize = 512 << 10;

/// The peer reads less: with so many rules it is slow.
const PEER_BYTES: usize = 32 << 10;

/// Of its lazily built automata: enough for them not to begin anew all the time.
const PEER_CACHE_BYTES: usize = 64 << 20;

fn repeated(text: &str) -> String {
    text.repeat(TEXT_BYTES.div_ceil(text.len()))
}

/// One value in a hundred bytes of twenty or so characters.
fn sensitive(text: &str) -> String {
    let mut out = String::new();
    for (index, line) in text.lines().enumerate() {
        out.push_str(line);
        if index % 24 == 0 {
            out.push_str(" jane.roe@example.org ");
        }
        out.push('\n');
    }
    out
}

fn rules(is_chosen: impl Fn(&penstock_mask::catalogue::Detector) -> bool) -> Vec<Rule> {
    catalogue().iter().filter(|one| is_chosen(one)).flat_map(|one| one.rules()).collect()
}

fn whole(masking: &Masking, text: &str, piece: usize, bencher: &mut criterion::Bencher<'_>) {
    let pieces = cut(text, piece);
    let mut scratch = masking.profile.scratch();
    let mut out = Vec::with_capacity(text.len() * 2);
    bencher.iter(|| {
        let mut channel = Channel::new(false);
        out.clear();
        for piece in &pieces {
            channel.push(masking, &mut scratch, piece.as_bytes(), &mut out);
        }
        channel.finish(masking, &mut scratch, &mut out);
    });
}

fn cut(text: &str, bytes: usize) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.ceil_char_boundary(bytes.min(rest.len())));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

fn peer(rules: &[Rule]) -> Regex {
    let patterns: Vec<_> =
        rules.iter().map(|one| format!("{}(?:{}){}", one.lead, one.value, one.trail)).collect();
    Regex::builder()
        .configure(Regex::config().hybrid_cache_capacity(PEER_CACHE_BYTES))
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build_many(&patterns)
        .expect("patterns that the mask takes")
}

fn scan(criterion: &mut Criterion) {
    let prose = repeated(LICENCE);
    let technical = repeated(&DOCUMENTS.concat());
    let hostile = repeated("ab:ab:ab:ab:a@a.aaa@a.aa4 1 1 1 1 1 1");
    let texts = [
        ("prose", prose.clone()),
        ("technical", technical.clone()),
        ("sensitive", sensitive(&prose)),
        ("hostile", hostile),
    ];
    let profiles = [("default", rules(|one| one.default)), ("all", rules(|_| true))];
    for (name, rules) in profiles {
        let peer = peer(&rules);
        let profile = Profile::from_rules(rules).expect("the catalogue compiles");
        let masking = Masking::uniform(Arc::new(profile), Action::Replace);
        let mut group = criterion.benchmark_group(format!("mask-scan/{name}"));
        for (kind, text) in &texts {
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(*kind, |bencher| whole(&masking, text, PUSH_BYTES_MAX, bencher));
        }
        for (kind, text) in texts.iter().take(2) {
            let part = text.get(..text.floor_char_boundary(64 << 10)).unwrap_or(text);
            group.throughput(Throughput::Elements(cut(part, 4).len() as u64));
            let name = format!("{kind}-by-four");
            group.bench_function(name, |bencher| whole(&masking, part, 4, bencher));
        }
        for (kind, text) in texts.iter().take(2) {
            let part = text.get(..text.floor_char_boundary(PEER_BYTES)).unwrap_or(text);
            group.throughput(Throughput::Bytes(part.len() as u64));
            let name = format!("regex-{kind}");
            group.bench_function(name, |bencher| {
                bencher.iter(|| peer.find_iter(part).count());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, scan);
criterion_main!(benches);
