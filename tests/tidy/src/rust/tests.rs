//! Each law on Rust, shown red on a sample.

use super::*;

type Law = fn(&[TextFile]) -> Vec<Breach>;

fn broken(law: Law, path: &str, text: &str) -> bool {
    !law(&[TextFile::new(path, text)]).is_empty()
}

fn function_of(lines: usize) -> String {
    format!("fn long() {{\n{}}}\n", "    work();\n".repeat(lines - 2))
}

#[test]
fn a_function_of_71_lines_is_too_long_and_one_of_70_is_not() {
    assert!(broken(function_length, "a.rs", &function_of(71)));
    assert!(!broken(function_length, "a.rs", &function_of(70)));
}

#[test]
fn a_long_function_is_excused_only_with_a_reason() {
    let with = |attribute: &str| format!("{attribute}\n{}", function_of(71));
    let reason = "#[expect(clippy::too_many_lines, reason = \"one table\")]";
    assert!(!broken(function_length, "a.rs", &with(reason)));
    assert!(broken(function_length, "a.rs", &with("#[expect(clippy::too_many_lines)]")));
    assert!(broken(
        function_length,
        "a.rs",
        &format!("{reason}\nfn a() {{}}\n\n{}", function_of(71))
    ));
}

#[test]
fn unsafe_code_is_seen_outside_its_folders_but_not_in_a_comment() {
    let text = "fn f() { unsafe { g() } }\n";
    assert!(broken(unsafe_code, "dataplane/gateway/src/a.rs", text));
    assert!(!broken(unsafe_code, "dataplane/reactor/src/a.rs", text));
    assert!(!broken(unsafe_code, "config/src/a.rs", "// unsafe\nlet a = \"unsafe\";\n"));
}

#[test]
fn the_executor_is_named_only_by_the_reactor() {
    assert!(broken(executor, "dataplane/gateway/src/a.rs", "use glommio::net;\n"));
    assert!(!broken(executor, "dataplane/reactor/src/a.rs", "use glommio::net;\n"));
}

#[test]
fn a_test_that_is_ignored_without_a_reason_is_seen() {
    assert!(broken(ignored_tests, "a.rs", "#[ignore]\nfn a() {}\n"));
    assert!(!broken(ignored_tests, "a.rs", "#[ignore = \"needs two machines\"]\nfn a() {}\n"));
}

#[test]
fn an_exception_from_a_group_of_lints_is_seen() {
    assert!(broken(catch_all_exceptions, "a.rs", "#![allow(clippy::all)]\n"));
    assert!(broken(catch_all_exceptions, "a.rs", "#[expect(dead_code, unused)]\n"));
    assert!(!broken(catch_all_exceptions, "a.rs", "#[expect(clippy::unwrap_used)]\n"));
}

#[test]
fn a_test_that_sleeps_is_seen_unless_a_reason_stands_beside_it() {
    let call = "std::thread::sleep(pause);\n";
    assert!(broken(sleeping_tests, "tests/harness/src/a.rs", call));
    assert!(broken(sleeping_tests, "loadtest/tests/a.rs", call));
    assert!(broken(
        sleeping_tests,
        "config/src/a.rs",
        &format!("#[cfg(test)]\nmod t {{\n{call}}}\n")
    ));
    assert!(!broken(sleeping_tests, "config/src/a.rs", call));
    let beside = format!("#[cfg(test)]\nmod tests;\n{call}");
    assert!(!broken(sleeping_tests, "config/src/a.rs", &beside));
    let excused = format!("// tidy: between two looks at a condition\n{call}");
    assert!(!broken(sleeping_tests, "tests/harness/src/a.rs", &excused));
    assert!(broken(sleeping_tests, "tests/harness/src/a.rs", &format!("// tidy: \n{call}")));
}

#[test]
fn a_crate_without_a_sentence_on_its_first_line_is_seen() {
    assert!(broken(crate_docs, "a/src/lib.rs", "//! penstock-a\n"));
    assert!(broken(crate_docs, "a/src/main.rs", "fn main() {}\n"));
    assert!(!broken(crate_docs, "a/src/lib.rs", "//! Bytes come in; spans go out.\n"));
}
