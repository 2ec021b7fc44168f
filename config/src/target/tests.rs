use proptest::prelude::*;

use super::{Target, TargetError};

fn parse(text: &str) -> Target {
    Target::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> TargetError {
    match Target::parse(text.as_bytes()) {
        Ok(target) => panic!("{text} was read as {target:?}"),
        Err(error) => error,
    }
}

#[test]
fn a_target_falls_into_connection_path_and_query() {
    let target = parse("/llama/v1/chat/completions?a=1&b=2");
    assert_eq!(target.connection(), "llama");
    assert_eq!(target.path(), "/v1/chat/completions");
    assert_eq!(target.query(), Some("a=1&b=2"));
    assert_eq!(target.forwarded(), "/v1/chat/completions?a=1&b=2");
}

#[test]
fn a_connection_alone_has_the_path_of_its_root() {
    for text in ["/llama", "/llama/"] {
        assert_eq!(parse(text).path(), "/", "{text}");
        assert_eq!(parse(text).connection(), "llama", "{text}");
    }
    assert_eq!(parse("/llama?x").forwarded(), "/?x");
    assert_eq!(parse("/").connection(), "");
    assert_eq!(parse("/").path(), "/");
}

#[test]
fn a_trailing_slash_makes_another_path() {
    assert_eq!(parse("/m/v1/models/").path(), "/v1/models/");
    assert_ne!(parse("/m/v1/models/"), parse("/m/v1/models"));
}

#[test]
fn escapes_are_decoded_for_the_catalogue_and_forwarded_as_they_came() {
    let target = parse("/m/v1/models/a%20b+%c3%A9%3A");
    assert_eq!(target.path(), "/v1/models/a%20b+%c3%A9%3A");
    assert_eq!(target.decoded_path(), "/v1/models/a b+é:");
}

#[test]
fn an_escaped_letter_does_not_name_a_connection() {
    assert_eq!(parse("/%6d/v1/models").connection(), "%6d");
    assert_eq!(parse("/M/v1/models").connection(), "M");
}

#[test]
fn parameters_are_decoded_in_order() {
    let target = parse("/m/x?a=1+2&&flag&b=%3d%26&a=");
    let parameters: Vec<(String, String)> =
        target.parameters().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let expected = [("a", "1 2"), ("flag", ""), ("b", "=&"), ("a", "")];
    assert_eq!(parameters, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn a_question_mark_alone_is_an_empty_query() {
    assert_eq!(parse("/m/x?").query(), Some(""));
    assert_eq!(parse("/m/x?").forwarded(), "/x?");
    assert_eq!(parse("/m/x?a=b?c").query(), Some("a=b?c"));
}

#[test]
fn other_forms_than_a_path_are_refused() {
    for text in ["", "*", "m/x", "http://gateway/m/x", "gateway:443", "\\m", "?x"] {
        assert_eq!(error(text), TargetError::Form, "{text}");
    }
}

#[test]
fn a_fragment_is_refused() {
    assert_eq!(error("/m/x#y"), TargetError::Fragment);
    assert_eq!(error("/m/x?y#"), TargetError::Fragment);
}

#[test]
fn a_character_that_must_be_escaped_is_refused() {
    for text in ["/m/a b", "/m/\u{7f}", "/m/é", "/m/\"", "/m/<", "/m/a|b", "/m/[x]", "/m/x?a b"] {
        assert_eq!(error(text), TargetError::Character, "{text}");
    }
    assert_eq!(Target::parse(b"/m/\xff"), Err(TargetError::Character));
    assert_eq!(Target::parse(b"/m/a\0b"), Err(TargetError::Character));
    assert_eq!(Target::parse(b"/m/a\r\nb"), Err(TargetError::Character));
}

#[test]
fn a_query_keeps_brackets_and_quotes() {
    assert_eq!(parse("/m/x?a[]={\"b\"}|^").query(), Some("a[]={\"b\"}|^"));
}

#[test]
fn a_backslash_is_refused() {
    assert_eq!(error("/m\\..\\x"), TargetError::Backslash);
    assert_eq!(error("/m/a\\b"), TargetError::Backslash);
}

#[test]
fn a_matrix_parameter_is_refused() {
    assert_eq!(error("/m;x/../y"), TargetError::MatrixParameter);
    assert_eq!(error("/m/v1/models;jsessionid=1"), TargetError::MatrixParameter);
}

#[test]
fn a_bad_escape_is_refused() {
    for text in ["/m/%", "/m/%4", "/m/%zz", "/m/%4g", "/m/%+1", "/m/x?%", "/m/x?a=%f", "/%u0041"] {
        assert_eq!(error(text), TargetError::Escape, "{text}");
    }
}

#[test]
fn an_escaped_delimiter_is_refused() {
    for text in [
        "/m/a%2fb",
        "/m/a%2Fb",
        "/m/%5c",
        "/m/%5C",
        "/m/%2e%2e/x",
        "/m/%2E/x",
        "/m/.%2e/x",
        "/m/%252e",
        "/m/a%25",
        "/m/a%3bb",
        "/m/a%3Fb",
        "/m/a%23b",
        "/m%2fx",
    ] {
        assert_eq!(error(text), TargetError::EscapedDelimiter, "{text}");
    }
}

#[test]
fn an_escaped_control_character_is_refused() {
    for text in ["/m/%00", "/m/%0d%0a", "/m/%1F", "/m/%7f", "/m/%09"] {
        assert_eq!(error(text), TargetError::EscapedControl, "{text}");
    }
}

#[test]
fn escapes_that_are_not_utf_8_are_refused() {
    for text in ["/m/%ff", "/m/%c3", "/m/%c0%af", "/m/x?a=%ff", "/m/x?%c3=%a9"] {
        assert_eq!(error(text), TargetError::Encoding, "{text}");
    }
}

#[test]
fn a_dot_segment_is_refused() {
    for text in ["/m/../x", "/m/./x", "/m/x/..", "/m/x/.", "/..", "/./m", "/../m/x"] {
        assert_eq!(error(text), TargetError::DotSegment, "{text}");
    }
    assert_eq!(parse("/m/...").path(), "/...");
    assert_eq!(parse("/m/.well-known").path(), "/.well-known");
}

#[test]
fn an_empty_segment_before_the_end_is_refused() {
    for text in ["//", "//m/x", "/m//x", "/m//", "/m/x//", "/m/v1//models"] {
        assert_eq!(error(text), TargetError::EmptySegment, "{text}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Target::parse(&bytes);
    }

    #[test]
    fn what_is_accepted_has_one_reading(
        text in concat!(
             "/[a-c.%/;\\\\]{0,6}",
             "(/|%2[fFeE5]|\\.|[a-zA-Z0-9~+:@]|%[0-9a-fA-F]{2}|;|\\\\){0,20}(\\?[ -~]{0,12})?",
         )
    ) {
        let Ok(target) = Target::parse(text.as_bytes()) else { return Ok(()) };
        let raw_path = text.split('?').next().unwrap();
        let slashes = |text: &str| text.matches('/').count();

        let decoded: Vec<&str> = target.decoded_path().split('/').skip(1).collect();
        for (index, segment) in decoded.iter().enumerate() {
            prop_assert!(!matches!(*segment, "." | ".."), "dot segment in {decoded:?}");
            prop_assert!(!segment.is_empty() || index + 1 == decoded.len(), "{decoded:?}");
            prop_assert!(!segment.contains(['\\', '%', ';', '?', '#']), "{decoded:?}");
        }
        prop_assert_eq!(slashes(target.path()), slashes(target.decoded_path()));
        let root = usize::from(slashes(raw_path) == 1);
        prop_assert_eq!(slashes(target.path()) + 1, slashes(raw_path) + root);

        let again = format!("/{}{}", target.connection(), target.forwarded());
        if !target.connection().is_empty() {
            prop_assert_eq!(Target::parse(again.as_bytes()), Ok(target.clone()));
        }
        prop_assert!(text.ends_with(target.forwarded()) || target.path() == "/");
        for (name, value) in target.parameters() {
            prop_assert!(name.len() + value.len() <= text.len());
        }
    }
}
