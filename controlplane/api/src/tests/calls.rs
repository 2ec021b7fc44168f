//! Calls, one behaviour each.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::json;

use super::backend::{Memory, apply, call, send};

const POLICY: &str = "
kind: connection
name: llama
protocol: llamacpp
version: b11434
endpoints: [http://127.0.0.1:8080]
credential: {secret: llama-key, scheme: bearer}
---
kind: rule
name: engineers-infer
effect: allow
subjects: [{groups: [engineers]}]
operations: [infer.*, list]
";

const PATHS: [(&str, &str); 17] = [
    ("POST", "/api/v1/documents/apply"),
    ("GET", "/api/v1/documents"),
    ("GET", "/api/v1/documents/rule/a"),
    ("DELETE", "/api/v1/documents/rule/a"),
    ("GET", "/api/v1/versions"),
    ("GET", "/api/v1/versions/1"),
    ("POST", "/api/v1/versions/1/rollback"),
    ("PUT", "/api/v1/secrets/a"),
    ("GET", "/api/v1/secrets"),
    ("DELETE", "/api/v1/secrets/a"),
    ("POST", "/api/v1/explain"),
    ("GET", "/api/v1/nodes"),
    ("DELETE", "/api/v1/nodes/node-1"),
    ("POST", "/api/v1/nodes/join-files"),
    ("GET", "/api/v1/acts"),
    ("GET", "/api/v1/notifications"),
    ("POST", "/api/v1/notifications/a/retry"),
];

fn body_for(path: &str) -> String {
    let body = match path {
        "/api/v1/documents/apply" => json!({"sources": [{"name": "a", "text": POLICY}]}),
        "/api/v1/secrets/a" => json!({"value": "x"}),
        "/api/v1/explain" => json!({"user": "x", "method": "GET", "path": "/llama/v1/models"}),
        _ => json!({}),
    };
    body.to_string()
}

#[tokio::test]
async fn every_call_but_health_and_openapi_needs_a_token() {
    let memory = Memory::new();
    for (method, path) in PATHS {
        for user in ["", "nobody", "NOT A TOKEN"] {
            let reply = call(&memory, user, method, path, body_for(path)).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            let challenge = reply.headers[header::WWW_AUTHENTICATE].to_str().unwrap();
            assert!(challenge.starts_with("Bearer"));
            assert_eq!(reply.headers[header::CONTENT_TYPE], "application/problem+json");
            assert!(!reply.text.contains("NOT A TOKEN"), "an answer repeats no token");
        }
    }
    for path in ["/healthz", "/openapi.json"] {
        assert_eq!(call(&memory, "", "GET", path, "").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn without_a_role_every_call_is_forbidden() {
    let memory = Memory::new();
    for (method, path) in PATHS {
        let reply = call(&memory, "eve", method, path, body_for(path)).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{method} {path}");
        assert_eq!(reply.json["code"], "forbidden");
    }
}

#[tokio::test]
async fn two_authorization_headers_are_a_bad_request() {
    let memory = Memory::new();
    let request = Request::get("/api/v1/documents")
        .header(header::AUTHORIZATION, "Bearer ada")
        .header(header::AUTHORIZATION, "Bearer eve")
        .body(Body::empty())
        .unwrap();
    assert_eq!(send(&memory, request).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn documents_are_applied_listed_shown_and_deleted() {
    let memory = Memory::new();
    let body = json!({"sources": [{"name": "policy.yaml", "text": POLICY}]}).to_string();
    let reply = call(&memory, "otto", "POST", "/api/v1/documents/apply", body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert_eq!(reply.json["version"], 2);
    let changed = json!([
        {"kind": "connection", "name": "llama", "change": "created"},
        {"kind": "rule", "name": "engineers-infer", "change": "created"}
    ]);
    assert_eq!(reply.json["changed"], changed);
    assert_eq!((&reply.json["absent"], &reply.json["dry_run"]), (&json!([]), &json!(false)));
    assert!(reply.json["warnings"][0]["message"].as_str().unwrap().contains("llama-key"));

    let listed = call(&memory, "audrey", "GET", "/api/v1/documents?kind=connection", "").await;
    assert_eq!(listed.json.as_array().unwrap().len(), 1);
    let connection = &listed.json[0];
    assert_eq!(connection["document"]["endpoints"][0], "http://127.0.0.1:8080");
    assert_eq!(connection["origin"], "applied");
    assert!(connection["yaml"].as_str().unwrap().starts_with("kind: connection\nname: llama\n"));
    let issuers = call(&memory, "ada", "GET", "/api/v1/documents?kind=issuer", "").await;
    assert_eq!(issuers.json[0]["origin"], "first-run");

    let rule = "/api/v1/documents/rule/engineers-infer";
    assert_eq!(call(&memory, "ada", "GET", rule, "").await.json["name"], "engineers-infer");
    let deleted = call(&memory, "otto", "DELETE", rule, "").await;
    assert_eq!((deleted.status, &deleted.json), (StatusCode::OK, &json!({"version": 3})));
    assert_eq!(call(&memory, "ada", "GET", rule, "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(call(&memory, "ada", "DELETE", rule, "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_shown_document_can_be_applied_again_unchanged() {
    let memory = Memory::new();
    apply(&memory, POLICY);
    let listed = call(&memory, "ada", "GET", "/api/v1/documents", "").await;
    for form in ["document", "yaml"] {
        let texts = listed.json.as_array().unwrap().iter().map(|row| {
            let text = row[form].as_str().map_or_else(|| row[form].to_string(), str::to_owned);
            json!({"name": "a", "text": text})
        });
        let sources: Vec<_> = texts.collect();
        let body = json!({"sources": sources}).to_string();
        let reply = call(&memory, "ada", "POST", "/api/v1/documents/apply", body).await;
        assert_eq!(reply.json["version"], 2, "{form}: {}", reply.text);
    }
}

#[tokio::test]
async fn every_problem_of_a_change_comes_with_its_place() {
    let memory = Memory::new();
    let text = "kind: rule\nname: a\neffekt: allow\n---\nkind: nothing\nname: b\n";
    let body = json!({"sources": [{"name": "bad.yaml", "text": text}]}).to_string();
    let reply = call(&memory, "otto", "POST", "/api/v1/documents/apply", body).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reply.json["code"], "invalid_documents");
    let problems = reply.json["problems"].as_array().unwrap();
    assert!(problems.len() >= 2, "{problems:?}");
    assert!(problems.iter().all(|p| p["file"] == "bad.yaml" && p["line"].as_u64() > Some(0)));
}

#[tokio::test]
async fn an_unexpected_version_is_a_conflict() {
    let memory = Memory::new();
    let sources = json!([{"name": "a", "text": POLICY}]);
    let body = json!({"sources": sources, "expect_version": 9}).to_string();
    let reply = call(&memory, "otto", "POST", "/api/v1/documents/apply", body).await;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    assert_eq!(reply.json["code"], "version_conflict");
}

#[tokio::test]
async fn an_apply_tells_whose_masks_changed_and_whose_exchanges_it_cuts() {
    let memory = Memory::new();
    let text = "kind: connection\nname: m\nprotocol: openai\nendpoints: [http://m]\nmask: pii\n\
                ---\nkind: mask\nname: pii\ndetectors: [US_SSN]\n";
    let send = async |text: &str, more: serde_json::Value| {
        let mut body = json!({"sources": [{"name": "a", "text": text}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let path = "/api/v1/documents/apply";
        let reply = call(&memory, "otto", "POST", path, body.to_string()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        let told = |key: &str| reply.json[key].clone();
        (told("version"), told("revision"), told("masks_changed"), told("cut"))
    };
    let (none, m) = (json!([]), json!(["m"]));
    assert_eq!(send(text, json!({})).await, (json!(2), json!(0), none.clone(), none.clone()));
    let changed = text.replace("US_SSN", "IBAN_CODE");
    let told = send(&changed, json!({"dry_run": true, "cut_open": true})).await;
    assert_eq!(told, (json!(2), json!(0), m.clone(), m.clone()));
    let told = send(&changed, json!({})).await;
    assert_eq!(told, (json!(3), json!(0), m.clone(), none.clone()));
    let told = send(&changed, json!({"cut_open": true})).await;
    assert_eq!(told, (json!(3), json!(1), none, m));
}

#[tokio::test]
async fn versions_are_listed_newest_first_and_rolled_back() {
    let memory = Memory::new();
    apply(&memory, POLICY);
    let listed = call(&memory, "audrey", "GET", "/api/v1/versions", "").await;
    assert_eq!(listed.json[0]["version"], 2);
    assert_eq!(listed.json[1]["summary"], "first run");
    let shown = call(&memory, "audrey", "GET", "/api/v1/versions/2", "").await;
    assert_eq!(shown.json["documents"].as_array().unwrap().len(), 8);
    let rolled = call(&memory, "otto", "POST", "/api/v1/versions/1/rollback", "").await;
    assert_eq!(rolled.json, json!({"version": 3}));
    for path in ["/api/v1/versions/99", "/api/v1/versions/x"] {
        assert_eq!(call(&memory, "ada", "GET", path, "").await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_secret_is_set_and_listed_but_never_shown() {
    let memory = Memory::new();
    apply(&memory, POLICY);
    let path = "/api/v1/secrets/llama-key";
    let set = call(&memory, "otto", "PUT", path, json!({"value": "sk-model"}).to_string()).await;
    assert_eq!((set.status, set.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(memory.values(), ["sk-model"]);
    let listed = call(&memory, "audrey", "GET", "/api/v1/secrets", "").await;
    let expected = json!([{"name": "llama-key", "updated_ms": 1_000_000, "used_by": ["llama"]}]);
    assert_eq!(listed.json, expected);
    assert!(!listed.text.contains("sk-model"));
    let refused = call(&memory, "audrey", "DELETE", path, "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(call(&memory, "otto", "DELETE", path, "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(call(&memory, "otto", "DELETE", path, "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_bad_secret_is_refused_without_repeating_it() {
    let memory = Memory::new();
    let long = "sk-secret".repeat(2_000);
    let bodies = [
        (json!({"value": "sk-secret\nx"}).to_string(), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"value": "sk-secret\u{0}"}).to_string(), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"value": long}).to_string(), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"value": ""}).to_string(), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"sk-secret": "x"}).to_string(), StatusCode::BAD_REQUEST),
        (json!({"value": {"sk-secret": 1}}).to_string(), StatusCode::BAD_REQUEST),
        ("sk-secret".to_owned(), StatusCode::BAD_REQUEST),
        ("sk-secret".repeat(20_000), StatusCode::PAYLOAD_TOO_LARGE),
    ];
    for (body, expected) in bodies {
        let reply = call(&memory, "otto", "PUT", "/api/v1/secrets/a", body).await;
        assert_eq!(reply.status, expected, "{}", reply.text);
        assert!(!reply.text.contains("sk-secret"));
    }
    assert!(memory.values().is_empty());
}

#[tokio::test]
async fn an_explanation_has_the_decision_and_its_steps() {
    let memory = Memory::new();
    apply(&memory, POLICY);
    let question = json!({
        "user": "eve", "groups": ["engineers"], "method": "POST",
        "path": "/llama/v1/chat/completions", "body": r#"{"model":"smol","messages":[]}"#
    });
    let reply = call(&memory, "audrey", "POST", "/api/v1/explain", question.to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert_eq!((&reply.json["decision"], &reply.json["status"]), (&json!("allow"), &json!(200)));
    assert_eq!(reply.json["rule"], "engineers-infer");
    assert_eq!(reply.json["operations"], json!(["infer.chat"]));
    assert_eq!(reply.json["code"], json!(null));
    assert!(!reply.json["steps"].as_array().unwrap().is_empty());
    let own = json!({"user": "uma", "method": "GET", "path": "/llama/v1/models"}).to_string();
    let reply = call(&memory, "uma", "POST", "/api/v1/explain", own).await;
    assert_eq!(reply.json["code"], "no_connection");
    let other = call(&memory, "uma", "POST", "/api/v1/explain", question.to_string()).await;
    assert_eq!(other.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn join_files_are_for_administrators_and_kept_by_no_cache() {
    let memory = Memory::new();
    for user in ["otto", "audrey"] {
        let reply = call(&memory, user, "POST", "/api/v1/nodes/join-files", "").await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
    }
    let reply = call(&memory, "ada", "POST", "/api/v1/nodes/join-files", "").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.headers[header::CACHE_CONTROL], "no-store");
    let nodes = call(&memory, "audrey", "GET", "/api/v1/nodes", "").await;
    assert_eq!(nodes.json, json!([]));
}

#[tokio::test]
async fn an_administrator_removes_a_node_once() {
    let memory = Memory::new();
    memory.join("node-1");
    let path = "/api/v1/nodes/node-1";
    let refused = call(&memory, "otto", "DELETE", path, "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let removed = call(&memory, "ada", "DELETE", path, "").await;
    assert_eq!((removed.status, removed.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(call(&memory, "ada", "GET", "/api/v1/nodes", "").await.json, json!([]));
    assert_eq!(call(&memory, "ada", "DELETE", path, "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn acts_say_who_did_what_and_an_edited_one_shows() {
    let memory = Memory::new();
    let body = json!({"value": "sk-model"}).to_string();
    call(&memory, "otto", "PUT", "/api/v1/secrets/a", body).await;
    let acts = call(&memory, "audrey", "GET", "/api/v1/acts", "").await;
    assert_eq!(acts.json[0]["action"], "documents.first-run");
    assert_eq!(acts.json[1]["actor"], json!({"issuer": "dev", "subject": "otto"}));
    assert_eq!(acts.json[1]["after"], json!({"generation": 1}));
    assert!(acts.json.as_array().unwrap().iter().all(|act| act["intact"] == true));
    let behind = call(&memory, "audrey", "GET", "/api/v1/acts?after=1", "").await;
    assert_eq!(
        (behind.json.as_array().unwrap().len(), &behind.json[0]["intact"]),
        (1, &json!(true))
    );
    memory.edit_newest_act();
    let edited = call(&memory, "audrey", "GET", "/api/v1/acts", "").await;
    assert_eq!(
        (&edited.json[0]["intact"], &edited.json[1]["intact"]),
        (&json!(true), &json!(false))
    );
    let operator = call(&memory, "otto", "GET", "/api/v1/acts", "").await;
    assert_eq!(operator.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_store_that_fails_is_told_and_nothing_changes() {
    let memory = Memory::new();
    memory.break_store();
    let body = json!({"sources": [{"name": "a", "text": POLICY}]}).to_string();
    let reply = call(&memory, "otto", "POST", "/api/v1/documents/apply", body).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    let listed = call(&memory, "ada", "GET", "/api/v1/documents?kind=rule", "").await;
    assert_eq!(listed.json, json!([]));
    let health = call(&memory, "", "GET", "/healthz", "").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn what_is_not_understood_is_a_problem_without_an_echo() {
    let memory = Memory::new();
    let cases = [
        ("GET", "/api/v1/nothing", StatusCode::NOT_FOUND),
        ("PATCH", "/api/v1/documents", StatusCode::METHOD_NOT_ALLOWED),
        ("GET", "/api/v1/documents?kind=guard", StatusCode::NOT_FOUND),
        ("GET", "/api/v1/documents?knid=rule", StatusCode::BAD_REQUEST),
        ("GET", "/api/v1/acts?after=x", StatusCode::BAD_REQUEST),
    ];
    for (method, path, expected) in cases {
        let reply = call(&memory, "ada", method, path, "").await;
        assert_eq!(reply.status, expected, "{method} {path}");
        assert_eq!(reply.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(reply.json["status"], expected.as_u16());
    }
}
