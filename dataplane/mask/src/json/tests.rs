use proptest::prelude::*;

use super::*;

fn read(source: &[u8]) -> Result<Tree, JsonError> {
    let mut tree = Tree::default();
    while tree.read(source, 7)? == Read::More {}
    Ok(tree)
}

fn error(source: &str) -> JsonError {
    read(source.as_bytes()).unwrap_err()
}

#[test]
fn values_are_listed_with_their_places() {
    let source = br#" {"a": [1, "x", {"b":null}], "c\n":true} "#;
    let tree = read(source).unwrap();
    let kinds: Vec<_> = tree.nodes().iter().map(|node| node.kind).collect();
    assert_eq!(
        kinds,
        [
            Kind::Object,
            Kind::Array,
            Kind::Number,
            Kind::String,
            Kind::Object,
            Kind::Null,
            Kind::True
        ]
    );
    let (array, node) = tree.member(source, 0, "a").unwrap();
    assert_eq!(node.raw(source), br#"[1, "x", {"b":null}]"#);
    let positions: Vec<_> = tree.children(array).map(|(_, child)| child.position).collect();
    assert_eq!(positions, [0, 1, 2]);
    assert_eq!(tree.nodes()[3].inside(source), b"x");
    assert_eq!(tree.nodes()[6].raw_name(source), br"c\n");
    let (start, end) = tree.nodes()[6].name_place();
    assert_eq!(&source[start..end], br#""c\n""#);
}

#[test]
fn a_name_is_found_however_it_is_written() {
    let source = br#"{"\u0063ontent":"x"}"#;
    let tree = read(source).unwrap();
    assert!(tree.member(source, 0, "content").is_some());
}

#[test]
fn a_member_twice_is_refused_also_if_written_differently() {
    assert_eq!(error(r#"{"a":1,"b":2,"a":3}"#), JsonError::Duplicate);
    assert_eq!(error(r#"{"a":1,"\u0061":3}"#), JsonError::Duplicate);
    assert!(read(br#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
}

#[test]
fn half_a_character_is_refused() {
    for text in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\u0041""#] {
        assert_eq!(error(text), JsonError::Surrogate, "{text}");
    }
    assert_eq!(read(b"\"\xc3\"").unwrap_err(), JsonError::Encoding);
    assert_eq!(read(b"\"\xed\xa0\xbd\"").unwrap_err(), JsonError::Encoding);
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "{]",
        "[}",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "01",
        "1.",
        "-",
        "+1",
        "1e",
        ".5",
        "NaN",
        "nul",
        "truex",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\n\"",
        "1 2",
        "{} {}",
        "'a'",
        "[1 2]",
        "{\"a\" 1}",
        "\u{feff}{}",
        ",",
        "]",
    ] {
        assert_eq!(error(text), JsonError::Syntax, "{text}");
    }
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert_eq!(error(&nested(DEPTH_MAX + 1)), JsonError::TooDeep);
    let many = format!("[{}1]", "1,".repeat(VALUES_MAX));
    assert_eq!(error(&many), JsonError::TooMany);
}

#[test]
fn a_text_is_decoded_in_pieces_of_whole_characters() {
    let raw = "aé\\u00e9\\ud83d\\ude00\\n\\\"é".as_bytes();
    for bytes_max in 1..12 {
        let (mut at, mut text) = (0, Vec::new());
        while at < raw.len() {
            let before = text.len();
            at = decode(raw, at, bytes_max, &mut text);
            assert!(std::str::from_utf8(&text[before..]).is_ok());
        }
        assert_eq!(String::from_utf8(text).unwrap(), "aéé😀\n\"é");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(text: String) {
        let mut written = vec![b'"'];
        encode(text.as_bytes(), &mut written);
        written.push(b'"');
        prop_assert_eq!(serde_json::from_slice::<String>(&written).unwrap(), text.clone());
        let tree = read(&written).unwrap();
        let mut decoded = Vec::new();
        decode(tree.nodes()[0].inside(&written), 0, usize::MAX, &mut decoded);
        prop_assert_eq!(decoded, text.into_bytes());
    }

    #[test]
    fn it_accepts_what_another_strict_reader_accepts(
        text in "[\\[\\]{}\",:\\\\ue0-9a.\\- \u{e9}]{0,12}"
    ) {
        let other = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        let mine = read(text.as_bytes());
        let is_stricter = matches!(mine, Err(JsonError::Duplicate));
        // A number beyond what a double holds is JSON; the other reader refuses it.
        let is_large = text.contains(['e', 'E']);
        prop_assert!(mine.is_ok() == other || is_stricter || is_large, "{text}");
    }
}

#[test]
fn names_of_all_lengths_and_of_any_number_are_told_apart() {
    let names: Vec<String> = (0..40).map(|length| "a".repeat(length)).collect();
    let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":1")).collect();
    let object = |members: &[String]| format!("{{{}}}", members.join(","));
    assert!(read(object(&members).as_bytes()).is_ok());
    for count in [2, 15, 16, 17, 18, 40] {
        let mut members = members[..count].to_vec();
        members.push(members[count / 2].clone());
        assert_eq!(error(&object(&members)), JsonError::Duplicate, "{count}");
    }
}

#[test]
fn a_string_ends_where_it_ends_at_every_alignment() {
    for before in 0..20 {
        for (special, is_string) in [
            ("\\n", true),
            ("\\\"", true),
            ("é", true),
            ("\u{7f}", true),
            ("\n", false),
            ("\u{1f}", false),
        ] {
            let text = format!("\"{}{special}{}\"", "x".repeat(before), "y".repeat(9));
            assert_eq!(read(text.as_bytes()).is_ok(), is_string, "{text:?}");
            assert_eq!(error(&text[..text.len() - 1]), JsonError::Syntax);
        }
        let broken = [&b"\""[..], &b"x".repeat(before), b"\xc3", &b"y".repeat(9), b"\""].concat();
        assert_eq!(read(&broken).unwrap_err(), JsonError::Encoding);
    }
}
