//! Requests as bytes.

/// The `Host` of every request here; it decides nothing.
pub const HOST: &str = "gateway.test";

/// The question of every chat here.
pub const CHAT: &str = r#"{"model":"tiny","messages":[{"role":"user","content":"hi"}]}"#;

/// The same, streamed.
pub const CHAT_STREAMED: &str =
    r#"{"model":"tiny","messages":[{"role":"user","content":"hi"}],"stream":true}"#;

/// A GET with a token.
#[must_use]
pub fn get(target: &str, token: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// A POST of JSON with a token.
#[must_use]
pub fn post(target: &str, token: &str, body: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len(),
    )
}

/// A chat on the connection `m`.
#[must_use]
pub fn chat(token: &str) -> String {
    post("/m/v1/chat/completions", token, CHAT)
}

/// A streamed chat on the connection `m`.
#[must_use]
pub fn streamed_chat(token: &str) -> String {
    post("/m/v1/chat/completions", token, CHAT_STREAMED)
}

/// The list of models of the connection `m`.
#[must_use]
pub fn models(token: &str) -> String {
    get("/m/v1/models", token)
}
