//! Forms of a target, and its authority.

use super::*;

fn with_host(host: &str) -> Result<RequestHead, HeadError> {
    parse(format!("GET /m HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

/// The text of the target of a GET.
fn target_of(target: &str) -> Result<String, HeadError> {
    let bytes = format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    parse(&bytes).map(|head| match head.form {
        Form::Origin(span) => String::from_utf8(span.of(bytes.as_bytes()).to_vec()).unwrap(),
        Form::Asterisk => "asterisk".into(),
    })
}

#[test]
fn an_absolute_target_that_equals_host_is_its_path() {
    for (target, path) in [
        ("http://gateway.test/m/v1/models?a=b", "/m/v1/models?a=b"),
        ("HTTPS://Gateway.Test/m", "/m"),
        ("http://gateway.test/", "/"),
        ("http://gateway.test", "/"),
        ("http://gateway.test//x", "//x"),
        ("/http://other/x", "/http://other/x"),
    ] {
        assert_eq!(target_of(target).as_deref(), Ok(path), "{target}");
    }
}

#[test]
fn an_absolute_target_that_differs_from_host_is_refused() {
    for target in [
        "http://other.test/m",
        "http://gateway.test:80/m",
        "http://a@gateway.test/m",
        "http://gateway.test@other/m",
        "http:///m",
        "http://gateway.test\\@x/m",
    ] {
        assert_eq!(target_of(target), Err(HeadError::AuthorityMismatch), "{target}");
    }
}

#[test]
fn every_other_form_of_target_is_refused() {
    for target in [
        "m/x",
        "*",
        "gateway.test:443",
        "\\m",
        "ftp://gateway.test/m",
        "://gateway.test/m",
        "http:/gateway.test/m",
        "http:gateway.test",
        "?x",
        "#x",
        "http://gateway.test?x=1",
        "http://gateway.test#/m",
        "//gateway.test/m\\",
        "**",
    ] {
        // A path with two slashes has the right form; the target's own parser refuses it.
        let expected =
            if target.starts_with('/') { Ok(target) } else { Err(&HeadError::TargetForm) };
        assert_eq!(target_of(target).as_deref(), expected, "{target}");
    }
}

#[test]
fn the_asterisk_belongs_to_options_alone() {
    assert_eq!(line("OPTIONS * HTTP/1.1").unwrap().form, Form::Asterisk);
    assert_eq!(line("OPTIONS http://gateway.test HTTP/1.1").unwrap().form, Form::Asterisk);
    assert_eq!(line("GET * HTTP/1.1").unwrap_err(), HeadError::TargetForm);
    assert!(matches!(line("OPTIONS /m HTTP/1.1").unwrap().form, Form::Origin(_)));
}

#[test]
fn host_stands_exactly_once() {
    for version in ["1.0", "1.1"] {
        let none = parse(format!("GET / HTTP/{version}\r\nX: y\r\n\r\n"));
        assert_eq!(none.unwrap_err(), HeadError::MissingHost);
    }
    let two = post("Host: gateway.test\r\n").unwrap_err();
    assert_eq!((two, two.is_ambiguous()), (HeadError::RepeatedHost, true));
}

#[test]
fn host_is_one_authority() {
    assert!(with_host("[::1]:8080").is_ok());
    for host in [
        "",
        "a@gateway.test",
        "gateway.test/m/v1/models?x=",
        "gateway.test#",
        "gateway.test?",
        "a, b",
        "gateway.test:99999",
        "gateway.test:",
        "gateway.test:x",
        "[::1",
        "::1",
        "a\\b",
        "a b",
    ] {
        assert_eq!(with_host(host).unwrap_err(), HeadError::BadHost, "{host}");
    }
}
