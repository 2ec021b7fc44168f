//! The seeds below `corpus/`, and the raw probes, as ordinary tests: what the engine starts from
//! holds on each change, and does not rot.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use penstock_fuzz::{TARGETS, Target, target};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("an entry").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = corpus().join(target.name);
    let read = |name: &String| std::fs::read(folder.join(name)).expect("a seed");
    names(&folder).iter().map(read).collect()
}

#[test]
fn each_target_has_a_folder_of_seeds_and_each_folder_a_target() {
    assert_eq!(names(&corpus()), TARGETS.map(|target| target.name));
}

#[test]
fn every_seed_holds_and_each_target_understands_one_and_refuses_one() {
    for target in TARGETS {
        let understood: Vec<bool> =
            seeds(&target).iter().map(|seed| (target.check)(seed)).collect();
        assert!(understood.contains(&false), "{}: no seed is refused", target.name);
        // The canary's bug is to be found, not given.
        let expected = target.name != "canary";
        assert_eq!(understood.contains(&true), expected, "{}: understood", target.name);
    }
}

#[test]
#[should_panic(expected = "the planted bug")]
fn the_canary_has_a_bug() {
    let canary = target("canary").expect("a canary");
    (canary.check)(b"\xffPENS");
}

#[test]
fn every_raw_probe_holds() {
    let head = target("head").expect("a target");
    let chunked = target("chunked").expect("a target");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../probes/http_dev.jsonl");
    for line in std::fs::read_to_string(path).expect("the probes").lines() {
        let probe: serde_json::Value = serde_json::from_str(line).expect("a probe is JSON");
        for field in ["raw_b64", "upstream_b64"] {
            let Some(text) = probe.get(field).and_then(serde_json::Value::as_str) else { continue };
            let bytes = STANDARD.decode(text).expect("base64");
            (head.check)(&bytes);
            let behind = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(body) = behind.and_then(|at| bytes.get(at + 4..)) {
                (chunked.check)(body.get(..4096).unwrap_or(body));
            }
        }
    }
}
