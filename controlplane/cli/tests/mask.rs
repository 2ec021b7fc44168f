//! `penstock mask`: what `test` shows of a text, where it takes the mask from, and what `detectors`
//! lists.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage does not stand")]

mod support;

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use support::{ScriptedApi, code, penstock, run_with_input, stderr, stdout};
use tokio::io::AsyncWriteExt;

const MASK: &str = "\
kind: mask
name: pii
detectors: [EMAIL_ADDRESS, US_SSN]
patterns: [{name: EMPLOYEE_ID, regex: \"EMP-[0-9]{6}\"}]
action: replace
overrides:
  - {detectors: [EMPLOYEE_ID], action: redact}
  - {detectors: [EMAIL_ADDRESS], connections: [support], action: {keep_last: 3}}
";
const TEXT: &str = "Dear \u{e9}t\u{e9},\nwrite to jane.doe@example.com, EMP-004711.\nBye.\n";
const MASKED: &str = "Dear \u{e9}t\u{e9},\nwrite to [EMAIL_ADDRESS], ***.\nBye.\n";

/// Runs it without any control plane, in a folder with `pii.yaml`.
async fn offline(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let file = folder.join("pii.yaml");
    if !file.exists() {
        std::fs::write(&file, MASK).unwrap();
    }
    let arguments = [&["mask", "test", "-f", file.to_str().unwrap()], arguments].concat();
    let mut command = penstock(folder, &arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that refuses its arguments never reads its input.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

#[tokio::test]
async fn a_page_shows_places_detectors_totals_and_costs_but_no_value() {
    let folder = tempfile::tempdir().unwrap();
    let output = offline(folder.path(), &["-"], TEXT).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let page = stdout(&output);
    assert!(page.contains("2:10   EMAIL_ADDRESS  [EMAIL_ADDRESS]\n"), "{page}");
    assert!(page.contains("2:32   EMPLOYEE_ID    ***\n"), "{page}");
    assert!(page.contains("EMPLOYEE_ID    1      pattern of the mask: EMP-[0-9]{6}\n"), "{page}");
    assert!(page.contains("held      "), "{page}");
    assert!(page.contains(" MB/s on one core, by "), "{page}");
    assert!(!page.contains("jane.doe") && !page.contains("4711"), "{page}");
}

#[tokio::test]
async fn values_are_shown_only_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let output = offline(folder.path(), &["--show-values", "-"], TEXT).await;
    let page = stdout(&output);
    assert!(page.contains("[EMAIL_ADDRESS]  jane.doe@example.com\n"), "{page}");
    assert!(page.contains("***              EMP-004711\n"), "{page}");
}

#[tokio::test]
async fn the_masked_text_comes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer.txt");
    std::fs::write(&file, TEXT).unwrap();
    let output = offline(folder.path(), &["--masked", file.to_str().unwrap()], "").await;
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), (MASKED, ""));
    assert_eq!(code(&output), 0);
}

#[tokio::test]
async fn programs_get_the_same_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let output = offline(folder.path(), &["--output", "json", "-"], TEXT).await;
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let finding = json!({"line": 2, "column": 10, "detector": "EMAIL_ADDRESS",
        "written": "[EMAIL_ADDRESS]"});
    assert_eq!((&report["mask"], &report["findings"][0]), (&json!("pii"), &finding));
    assert_eq!(report["totals"][1]["count"], 1);
    let costs = &report["costs"];
    assert!(costs["held_characters_max"].as_u64().unwrap() >= 4, "{costs}");
    assert!(costs["megabytes_per_second"].as_f64().unwrap() > 0.0, "{costs}");
    assert!(costs["pieces_at_once_share"].as_f64().unwrap() < 1.0, "{costs}");
    assert!(!costs["engine"].as_str().unwrap().is_empty(), "{costs}");
}

#[tokio::test]
async fn overrides_of_a_connection_count_where_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--connection", "support", "--masked", "-"];
    let output = offline(folder.path(), &arguments, TEXT).await;
    let masked = stdout(&output);
    assert!(masked.contains("com, ***.\n") && !masked.contains("[EMAIL_ADDRESS]"), "{masked}");
}

#[tokio::test]
async fn a_text_with_nothing_to_mask_and_an_empty_one_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = offline(folder.path(), &["-"], "Nothing here.\n").await;
    assert!(stdout(&output).starts_with("nothing would be masked\n"), "{}", stdout(&output));
    let output = offline(folder.path(), &["-"], "").await;
    assert!(stdout(&output).contains("the text is empty"), "{}", stdout(&output));
    assert_eq!(code(&output), 0);
}

#[tokio::test]
async fn a_mask_in_force_is_fetched_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let api = ScriptedApi::start().await;
    let document = json!({"kind": "mask", "name": "pii", "detectors": ["EMAIL_ADDRESS"],
        "action": "redact", "unreadable": "refuse", "stalled_ms_max": 2000, "stalled": "redact",
        "applies_to": ["response"], "masked_bytes_max": 8_388_608});
    let row = json!({"kind": "mask", "name": "pii", "origin": "applied", "document": document});
    api.on("GET /api/v1/documents/mask/pii", 200, &row);
    let arguments = ["mask", "test", "--mask", "pii", "--masked", "-"];
    let output = run_with_input(&api, &arguments, TEXT).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("write to ***, EMP-004711."), "{}", stdout(&output));

    let arguments = ["mask", "test", "--mask", "other", folder.path().to_str().unwrap()];
    let output = run_with_input(&api, &arguments, "").await;
    let told = "error: no mask other is in force\nhint: -f FILE tries one that is not\n";
    assert_eq!((code(&output), stderr(&output).as_str()), (4, told));
}

#[tokio::test]
async fn an_unclear_command_line_exits_2_and_a_mask_that_is_not_there_4() {
    let folder = tempfile::tempdir().unwrap();
    let two = format!("{MASK}---\n{}", MASK.replace("name: pii", "name: second"));
    std::fs::write(folder.path().join("pii.yaml"), two).unwrap();
    let output = offline(folder.path(), &["-"], TEXT).await;
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).ends_with("hint: the masks are: pii, second\n"), "{}", stderr(&output));
    let output = offline(folder.path(), &["--mask", "second", "--masked", "-"], TEXT).await;
    assert_eq!(stdout(&output), MASKED);
    assert_eq!(code(&offline(folder.path(), &["--mask", "third", "-"], TEXT).await), 4);
    let both = penstock(folder.path(), &["mask", "test", "-f", "-", "-"]).output().await.unwrap();
    assert_eq!(code(&both), 2);
    let none = penstock(folder.path(), &["mask", "test", "-"]).output().await.unwrap();
    assert_eq!(code(&none), 2);
}

#[tokio::test]
async fn a_broken_mask_is_told_with_its_place_and_shows_nothing_of_the_text() {
    let folder = tempfile::tempdir().unwrap();
    let broken = MASK.replace("action: replace", "action: hide");
    std::fs::write(folder.path().join("pii.yaml"), broken).unwrap();
    let output = offline(folder.path(), &["-"], TEXT).await;
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("pii.yaml:5:9: "), "{}", stderr(&output));
    assert!(!stderr(&output).contains("jane") && stdout(&output).is_empty());
}

#[tokio::test]
async fn every_detector_is_listed_by_name_with_what_it_finds() {
    let folder = tempfile::tempdir().unwrap();
    let list = async |format: &[&str]| {
        let arguments = [&["mask", "detectors"], format].concat();
        let output = penstock(folder.path(), &arguments).output().await.unwrap();
        assert_eq!((code(&output), stderr(&output).as_str()), (0, ""), "{format:?}");
        stdout(&output)
    };
    let rows: Value = serde_json::from_str(&list(&["--output", "json"]).await).unwrap();
    let rows = rows.as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), penstock_mask::catalogue::catalogue().len());
    assert!(names.is_sorted() && names.contains(&"EMAIL_ADDRESS"), "{names:?}");
    assert!(rows.iter().all(|row| !row["about"].as_str().unwrap().is_empty()), "{rows:?}");

    let page = list(&[]).await;
    let heads: Vec<&str> = page.lines().next().unwrap().split_whitespace().collect();
    assert_eq!((heads, page.lines().count()), (vec!["NAME", "ABOUT"], names.len() + 1));
    let yaml = list(&["--output", "yaml"]).await;
    assert_eq!(yaml.lines().filter(|line| line.contains("name: ")).count(), names.len());
}
