//! Where people sign in.

use axum::http::StatusCode;
use serde_json::json;

use super::backend::{Memory, apply, call};

#[tokio::test]
async fn whoever_asks_learns_which_issuers_people_sign_in_with_and_nothing_else() {
    let memory = Memory::new();
    let none = call(&memory, "", "GET", "/api/v1/login", "").await;
    assert_eq!((none.status, &none.json), (StatusCode::OK, &json!([])));
    let with_client = "kind: issuer\nname: dev\nissuer: http://127.0.0.1:9000\n\
                       audiences: [penstock]\nclient_id: penstock-cli\n";
    apply(&memory, with_client);
    let one = call(&memory, "", "GET", "/api/v1/login", "").await;
    let expected = json!([{
        "name": "dev",
        "issuer": "http://127.0.0.1:9000",
        "client_id": "penstock-cli",
    }]);
    assert_eq!(one.json, expected, "{}", one.text);
}
