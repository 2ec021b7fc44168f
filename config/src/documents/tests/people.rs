use super::*;

const PERSON: &str = "kind: person
name: ann
identities:
  - {issuer: company, subject: \"4711\"}
  - {issuer: company, subject: ann-admin}
";

const WEBHOOK: &str = "kind: webhook
name: chat
url: https://chat.example.com/hook?team=ml
secret: chat-key
";

const MAIL: &str = "kind: mail
name: leads
to: [ml-leads@example.com]
";

const WORKLOAD: &str = "kind: workload
name: nightly
subjects: [{issuer: ci, claims: {repository_id: \"4711\"}}]
connections: [\"*\"]
operations: [infer.*]
";

fn references(texts: &[&str]) -> Vec<String> {
    let sources = [source(&texts.join("---\n"))];
    let placed = parse(&sources).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let set: Vec<Document> = placed.iter().map(|one| one.document.clone()).collect();
    let found = check_references(&set, &sources, &placed).unwrap_or_else(|problems| problems);
    found.iter().map(|one| format!("{}:{}: {}", one.line, one.column, one.message)).collect()
}

fn ci() -> String {
    ISSUER.replace("company", "ci").replace("id.example.com", "ci.example.com")
}

#[test]
fn every_kind_is_read_by_its_name() {
    let texts =
        [ISSUER, CONNECTION, ALLOW, ROLE, PERSON, WEBHOOK, MAIL, WORKLOAD, super::masks::MASK];
    let kinds = texts.map(|text| document(text).kind().to_owned()).to_vec();
    assert_eq!(kinds, Document::KINDS);
}

#[test]
fn a_person_is_two_identities_or_more() {
    let identity =
        |subject: &str| ExactIdentity { issuer: "company".into(), subject: subject.into() };
    let identities = vec![identity("4711"), identity("ann-admin")];
    assert_eq!(document(PERSON), Document::Person(Person { name: "ann".into(), identities }));
    let one = "kind: person\nname: a\nidentities: [{issuer: company, subject: a}]\n";
    assert_eq!(problems(one), ["3:13: one identity alone is a person already"]);
    let twice = PERSON.replace("ann-admin", "\"4711\"");
    assert_eq!(problems(&twice), ["5:5: an identity stands twice"]);
    let half = PERSON.replace(", subject: ann-admin", "");
    assert_eq!(problems(&half), ["5:5: missing key `subject`"]);
    let wide = PERSON.replace("subject: ann-admin", "subject: a, groups: [b]");
    assert_eq!(problems(&wide), ["5:35: unknown key `groups`"]);
}

#[test]
fn no_identity_is_two_persons() {
    let other = PERSON.replace("name: ann", "name: other").replace("4711", "4712");
    let found = references(&[ISSUER, PERSON, &other]);
    assert_eq!(found, ["16:5: person `other`: an identity of person `ann` too"]);
    let apart = other.replace("ann-admin", "other-admin");
    assert_eq!(references(&[ISSUER, PERSON, &apart]), [""; 0]);
    let elsewhere = other.replace("company", "ci");
    assert_eq!(references(&[ISSUER, &ci(), PERSON, &elsewhere]), [""; 0], "of another issuer");
}

#[test]
fn issuers_of_persons_webhooks_and_workloads_must_be_there() {
    let webhook = format!("{WEBHOOK}answers_as: {{issuer: compny, subject: bot}}\n");
    let person = PERSON.replace("{issuer: company, subject: ann", "{issuer: x, subject: ann");
    let found = references(&[ISSUER, &person, &webhook, WORKLOAD]);
    let expected = [
        "10:14: person `ann`: unknown issuer `x`",
        "16:22: webhook `chat`: unknown issuer `compny`",
        "20:21: workload `nightly`: unknown issuer `ci`",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_webhook_that_answers_shares_its_secret_with_no_other() {
    let second = WEBHOOK.replace("name: chat", "name: pager");
    let answers = |text: &str| format!("{text}answers_as: {{issuer: company, subject: bot}}\n");
    assert_eq!(references(&[ISSUER, WEBHOOK, &second]), [""; 0], "neither answers");
    let apart = second.replace("chat-key", "pager-key");
    assert_eq!(references(&[ISSUER, &answers(WEBHOOK), &answers(&apart)]), [""; 0]);
    let chat = answers(WEBHOOK);
    for pair in [[&chat, &answers(&second)], [&chat, &second], [&second, &chat]] {
        let mut found = references(&[ISSUER, pair[0], pair[1]]);
        found.sort_unstable_by_key(|one| one.contains("webhook `pager`: "));
        let [chat, pager] = found.as_slice() else { panic!("{found:?}") };
        assert!(chat.ends_with("webhook `chat`: the same secret as webhook `pager`"), "{chat}");
        assert!(pager.ends_with("webhook `pager`: the same secret as webhook `chat`"), "{pager}");
    }
}

#[test]
fn a_webhook_is_told_everything_and_answers_nothing_by_default() {
    let expected = Webhook {
        name: "chat".into(),
        url: "https://chat.example.com/hook?team=ml".into(),
        secret: "chat-key".into(),
        events: Vec::new(),
        answers_as: None,
    };
    assert_eq!(document(WEBHOOK), Document::Webhook(expected));
}

#[test]
fn every_key_of_a_webhook_is_read() {
    let text = format!(
        "{WEBHOOK}events: [approval.requested, approval.ended, break_glass.used, \
         break_glass.unjustified, grant.ended]\n\
         answers_as: {{issuer: company, subject: desk, groups: [ml-leads]}}\n"
    );
    let Document::Webhook(webhook) = document(&text) else { panic!("no webhook") };
    let events = [
        NotificationEvent::ApprovalRequested,
        NotificationEvent::ApprovalEnded,
        NotificationEvent::BreakGlassUsed,
        NotificationEvent::BreakGlassUnjustified,
        NotificationEvent::GrantEnded,
    ];
    assert_eq!(webhook.events, events);
    let service = ServiceIdentity {
        issuer: "company".into(),
        subject: "desk".into(),
        groups: vec!["ml-leads".into()],
    };
    assert_eq!(webhook.answers_as, Some(service));
}

#[test]
fn a_webhook_is_posted_to_over_tls_or_to_this_machine() {
    for (url, expected) in [
        ("http://chat.example.com/hook", "`http://` beyond this machine"),
        (
            "https://169.254.169.254/latest",
            "a link-local address, where clouds keep credentials \
                                            of machines",
        ),
        (
            "http://169.254.169.254/",
            "a link-local address, where clouds keep credentials of \
                                     machines",
        ),
        ("ftp://chat.example.com", "not an address"),
        ("https://user:pass@chat.example.com", "not an address"),
    ] {
        let text = WEBHOOK.replace("https://chat.example.com/hook?team=ml", url);
        assert_eq!(problems(&text), [format!("3:6: {expected}")], "{url}");
    }
    for url in ["http://127.0.0.1:9/hook", "http://localhost/", "https://[2001:db8::1]/hook"] {
        let text = WEBHOOK.replace("https://chat.example.com/hook?team=ml", &format!("\"{url}\""));
        assert_eq!(problems(&text), [""; 0], "{url}");
    }
}

#[test]
fn a_signing_key_never_gets_into_a_document() {
    let text = WEBHOOK.replace("chat-key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    assert_eq!(problems(&text), ["4:9: not a name"]);
    let shown = parse_one(&text).expect_err("refused")[0].to_string();
    assert!(!shown.contains("MfKQ9r8"), "{shown}");
}

#[test]
fn events_are_those_that_there_are() {
    let text = format!("{MAIL}events: [approval.request]\n");
    assert_eq!(problems(&text), ["4:10: unknown value `approval.request`"]);
    assert_eq!(hint(&text), "did you mean `approval.requested`?");
    assert_eq!(problems(&format!("{MAIL}events: []\n")), ["4:9: an empty list"]);
}

#[test]
fn an_address_of_mail_is_one_address_alone() {
    let to = |address: &str| MAIL.replace("ml-leads@example.com", address);
    for address in ["a@b", "a.b+c@example.com", "ä@exämple.com"] {
        assert_eq!(problems(&to(&format!("\"{address}\""))), [""; 0], "{address}");
    }
    for address in [
        "a",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        "a@b\\nBcc: c@d",
        "A <a@b>",
        "a@b,c@d",
        "a@b;c",
        "a@.b",
        "a@b.",
        "a@-b",
        "a@[1.2.3.4]",
        "(x)a@b",
    ] {
        let expected = ["3:6: not an address of e-mail"];
        assert_eq!(problems(&to(&format!("\"{address}\""))), expected, "{address}");
    }
    let long = to(&format!("{}@example.com", "a".repeat(243)));
    assert_eq!(problems(&long), ["3:6: not an address of e-mail"]);
    let many = to(&vec!["a@b"; 65].join(", "));
    assert_eq!(problems(&many), ["3:5: more than 64 addresses"]);
}

#[test]
fn a_workload_has_the_documented_defaults() {
    let claims = [("repository_id".to_owned(), "4711".to_owned())].into();
    let subject = Subject { issuer: Some("ci".into()), claims: Some(claims), ..Subject::default() };
    let expected = Workload {
        name: "nightly".into(),
        subjects: vec![subject],
        audience: "penstock-exchange".into(),
        groups: Vec::new(),
        connections: vec!["*".into()],
        operations: vec!["infer.*".into()],
        models: vec!["*".into()],
        minutes_max: 15,
    };
    assert_eq!(document(WORKLOAD), Document::Workload(expected));
    let text = format!("{WORKLOAD}audience: a\ngroups: [g]\nmodels: [m]\nminutes_max: 60\n");
    let Document::Workload(read) = document(&text) else { panic!("no workload") };
    assert_eq!((read.audience.as_str(), read.minutes_max), ("a", 60));
    assert_eq!((read.groups, read.models), (vec!["g".to_owned()], vec!["m".to_owned()]));
}

#[test]
fn a_workload_is_matched_by_its_issuer_and_a_claim() {
    let with = |subject: &str| {
        WORKLOAD.replace("{issuer: ci, claims: {repository_id: \"4711\"}}", subject)
    };
    let issuer = with("{claims: {repository_id: \"4711\"}}");
    assert_eq!(problems(&issuer), ["3:12: a workload without `issuer`"]);
    let claims = with("{issuer: ci, users: [\"repo:acme/app:*\"]}");
    assert_eq!(problems(&claims), ["3:12: a workload without `claims`"]);
    assert!(hint(&claims).contains("repository_id"));
    assert_eq!(problems(&with("{issuer: ci, claims: {}}")), ["3:33: an empty mapping"]);
}

#[test]
fn a_workload_gets_what_it_names_and_no_longer_than_an_hour() {
    for (from, to, expected) in [
        ("minutes_max: 61\n", "", "6:14: out of range"),
        ("minutes_max: 0\n", "", "6:14: out of range"),
        ("models: []\n", "", "6:9: an empty list"),
        ("", "connections: [\"*\"]\n", "1:1: missing key `connections`"),
        ("", "operations: [infer.*]\n", "1:1: missing key `operations`"),
    ] {
        let text = format!("{}{from}", WORKLOAD.replace(to, if to.is_empty() { to } else { "" }));
        assert_eq!(problems(&text), [expected], "{text}");
    }
    let unknown = WORKLOAD.replace("infer.*", "infer.chatt");
    assert_eq!(problems(&unknown), ["5:14: unknown operation `infer.chatt`"]);
    let connection = WORKLOAD.replace("\"*\"", "lama");
    let found = references(&[&ci(), CONNECTION, &connection]);
    assert_eq!(found, ["15:15: workload `nightly`: unknown connection `lama`"]);
}
