use super::*;
use crate::diagnostics::Diagnostic;

fn parsed(text: &str) -> (Vec<Node>, Vec<Diagnostic>) {
    let problems = Problems::of("a.yaml");
    let nodes = parse(text, &problems);
    (nodes, problems.into_sorted())
}

fn accepted(text: &str) -> Vec<Node> {
    let (nodes, problems) = parsed(text);
    assert_eq!(problems, [], "{text:?}");
    nodes
}

/// Line, column and message of every problem.
fn refused(text: &str) -> Vec<(u32, u32, String)> {
    parsed(text).1.into_iter().map(|found| (found.line, found.column, found.message)).collect()
}

fn one(line: u32, column: u32, message: &str) -> Vec<(u32, u32, String)> {
    vec![(line, column, message.to_owned())]
}

fn entries(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Mapping(entries) => entries,
        other => panic!("not a mapping: {other:?}"),
    }
}

#[test]
fn nodes_know_their_lines_and_columns_in_characters() {
    let nodes = accepted("# ä\nä: {ö: [1, \"x\"]}\n");
    let entry = &entries(&nodes[0])[0];
    assert_eq!((entry.position.line, entry.position.column), (2, 1));
    let inner = &entries(&entry.value)[0];
    assert_eq!((inner.position.line, inner.position.column), (2, 5));
    let Value::Sequence(items) = &inner.value.value else { panic!("not a list") };
    assert_eq!((items[1].position.line, items[1].position.column), (2, 12));
}

#[test]
fn a_quoted_scalar_is_text_whatever_it_looks_like() {
    let nodes = accepted("[1, \"1\", '1', true, \"true\", |\n  1\n]");
    let Value::Sequence(items) = &nodes[0].value else { panic!("not a list") };
    let types: Vec<_> = items.iter().map(Node::describe).collect();
    assert_eq!(types, ["an integer", "text", "text", "true or false", "text", "text"]);
}

#[test]
fn documents_are_separated_and_empty_ones_skipped() {
    let nodes = accepted("---\n---\na: 1\n...\n---\n# only a comment\n---\nb: 1\n---\n");
    let lines: Vec<_> = nodes.iter().map(|node| node.position.line).collect();
    assert_eq!(lines, [3, 8]);
    assert_eq!(accepted(""), []);
    assert_eq!(accepted("# nothing\n"), []);
}

#[test]
fn json_is_yaml() {
    let nodes = accepted("{\"a\": [1, true, null, \"x\\u00e9\\n\"],\n\t\"b\":{}}");
    let entries = entries(&nodes[0]);
    assert_eq!(entries.len(), 2);
    let Value::Sequence(items) = &entries[0].value.value else { panic!("not a list") };
    assert_eq!(items[3].resolved(), Some(Resolved::Text("xé\n")));
    assert_eq!(items[2].resolved(), Some(Resolved::Null));
}

#[test]
fn a_byte_order_mark_and_crlf_are_taken() {
    let nodes = accepted("\u{feff}a: x\r\nb: y\r\n");
    let entries = entries(&nodes[0]);
    assert_eq!(entries[1].position, Position { line: 2, column: 1 });
    assert_eq!(entries[0].value.resolved(), Some(Resolved::Text("x")));
}

#[test]
fn a_duplicate_key_is_refused_and_names_the_first() {
    let (_, problems) = parsed("a: 1\nb:\n  c: 1\n  \"c\": 2\n");
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].line, problems[0].column), (4, 3));
    assert_eq!(problems[0].message, "duplicate key `c`");
    assert_eq!(problems[0].hint.as_deref(), Some("it stands first at line 3, column 3"));
}

#[test]
fn equal_keys_of_different_mappings_are_no_duplicates() {
    accepted("a: {x: 1}\nb: {x: 1}\n---\na: 1\n");
}

#[test]
fn an_anchor_is_refused() {
    assert_eq!(refused("a: &x 1\n"), one(1, 4, "anchors are not accepted"));
    assert_eq!(refused("a: &x [1]\n"), one(1, 4, "anchors are not accepted"));
    assert_eq!(refused("&x\na: 1\n"), one(1, 1, "anchors are not accepted"));
    assert_eq!(refused("&x a: 1\n"), one(1, 1, "anchors are not accepted"));
}

#[test]
fn an_alias_is_refused_also_as_a_key_or_without_its_anchor() {
    let both = refused("a: &x 1\nb: *x\n*x : 1\n");
    let messages: Vec<_> =
        both.iter().map(|(line, column, text)| (*line, *column, &**text)).collect();
    let expected = [
        (1, 4, "anchors are not accepted"),
        (2, 4, "aliases are not accepted"),
        (3, 1, "aliases are not accepted"),
    ];
    assert_eq!(messages, expected);
    assert_eq!(refused("a: *nope\n"), one(1, 4, "aliases are not accepted"));
    assert_eq!(refused("operations: [*]\n")[0].0, 1);
}

#[test]
fn a_tag_is_refused() {
    assert_eq!(refused("a: !!str 1\n"), one(1, 4, "tags are not accepted"));
    assert_eq!(refused("a: !x [1]\n"), one(1, 4, "tags are not accepted"));
    assert_eq!(refused("a: !<tag:x> {b: 1}\n"), one(1, 4, "tags are not accepted"));
    assert_eq!(refused("a: !unknown!x 1\n"), one(1, 4, "tags are not accepted"));
}

#[test]
fn a_merge_key_is_refused_but_not_a_quoted_text() {
    assert_eq!(refused("<<: {a: 1}\n"), one(1, 1, "merge keys are not accepted"));
    accepted("\"<<\": 1\n");
}

#[test]
fn a_key_that_is_not_text_is_refused() {
    for text in
        ["1: x\n", "true: x\n", "null: x\n", "1.5: x\n", "~: x\n", "[a]: x\n", "{a: b}: x\n"]
    {
        assert_eq!(refused(text), one(1, 1, "a key must be text"), "{text:?}");
    }
    accepted("\"1\": x\nyes: y\n");
}

#[test]
fn the_deepest_nesting_is_32() {
    accepted(&format!("{}{}", "[".repeat(32), "]".repeat(32)));
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    assert_eq!(refused(&deep), one(1, 33, "nested deeper than 32 levels"));
    let blocks = "- ".repeat(33);
    assert_eq!(refused(&blocks), one(1, 65, "nested deeper than 32 levels"));
    let (_, column, message) = &refused(&"[".repeat(1 << 20))[0];
    assert!(*column > 32 && message == "nested deeper than 32 levels");
}

#[test]
fn a_source_beyond_4_mib_is_refused_unread() {
    let fits = format!("a: {}", "x".repeat(SOURCE_BYTES_MAX - 3));
    accepted(&fits);
    assert_eq!(refused(&format!("{fits}x")), one(1, 1, "larger than 4194304 bytes"));
}

#[test]
fn a_source_of_too_many_values_is_refused() {
    let text = format!("[{}]", "a,".repeat(NODES_MAX));
    let found = refused(&text);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].2, "more than 262144 keys and values");
}

#[test]
fn what_is_not_yaml_is_one_problem_and_no_document() {
    for (text, line, column) in [
        ("a: &x 1\nb: [1\n", 3, 1),
        ("a: 1\nb: \"x\n", 2, 4),
        ("a: b: c\n", 1, 5),
        ("a: 1\n\tb: 2\n", 1, 4),
        ("a: 'x' y\n", 1, 8),
        ("a: {b: 1\n", 2, 1),
        ("a\0b: 1\n", 1, 2),
    ] {
        let (nodes, problems) = parsed(text);
        assert_eq!(nodes, [], "{text:?}");
        assert_eq!(problems.len(), 1, "{text:?}");
        assert_eq!((problems[0].line, problems[0].column), (line, column), "{text:?}");
        assert!(problems[0].message.starts_with("not YAML: "), "{}", problems[0].message);
    }
}

#[test]
fn all_refusals_of_a_text_are_reported_at_once() {
    let found = refused("a: &x 1\na: 2\nb: !t c\n1: d\n---\ne: &y f\n");
    let lines: Vec<_> = found.iter().map(|(line, ..)| *line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 6]);
}
