use proptest::prelude::*;

use super::{Answer, Body, JsonError, KEYS_MAX, Read, Step, TOKENS_MAX, Test, Wanted};
use crate::glob::Glob;

fn wanted(reads: &[(&str, Test)]) -> Wanted {
    let mut wanted = Wanted::default();
    for (name, test) in reads {
        let steps = name.split('.').flat_map(|part| match part.strip_suffix("[]") {
            Some(key) => vec![Step::Key(key.to_owned()), Step::Each],
            None => vec![match part.strip_suffix('*') {
                Some(prefix) => Step::KeyPrefix(prefix.to_owned()),
                None => Step::Key(part.to_owned()),
            }],
        });
        let read = Read { name: (*name).to_owned(), steps: steps.collect(), test: test.clone() };
        wanted.add(read).unwrap();
    }
    wanted
}

fn text(globs: &[&str]) -> Test {
    Test::Text { globs: globs.iter().map(|glob| Glob::new(glob)).collect(), ignore_case: false }
}

fn parse(body: &str, reads: &[(&str, Test)]) -> Result<Body, JsonError> {
    Body::parse(body.as_bytes().to_vec(), &wanted(reads))
}

fn answer(body: &str, name: &str, test: Test) -> Answer {
    let body = parse(body, &[(name, test)]).unwrap_or_else(|error| panic!("{body}: {error}"));
    body.answer(0).unwrap().clone()
}

fn holds(body: &str, name: &str, test: Test) -> bool {
    let answer = answer(body, name, test);
    assert!(!answer.wrong_type, "{body} has a wrong type");
    answer.holds
}

fn wrong(body: &str, name: &str, test: Test) -> bool {
    answer(body, name, test).wrong_type
}

#[test]
fn a_name_is_found_by_its_unescaped_key() {
    let found = answer(r#"{"mod\u0065l":"tin\u0079"}"#, "model", Test::Name);
    assert_eq!(found.name.as_deref(), Some("tiny"));
}

#[test]
fn only_the_place_that_the_path_names_is_read() {
    let body = r#"{"messages":[{"model":"x"}],"options":{"model":"y"},"a.b":"z"}"#;
    assert_eq!(answer(body, "model", Test::Name).name, None);
    assert_eq!(answer(body, "options.model", Test::Name).name.as_deref(), Some("y"));
    assert!(!holds(body, "a.b", Test::Present));
}

#[test]
fn an_empty_or_null_name_is_none() {
    for body in [r#"{"model":""}"#, r#"{"model":null}"#, "{}"] {
        let found = answer(body, "model", Test::Name);
        assert_eq!((found.name, found.wrong_type), (None, false), "{body}");
    }
}

#[test]
fn a_name_that_is_no_text_or_has_two_readings_is_wrong() {
    let long = format!(r#"{{"model":"{}"}}"#, "x".repeat(1025));
    for body in [
        r#"{"model":1}"#,
        r#"{"model":["a"]}"#,
        r#"{"model":{"a":1}}"#,
        r#"{"model":true}"#,
        r#"{"model":" a"}"#,
        r#"{"model":"a\u00a0"}"#,
        r#"{"model":"a\u0000"}"#,
        &long,
    ] {
        assert!(wrong(body, "model", Test::Name), "{body}");
    }
}

#[test]
fn any_item_of_an_array_answers() {
    let body = r#"{"tools":[{"type":"function"},{"x":1},{"type":"mcp"}]}"#;
    assert!(holds(body, "tools[].type", text(&["mcp"])));
    assert!(!holds(body, "tools[].type", text(&["code_interpreter"])));
    let other = Test::OtherText { globs: vec![Glob::new("function")] };
    assert!(holds(body, "tools[].type", other.clone()));
    assert!(!holds(r#"{"tools":[{"type":"function"},{}]}"#, "tools[].type", other));
}

#[test]
fn a_place_of_another_type_than_the_path_is_wrong() {
    for body in [
        r#"{"tools":{"type":"mcp"}}"#,
        r#"{"tools":["mcp"]}"#,
        r#"{"tools":[[]]}"#,
        r#"{"tools":[{"type":1}]}"#,
        r#"{"tools":"mcp"}"#,
        "[]",
        "1",
        r#""x""#,
        "null",
    ] {
        assert!(wrong(body, "tools[].type", text(&["mcp"])), "{body}");
    }
    for body in [r#"{"tools":null}"#, r#"{"tools":[]}"#, r#"{"tools":[null]}"#] {
        assert!(!holds(body, "tools[].type", text(&["mcp"])), "{body}");
    }
}

#[test]
fn keys_are_found_by_their_beginning() {
    let body = r#"{"parameters":{"file:1/model.py":"aGk=","max":1}}"#;
    assert!(holds(body, "parameters.file:*", Test::Present));
    assert!(!holds(body, "parameters.dir:*", Test::Present));
    let body = parse(r#"{"parameters":{"FILE:x":1}}"#, &[("parameters.file:*", Test::Present)]);
    assert_eq!(body.unwrap().ambiguous(), Some("parameters.file:*"));
}

#[test]
fn filled_is_neither_missing_nor_empty() {
    for body in ["{}", r#"{"prompt":null}"#, r#"{"prompt":""}"#, r#"{"prompt":[]}"#] {
        assert!(!holds(body, "prompt", Test::Filled), "{body}");
    }
    for body in [r#"{"prompt":" "}"#, r#"{"prompt":[1]}"#, r#"{"prompt":{}}"#] {
        assert!(holds(body, "prompt", Test::Filled), "{body}");
    }
}

#[test]
fn only_a_boolean_is_true() {
    assert!(holds(r#"{"background":true}"#, "background", Test::True));
    assert!(!holds(r#"{"background":false}"#, "background", Test::True));
    for body in [r#"{"background":"true"}"#, r#"{"background":1}"#] {
        assert!(wrong(body, "background", Test::True), "{body}");
    }
}

#[test]
fn times_are_zero_negative_or_neither() {
    for (value, zero, negative) in [
        ("0", true, false),
        ("-0", true, false),
        ("0.0", true, false),
        ("\"0s\"", true, false),
        ("-1", false, true),
        ("\"-1m\"", false, true),
        ("300", false, false),
        ("\"5m\"", false, false),
        ("null", false, false),
        ("1e30", true, false),
    ] {
        let body = format!(r#"{{"keep_alive":{value}}}"#);
        assert_eq!(holds(&body, "keep_alive", Test::ZeroTime), zero, "{value}");
        assert_eq!(holds(&body, "keep_alive", Test::NegativeTime), negative, "{value}");
    }
    for value in ["true", "[]", "{}", "\"soon\""] {
        let body = format!(r#"{{"keep_alive":{value}}}"#);
        assert!(wrong(&body, "keep_alive", Test::ZeroTime), "{value}");
    }
}

#[test]
fn a_key_that_stands_twice_is_refused_at_every_level() {
    for body in [
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":"a","mod\u0065l":"b"}"#,
        r#"{"x":{"a":1,"a":2}}"#,
        r#"[{"x":[{"a":1,"b":2,"a":3}]}]"#,
        r#"{"":1,"":2}"#,
        r#"{"a":{"b":1},"c":2,"a":3}"#,
    ] {
        assert_eq!(parse(body, &[]).unwrap_err(), JsonError::DuplicateKey, "{body}");
    }
    let many: Vec<String> = (0..200).map(|key| format!("\"k{key}\":0")).collect();
    let once = format!("{{{}}}", many.join(","));
    assert!(parse(&once, &[]).is_ok());
    let twice = format!("{{{},\"k7\":1}}", many.join(","));
    assert_eq!(parse(&twice, &[]).unwrap_err(), JsonError::DuplicateKey);
    let cased = format!("{{{},\"K7\":1}}", many.join(","));
    assert!(parse(&cased, &[]).is_ok());
    let read = [("model", Test::Name)];
    assert_eq!(parse(&cased, &read).unwrap_err(), JsonError::DuplicateKey);
}

#[test]
fn keys_that_differ_in_case_alone_are_refused_where_a_decision_reads() {
    let body = r#"{"Foo":1,"foo":2,"options":{"A":1,"a":2}}"#;
    assert!(parse(body, &[]).is_ok());
    assert_eq!(parse(body, &[("model", Test::Name)]).unwrap_err(), JsonError::DuplicateKey);
    let body = r#"{"options":{"A":1,"a":2}}"#;
    assert!(parse(body, &[("model", Test::Name)]).is_ok());
}

#[test]
fn a_key_that_a_go_server_would_fold_is_ambiguous() {
    for key in ["Model", "MODEL", "mODEL", "mod\\u0045l"] {
        let body = parse(&format!(r#"{{"{key}":"x"}}"#), &[("model", Test::Name)]).unwrap();
        assert_eq!(body.ambiguous(), Some("model"), "{key}");
    }
    for key in ["\u{212a}eep_alive", "keep_ALIVE"] {
        let read = [("keep_alive", Test::ZeroTime)];
        assert!(parse(&format!(r#"{{"{key}":0}}"#), &read).unwrap().ambiguous().is_some(), "{key}");
    }
    let body = parse("{\"me\u{17f}\u{17f}ages\":[]}", &[("messages", Test::Filled)]).unwrap();
    assert_eq!(body.ambiguous(), Some("messages"));
    let body = parse(r#"{"x":{"Model":"x"},"models":1}"#, &[("model", Test::Name)]).unwrap();
    assert_eq!(body.ambiguous(), None);
}

#[test]
fn what_is_not_one_document_is_refused() {
    for body in [
        "",
        " ",
        "{",
        "}",
        "{}{}",
        "{} {}",
        "{}x",
        "[1,]",
        "{\"a\":1,}",
        "{'a':1}",
        "{a:1}",
        "nul",
        "01",
        "1.",
        ".5",
        "+1",
        "NaN",
        "[1 2]",
        "{\"a\" 1}",
        "\u{feff}{}",
        "// x\n{}",
        "{}\0",
        "\"\\x41\"",
        "\"a",
        "\"\t\"",
        "\"\\ud800\"",
    ] {
        assert_eq!(parse(body, &[]).unwrap_err(), JsonError::Syntax, "{body}");
    }
    for body in [&b"\"\xff\""[..], b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}", b"\"\xed\xa0\x80\""] {
        let error = Body::parse(body.to_vec(), &Wanted::default()).unwrap_err();
        assert_eq!(error, JsonError::Syntax, "{body:?}");
    }
}

#[test]
fn any_value_may_stand_at_the_top_when_nothing_is_read() {
    for body in ["{}", "[]", "1", "\"x\"", "null", " \r\n\t{\"a\":[]} "] {
        assert!(parse(body, &[]).is_ok(), "{body}");
    }
}

#[test]
fn nesting_ends_at_64_levels() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse(&nested(64), &[]).is_ok());
    assert_eq!(parse(&nested(65), &[]).unwrap_err(), JsonError::Depth);
    assert_eq!(parse(&"[".repeat(1_000_000), &[]).unwrap_err(), JsonError::Depth);
    let objects = format!("{}1{}", "{\"a\":".repeat(65), "}".repeat(65));
    assert_eq!(parse(&objects, &[]).unwrap_err(), JsonError::Depth);
}

#[test]
fn large_integers_pass_and_numbers_beyond_a_double_do_not() {
    for number in ["18446744073709551616", "-9223372036854775809", "1e308", "-0", "1e-999999"] {
        assert!(parse(number, &[]).is_ok(), "{number}");
    }
    let digits = "9".repeat(300);
    assert!(parse(&digits, &[]).is_ok());
    for number in ["1e999999", "-1e309", &"9".repeat(400)] {
        assert_eq!(parse(number, &[]).unwrap_err(), JsonError::Syntax, "{number}");
    }
}

#[test]
fn a_key_is_found_at_any_depth() {
    let below = |body, globs: &[&str]| {
        let globs = globs.iter().map(|glob| Glob::new(glob)).collect();
        let test = Test::Below { key: "type".to_owned(), globs };
        let wanted = {
            let mut wanted = Wanted::default();
            wanted.add(Read { name: "type".to_owned(), steps: Vec::new(), test }).unwrap();
            wanted
        };
        let body = Body::parse(Vec::from(body), &wanted).unwrap();
        assert_eq!(body.ambiguous(), None);
        assert!(!body.answer(0).unwrap().wrong_type);
        body.answer(0).unwrap().holds
    };
    for body in [r#"{"type":"a"}"#, r#"[[{"x":[{"typ\u0065":{}}]}]]"#, r#"{"x":{"type":false}}"#] {
        assert!(below(body, &[]), "{body}");
    }
    for body in ["1", r#""type""#, r#"["type"]"#, r#"{"x":"type","Type":1,"type":null}"#] {
        assert!(!below(body, &[]), "{body}");
    }
    assert!(below(r#"[{"type":"x"},{"type":"an_embed"},{"type":"y"}]"#, &["z", "*_embed"]));
    for body in [r#"{"type":["an_embed"]}"#, r#"{"type":"x"}"#, r#"{"a":"an_embed"}"#] {
        assert!(!below(body, &["*_embed"]), "{body}");
    }
}

fn object(keys: impl Iterator<Item = String>) -> String {
    let members: Vec<String> = keys.map(|key| format!("\"{key}\":0")).collect();
    format!("{{{}}}", members.join(","))
}

#[test]
fn an_object_has_at_most_4096_keys() {
    let keys = |count: usize| object((0..count).map(|index| format!("k{index}")));
    for reads in [&[][..], &[("model", Test::Name)]] {
        assert!(parse(&keys(KEYS_MAX), reads).is_ok());
        assert_eq!(parse(&keys(KEYS_MAX + 1), reads).unwrap_err(), JsonError::TooMany);
        let nested = format!("[{{\"a\":{}}}]", keys(KEYS_MAX + 1));
        assert_eq!(parse(&nested, &[]).unwrap_err(), JsonError::TooMany);
    }
}

#[test]
fn a_body_has_at_most_as_many_tokens_as_are_allowed() {
    // A bracket, and a value and a comma or bracket for each value.
    let zeros = |count: usize| format!("[0{}]", ",0".repeat(count - 1));
    let count = (TOKENS_MAX - 1) / 2;
    assert!(parse(&zeros(count), &[]).is_ok());
    assert_eq!(parse(&zeros(count + 1), &[]).unwrap_err(), JsonError::TooMany);
    for hostile in ["{},", "[],", "\"\",", "0 ", "\"\" ", "x\n", ":", "{\"\":0},"] {
        let body = format!("[{}", hostile.repeat(TOKENS_MAX));
        assert_eq!(parse(&body, &[]).unwrap_err(), JsonError::TooMany, "{hostile}");
    }
    let hostile = "\\\"".repeat(TOKENS_MAX);
    assert_eq!(parse(&hostile, &[]).unwrap_err(), JsonError::Syntax);
}

#[test]
fn punctuation_inside_a_text_counts_for_nothing() {
    for piece in ["{}[]:, 0", "\\\",0,\\\\", "\\\\\\\"[", "\u{e9},"] {
        let body = format!("{{\"model\":\"{}\"}}", piece.repeat(TOKENS_MAX / 2));
        assert!(body.len() > TOKENS_MAX);
        assert!(parse(&body, &[]).is_ok(), "{piece}");
    }
}

#[test]
fn long_keys_and_many_keys_are_compared_as_few_and_short_ones() {
    let long = "x".repeat(200);
    for (reads, folded) in [(&[][..], false), (&[("model", Test::Name)], true)] {
        for (one, other, differ_in_case) in [
            (format!("{long}k"), format!("{long}k"), false),
            (format!("{long}k"), format!("{long}K"), true),
            (format!("{long}k"), format!("{long}\u{212a}"), true),
            (format!("{}\u{17f}", &long[..63]), format!("{}S", &long[..63]), true),
            (format!("\u{212a}{long}"), format!("k{long}"), true),
        ] {
            for others in [0, 1, 40] {
                let keys = (0..others).map(|index| format!("{long}{index}"));
                let keys = keys.chain([one.clone(), other.clone()]);
                let refused = parse(&object(keys), reads).err();
                let expected = !differ_in_case || folded;
                let expected = expected.then_some(JsonError::DuplicateKey);
                assert_eq!(refused, expected, "{one} {other} {others}");
            }
        }
        let keys = (0..40).map(|index| format!("{long}{index}"));
        assert!(parse(&object(keys), reads).is_ok());
    }
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i32>().prop_map(|n| n.to_string()),
        "[ -9;-~é\\n]{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|v| format!("[{}]", v.join(","))),
            prop::collection::vec(("[a-cA-C]", inner), 0..4).prop_map(|members| {
                let members = members.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// Members as they stand in the text; texts here hold no colon.
fn members(text: &str) -> usize {
    text.matches("\":").count()
}

/// Members that are left when of equal keys only one counts.
fn distinct(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Object(map) => map.len() + map.values().map(distinct).sum::<usize>(),
        serde_json::Value::Array(items) => items.iter().map(distinct).sum(),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..96)) {
        let _ = Body::parse(bytes, &wanted(&[("model", Test::Name)]));
    }

    #[test]
    fn what_is_accepted_another_parser_accepts(
        body in "[\\[\\]{}:,\"a1\\\\ue0 .+tnl-]{0,24}"
    ) {
        if parse(&body, &[]).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{}", body);
        }
    }

    #[test]
    fn documents_are_accepted_exactly_when_no_key_stands_twice(body in json()) {
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        let twice = distinct(&value) < members(&body);
        prop_assert_eq!(parse(&body, &[]).err(), twice.then_some(JsonError::DuplicateKey));
    }
}
