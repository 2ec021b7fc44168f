use super::*;

/// Problems of a set that was just written, as `file:line:column: message`.
fn found(sources: &[Source]) -> Vec<String> {
    let placed = parse(sources).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let set: Vec<Document> = placed.iter().map(|one| one.document.clone()).collect();
    lines(check_references(&set, sources, &placed).err().unwrap_or_default())
}

fn warnings(text: &str) -> Vec<String> {
    let sources = [source(text)];
    let placed = parse(&sources).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let set: Vec<Document> = placed.iter().map(|one| one.document.clone()).collect();
    lines(check_references(&set, &sources, &placed).unwrap_or_else(|found| panic!("{found:#?}")))
}

fn lines(found: Vec<Diagnostic>) -> Vec<String> {
    found
        .iter()
        .map(|one| format!("{}:{}:{}: {}", one.file, one.line, one.column, one.message))
        .collect()
}

fn second_issuer() -> String {
    ISSUER.replace("company", "ci").replace("id.example.com", "ci.example.com")
}

#[test]
fn a_whole_set_has_no_problem_and_no_warning() {
    let text = format!("{ISSUER}---\n{CONNECTION}---\n{ALLOW}connections: [llama]\n---\n{ROLE}");
    assert_eq!(warnings(&text), Vec::<String>::new());
}

#[test]
fn an_unknown_issuer_is_found_in_subjects_exceptions_and_roles() {
    let with_issuer = |text: &str| text.replace("{groups:", "{issuer: compny, groups:");
    let except = format!("{ALLOW}except: [{{users: [a]}}, {{issuer: other}}]\n");
    let text = format!("{ISSUER}---\n{}---\n{except}", with_issuer(ROLE));
    assert_eq!(
        found(&[source(&text)]),
        [
            "a.yaml:9:21: role `operators`: unknown issuer `compny`",
            "a.yaml:16:33: rule `engineers`: unknown issuer `other`"
        ]
    );
}

#[test]
fn every_subject_names_its_issuer_as_soon_as_there_are_two() {
    let rules = format!("{ALLOW}except: [{{users: [a]}}]\n---\n{ROLE}");
    assert_eq!(found(&[source(&format!("{ISSUER}---\n{rules}"))]), Vec::<String>::new());
    let text = format!("{ISSUER}---\n{}---\n{rules}", second_issuer());
    let message = "a subject without `issuer`, and there are several issuers";
    assert_eq!(
        found(&[source(&text)]),
        [
            format!("a.yaml:14:12: rule `engineers`: {message}"),
            format!("a.yaml:16:10: rule `engineers`: {message}"),
            format!("a.yaml:21:12: role `operators`: {message}")
        ]
    );
}

#[test]
fn two_issuers_with_one_url_are_refused() {
    let text = format!("{ISSUER}---\n{}", ISSUER.replace("name: company", "name: other"));
    let expected = "a.yaml:8:9: issuer `other`: the same URL as issuer `company`";
    assert_eq!(found(&[source(&text)]), [expected]);
}

#[test]
fn a_connection_named_exactly_must_exist() {
    let rule = format!("{ALLOW}connections: [llama, lama, \"none-*\"]\n");
    let text = format!("{CONNECTION}---\n{rule}");
    let expected = "a.yaml:12:22: rule `engineers`: unknown connection `lama`";
    assert_eq!(found(&[source(&text)]), [expected]);
}

#[test]
fn an_operation_must_be_one_that_a_catalogue_knows() {
    let text = ALLOW.replace("[list]", "[list, infer.chatt, infer.*, \"lisst*\", \"*\"]");
    assert_eq!(
        lines(parse(&[source(&text)]).expect_err("two problems")),
        [
            "a.yaml:5:20: unknown operation `infer.chatt`",
            "a.yaml:5:42: no operation matches `lisst*`"
        ]
    );
}

#[test]
fn a_rule_may_name_the_unknown_operation() {
    let text = ALLOW.replace("[list]", "[unknown]");
    assert_eq!(found(&[source(&text)]), Vec::<String>::new());
}

#[test]
fn a_duplicate_name_in_the_set_is_found() {
    let rule = document(ALLOW);
    let found = check_references(&[rule.clone(), rule], &[], &[]).expect_err("a duplicate");
    assert_eq!(lines(found), ["<in force>:1:1: rule `engineers`: duplicate name"]);
}

#[test]
fn a_document_in_force_is_named_where_a_new_one_breaks_it() {
    let sources = [source(&second_issuer())];
    let placed = parse(&sources).expect("documents");
    let mut set = vec![document(ISSUER), document(ALLOW)];
    set.extend(placed.iter().map(|one| one.document.clone()));
    let found = check_references(&set, &sources, &placed).expect_err("no issuer in the rule");
    let message = "a subject without `issuer`, and there are several issuers";
    assert_eq!(lines(found.clone()), [format!("<in force>:1:1: rule `engineers`: {message}")]);
    assert_eq!(found[0].hint.as_deref(), Some("one of: company, ci"));
}

#[test]
fn a_connection_without_a_version_is_a_warning() {
    let text = CONNECTION.replace("version: b11434\n", "");
    let expected = "a.yaml:3:11: connection `llama`: without `version` the newest table counts";
    assert_eq!(warnings(&text), [expected]);
    let plain = text.replace("llamacpp", "openai");
    assert_eq!(warnings(&plain), Vec::<String>::new());
}

#[test]
fn a_row_that_no_table_takes_is_found_at_the_row() {
    let row = |operation: &str| {
        format!("  - {{methods: [GET], path: /v9/x, operations: [{operation}], risk: low}}\n")
    };
    let text = format!("{CONNECTION}table:\n{}{}", row("list"), row("no.such"));
    let found = found(&[source(&text)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("a.yaml:8:5: connection `llama`: "), "{found:?}");
}

#[test]
fn problems_of_several_sources_have_their_own_files() {
    let other = Source { name: "b.yaml".into(), text: format!("\n{ALLOW}connections: [gone]\n") };
    let rule = ALLOW
        .replace("name: engineers", "name: other")
        .replace("[list]", "[list]\nconnections: [lost]");
    assert_eq!(
        found(&[source(&rule), other]),
        [
            "a.yaml:6:15: rule `other`: unknown connection `lost`",
            "b.yaml:7:15: rule `engineers`: unknown connection `gone`"
        ]
    );
}

#[test]
fn a_glob_that_covers_critical_operations_is_a_warning_in_an_allow_rule_only() {
    let text = ALLOW.replace("[list]", "[infer.*, \"weights.*\", unknown]");
    let message = "`weights.*` does not reach operations of critical risk";
    assert_eq!(warnings(&text), [format!("a.yaml:5:23: rule `engineers`: {message}")]);
    let sources = [source(&text)];
    let placed = parse(&sources).expect("documents");
    let found = check_references(&[document(&text)], &sources, &placed).expect("a warning");
    let hint = "name what is meant: weights.export, weights.import";
    assert_eq!(found[0].hint.as_deref(), Some(hint));
    let deny = text.replace("effect: allow", "effect: deny");
    assert_eq!(warnings(&deny), Vec::<String>::new());
}

#[test]
fn a_mask_that_no_connection_names_is_said_to_whoever_writes_it() {
    let mask = super::masks::MASK;
    let expected = "a.yaml:2:7: mask `pii`: no connection names it";
    assert_eq!(warnings(&format!("{mask}---\n{CONNECTION}")), [expected]);
    let named = format!("{CONNECTION}mask: pii\n");
    assert_eq!(warnings(&format!("{mask}---\n{named}")), Vec::<String>::new());
    // In force, but not among what was written now.
    let set = [document(mask), document(CONNECTION)];
    let sources = [source(CONNECTION)];
    let placed = parse(&sources).unwrap();
    assert_eq!(check_references(&set, &sources, &placed), Ok(Vec::new()));
}
