//! Starts that the machine or the settings do not allow.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use penstock_harness::{Dev, PATIENCE, Process, program};

/// The status that says so.
const NOT_ALLOWED: i32 = 78;

/// A data plane that has joined, and can be started by itself.
fn joined() -> Dev {
    let mut dev = Dev::start("");
    assert_eq!(dev.stop().and_then(|status| status.code()), Some(0));
    dev
}

/// Starts the data plane by itself with other settings; its status and what it said.
fn started_with(dev: &Dev, settings: &str) -> (Option<i32>, String) {
    let file = dev.folder().join("settings.yaml");
    fs::write(&file, settings).unwrap();
    let mut process = dataplane(&file, &dev.folder().join("dataplane.stderr"));
    let status = process.wait(PATIENCE).expect("it ends");
    (status.code(), process.stderr())
}

fn dataplane(settings: &Path, stderr: &Path) -> Process {
    let mut command = Command::new(program("penstock-dataplane"));
    command.arg("--development").arg("--config").arg(settings);
    Process::spawn_with_input(command, stderr)
}

fn settings(dev: &Dev) -> String {
    fs::read_to_string(dev.state().join("dataplane.yaml")).unwrap()
}

#[test]
fn a_port_in_use_is_named() {
    let dev = joined();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    for listen in ["gateway", "operations"] {
        let own = match listen {
            "gateway" => &dev.ready().gateway,
            _ => &dev.ready().operations,
        };
        let own = own.trim_start_matches("http://");
        let text = settings(&dev);
        assert!(text.contains(own), "{text}");
        let (status, said) = started_with(&dev, &text.replace(own, &address));
        assert_eq!(status, Some(NOT_ALLOWED), "{said}");
        assert!(said.contains(&address), "{listen}: {said}");
    }
}

#[test]
fn every_mistake_in_settings_is_told_with_its_place() {
    let dev = joined();
    let text = settings(&dev) + "coers: 2\nlimits: {head_bytes_max: 1}\n";
    let lines = text.lines().count();
    let (status, said) = started_with(&dev, &text);
    assert_eq!(status, Some(NOT_ALLOWED), "{said}");
    for place in [format!("settings.yaml:{}:1: ", lines - 1), format!("settings.yaml:{lines}:26: ")]
    {
        assert!(said.contains(&place), "{place}: {said}");
    }
}

#[test]
fn a_development_state_is_refused_without_the_word_for_it() {
    let dev = joined();
    let file = dev.folder().join("settings.yaml");
    fs::write(&file, settings(&dev)).unwrap();
    let mut command = Command::new(program("penstock-dataplane"));
    command.arg("--config").arg(&file);
    let output = penstock_harness::run(command, "", PATIENCE);
    assert_eq!(output.code, NOT_ALLOWED, "{}", output.stderr);
    assert!(output.stderr.contains("penstock dev"), "{}", output.stderr);
}
