//! All rows of the fault matrix, and where each is held. A row's test has the row's name.

use std::fs;
use std::path::{Path, PathBuf};

/// What holds a row.
enum Held {
    /// These tests, wherever in the repository they stand.
    By(&'static [&'static str]),
    /// None yet, and why.
    NotYet(&'static str),
}

use Held::{By, NotYet};

/// The rows.
const ROWS: &[(&str, Held)] = &[
    (
        "control plane dead",
        By(&[
            "control_plane_dead_callers_notice_nothing",
            "control_plane_dead_beyond_snapshot_staleness_max_is_503_policy_stale",
            "control_plane_killed_under_load_no_request_is_lost_and_its_restart_resumes_the_feed",
        ]),
    ),
    ("control plane slow", By(&["control_plane_slow_callers_notice_nothing"])),
    ("control plane lying", By(&["control_plane_lying_the_last_good_snapshot_stays_in_force"])),
    (
        "secrets not available",
        By(&[
            "secrets_not_available_is_503_where_one_is_injected",
            "secrets_not_available_any_more_once_their_lease_ended_by_itself",
            "secrets_not_available_once_the_control_plane_was_silent_for_too_long",
            "secrets_not_available_as_soon_as_the_control_plane_lists_them_no_more",
            "secrets_not_available_where_they_are_sealed_for_another_node",
            "node_started_without_its_control_plane_serves_its_last_good_snapshot",
        ]),
    ),
    ("node kill -9", By(&["node_killed_its_connections_end_and_another_node_serves"])),
    ("panic in one exchange", By(&["panic_in_one_exchange_is_500_for_it_alone"])),
    (
        "disk full",
        By(&[
            "disk_full_under_the_nodes_state_callers_notice_nothing_and_the_operator_is_told",
            "disk_full_under_the_store_changes_are_refused_and_callers_notice_nothing",
        ]),
    ),
    ("disk slow", NotYet("waits for recordings: nothing on the way of a request waits for a disk")),
    (
        "disk error, read-only",
        NotYet("as disk full; what it says of segments waits for recordings"),
    ),
    ("recording store away", NotYet("waits for recordings")),
    (
        "clock back or ahead",
        By(&[
            "row_34_a_clock_back_or_ahead_is_401_at_the_edge_of_a_token_and_nothing_else",
            "only_what_time_alone_does_not_explain_is_a_step",
        ]),
    ),
    (
        "upstream refuses or times out at connect",
        By(&[
            "upstream_refuses_at_connect_is_502",
            "upstream_times_out_at_connect_is_504_or_another_endpoint",
        ]),
    ),
    ("upstream resets before its head", By(&["upstream_resets_before_its_head_is_502"])),
    ("upstream resets in head", By(&["upstream_resets_in_head_is_502"])),
    (
        "upstream resets in body or stream",
        By(&[
            "upstream_resets_in_body_cuts_without_a_last_chunk",
            "upstream_resets_in_stream_ends_it_with_an_error_event",
        ]),
    ),
    (
        "upstream stalls",
        By(&[
            "upstream_stalls_before_its_first_byte_is_504",
            "upstream_stalls_in_stream_is_cut_after_the_gap",
        ]),
    ),
    ("upstream answers nonsense", By(&["upstream_answers_nonsense_is_502"])),
    ("caller stalls reading", By(&["caller_stalls_reading_is_cut_and_the_upstream_let_go"])),
    ("caller sends half a request", By(&["caller_sends_half_a_request_is_408_and_close"])),
    ("caller sends nonsense", By(&["caller_sends_nonsense_is_400_and_close_once"])),
    ("caller leaves", By(&["upstream_of_a_caller_who_left_is_let_go"])),
    ("IdP down", By(&["idp_down_known_keys_go_on"])),
    (
        "JWKS key removed",
        By(&["jwks_key_removed_its_tokens_are_401_and_its_streams_cut_within_a_second"]),
    ),
    ("JWKS empty or broken", By(&["jwks_empty_or_broken_is_as_idp_down"])),
    ("grant revoked in mid-stream", NotYet("waits for grants")),
    ("CPU starvation, noisy neighbour", By(&["cpu_starvation_health_answers_still_come"])),
    (
        "memory pressure",
        By(&["memory_pressure_new_requests_are_503_streams_go_on_and_it_is_over_by_itself"]),
    ),
    (
        "descriptors used up",
        By(&["descriptors_used_up_new_connections_wait_and_existing_ones_go_on"]),
    ),
    (
        "memlock too low",
        By(&["memlock_too_low_does_not_start_and_exits_78_with_the_number_needed"]),
    ),
    (
        "io_uring disabled or filtered",
        By(&["io_uring_disabled_does_not_start_and_exits_78_with_sysctl_and_seccomp_named"]),
    ),
    (
        "ring overflow, ENOBUFS",
        By(&["a_burst_of_more_completions_than_a_ring_holds_reaches_every_connection"]),
    ),
    (
        "certificate expired, upstream or own",
        By(&[
            "certificate_of_an_upstream_expired_is_502_upstream_tls",
            "certificate_of_ones_own_expired_is_refused_at_load_and_the_old_one_stays",
        ]),
    ),
    (
        "SIGTERM during load",
        By(&[
            "sigterm_during_load_streams_finish_and_no_answer_is_lost",
            "sigterm_beyond_the_drains_limit_cuts_what_is_open",
            "a_second_sigterm_cuts_what_is_open_now",
        ]),
    ),
    (
        "power loss",
        NotYet("waits for recordings; files of the state are whole or not there, as in disk full"),
    ),
    ("access log rotated", By(&["access_log_survives_rotation"])),
    ("trace that can not be read", By(&["traceparent_is_passed_on_as_w3c_says"])),
];

/// Every file of Rust below a folder of the repository.
pub(crate) fn sources(folder: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut waiting = vec![root];
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let entry: PathBuf = entry.unwrap().path();
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if entry.is_dir() && name != "target" && !name.starts_with('.') {
                waiting.push(entry);
            } else if name.ends_with(".rs") {
                found.push(fs::read_to_string(&entry).unwrap());
            }
        }
    }
    found
}

/// Names of the tests in a file.
pub(crate) fn tests(text: &str) -> Vec<String> {
    let mut lines = text.lines().map(str::trim);
    let mut names = Vec::new();
    while let Some(line) = lines.next() {
        if line != "#[test]" && line != "#[tokio::test]" {
            continue;
        }
        let function = lines.by_ref().find_map(|line| {
            let line = line.strip_prefix("async ").unwrap_or(line);
            line.strip_prefix("fn ")
        });
        names.extend(function.and_then(|rest| rest.split('(').next()).map(str::to_owned));
    }
    names
}

/// The tests that the rows name.
fn named() -> Vec<&'static str> {
    let tests = ROWS.iter().map(|(_, held)| match held {
        By(tests) => *tests,
        NotYet(_) => &[],
    });
    tests.flatten().copied().collect()
}

#[test]
fn the_table_names_tests_that_exist_and_every_test_of_the_matrix() {
    let everywhere: Vec<String> = sources("").iter().flat_map(|text| tests(text)).collect();
    let named = named();
    for name in &named {
        let count = everywhere.iter().filter(|test| test == name).count();
        assert_eq!(count, 1, "{name}");
    }
    let own = ["rows.rs", "vectors.rs"].map(|file| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix").join(file);
        tests(&fs::read_to_string(path).unwrap())
    });
    let matrix = sources("tests/faults/tests/matrix");
    for name in matrix.iter().flat_map(|text| tests(text)) {
        let about_tables = own.iter().any(|names| names.contains(&name));
        assert!(about_tables || named.contains(&name.as_str()), "the table lacks {name}");
    }
}

#[test]
fn each_row_names_a_test_or_says_why_there_is_none() {
    assert!(ROWS.len() > 30, "{}", ROWS.len());
    for (fault, held) in ROWS {
        match held {
            By(tests) => assert!(!tests.is_empty(), "{fault}"),
            NotYet(why) => assert!(why.contains("waits for recordings") || why.contains("grants")),
        }
    }
}
