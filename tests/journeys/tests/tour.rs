//! The demonstration's tour as a journey: the real model server, the OpenAI client in Python, and
//! no secret in any file that was written meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use penstock_harness::{program, run};
use penstock_journeys::search::{Needle, search};
use penstock_journeys::tools;
use serde_json::{Value, json};

/// The tour ends itself after 300 s; the rest is for its last words.
const TOUR_PATIENCE: Duration = Duration::from_secs(330);

const STEPS: [&str; 14] = [
    "stream",
    "direct",
    "no_token",
    "denied",
    "explain",
    "slots",
    "masked",
    "change",
    "cut",
    "contractor",
    "nightly",
    "config_file",
    "access_log",
    "search",
];

/// Stands before `penstock` and keeps, outside of what is searched, each secret that passes.
const WITNESS: &str = r#"#!/bin/sh
if [ "$1" = dev ]; then
    printf '%s\n' "$PENSTOCK_SECRET_LLAMA_KEY" >> "$SEEN/keys"
elif [ "$1" = token ]; then
    token=$("$PENSTOCK" "$@") || exit
    printf '%s\n' "$token" >> "$SEEN/tokens"
    printf '%s\n' "$token"
    exit
fi
exec "$PENSTOCK" "$@"
"#;

/// The programs as the tour finds them, with a witness in place of `penstock`.
fn programs(folder: &Path) -> PathBuf {
    let programs = folder.join("programs");
    fs::create_dir(&programs).unwrap();
    let witness = programs.join("penstock");
    fs::write(&witness, WITNESS).unwrap();
    fs::set_permissions(&witness, fs::Permissions::from_mode(0o700)).unwrap();
    programs
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_tour_goes_as_told_and_leaves_no_secret_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let [seen, written] = ["seen", "written"].map(|name| folder.path().join(name));
    for made in [&seen, &written, &written.join("temporary")] {
        fs::create_dir(made).unwrap();
    }
    let report = written.join("report.json");
    let mut tour = Command::new(tools::python());
    tour.arg(tools::repository_file("tests/demo/tour.py"));
    tour.args(["--model", "real", "--no-stay", "--keep", "--bin-dir"]).arg(programs(folder.path()));
    tour.arg("--state").arg(written.join("tour")).arg("--report").arg(&report);
    tour.env("PENSTOCK", program("penstock")).env("SEEN", &seen);
    tour.env("TMPDIR", written.join("temporary"));
    let output = run(tour, "", TOUR_PATIENCE);
    assert_eq!(output.code, 0, "{}\n{}", output.stdout, output.stderr);
    fs::write(written.join("output"), format!("{}{}", output.stdout, output.stderr)).unwrap();

    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!(report["ok"], json!(true));
    let steps = report["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, STEPS);
    let figures = |name: &str| &steps.iter().find(|step| step["name"] == name).unwrap()["seen"];
    assert_eq!(figures("direct")["status"], 401, "the model server wants its own key");
    assert_eq!(figures("denied")["status"], 403);
    assert_eq!(figures("slots")["rule"], "nobody-reads-predictions");
    assert_eq!(figures("masked")["counted"], 3, "as many values as the model was made to say");
    assert!(figures("cut")["message"].as_str().unwrap().contains("infer.chat"));

    let [keys, tokens] = ["keys", "tokens"].map(|name| lines(&seen.join(name)));
    assert_eq!((keys.len(), tokens.len()), (1, 5), "one start, five callers");
    let mut needles = vec![Needle::secret("the model's key", &keys[0])];
    needles.extend(tokens.iter().flat_map(|token| Needle::token("a caller", token)));
    let found = search(&written, &needles);
    assert!(found.files > 10, "only {} files", found.files);
    assert_eq!(found.hits, [] as [String; 0]);
    assert_eq!(search(&seen, &needles).hits.len(), 11, "the search finds what is there");
}
