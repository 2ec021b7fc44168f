//! `--help` is how people learn the commands.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage does not stand")]

mod support;

use support::{code, penstock, stdout};

/// Every command, and a word of its help that would be missed.
const COMMANDS: [(&[&str], &str); 52] = [
    (&["dev"], "--expose-development"),
    (&["token"], "--ttl"),
    (&["apply"], "--expect-version"),
    (&["apply"], "--cut-open"),
    (&["get"], "jq"),
    (&["delete"], "penstock delete rule"),
    (&["versions"], "rollback"),
    (&["versions", "list"], "--output"),
    (&["versions", "show"], "--output"),
    (&["versions", "rollback"], "<VERSION>"),
    (&["secret"], "standard input"),
    (&["secret", "set"], "<NAME>"),
    (&["secret", "list"], "--output"),
    (&["secret", "delete"], "<NAME>"),
    (&["explain"], "Exit code 0"),
    (&["mask"], "test"),
    (&["mask", "test"], "--show-values"),
    (&["mask", "test"], "are left\nout"),
    (&["mask", "detectors"], "--output"),
    (&["nodes"], "join-file"),
    (&["nodes", "list"], "--output"),
    (&["notifications", "list"], "--only <STATE>"),
    (&["notifications", "retry"], "<ID>"),
    (&["nodes", "join-file"], "one-time token"),
    (&["nodes", "delete"], "<ID>"),
    (&["login"], "--device"),
    (&["logout"], "--profile <NAME>"),
    (&["whoami"], "--output"),
    (&["connect"], "--port <N>"),
    (&["approvals"], "close-review"),
    (&["approvals", "list"], "--only <STATE>"),
    (&["approvals", "show"], "--as-user <USER>"),
    (&["approvals", "withdraw"], "<ID>"),
    (&["approvals", "justify"], "<TEXT>"),
    (&["approvals", "close-review"], "<ID>"),
    (&["approve"], "--uses 5 --minutes 20"),
    (&["deny"], "--reason <TEXT>"),
    (&["request"], "--wait"),
    (&["grants"], "revoke"),
    (&["grants", "list"], "--only <STATE>"),
    (&["grants", "show"], "--output"),
    (&["grants", "revoke"], "--wait"),
    (&["grants", "return"], "<ID>"),
    (&["sessions"], "penstock-session"),
    (&["sessions", "list"], "--output"),
    (&["sessions", "show"], "--output"),
    (&["sessions", "kill"], "--reason <TEXT>"),
    (&["revoke"], "SHA-256"),
    (&["revoke", "identity"], "<SUBJECT>"),
    (&["revoke", "token"], "standard input"),
    (&["completions"], "bash"),
    (&[], "Exit codes"),
];

async fn help_of(command: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let arguments = [command, &["--help"]].concat();
    let output = penstock(home.path(), &arguments).output().await.unwrap();
    assert_eq!(code(&output), 0, "{command:?}");
    stdout(&output)
}

#[tokio::test]
async fn every_command_has_help_that_teaches() {
    for (command, word) in COMMANDS {
        let help = help_of(command).await;
        assert!(help.contains(word), "{command:?} lacks {word:?}:\n{help}");
        assert!(help.contains("--state <DIR>"), "{command:?}");
    }
}

#[tokio::test]
async fn the_first_help_names_every_command_and_no_other() {
    let help = help_of(&[]).await;
    let named: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let expected = [
        "dev",
        "token",
        "login",
        "logout",
        "whoami",
        "apply",
        "get",
        "delete",
        "versions",
        "secret",
        "explain",
        "mask",
        "connect",
        "approvals",
        "approve",
        "deny",
        "request",
        "grants",
        "sessions",
        "revoke",
        "nodes",
        "notifications",
        "completions",
        "help",
    ];
    assert_eq!(named, expected);
}

#[tokio::test]
async fn completions_are_a_script() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = penstock(home.path(), &["completions", shell]).output().await.unwrap();
        for flag in
            ["expect-version", "cut-open", "as-groups", "close-review", "show-values", "detectors"]
        {
            assert!(stdout(&output).contains(flag), "{shell} lacks {flag}");
        }
    }
}
