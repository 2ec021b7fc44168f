//! The laws, held by the repository.

use std::sync::LazyLock;

use penstock_tidy::files::{self, TextFile};
use penstock_tidy::{Breach, layout, rust, text, workspace};

static FILES: LazyLock<Vec<TextFile>> =
    LazyLock::new(|| files::read_all(&files::root()).expect("the repository can be read"));

#[track_caller]
fn hold(law: fn(&[TextFile]) -> Vec<Breach>) {
    report(&law(&FILES));
}

#[track_caller]
fn report(breaches: &[Breach]) {
    let lines: Vec<String> = breaches.iter().map(ToString::to_string).collect();
    assert!(breaches.is_empty(), "{} breaches:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn the_walk_sees_the_repository() {
    for path in ["Cargo.toml", "Makefile", ".ci/run", "tests/tidy/tests/laws.rs"] {
        assert!(FILES.iter().any(|file| file.path == path), "{path}");
    }
}

#[test]
fn no_file_is_longer_than_600_lines() {
    hold(text::file_length);
}

#[test]
fn no_line_of_rust_is_wider_than_100_columns() {
    hold(text::line_width);
}

#[test]
fn no_tab_and_no_trailing_space_stands_in_a_file() {
    hold(text::white_space);
}

#[test]
fn nothing_is_left_for_later_in_a_comment() {
    hold(text::notes_for_later);
}

#[test]
fn no_file_names_a_package_registry() {
    hold(text::registry_hosts);
}

#[test]
fn each_markdown_file_has_one_title() {
    hold(text::markdown_titles);
}

#[test]
fn no_function_is_longer_than_70_lines() {
    hold(rust::function_length);
}

#[test]
fn unsafe_code_stands_only_in_the_reactor_and_the_mask() {
    hold(rust::unsafe_code);
}

#[test]
fn only_the_reactor_names_the_executor() {
    hold(rust::executor);
}

#[test]
fn an_ignored_test_says_why() {
    hold(rust::ignored_tests);
}

#[test]
fn no_exception_is_made_from_a_group_of_lints() {
    hold(rust::catch_all_exceptions);
}

#[test]
fn tests_wait_for_conditions_and_do_not_sleep() {
    hold(rust::sleeping_tests);
}

#[test]
fn each_crate_says_first_what_it_is_for() {
    hold(rust::crate_docs);
}

#[test]
fn crates_depend_only_in_the_agreed_direction() {
    hold(workspace::dependency_direction);
}

#[test]
fn only_agreed_names_stand_at_the_top() {
    let names = layout::top_level_names(&files::root()).expect("the repository can be read");
    report(&layout::top_level(&names));
}
