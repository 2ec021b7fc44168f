//! How fast the front of every scan is: the fold, and the search for literals by each engine.
//!
//! `cargo bench -p penstock-mask --bench literals`

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use penstock_mask::fold::{Behind, Folded, Folder};
use penstock_mask::literals::{Engine, Literal, Literals};

/// As much as the engine scans in one turn.
const TURN_BYTES: usize = 16 << 10;

/// Fronts of credentials of many vendors.
const PREFIXES: &[&str] = &[
    "AKIA",
    "ASIA",
    "ABIA",
    "ACCA",
    "AIza",
    "GOCSPX-",
    "ya29.",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glrt-",
    "sk_live_",
    "rk_live_",
    "sk_test_",
    "whsec_",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xapp-",
    "hooks.slack.com/services/",
    "sk-proj-",
    "sk-svcacct-",
    "sk-admin-",
    "T3BlbkFJ",
    "sk-ant-api03-",
    "sk-ant-admin01-",
    "hf_",
    "api_org_",
    "npm_",
    "pypi-AgEIcHlwaS5vcmc",
    "SG.",
    "key-",
    "dop_v1_",
    "doo_v1_",
    "shpat_",
    "shpca_",
    "shppa_",
    "dapi",
    "hvs.",
    "hvb.",
    ".atlasv1.",
    "glsa_",
    "glc_",
    "gsk_",
    "xai-",
    "pplx-",
    "r8_",
    "nvapi-",
    "ntn_",
    "lin_api_",
    "PMAK-",
    "dp.pt.",
    "pul-",
    "rubygems_",
    "rdme_",
    "AGE-SECRET-KEY-1",
    "-----BEGIN ",
    "eyJ",
    "://",
    "@",
];

/// Words in which case does not count.
const WORDS: &[&str] = &["bearer ", "authorization: basic ", "api_key", "password"];

fn texts() -> [(&'static str, Vec<u8>); 2] {
    let prose = include_str!("../../../README.md");
    let technical = include_str!("../../ARCHITECTURE.md");
    [("prose", prose), ("technical", technical)].map(|(name, text)| {
        let repeated = text.bytes().filter(u8::is_ascii).collect::<Vec<_>>().repeat(20);
        (name, repeated)
    })
}

fn measured<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    group.warm_up_time(Duration::from_millis(500));
    group
}

fn literals(criterion: &mut Criterion) {
    let list: Vec<Literal> = PREFIXES
        .iter()
        .map(|text| (text, false))
        .chain(WORDS.iter().map(|text| (text, true)))
        .map(|(text, ignore_case)| Literal { bytes: text.as_bytes().to_vec(), ignore_case })
        .collect();
    let mut group = measured(criterion, "literals");
    for engine in [Engine::Vectorscan, Engine::AhoCorasick] {
        let Ok(set) = Literals::new(&list, engine) else { continue };
        let mut scratch = set.scratch();
        for (name, text) in texts() {
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(format!("{engine:?}/{name}"), |bencher| {
                bencher.iter(|| {
                    let mut count = 0_usize;
                    for turn in text.chunks(TURN_BYTES) {
                        set.find(&mut scratch, black_box(turn), &mut |_, _| count += 1);
                    }
                    count
                });
            });
        }
        group.throughput(Throughput::Bytes(4));
        group.bench_function(format!("{engine:?}/four bytes"), |bencher| {
            bencher.iter(|| set.find(&mut scratch, black_box(b" the"), &mut |_, _| ()));
        });
    }
}

fn fold(criterion: &mut Criterion) {
    let mut group = measured(criterion, "fold");
    let [prose, technical] = texts();
    let cyrillic = "Съешь же ещё этих мягких булок, да выпей чаю. ".repeat(4000).into_bytes();
    let full_width =
        "４１１１ １１１１ １１１１ １１１１ ａ＠ｂ．ｃｏｍ ".repeat(4000).into_bytes();
    let escaped = "jane&#64;example.com 100% of \\_ ".repeat(8000).into_bytes();
    let others = [("Cyrillic", cyrillic), ("full width", full_width), ("escaped", escaped)];
    for (name, text) in [prose, technical].into_iter().chain(others) {
        group.throughput(Throughput::Bytes(text.len() as u64));
        let mut into = Folded::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                into.clear();
                Folder::new(false).fold(black_box(&text), 0, Behind::Nothing, &mut into)
            });
        });
    }
}

criterion_group!(benches, literals, fold);
criterion_main!(benches);
