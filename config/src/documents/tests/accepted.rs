use super::*;

#[test]
fn an_issuer_has_the_documented_defaults() {
    let expected = Issuer {
        name: "company".into(),
        issuer: "https://id.example.com".into(),
        jwks_uri: None,
        audiences: vec!["penstock".into()],
        user_claim: "sub".into(),
        groups_claim: "groups".into(),
        leeway_ms: 30_000,
        lifetime_ms_max: 86_400_000,
        token_types: vec!["JWT".into(), "at+jwt".into(), String::new()],
        client_id: None,
    };
    assert_eq!(document(ISSUER), Document::Issuer(expected));
}

#[test]
fn every_key_of_an_issuer_is_read() {
    let text = "kind: issuer\nname: dev\nissuer: http://127.0.0.1:9400\n\
                jwks_uri: http://[::1]:9400/keys?set=1\naudiences: [penstock, other]\n\
                user_claim: email\ngroups_claim: realm_access.roles\nleeway_ms: 0\n\
                lifetime_ms_max: 9007199254740991\ntoken_types: [at+jwt]\n\
                client_id: penstock-cli\n";
    let expected = Issuer {
        name: "dev".into(),
        issuer: "http://127.0.0.1:9400".into(),
        jwks_uri: Some("http://[::1]:9400/keys?set=1".into()),
        audiences: vec!["penstock".into(), "other".into()],
        user_claim: "email".into(),
        groups_claim: "realm_access.roles".into(),
        leeway_ms: 0,
        lifetime_ms_max: 9_007_199_254_740_991,
        token_types: vec!["at+jwt".into()],
        client_id: Some("penstock-cli".into()),
    };
    assert_eq!(document(text), Document::Issuer(expected));
}

#[test]
fn a_connection_has_the_documented_defaults() {
    let expected = Connection {
        name: "llama".into(),
        protocol: Protocol::Llamacpp,
        version: Some("b11434".into()),
        endpoints: vec![Endpoint {
            host: "127.0.0.1".into(),
            port: 8080,
            base_path: String::new(),
        }],
        tls: None,
        credential: None,
        mask: None,
        limits: ConnectionLimits {
            decision_bytes_max: 8_388_608,
            body_bytes_max: 1_073_741_824,
            stream_ms_max: 3_600_000,
        },
        table: Vec::new(),
    };
    assert_eq!(document(CONNECTION), Document::Connection(expected));
}

#[test]
fn every_key_of_a_connection_is_read() {
    let text = "kind: connection\nname: ranks\nprotocol: generic\n\
                endpoints: [\"http://[::1]/base/\", http://ranks.internal:81]\n\
                credential: {secret: key, scheme: raw, header: X-Api-Key}\n\
                limits: {decision_bytes_max: 1, body_bytes_max: 2, stream_ms_max: 3}\n\
                table:\n  - methods: [GET, POST]\n    path: /v1/{id}\n    operations: [rank]\n    \
                risk: high\n    model: path:id\n";
    let Document::Connection(read) = document(text) else { panic!("not a connection") };
    let endpoint = |host: &str, port, base_path: &str| Endpoint {
        host: host.into(),
        port,
        base_path: base_path.into(),
    };
    assert_eq!(read.endpoints, [endpoint("::1", 80, "/base"), endpoint("ranks.internal", 81, "")]);
    let credential = read.credential.expect("a credential");
    assert_eq!(credential.secret, "key");
    assert_eq!(credential.scheme, CredentialScheme::Raw);
    assert_eq!(credential.header, "x-api-key");
    let limits = &read.limits;
    assert_eq!((limits.decision_bytes_max, limits.body_bytes_max, limits.stream_ms_max), (1, 2, 3));
    assert_eq!(read.table[0].methods, ["GET", "POST"]);
    assert_eq!(read.table[0].risk, crate::catalogue::Risk::High);
    assert_eq!(read.table[0].model.as_deref(), Some("path:id"));
    assert_eq!(read.version, None);
}

#[test]
fn the_credential_goes_into_authorization_by_default() {
    let text = format!("{CONNECTION}credential: {{secret: key, scheme: bearer}}\n");
    let Document::Connection(read) = document(&text) else { panic!("not a connection") };
    assert_eq!(read.credential.expect("a credential").header, "authorization");
}

#[test]
fn an_allow_rule_covers_all_connections_and_models_by_default() {
    let Document::Rule(rule) = document(ALLOW) else { panic!("not a rule") };
    assert_eq!(rule.effect, Effect::Allow);
    assert_eq!(rule.connections, ["*"]);
    assert_eq!(rule.models, ["*"]);
    assert_eq!(rule.operations, ["list"]);
    assert_eq!(rule.except, []);
    assert_eq!(rule.subjects[0].groups.as_deref(), Some(&["engineers".to_owned()][..]));
}

#[test]
fn a_deny_rule_may_leave_out_subjects_and_operations() {
    let Document::Rule(rule) = document("kind: rule\nname: stop\neffect: deny\n") else {
        panic!("not a rule")
    };
    assert_eq!((rule.subjects.len(), rule.operations.len()), (0, 0));
    assert_eq!(rule.connections, ["*"]);
}

#[test]
fn every_field_of_a_subject_is_read() {
    let text = "kind: role\nname: r\nrole: admin\nsubjects:\n  - issuer: ci\n    \
                users: [\"repo:acme/*\"]\n    groups: [a, b]\n    claims: {id: \"4711\"}\n";
    let Document::Role(role) = document(text) else { panic!("not a role") };
    let subject = &role.subjects[0];
    assert_eq!(subject.issuer.as_deref(), Some("ci"));
    assert_eq!(subject.users.as_deref(), Some(&["repo:acme/*".to_owned()][..]));
    assert_eq!(subject.groups.as_ref().map(Vec::len), Some(2));
    let claims = subject.claims.as_ref().expect("claims");
    assert_eq!(claims.get("id").map(String::as_str), Some("4711"));
}

#[test]
fn every_built_protocol_and_role_has_its_word() {
    for protocol in ["openai", "vllm", "ollama", "llamacpp"] {
        document(&CONNECTION.replace("llamacpp", protocol));
    }
    for role in ["user", "approver", "operator", "auditor", "admin"] {
        document(&ROLE.replace("role: operator", &format!("role: {role}")));
    }
}

#[test]
fn a_set_of_sources_knows_where_each_document_began() {
    let sources = [source(&format!("# first\n{ISSUER}---\n\n{ALLOW}")), source(ROLE)];
    let placed = parse(&sources).expect("documents");
    let places: Vec<_> = placed
        .iter()
        .map(|one| (one.document.kind(), one.document.name(), one.source, one.line))
        .collect();
    let expected =
        [("issuer", "company", 0, 2), ("rule", "engineers", 0, 8), ("role", "operators", 1, 1)];
    assert_eq!(places, expected);
}

#[test]
fn the_same_name_under_two_kinds_is_no_duplicate() {
    let both = format!("{ALLOW}---\n{}", ROLE.replace("operators", "engineers"));
    assert_eq!(parse_one(&both).map(|documents| documents.len()), Ok(2));
}

#[test]
fn a_document_in_json_is_the_same_document() {
    let json = r#"{"kind": "role", "name": "operators", "role": "operator",
                   "subjects": [{"groups": ["platform"]}]}"#;
    assert_eq!(document(json), document(ROLE));
}

#[test]
fn no_source_and_an_empty_source_are_an_empty_set() {
    assert_eq!(parse(&[]), Ok(Vec::new()));
    assert_eq!(parse_one("---\n"), Ok(Vec::new()));
}
