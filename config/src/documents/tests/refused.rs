use super::*;

/// Asserts the only problem of a document that got one more line or another value.
fn assert_refused(text: &str, expected: &str) {
    assert_eq!(problems(text), [expected], "{text}");
}

#[test]
fn a_document_that_is_no_mapping_is_refused() {
    assert_refused("- a\n", "1:1: expected a mapping, found a list");
    assert_refused("text\n", "1:1: expected a mapping, found text");
    assert_refused("--- 7\n", "1:5: expected a mapping, found an integer");
}

#[test]
fn a_document_without_kind_or_name_is_refused() {
    assert_refused("name: x\n", "1:1: missing key `kind`");
    assert_refused(
        "# c\nkind: role\nrole: user\nsubjects: [{users: [a]}]\n",
        "2:1: missing key `name`",
    );
}

#[test]
fn an_unknown_kind_lists_the_kinds() {
    assert_refused("kind: banana\nname: x\n", "1:7: unknown value `banana`");
    let kinds = format!("one of: {}", Document::KINDS.join(", "));
    assert_eq!(hint("kind: banana\nname: x\n"), kinds);
    assert_eq!(hint("kind: isuer\nname: x\n"), "did you mean `issuer`?");
}

#[test]
fn a_guard_is_not_in_this_version() {
    assert_refused("kind: guard\nname: x\n", "1:7: `guard` is not in this version");
    assert!(hint("kind: guard\nname: x\n").starts_with("one of: issuer, connection, rule, role"));
}

#[test]
fn an_unknown_key_names_the_nearest_or_lists_the_keys() {
    let near = format!("{ALLOW}modles: [\"*\"]\n");
    assert_refused(&near, "6:1: unknown key `modles`");
    assert_eq!(hint(&near), "did you mean `models`?");
    let far = format!("{ROLE}colour: red\n");
    assert_refused(&far, "5:1: unknown key `colour`");
    assert_eq!(hint(&far), "known keys: kind, name, role, subjects");
    let nested = format!("{CONNECTION}credential: {{secret: a, scheme: raw, value: b}}\n");
    assert_refused(&nested, "6:38: unknown key `value`");
}

#[test]
fn keys_that_nothing_enforces_yet_are_not_in_this_version() {
    let recording = format!("{CONNECTION}recording: buffered\n");
    assert_refused(&recording, "6:1: `recording` is not in this version");
    for protocol in ["sglang", "anthropic", "tgi", "triton", "kserve", "torchserve", "localai"] {
        let text = CONNECTION.replace("llamacpp", protocol);
        assert_refused(&text, &format!("3:11: `{protocol}` is not in this version"));
    }
    for protocol in ["lmdeploy", "mlflow", "nim", "router"] {
        let text = CONNECTION.replace("llamacpp", protocol);
        assert_refused(&text, &format!("3:11: `{protocol}` is not in this version"));
    }
}

#[test]
fn an_unknown_protocol_lists_those_that_exist() {
    let text = CONNECTION.replace("llamacpp", "gopher");
    assert_refused(&text, "3:11: unknown value `gopher`");
    assert_eq!(hint(&text), "one of: openai, vllm, ollama, llamacpp, generic");
}

#[test]
fn a_wrong_type_says_what_was_expected_and_found() {
    let cases = [
        (
            CONNECTION.replace("version: b11434", "version: 11434"),
            "4:10: expected text, found an integer",
        ),
        (
            CONNECTION.replace("version: b11434", "version: 0.33"),
            "4:10: expected text, found a number",
        ),
        (CONNECTION.replace("version: b11434", "version:"), "4:8: expected text, found nothing"),
        (
            CONNECTION.replace("version: b11434", "version: [b]"),
            "4:10: expected text, found a list",
        ),
        (
            CONNECTION.replace("version: b11434", "version: {}"),
            "4:10: expected text, found a mapping",
        ),
        (ALLOW.replace("[list]", "list"), "5:13: expected a list, found text"),
        (ALLOW.replace("[list]", "[true]"), "5:14: expected text, found true or false"),
        (
            ALLOW.replace("[{groups: [engineers]}]", "[engineers]"),
            "4:12: expected a mapping, found text",
        ),
        (format!("{ISSUER}leeway_ms: \"5\"\n"), "5:12: expected an integer, found text"),
        (format!("{ISSUER}leeway_ms: 1.0\n"), "5:12: expected an integer, found a number"),
        (format!("{CONNECTION}limits: 5\n"), "6:9: expected a mapping, found an integer"),
    ];
    for (text, expected) in cases {
        assert_refused(&text, expected);
    }
    assert_eq!(hint(&CONNECTION.replace("version: b11434", "version: 11434")), "put it in quotes");
}

#[test]
fn every_missing_key_is_named_at_the_document() {
    assert_eq!(
        problems("---\nkind: issuer\nname: a\n"),
        ["2:1: missing key `issuer`", "2:1: missing key `audiences`"]
    );
    assert_eq!(
        problems("kind: connection\nname: a\n"),
        ["1:1: missing key `protocol`", "1:1: missing key `endpoints`"]
    );
    assert_refused("kind: rule\nname: a\n", "1:1: missing key `effect`");
    assert_eq!(
        problems("kind: rule\nname: a\neffect: allow\n"),
        ["1:1: missing key `subjects`", "1:1: missing key `operations`"]
    );
    assert_eq!(
        problems("kind: role\nname: a\n"),
        ["1:1: missing key `role`", "1:1: missing key `subjects`"]
    );
    assert_eq!(
        problems(&format!("{CONNECTION}credential: {{}}\n")),
        ["6:13: missing key `secret`", "6:13: missing key `scheme`"]
    );
}

#[test]
fn a_bad_name_is_refused_and_not_repeated() {
    for name in ["Llama", "-llama", "a_b", "\"\\u00e4\"", "\"a b\"", "a/b"] {
        let text = CONNECTION.replace("name: llama", &format!("name: {name}"));
        assert_refused(&text, "2:7: not a name");
    }
    let long = CONNECTION.replace("name: llama", &format!("name: {}", "a".repeat(64)));
    assert_refused(&long, "2:7: not a name");
    let number = CONNECTION.replace("name: llama", "name: 7");
    assert_refused(&number, "2:7: expected text, found an integer");
    let empty = CONNECTION.replace("name: llama", "name: \"\"");
    assert_refused(&empty, "2:7: empty text");
}

#[test]
fn a_duplicate_document_names_both_places_across_sources() {
    let second = Source { name: "dir/b.yaml".into(), text: format!("# c\n{ALLOW}") };
    let found = parse(&[source(ALLOW), second]).expect_err("a duplicate");
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].to_string(),
        "dir/b.yaml:3:7: duplicate rule `engineers`\n  hint: it stands first at a.yaml:2:7"
    );
}

#[test]
fn a_duplicate_is_found_also_where_the_first_has_another_problem() {
    let text = format!("{}---\n{ALLOW}", ALLOW.replace("[list]", "[]"));
    assert_eq!(problems(&text), ["5:13: an empty list", "8:7: duplicate rule `engineers`"]);
}

#[test]
fn an_issuer_is_reached_over_tls_or_on_this_machine() {
    for url in ["http://id.example.com", "http://127.0.0.2", "http://localhost.example.com"] {
        let text = ISSUER.replace("https://id.example.com", url);
        assert_refused(&text, "3:9: `http://` beyond this machine");
        let keys = format!("{ISSUER}jwks_uri: {url}/keys\n");
        assert_refused(&keys, "5:11: `http://` beyond this machine");
    }
    for url in ["id.example.com", "ftp://a", "https://u:p@id.example.com", "https://a/../b"] {
        let text = ISSUER.replace("https://id.example.com", url);
        assert_refused(&text, "3:9: not an address");
    }
    let query = ISSUER.replace("https://id.example.com", "https://id.example.com/?a=b");
    assert_refused(&query, "3:9: an issuer with a query");
}

#[test]
fn numbers_of_an_issuer_have_bounds() {
    assert_refused(&format!("{ISSUER}leeway_ms: 60001\n"), "5:12: out of range");
    assert_refused(&format!("{ISSUER}leeway_ms: -1\n"), "5:12: out of range");
    assert_refused(&format!("{ISSUER}lifetime_ms_max: 0\n"), "5:18: out of range");
    let huge = format!("{ISSUER}lifetime_ms_max: {}\n", "9".repeat(50));
    assert_refused(&huge, "5:18: out of range");
    assert_eq!(hint(&format!("{ISSUER}leeway_ms: 60001\n")), "from 0 to 60000");
    document(&format!("{ISSUER}leeway_ms: 60000\n"));
}

#[test]
fn lists_of_an_issuer_are_not_empty() {
    assert_refused(&ISSUER.replace("[penstock]", "[]"), "4:12: an empty list");
    assert_refused(&ISSUER.replace("[penstock]", "[\"\"]"), "4:13: empty text");
    assert_refused(&format!("{ISSUER}token_types: []\n"), "5:14: an empty list");
}

#[test]
fn an_endpoint_is_an_address_that_has_one_reading() {
    for url in
        ["\"\"", "127.0.0.1:8080", "http://u:p@h", "http://h:0", "http://h/%2e", "http://h/a//b"]
    {
        let text = CONNECTION.replace("http://127.0.0.1:8080", url);
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{url}: {found:?}");
        assert!(found[0].starts_with("5:13: "), "{found:?}");
        assert!(!found[0].contains("u:p"), "{found:?}");
    }
    let query = CONNECTION.replace("[http://127.0.0.1:8080]", "[\"http://h/a?b\"]");
    assert_refused(&query, "5:13: an endpoint with a query");
    let none = CONNECTION.replace("[http://127.0.0.1:8080]", "[]");
    assert_refused(&none, "5:12: an empty list");
    let twice = CONNECTION.replace("[http://127.0.0.1:8080]", "[http://h/, http://h:80]");
    assert_refused(&twice, "5:12: an endpoint stands twice");
    let many: Vec<_> = (1..=65).map(|port| format!("http://h:{port}")).collect();
    let many = CONNECTION.replace("[http://127.0.0.1:8080]", &format!("[{}]", many.join(", ")));
    assert_refused(&many, "5:12: more than 64 endpoints");
}

#[test]
fn a_credential_cannot_sit_in_a_header_that_frames_the_request() {
    for header in [
        "Host",
        "content-length",
        "transfer-encoding",
        "connection",
        "expect",
        "upgrade",
        "te",
        "trailer",
        "cookie",
        "content-type",
        "keep-alive",
        "penstock-reason",
    ] {
        let text =
            format!("{CONNECTION}credential: {{secret: a, scheme: raw, header: {header}}}\n");
        let expected = format!("`{}` cannot carry a credential", header.to_lowercase());
        assert_refused(&text, &format!("6:46: {expected}"));
    }
    for header in ["\"a b\"", "\"a:\"", "\"a\\r\\nb\"", "\"ä\""] {
        let text =
            format!("{CONNECTION}credential: {{secret: a, scheme: raw, header: {header}}}\n");
        assert_refused(&text, "6:46: not a header's name");
    }
}

#[test]
fn a_credential_names_a_secret_and_never_repeats_what_may_be_one() {
    let text = format!("{CONNECTION}credential: {{secret: sk-Proj_1234, scheme: bearer}}\n");
    assert_refused(&text, "6:22: not a name");
    let shown = parse_one(&text).expect_err("refused")[0].to_string();
    assert!(!shown.contains("sk-Proj"), "{shown}");
    let scheme = format!("{CONNECTION}credential: {{secret: a, scheme: digest}}\n");
    assert_refused(&scheme, "6:33: unknown value `digest`");
}

#[test]
fn limits_of_a_connection_are_not_zero_and_not_beyond_reason() {
    for (limit, column) in
        [("decision_bytes_max", 30), ("body_bytes_max", 26), ("stream_ms_max", 25)]
    {
        for number in ["0", "18446744073709551615"] {
            let text = format!("{CONNECTION}limits: {{{limit}: {number}}}\n");
            assert_refused(&text, &format!("6:{column}: out of range"));
        }
    }
}

#[test]
fn a_generic_connection_needs_a_table() {
    let text = "kind: connection\nname: a\nprotocol: generic\nendpoints: [http://h]\n";
    assert_refused(text, "1:1: missing key `table`");
    assert_refused(&format!("{text}table: []\n"), "5:8: an empty list");
}

#[test]
fn a_row_of_a_table_is_complete_and_well_formed() {
    let text = format!("{CONNECTION}table:\n  - {{}}\n");
    assert_eq!(
        problems(&text),
        [
            "7:5: missing key `methods`",
            "7:5: missing key `path`",
            "7:5: missing key `operations`",
            "7:5: missing key `risk`"
        ]
    );
    let row = "methods: [get]\n    path: v1\n    operations: []\n    risk: none\n    model: model";
    assert_eq!(
        problems(&format!("{CONNECTION}table:\n  - {row}\n")),
        [
            "7:15: unknown value `get`",
            "8:11: a path begins with `/`",
            "9:17: an empty list",
            "10:11: unknown value `none`",
            "11:12: not a place of a model's name"
        ]
    );
}

#[test]
fn an_empty_subject_is_refused_everywhere() {
    let message = "an empty entry would hold for everybody";
    let allow = ALLOW.replace("[{groups: [engineers]}]", "[{}]");
    assert_refused(&allow, &format!("4:12: {message}"));
    assert_refused(&format!("{ALLOW}except: [{{}}]\n"), &format!("6:10: {message}"));
    let deny = "kind: rule\nname: a\neffect: deny\nsubjects:\n  - {}\n";
    assert_refused(deny, &format!("5:5: {message}"));
    assert_refused(&ROLE.replace("[{groups: [platform]}]", "[{}]"), &format!("4:12: {message}"));
}

#[test]
fn lists_of_a_rule_that_would_match_nothing_or_everything_are_refused() {
    assert_refused(&ALLOW.replace("[{groups: [engineers]}]", "[]"), "4:11: an empty list");
    assert_refused(&ALLOW.replace("[list]", "[]"), "5:13: an empty list");
    assert_refused(&ALLOW.replace("[engineers]", "[]"), "4:21: an empty list");
    assert_refused(&format!("{ALLOW}connections: []\n"), "6:14: an empty list");
    assert_refused(&format!("{ALLOW}models: []\n"), "6:9: an empty list");
    assert_refused(&ROLE.replace("[{groups: [platform]}]", "[]"), "4:11: an empty list");
    let claims = ALLOW.replace("groups: [engineers]", "claims: {}");
    assert_refused(&claims, "4:21: an empty mapping");
    let claim = ALLOW.replace("groups: [engineers]", "claims: {id: 4711}");
    assert_refused(&claim, "4:26: expected text, found an integer");
    let nameless = ALLOW.replace("groups: [engineers]", "claims: {\"\": a}");
    assert_refused(&nameless, "4:21: a claim without a name");
}

#[test]
fn names_in_a_rule_have_the_characters_of_names() {
    let connections = format!("{ALLOW}connections: [llama, \"Lla?a\"]\n");
    assert_refused(&connections, "6:22: not a connection's name");
    let operations = ALLOW.replace("[list]", "[list, \"infer.[cd]\"]");
    assert_refused(&operations, "5:20: not an operation's name");
}

#[test]
fn a_text_of_no_reasonable_length_is_refused() {
    let text = ALLOW.replace("[engineers]", &format!("[{}]", "x".repeat(2049)));
    assert_refused(&text, "4:22: longer than 2048 characters");
}

#[test]
fn every_problem_of_every_source_is_reported_at_once() {
    let first = format!("kind: banana\n---\n{}x: 1\n", ALLOW.replace("[list]", "[]"));
    let second = Source { name: "b.yaml".into(), text: "a: [\n".into() };
    let third =
        Source { name: "c.yaml".into(), text: ISSUER.replace("name: company\n", "a: &b 1\n") };
    let found = parse(&[source(&first), second, third]).expect_err("problems");
    let places: Vec<_> =
        found.iter().map(|one| format!("{}:{}:{}", one.file, one.line, one.column)).collect();
    let expected = [
        "a.yaml:1:7",
        "a.yaml:7:13",
        "a.yaml:8:1",
        "b.yaml:2:1",
        "c.yaml:1:1",
        "c.yaml:2:1",
        "c.yaml:2:4",
    ];
    assert_eq!(places, expected);
}

#[test]
fn an_alias_in_a_list_is_one_problem_with_a_hint() {
    let text = ALLOW.replace("[list]", "[*all]");
    assert_refused(&text, "5:14: aliases are not accepted");
    assert_eq!(hint(&text), "write the value out, or put it in quotes");
}

#[test]
fn the_audience_of_the_control_plane_is_nobody_elses() {
    let text = ISSUER.replace("[penstock]", "[penstock, penstock-api]");
    assert_ne!(text, ISSUER);
    let found = problems(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("`penstock-api` is the audience of the control plane"), "{found:?}");
    assert!(hint(&text).contains("penstock"));
}

#[test]
fn a_link_local_endpoint_is_refused_however_it_is_written() {
    let at = |host: &str| CONNECTION.replace("http://127.0.0.1:8080", &format!("'http://{host}'"));
    for host in ["169.254.169.254", "[fe80::1]", "[febf::1]", "[::ffff:169.254.169.254]"] {
        let expected = "5:13: a link-local address, where clouds keep credentials of machines";
        assert_refused(&at(host), expected);
    }
    for host in ["2852039166", "0xa9fea9fe", "169.16689662", "0251.0376.0251.0376"] {
        assert_refused(&at(host), "5:13: not a host");
    }
    for host in ["10.0.0.1", "[::1]", "[fec0::1]", "models-1.example.com", "vllm-0"] {
        assert_eq!(problems(&at(host)), [""; 0], "{host}");
    }
}
