use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

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
    (name(), url, keys, texts(), claims, numbers, types).prop_map(
        |(name, issuer, keys, audiences, (user_claim, groups_claim), numbers, token_types)| {
            Document::Issuer(Issuer {
                name,
                issuer: issuer.into(),
                jwks_uri: keys.map(str::to_owned),
                audiences,
                user_claim,
                groups_claim,
                leeway_ms: numbers.0,
                lifetime_ms_max: numbers.1,
                token_types,
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
    let parts =
        (option::of(text()), endpoints(), tls(), option::of(credential()), vec(row(), 1..3));
    (name(), select(protocols), parts, limits).prop_map(|(name, protocol, parts, limits)| {
        let (version, endpoints, tls, credential, table) = parts;
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
    ];
    (name(), said, vec(subject(), 0..3), connections, texts()).prop_map(
        |(name, (effect, subjects, operations), except, connections, models)| {
            Document::Rule(Rule { name, effect, subjects, except, connections, operations, models })
        },
    )
}

fn role() -> impl Strategy<Value = Document> {
    let roles = vec![RoleName::User, RoleName::Approver, RoleName::Operator, RoleName::Admin];
    (name(), select(roles), vec(subject(), 1..3))
        .prop_map(|(name, role, subjects)| Document::Role(Role { name, role, subjects }))
}

fn any_document() -> impl Strategy<Value = Document> {
    prop_oneof![issuer(), connection(), rule(), role()]
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
