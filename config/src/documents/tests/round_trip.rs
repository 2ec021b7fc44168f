use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::catalogue::Risk;

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9][a-z0-9-]{0,62}"
}

/// Any text that a key takes, with a liking for what YAML reads in its own way.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{1,40}",
        any::<String>().prop_filter("not empty", |text| !text.is_empty()),
        select(vec![
            "null", "true", "~", "1", "0x1", "1e3", ".inf", "yes", "-", "- a", "a: b", "a #b",
            "&a", "*a", "!a", "<<", "[a]", "{a: b}", "'", "\"", "\\", "\n", "\r\n", "\t", " a ",
            "---", "...", "%a", "@a", "`a", "|", ">", "?", ",", "\u{feff}", "\u{85}", "\u{2028}",
            "\u{0}", "\u{7f}", "💧", "e\u{301}",
        ])
        .prop_map(str::to_owned),
    ]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 1..4)
}

fn subject() -> impl Strategy<Value = Subject> {
    let claims = btree_map(text(), text(), 1..3);
    (option::of(name()), option::of(texts()), option::of(texts()), option::of(claims))
        .prop_map(|(issuer, users, groups, claims)| Subject { issuer, users, groups, claims })
        .prop_filter("not empty", |subject| *subject != Subject::default())
}

fn issuer() -> impl Strategy<Value = Document> {
    let url = select(vec!["https://id.example.com", "http://127.0.0.1:9", "http://[::1]/a/b"]);
    let keys = option::of(select(vec!["https://id.example.com/keys?a=b", "http://localhost/k"]));
    let claims = (text(), text());
    let numbers = (0..=60_000_u64, 1..=(1_u64 << 53) - 1);
    let types = vec(prop_oneof![text(), Just(String::new())], 1..4);
    let client = option::of(select(vec!["penstock-cli", "a.b~c", "null", "1"]));
    (name(), url, keys, texts(), claims, numbers, (types, client)).prop_map(
        |(name, issuer, keys, audiences, (user_claim, groups_claim), numbers, (types, client))| {
            Document::Issuer(Issuer {
                name,
                issuer: issuer.into(),
                jwks_uri: keys.map(str::to_owned),
                audiences,
                user_claim,
                groups_claim,
                leeway_ms: numbers.0,
                lifetime_ms_max: numbers.1,
                token_types: types,
                client_id: client.map(str::to_owned),
            })
        },
    )
}

fn endpoints() -> impl Strategy<Value = Vec<Endpoint>> {
    let host = select(vec!["127.0.0.1", "::1", "model.internal", "fd00::1"]);
    let base = select(vec!["", "/base", "/a/b.c"]);
    btree_map(1..=u16::MAX, (host, base), 1..4).prop_map(|endpoints| {
        let endpoint = |(port, (host, base)): (u16, (&str, &str))| Endpoint {
            host: host.into(),
            port,
            base_path: base.into(),
        };
        endpoints.into_iter().map(endpoint).collect()
    })
}

fn tls() -> impl Strategy<Value = Option<UpstreamTls>> {
    let pems: Vec<String> =
        [&["one"][..], &["one", "two"]].map(|names| names.iter().map(authority).collect()).into();
    let names = vec!["models.internal", "10.0.0.1", "::1", "a_b", "null"];
    let certificate = name().prop_map(|secret| ClientCertificate { secret });
    let parts = (option::of(select(pems)), option::of(select(names)), option::of(certificate));
    option::of(parts.prop_map(|(ca, server_name, client_certificate)| UpstreamTls {
        ca,
        server_name: server_name.map(str::to_owned),
        client_certificate,
    }))
}

fn credential() -> impl Strategy<Value = Credential> {
    let schemes = [CredentialScheme::Basic, CredentialScheme::Bearer, CredentialScheme::Raw];
    (name(), select(schemes.to_vec()), "x-[a-z0-9!#$%&'*+.^_`|~-]{1,20}")
        .prop_map(|(secret, scheme, header)| Credential { secret, scheme, header })
}

fn row() -> impl Strategy<Value = OperatorRow> {
    let methods = vec(select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]), 1..3);
    let risks = vec![Risk::Low, Risk::Medium, Risk::High, Risk::Critical];
    let model = option::of((select(vec!["body", "query", "path"]), text()));
    (methods, text(), texts(), select(risks), model).prop_map(
        |(methods, path, operations, risk, model)| OperatorRow {
            methods: methods.into_iter().map(str::to_owned).collect(),
            path: format!("/{path}"),
            operations,
            risk,
            model: model.map(|(place, name)| format!("{place}:{name}")),
        },
    )
}

fn connection() -> impl Strategy<Value = Document> {
    let protocols = vec![Protocol::Generic, Protocol::Llamacpp, Protocol::Ollama, Protocol::Openai];
    let limits = (1..=1_u64 << 28, 1..=1_u64 << 40, 1..=604_800_000_u64);
    let parts = (
        option::of(text()),
        endpoints(),
        tls(),
        option::of(credential()),
        vec(row(), 1..3),
        option::of(name()),
    );
    (name(), select(protocols), parts, limits).prop_map(|(name, protocol, parts, limits)| {
        let (version, endpoints, tls, credential, table, mask) = parts;
        let limits = ConnectionLimits {
            decision_bytes_max: limits.0,
            body_bytes_max: limits.1,
            stream_ms_max: limits.2,
        };
        Document::Connection(Connection {
            name,
            protocol,
            version,
            endpoints,
            tls,
            credential,
            mask,
            limits,
            table,
        })
    })
}

fn rule() -> impl Strategy<Value = Document> {
    let names = vec!["infer.chat", "infer.*", "*", "list", "unknown", "weights.import", "*.chat"];
    let operations = move || vec(select(names.clone()).prop_map(str::to_owned), 1..4);
    let connections = vec("[a-z0-9*-]{1,12}", 1..4);
    let subjects = || vec(subject(), 1..3);
    let said = prop_oneof![
        (Just(Effect::Allow), subjects(), operations()),
        (Just(Effect::Deny), subjects(), operations()),
        (Just(Effect::Deny), Just(Vec::new()), Just(Vec::new())),
        (Just(Effect::Approve), subjects(), operations()),
    ];
    let more = (vec(hours(), 0..3), any::<bool>(), approval());
    (name(), said, vec(subject(), 0..3), connections, texts(), more).prop_map(
        |(name, (effect, subjects, operations), except, connections, models, more)| {
            let (when, ends, approval) = more;
            Document::Rule(Rule {
                name,
                effect,
                subjects,
                except,
                connections,
                operations,
                models,
                when,
                end_with_token: ends && effect != Effect::Deny,
                approval: (effect == Effect::Approve).then_some(approval),
            })
        },
    )
}

fn hours() -> impl Strategy<Value = Hours> {
    let days = vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
    let zones = vec!["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+8"];
    (subsequence(days, 0..=7), 0_u16..1_440, 0_u16..=1_440, select(zones))
        .prop_map(|(days, from, to, zone)| Hours { days, from, to, zone: zone.into() })
}

fn auto_approve() -> impl Strategy<Value = AutoApprove> {
    (vec(subject(), 0..2), vec(hours(), 0..2))
        .prop_map(|(subjects, when)| AutoApprove { subjects, when })
        .prop_filter("not empty", |entry| !entry.subjects.is_empty() || !entry.when.is_empty())
}

fn break_glass() -> impl Strategy<Value = BreakGlass> {
    (vec(subject(), 1..3), 1..=10_080_u64, 1..=2_592_000_000_u64).prop_map(
        |(subjects, minutes_max, justify_ms_max)| BreakGlass {
            subjects,
            minutes_max,
            justify_ms_max,
        },
    )
}

fn approval() -> impl Strategy<Value = Approval> {
    let people = (vec(subject(), 0..3), vec(subject(), 0..3), 1..=16_u32)
        .prop_filter("somebody", |(some, each, _)| !some.is_empty() || !each.is_empty());
    let words = (
        select(vec![Reason::Optional, Reason::Required]),
        select(vec![HeldStream::Wait, HeldStream::Commit]),
        option::of(select(vec!["OPS-[0-9]+", "a|b", "null", "[\\w]{1,3}: \"x\" # y", " "])),
        vec(select(vec!["lora_name", "a.b c", "adapter.path"]), 0..3),
    );
    let numbers = (0..=86_400_000_u64, 1..=2_592_000_000_u64, 1..=10_080_u64, 1..=100_000_u64);
    let more = (vec(auto_approve(), 0..3), option::of(break_glass()));
    (people, words, numbers, more).prop_map(|(people, words, numbers, more)| {
        let (reviewers, one_from_each, quorum) = people;
        let (reason, stream, ticket, show) = words;
        let (hold_ms_max, answer_ms_max, minutes_max, uses_max) = numbers;
        Approval {
            reviewers,
            quorum,
            one_from_each,
            reason,
            ticket: ticket.map(str::to_owned),
            hold_ms_max,
            answer_ms_max,
            stream,
            grant: GrantLimits { minutes_max, uses_max },
            show: show.into_iter().map(str::to_owned).collect(),
            auto_approve: more.0,
            break_glass: more.1,
        }
    })
}

fn events() -> impl Strategy<Value = Vec<NotificationEvent>> {
    let all = vec![
        NotificationEvent::ApprovalRequested,
        NotificationEvent::BreakGlassUnjustified,
        NotificationEvent::GrantEnded,
    ];
    subsequence(all, 0..=3)
}

fn person() -> impl Strategy<Value = Document> {
    let identity = (name(), text()).prop_map(|(issuer, subject)| ExactIdentity { issuer, subject });
    (name(), btree_set(identity, 2..4)).prop_map(|(name, identities)| {
        Document::Person(Person { name, identities: identities.into_iter().collect() })
    })
}

fn webhook() -> impl Strategy<Value = Document> {
    let urls = vec!["https://a.example.com/b?c=d", "http://127.0.0.1:9", "http://[::1]/a"];
    let service = (name(), text(), prop_oneof![Just(Vec::new()), texts()])
        .prop_map(|(issuer, subject, groups)| ServiceIdentity { issuer, subject, groups });
    (name(), select(urls), name(), events(), option::of(service)).prop_map(
        |(name, url, secret, events, answers_as)| {
            Document::Webhook(Webhook { name, url: url.into(), secret, events, answers_as })
        },
    )
}

fn mail() -> impl Strategy<Value = Document> {
    (name(), vec("[a-z+.#]{1,9}@[a-z]{1,9}", 1..3), events())
        .prop_map(|(name, to, events)| Document::Mail(Mail { name, to, events }))
}

fn workload() -> impl Strategy<Value = Document> {
    let claims = btree_map(text(), text(), 1..3);
    let subject = (subject(), name(), claims).prop_map(|(subject, issuer, claims)| Subject {
        issuer: Some(issuer),
        claims: Some(claims),
        ..subject
    });
    let operations = vec(select(vec!["infer.chat", "infer.*", "list"]), 1..3);
    let patterns = (vec("[a-z0-9*-]{1,12}", 1..3), operations, texts());
    (
        name(),
        vec(subject, 1..3),
        text(),
        prop_oneof![Just(Vec::new()), texts()],
        patterns,
        1..=60_u64,
    )
        .prop_map(|(name, subjects, audience, groups, patterns, minutes_max)| {
            let (connections, operations, models) = patterns;
            Document::Workload(Workload {
                name,
                subjects,
                audience: format!("for {audience}"),
                groups,
                connections,
                operations: operations.into_iter().map(str::to_owned).collect(),
                models,
                minutes_max,
            })
        })
}

fn role() -> impl Strategy<Value = Document> {
    let roles = vec![RoleName::User, RoleName::Approver, RoleName::Operator, RoleName::Admin];
    (name(), select(roles), vec(subject(), 1..3))
        .prop_map(|(name, role, subjects)| Document::Role(Role { name, role, subjects }))
}

fn mask_action() -> impl Strategy<Value = MaskAction> {
    let words =
        vec![MaskAction::Replace, MaskAction::Redact, MaskAction::Hash, MaskAction::Surrogate];
    prop_oneof![select(words), (1..=16_u8).prop_map(MaskAction::KeepLast)]
}

fn mask_override() -> impl Strategy<Value = MaskOverride> {
    let somewhere = ("[a-z0-9*-]{1,12}", subject(), mask_action());
    prop_oneof![
        (select(vec![EmailForm::Whole, EmailForm::Domain]), option::of(mask_action())).prop_map(
            |(form, action)| MaskOverride {
                detectors: vec!["EMAIL_*".into()],
                connections: vec!["*".into()],
                subjects: Vec::new(),
                form: Some(form),
                action,
            }
        ),
        somewhere.prop_map(|(connection, subject, action)| MaskOverride {
            detectors: vec!["US_SSN".into(), "*".into()],
            connections: vec![connection],
            subjects: vec![subject],
            form: None,
            action: Some(action),
        }),
    ]
}

fn mask() -> impl Strategy<Value = Document> {
    let word = text().prop_filter("a word", |word| {
        word.trim() == word && !word.chars().any(char::is_control) && word.len() <= 256
    });
    let own = (option::of(text()), option::of(vec(word, 1..4)));
    let fields = select(vec![Vec::new(), vec!["$.user.ssn"], vec!["$.a[*]['b c'].d", "$[0]"]]);
    let sides = select(vec![vec![MaskSide::Response], vec![MaskSide::Request, MaskSide::Response]]);
    let unreadable = select(vec![Unreadable::Refuse, Unreadable::Strip, Unreadable::Pass]);
    let stalled = select(vec![Stalled::Redact, Stalled::Release]);
    let terms = (unreadable, stalled, sides, 100..=60_000_u64, 1024..=1_u64 << 30);
    let changes = (mask_action(), vec(mask_override(), 0..3), vec(subject(), 0..2));
    let fields = (fields, option::of(mask_analyzer()));
    (name(), vec("[A-Z0-9_*]{1,20}", 1..4), own, fields, terms, changes).prop_map(
        |(name, detectors, (regex, words), (fields, analyzer), terms, changes)| {
            let (action, overrides, except) = changes;
            Document::Mask(Mask {
                name,
                detectors,
                patterns: regex
                    .map(|regex| MaskPattern { name: "OWN_1".into(), regex })
                    .into_iter()
                    .collect(),
                words: words
                    .map(|list| MaskWords { name: "OWN_2".into(), list })
                    .into_iter()
                    .collect(),
                analyzer,
                fields: fields.into_iter().map(str::to_owned).collect(),
                action,
                overrides,
                unreadable: terms.0,
                stalled_ms_max: terms.3,
                stalled: terms.1,
                applies_to: terms.2,
                masked_bytes_max: terms.4,
                except,
            })
        },
    )
}

fn mask_analyzer() -> impl Strategy<Value = MaskAnalyzer> {
    let unavailable = select(vec![Unavailable::Refuse, Unavailable::Redact, Unavailable::Pass]);
    let url = select(vec!["http://127.0.0.1:5002", "https://ner.example.com/a", "http://[::1]"]);
    let entities = select(vec![vec!["PERSON"], vec!["LOCATION", "NRP"]]);
    (url, "[a-z]{2}(_[A-Z]{2})?", entities, 0..=1_000_u16, 10..=10_000_u64, unavailable).prop_map(
        |(url, language, entities, score, timeout_ms, unavailable)| MaskAnalyzer {
            url: url.to_owned(),
            language,
            entities: entities.into_iter().map(str::to_owned).collect(),
            score_min: f64::from(score) / 1_000.0,
            timeout_ms,
            unavailable,
        },
    )
}

fn any_document() -> impl Strategy<Value = Document> {
    prop_oneof![
        issuer(),
        connection(),
        rule(),
        role(),
        person(),
        webhook(),
        mail(),
        workload(),
        mask()
    ]
}

proptest! {
    #[test]
    fn a_document_written_as_yaml_is_read_back_equal(written in any_document()) {
        let text = to_yaml(&written);
        prop_assert_eq!(parse_one(&text), Ok(vec![written]), "{}", text);
    }

    #[test]
    fn documents_written_one_after_another_are_read_back_in_order(
        first in issuer(), second in rule(), third in role(),
    ) {
        let set = vec![first, second, third];
        let text: Vec<String> = set.iter().map(to_yaml).collect();
        prop_assert_eq!(parse_one(&text.join("---\n")), Ok(set));
    }

    #[test]
    fn a_document_goes_through_json_unchanged(written in any_document()) {
        let json = serde_json::to_string(&written).expect("JSON");
        let read: Document = serde_json::from_str(&json).expect("a document");
        prop_assert_eq!(read, written);
    }
}

#[test]
fn a_written_document_is_easy_to_read() {
    let text = format!("{ALLOW}connections: [llama, \"v*\"]\nexcept: [{{users: [a b]}}]\n");
    let expected = "kind: rule\nname: engineers\neffect: allow\nsubjects:\n  - {groups: \
                    [engineers]}\nexcept:\n  - {users: [\"a b\"]}\nconnections: [llama, \"v*\"]\n\
                    operations: [list]\nmodels: [\"*\"]\n";
    assert_eq!(to_yaml(&document(&text)), expected);
}

#[test]
fn json_with_an_unknown_member_is_no_document() {
    let mut json = serde_json::to_value(document(ALLOW)).expect("JSON");
    json["more"] = 1.into();
    assert!(serde_json::from_value::<Document>(json.clone()).is_err());
    json.as_object_mut().expect("an object").remove("more");
    json["subjects"][0]["more"] = 1.into();
    assert!(serde_json::from_value::<Document>(json).is_err());
}
