//! Documents with mistakes: every one is told with its place, and nothing is changed.

use penstock_harness::{AutonomousUpstream, Dev, Output, documents};

fn versions(dev: &Dev) -> String {
    dev.penstock(&["versions", "list", "--output", "json"]).stdout
}

/// The versions and every document in force.
fn in_force(dev: &Dev) -> String {
    let mut all = versions(dev);
    for kind in ["issuer", "connection", "rule", "role"] {
        let output = dev.penstock(&["get", kind, "--output", "json"]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        all += &output.stdout;
    }
    all
}

/// Applies a file and expects that it is refused whole: no version is made.
fn refused(dev: &Dev, text: &str) -> Output {
    let before = versions(dev);
    let output = dev.apply(text);
    assert_eq!(output.code, 1, "{text}\n{}{}", output.stdout, output.stderr);
    assert_eq!(output.stdout, "");
    assert_eq!(versions(dev), before, "nothing is changed by\n{text}");
    output
}

#[test]
fn each_mistake_is_told_with_file_line_and_column_and_nothing_is_changed() {
    let upstream = AutonomousUpstream::start();
    let dev = Dev::start(&documents::usual(&upstream.url()));
    let before = in_force(&dev);
    let rule = |lines: &str| format!("kind: rule\nname: more\neffect: allow\n{lines}");
    let good = "subjects: [{groups: [a]}]\noperations: [list]\n";
    let cases = [
        // A key that is none, and where it stands.
        (rule(&format!("operatoins: [list]\n{good}")), ":4:1: ", "operatoins"),
        (rule("subjects: [{group: [a]}]\noperations: [list]\n"), ":4:13: ", "group"),
        (rule(&format!("{good}effect: deny\n")), ":6:1: ", "effect"),
        (rule("subjects: [{groups: [a]}]\noperations: [lst]\n"), ":5:14: ", "lst"),
        (rule("subjects: []\noperations: [list]\n"), ":4:11: ", "empty"),
        (rule(&format!("{good}connections: [nowhere]\n")), ":6:15: ", "nowhere"),
        (rule("subjects: [{groups: [a]}\noperations: [list]\n"), ":", ""),
        (format!("{}---\n{}", rule(good), rule(good)), ":8:7: ", "more"),
        ("kind: rul\nname: x\n".to_owned(), ":1:7: ", "rul"),
        (rule(good).replace("allow", "approve"), ":1:1: ", "missing key `approval`"),
        ("kind: guard\nname: pii\n".to_owned(), ":1:7: ", "not in this version"),
        ("kind: role\nname: &anchor x\n".to_owned(), ":2:", ""),
    ];
    for (text, place, named) in cases {
        let output = refused(&dev, &text);
        let place = format!("applied.yaml{place}");
        assert!(output.stderr.contains(&place), "{place} for\n{text}\n{}", output.stderr);
        assert!(output.stderr.contains(named), "{named} for\n{text}\n{}", output.stderr);
    }
    assert_eq!(in_force(&dev), before);
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_and_its_good_documents_count_for_nothing() {
    let upstream = AutonomousUpstream::start();
    let dev = Dev::start(&documents::usual(&upstream.url()));
    let text = documents::allow("good", "a", "list")
        + &documents::allow("bad name", "b", "list")
        + &documents::connection("c", "opnai", &upstream.url());
    let output = refused(&dev, &text);
    for place in ["applied.yaml:8:7: ", "applied.yaml:15:11: "] {
        assert!(output.stderr.contains(place), "{place}\n{}", output.stderr);
    }
    assert!(output.stderr.contains("2 problems"), "{}", output.stderr);
}

#[test]
fn a_mistake_in_one_document_does_not_hide_an_unknown_operation_in_another() {
    let upstream = AutonomousUpstream::start();
    let dev = Dev::start(&documents::usual(&upstream.url()));
    let text =
        documents::allow("bad", "b", "lst") + &documents::connection("c", "opnai", &upstream.url());
    let output = refused(&dev, &text);
    for place in ["applied.yaml:5:14: ", "applied.yaml:9:11: "] {
        assert!(output.stderr.contains(place), "{place}\n{}", output.stderr);
    }
}

#[test]
fn dev_with_a_document_that_has_a_mistake_ends_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    std::fs::write(&file, "kind: rule\nname: x\nefect: allow\n").unwrap();
    let mut command = std::process::Command::new(penstock_harness::program("penstock"));
    command.args(["dev", "--json", "--listen", "127.0.0.1:0", "--state"]);
    command.arg(folder.path().join("state")).arg("--apply").arg(&file);
    let output = penstock_harness::run(command, "", penstock_harness::PATIENCE);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(output.stderr.contains("policy.yaml:3:1: "), "{}", output.stderr);
}
