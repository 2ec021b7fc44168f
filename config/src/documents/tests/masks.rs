use super::*;

pub(super) const MASK: &str = "kind: mask
name: pii
detectors: [EMAIL_ADDRESS, \"US_*\"]
";

fn mask(text: &str) -> Mask {
    let document = document(text);
    document.as_mask().unwrap_or_else(|| panic!("not a mask: {document:?}")).clone()
}

/// The only problem of a mask that got one more line.
fn assert_refused(line: &str, expected: &str) {
    assert_eq!(problems(&format!("{MASK}{line}\n")), [expected], "{line}");
}

fn references(text: &str) -> Vec<String> {
    let sources = [source(text)];
    let placed = parse(&sources).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let set: Vec<Document> = placed.iter().map(|one| one.document.clone()).collect();
    let found = check_references(&set, &sources, &placed).err().unwrap_or_default();
    found.iter().map(|one| format!("{}:{}: {}", one.line, one.column, one.message)).collect()
}

#[test]
fn a_mask_has_the_documented_defaults() {
    let expected = Mask {
        name: "pii".into(),
        detectors: vec!["EMAIL_ADDRESS".into(), "US_*".into()],
        patterns: Vec::new(),
        words: Vec::new(),
        analyzer: None,
        fields: Vec::new(),
        action: MaskAction::Replace,
        overrides: Vec::new(),
        unreadable: Unreadable::Refuse,
        stalled_ms_max: 2_000,
        stalled: Stalled::Redact,
        applies_to: vec![MaskSide::Response],
        masked_bytes_max: 8_388_608,
        except: Vec::new(),
    };
    assert_eq!(mask(MASK), expected);
}

#[test]
fn every_key_of_a_mask_is_read() {
    let text = "kind: mask
name: pii
detectors: [EMAIL_ADDRESS]
patterns: [{name: EMPLOYEE_ID, regex: \"EMP-[0-9]{6}\"}]
words: [{name: PROJECT, list: [bluebird, \"red kite\"]}]
fields: [\"$.user.ssn\", \"$.rows[*].iban\", \"$['a b'][0]\"]
action: {keep_last: 4}
overrides:
  - {detectors: [EMAIL_ADDRESS], form: domain, action: hash}
  - {detectors: [PROJECT], connections: [\"l*\"], subjects: [{groups: [a]}], action: surrogate}
unreadable: strip
stalled_ms_max: 500
stalled: release
applies_to: [request, response]
masked_bytes_max: 4096
except: [{groups: [on-call]}]
";
    let mask = mask(text);
    assert_eq!(mask.patterns[0].regex, "EMP-[0-9]{6}");
    assert_eq!(mask.words[0].list, ["bluebird", "red kite"]);
    assert_eq!(mask.fields, ["$.user.ssn", "$.rows[*].iban", "$['a b'][0]"]);
    assert_eq!(mask.action, MaskAction::KeepLast(4));
    assert_eq!(mask.overrides[0].form, Some(EmailForm::Domain));
    assert_eq!(mask.overrides[0].action, Some(MaskAction::Hash));
    assert_eq!(mask.overrides[1].connections, ["l*"]);
    assert_eq!(mask.overrides[1].action, Some(MaskAction::Surrogate));
    assert_eq!((mask.unreadable, mask.stalled), (Unreadable::Strip, Stalled::Release));
    assert_eq!(mask.applies_to, [MaskSide::Request, MaskSide::Response]);
    assert_eq!((mask.stalled_ms_max, mask.masked_bytes_max), (500, 4096));
    assert_eq!(mask.except.len(), 1);
}

#[test]
fn an_analyser_has_the_documented_defaults_and_may_stand_alone() {
    let text = "kind: mask\nname: pii\nanalyzer: {url: \"http://127.0.0.1:5002\"}\n";
    let expected = MaskAnalyzer {
        url: "http://127.0.0.1:5002".into(),
        language: "en".into(),
        entities: vec!["PERSON".into(), "LOCATION".into(), "ORGANIZATION".into()],
        score_min: 0.5,
        timeout_ms: 500,
        unavailable: Unavailable::Refuse,
    };
    assert_eq!(mask(text).analyzer, Some(expected));
}

#[test]
fn every_key_of_an_analyser_is_read() {
    let text = "kind: mask
name: pii
analyzer:
  url: https://ner.example.com/base/
  language: de
  entities: [PERSON, NRP]
  score_min: 1
  timeout_ms: 10000
  unavailable: redact
";
    let analyzer = mask(text).analyzer.unwrap();
    let endpoint =
        Endpoint { host: "ner.example.com".into(), port: 443, base_path: "/base".into() };
    assert_eq!(analyzer.endpoint(), Some((true, endpoint)));
    assert_eq!((analyzer.language.as_str(), analyzer.score_min), ("de", 1.0));
    assert_eq!(analyzer.entities, ["PERSON", "NRP"]);
    assert_eq!((analyzer.timeout_ms, analyzer.unavailable), (10_000, Unavailable::Redact));
}

#[test]
fn an_analyser_is_reached_over_tls_or_on_this_machine() {
    let wrong = [
        ("http://ner.example.com", "`http://` beyond this machine"),
        ("http://10.0.0.1:5002", "`http://` beyond this machine"),
        ("http://127.1:5002", "not a host"),
        (
            "https://169.254.169.254",
            "a link-local address, where clouds keep credentials of \
                                     machines",
        ),
        ("https://a?b=c", "an analyser with a query"),
        ("ftp://a", "not an address"),
    ];
    for (url, problem) in wrong {
        assert_refused(&format!("analyzer: {{url: \"{url}\"}}"), &format!("4:17: {problem}"));
    }
    assert_refused("analyzer: {language: en}", "4:11: missing key `url`");
}

#[test]
fn what_an_analyser_is_asked_for_is_checked_at_its_place() {
    let refused = |line: &str, problem: &str| {
        let line = format!("analyzer:\n  url: http://localhost:5002\n  {line}");
        assert_refused(&line, &format!("6:{problem}"));
    };
    refused("entities: [person]", "14: not a name of an entity");
    refused("entities: [PERSON, \"A-B\"]", "22: not a name of an entity");
    refused("entities: [PERSON, PERSON]", "22: an entity stands twice");
    refused("entities: []", "13: an empty list");
    refused("score_min: 1.5", "14: out of range");
    refused("score_min: high", "14: expected a number, found text");
    refused("timeout_ms: 9", "15: out of range");
    refused("language: EN", "13: not a language");
    refused("unavailable: strip", "16: unknown value `strip`");
    refused("threshold: 1", "3: unknown key `threshold`");
}

#[test]
fn a_mask_that_masks_nothing_is_refused() {
    let found = problems("kind: mask\nname: pii\naction: redact\n");
    assert_eq!(found, ["2:7: a mask that masks nothing"]);
    let empty = problems("kind: mask\nname: pii\ndetectors: []\n");
    assert_eq!(empty, ["3:12: an empty list"]);
}

#[test]
fn names_of_detectors_and_of_a_masks_own_are_upper_case() {
    let lower = "kind: mask\nname: pii\ndetectors: [email]\n";
    assert_eq!(problems(lower), ["3:13: not a detector's name"]);
    assert_refused(
        "words: [{name: project, list: [a]}]",
        "4:16: not a name of a pattern or word list",
    );
    assert_refused(
        "patterns: [{name: 1A, regex: a}]",
        "4:19: not a name of a pattern or word list",
    );
}

#[test]
fn a_name_stands_once_among_patterns_and_word_lists() {
    assert_refused(
        "patterns: [{name: A, regex: a}]\nwords: [{name: A, list: [b]}]",
        "5:9: `A` stands twice among `patterns` and `words`",
    );
}

#[test]
fn a_path_has_names_indices_and_wildcards_alone() {
    for path in ["$", "user", "$.", "$..a", "$[", "$[x]", "$['a'", "$.a[-1]", "$[?1]"] {
        assert_refused(&format!("fields: [\"{path}\"]"), "4:10: not a path of a field");
    }
}

#[test]
fn fields_are_those_of_answers() {
    assert_refused(
        "fields: [\"$.a\"]\napplies_to: [request]",
        "4:9: `fields` are those of answers",
    );
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    assert_refused("action: {keep_last: 0}", "4:21: out of range");
    assert_refused("action: {keep_last: 17}", "4:21: out of range");
    assert_refused("action: {keep_last: 4, keep_first: 4}", "4:24: unknown key `keep_first`");
    assert_refused("action: delete", "4:9: unknown value `delete`");
    assert_refused("stalled_ms_max: 0", "4:17: out of range");
    assert_refused("masked_bytes_max: 1", "4:19: out of range");
    assert_refused("applies_to: [response, response]", "4:13: a side stands twice");
    assert_refused("words: [{name: A, list: [\" a\"]}]", "4:26: not a word or phrase");
    assert_refused("except: [{}]", "4:10: an empty entry would hold for everybody");
}

#[test]
fn a_form_is_of_email_addresses_and_of_the_whole_mask() {
    assert_refused(
        "overrides: [{detectors: [US_SSN], form: domain}]",
        "4:41: only EMAIL_ADDRESS has forms",
    );
    assert_refused(
        "overrides: [{detectors: [EMAIL_ADDRESS], connections: [a], form: domain}]",
        "4:66: `form` holds for a whole mask, not for some connections or subjects",
    );
    assert_refused("overrides: [{detectors: [US_SSN]}]", "4:13: an override that changes nothing");
}

#[test]
fn a_connection_names_a_mask_that_there_is() {
    let connection = format!("{CONNECTION}mask: pii\n");
    assert_eq!(references(&connection), ["6:7: connection `llama`: unknown mask `pii`"]);
    assert!(references(&format!("{connection}---\n{MASK}")).is_empty());
}

#[test]
fn overrides_of_a_mask_name_connections_and_issuers_that_there_are() {
    let line = "overrides: [{detectors: [US_SSN], connections: [nowhere], action: redact}]\n";
    let found = references(&format!("{MASK}{line}"));
    assert_eq!(found, ["4:49: mask `pii`: unknown connection `nowhere`"]);
    let line = "except: [{issuer: nobody, users: [a]}]\n";
    let found = references(&format!("{MASK}{line}"));
    assert_eq!(found, ["4:19: mask `pii`: unknown issuer `nobody`"]);
}
