//! Reviewers are reached: messages out, signed answers and clicks back.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;
#[path = "common/receiver.rs"]
mod receiver;
#[path = "common/smtp.rs"]
#[allow(dead_code, reason = "shared with the tests of the delivery")]
mod smtp;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{TestControlplane, eventually};
use penstock_config::settings::{SignInSettings, SmtpSettings, SmtpTls};
use receiver::Receiver;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use smtp::MailServer;

const KEY: [u8; 32] = [7; 32];

/// A control plane that tells a webhook and a mailbox.
struct World {
    plane: TestControlplane,
    hook: Receiver,
    mail: MailServer,
    client: Client,
}

impl World {
    async fn new() -> Self {
        Self::with(None).await
    }

    async fn with(sign_in: Option<SignInSettings>) -> Self {
        let (hook, mail) = (Receiver::start().await, MailServer::start().await);
        let mut plane = TestControlplane::start().await;
        let port = mail.address.port();
        plane
            .restart_with(|options| {
                options.settings.smtp = Some(SmtpSettings {
                    tls: SmtpTls::StartTls,
                    host: "127.0.0.1".into(),
                    port,
                    from: "penstock@example.com".into(),
                    username: None,
                    password_file: None,
                    ca_file: None,
                });
                options.settings.sign_in = sign_in;
            })
            .await;
        plane.set_secret("bridge-key", &secret()).await;
        plane.set_secret("listener-key", &secret()).await;
        let (status, answer) = plane.apply(&policy(&hook.url)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let client = Client::builder().no_proxy().build().unwrap();
        Self { plane, hook, mail, client }
    }

    /// Carl asks for access; the id of the approval.
    async fn ask(&self) -> String {
        let body = json!({
            "connection": "llama", "operations": ["adapter.load"], "minutes": 10,
            "reason": "<b>urgent</b>"
        });
        let path = "/api/v1/access-requests";
        let (status, answer) = self.call_as("carl", Method::POST, path, &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    fn token(&self, user: &str) -> String {
        self.plane.token(&self.plane.key, user, "penstock-api")
    }

    async fn call_as(
        &self,
        user: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        self.plane.call_with(&self.token(user), method, path, body).await
    }

    async fn approval(&self, id: &str) -> Value {
        self.plane.call(Method::GET, &format!("/api/v1/approvals/{id}"), &Value::Null).await.1
    }

    /// Posts an answer as the webhook of that name would.
    async fn post(&self, webhook: &str, message: &Message) -> (StatusCode, Value) {
        let url = format!("{}/api/v1/webhooks/{webhook}/answers", self.plane.api);
        let call = self.client.post(url).header("content-type", "application/json");
        let call = call
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", message.at_s.to_string())
            .header("webhook-signature", &message.signature)
            .body(message.body.clone());
        let reply = call.send().await.unwrap();
        let status = reply.status();
        (status, serde_json::from_str(&reply.text().await.unwrap()).unwrap_or_default())
    }

    async fn notifications(&self, state: &str) -> Vec<Value> {
        let path = format!("/api/v1/notifications?state={state}");
        let (status, rows) = self.plane.call(Method::GET, &path, &Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{rows}");
        rows.as_array().unwrap().clone()
    }

    /// The link of the one mail that came.
    async fn link(&self) -> Link {
        eventually("a mail with a link", async || self.mails().contains("?key=")).await;
        let mails = self.mails();
        let line = mails.lines().find(|line| line.contains("?key=")).unwrap().trim();
        let (page, key) = line.split_once("?key=").unwrap();
        Link { url: line.to_owned(), page: page.to_owned(), key: key.to_owned() }
    }

    /// Every mail, as a reader shows it: without what quoted-printable adds (RFC 2045).
    fn mails(&self) -> String {
        self.mail.conversations().concat().replace("=\r\n", "").replace("=3D", "=")
    }

    /// Sends the page's form.
    async fn send(&self, link: &Link, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let reply = self.client.post(&link.page).form(fields).send().await.unwrap();
        let status = reply.status();
        (status, reply.text().await.unwrap())
    }

    async fn click(&self, link: &Link, user: &str, answer: &str) -> (StatusCode, String) {
        let token = self.token(user);
        let fields = [("token", &*token), ("key", &link.key), ("answer", answer), ("reason", "no")];
        self.send(link, &fields).await
    }
}

/// What a mail brings.
struct Link {
    url: String,
    page: String,
    key: String,
}

/// A signed answer.
#[derive(Clone)]
struct Message {
    id: String,
    at_s: u64,
    signature: String,
    body: String,
}

impl Message {
    fn new(id: &str, body: &Value) -> Self {
        Self::at(id, jsonwebtoken::get_current_timestamp(), body)
    }

    fn at(id: &str, at_s: u64, body: &Value) -> Self {
        let body = body.to_string();
        Self { id: id.to_owned(), at_s, signature: signature(id, &at_s.to_string(), &body), body }
    }
}

fn secret() -> String {
    format!("whsec_{}", STANDARD.encode(KEY))
}

fn signature(id: &str, at_s: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &KEY);
    let tag = hmac::sign(&key, format!("{id}.{at_s}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

fn yes(approval: &str) -> Value {
    json!({"approval": approval, "answer": "approve", "on_behalf_of": "rita@example.com"})
}

fn policy(hook: &str) -> String {
    format!(
        "
kind: connection
name: llama
protocol: llamacpp
version: b11434
endpoints: [http://127.0.0.1:8080]
---
kind: rule
name: adapters
effect: approve
subjects: [{{users: [carl]}}]
operations: [adapter.load]
approval:
  reviewers: [{{users: [rita, 'service:bridge']}}]
---
kind: webhook
name: bridge
url: {hook}
secret: bridge-key
answers_as: {{issuer: dev, subject: 'service:bridge'}}
---
kind: webhook
name: listener
url: {hook}
secret: listener-key
events: [grant.ended]
---
kind: mail
name: reviewers
to: [rita@example.com]
events: [approval.requested]
"
    )
}

fn header<'a>(reply: &'a Response, name: &str) -> &'a str {
    reply.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_is_told_and_its_signed_answer_counts_once() {
    let world = World::new().await;
    let id = world.ask().await;
    eventually("a message", async || !world.hook.received().is_empty()).await;
    let told = world.hook.received().remove(0);
    let (message, at_s) = (told.header("webhook-id"), told.header("webhook-timestamp"));
    assert_eq!(told.header("webhook-signature"), signature(message, at_s, &told.body));
    let payload: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!(payload["type"], "approval.requested");
    assert_eq!(payload["data"]["approval"], *id);
    assert!(payload["data"]["url"].as_str().unwrap().ends_with(&format!("/approvals/{id}")));

    let forged =
        Message { signature: signature("msg_1", "1", "{}"), ..Message::new("msg_1", &yes(&id)) };
    assert_eq!(world.post("bridge", &forged).await.0, StatusCode::UNAUTHORIZED);
    let late = Message::at("msg_1", jsonwebtoken::get_current_timestamp() - 301, &yes(&id));
    assert_eq!(world.post("bridge", &late).await.0, StatusCode::UNAUTHORIZED);
    let good = Message::new("msg_1", &yes(&id));
    let changed = Message { body: good.body.replace("approve", "deny"), ..good.clone() };
    assert_eq!(world.post("bridge", &changed).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.post("nobody", &good).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.approval(&id).await["state"], "pending");

    let (status, answer) = world.post("bridge", &good).await;
    assert_eq!((status, &answer["state"]), (StatusCode::OK, &json!("approved")), "{answer}");
    let (status, answer) = world.post("bridge", &good).await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("replayed")));
    let shown = world.approval(&id).await.to_string();
    assert!(shown.contains("service:bridge") && shown.contains("rita@example.com"), "{shown}");
    let again = Message::new("msg_2", &yes(&id));
    let (status, answer) = world.post("bridge", &again).await;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_answered_is_refused_after_a_restart() {
    let mut world = World::new().await;
    let id = world.ask().await;
    let good = Message::new("msg_1", &yes(&id));
    assert_eq!(world.post("bridge", &good).await.0, StatusCode::OK);
    world.plane.restart().await;
    let (status, answer) = world.post("bridge", &good).await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("replayed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_rules_refuse_is_not_taken_again() {
    let world = World::new().await;
    let unknown = Message::new("msg_1", &yes("apr-unknown"));
    assert_eq!(world.post("bridge", &unknown).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.post("bridge", &unknown).await.1["code"], "replayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_only_told_does_not_answer() {
    let world = World::new().await;
    let id = world.ask().await;
    let (status, answer) = world.post("listener", &Message::new("msg_1", &yes(&id))).await;
    assert_eq!((status, &answer["code"]), (StatusCode::FORBIDDEN, &json!("forbidden")));
    assert_eq!(world.approval(&id).await["state"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_send_ourselves_is_no_answer() {
    let world = World::new().await;
    let id = world.ask().await;
    eventually("a message", async || !world.hook.received().is_empty()).await;
    let told = world.hook.received().remove(0);
    let reflected = Message {
        id: told.header("webhook-id").to_owned(),
        at_s: told.header("webhook-timestamp").parse().unwrap(),
        signature: told.header("webhook-signature").to_owned(),
        body: told.body.clone(),
    };
    assert_eq!(world.post("bridge", &reflected).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(world.approval(&id).await["state"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forger_is_told_to_wait_and_locks_nobody_out() {
    let world = World::new().await;
    let id = world.ask().await;
    let good = Message::new("msg_1", &yes(&id));
    let forged = Message { signature: "v1,AAAA".into(), ..good.clone() };
    for _ in 0..20 {
        assert_eq!(world.post("bridge", &forged).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.post("bridge", &forged).await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(world.post("bridge", &good).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_needs_a_reason_and_an_answer_has_bounds() {
    let world = World::new().await;
    let id = world.ask().await;
    let bad = [
        json!({"approval": id, "answer": "deny"}),
        json!({"approval": id, "answer": "deny", "reason": "no", "uses": 1}),
        json!({"approval": id, "answer": "approve", "on_behalf_of": "a\nb"}),
        json!({"approval": id, "answer": "approve", "on_behalf_of": "a".repeat(257)}),
    ];
    for (number, body) in bad.iter().enumerate() {
        let message = Message::new(&format!("msg_{number}"), body);
        let (status, answer) = world.post("bridge", &message).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    }
    let maybe = Message::new("msg_m", &json!({"approval": id, "answer": "maybe"}));
    assert_eq!(world.post("bridge", &maybe).await.0, StatusCode::BAD_REQUEST);
    let long = json!({"approval": id, "answer": "deny", "reason": "a".repeat(20_001)});
    let long = Message::new("msg_l", &long);
    assert_eq!(world.post("bridge", &long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let no = Message::new("msg_n", &json!({"approval": id, "answer": "deny", "reason": "no"}));
    assert_eq!(world.post("bridge", &no).await.1["state"], "denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_the_page_decides_nothing_and_uses_nothing_up() {
    let world = World::new().await;
    let id = world.ask().await;
    let link = world.link().await;
    for _ in 0..3 {
        let reply = world.client.get(&link.url).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        assert_eq!(header(&reply, "cache-control"), "no-store");
        assert_eq!(header(&reply, "referrer-policy"), "no-referrer");
        assert_eq!(header(&reply, "x-frame-options"), "DENY");
        assert!(header(&reply, "content-security-policy").starts_with("default-src 'none'"));
        let text = reply.text().await.unwrap();
        assert!(!text.contains("carl") && !text.contains("urgent"), "{text}");
        assert!(!text.contains("value=\"approve\""), "{text}");
    }
    assert_eq!(world.client.head(&link.url).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(world.approval(&id).await["state"], "pending");
    let token = world.token("rita");
    let (status, text) = world.send(&link, &[("token", &token), ("key", &link.key)]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("&lt;b&gt;urgent&lt;/b&gt;") && !text.contains("<b>"), "{text}");
    assert!(text.contains("value=\"approve\""), "{text}");
    assert_eq!(world.approval(&id).await["state"], "pending");
    assert_eq!(world.click(&link, "rita", "approve").await.0, StatusCode::OK);
    assert_eq!(world.approval(&id).await["state"], "approved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_good_for_one_answer_about_its_approval() {
    let world = World::new().await;
    let first = world.ask().await;
    let link = world.link().await;
    let second = world.ask().await;
    let other = Link { page: link.page.replace(&first, &second), ..world.link().await };
    assert_ne!(first, second);
    assert_eq!(world.click(&other, "rita", "approve").await.0, StatusCode::FORBIDDEN);
    assert_eq!(world.click(&link, "rita", "deny").await.0, StatusCode::OK);
    assert_eq!(world.approval(&first).await["state"], "denied");
    let (status, text) = world.click(&link, "rita", "deny").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{text}");
    assert_eq!(world.approval(&second).await["state"], "pending");
    let no_key = Link { key: String::new(), ..other };
    assert_eq!(world.click(&no_key, "rita", "approve").await.0, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_reviewer_decides_nothing_and_leaves_the_key() {
    let world = World::new().await;
    let id = world.ask().await;
    let link = world.link().await;
    assert_eq!(world.click(&link, "carl", "approve").await.0, StatusCode::FORBIDDEN, "their own");
    assert_eq!(world.click(&link, "ada", "approve").await.0, StatusCode::FORBIDDEN, "admin alone");
    assert_eq!(world.click(&link, "eve", "approve").await.0, StatusCode::NOT_FOUND, "a stranger");
    let fields = [("token", "e.y.J"), ("key", &*link.key), ("answer", "approve")];
    assert_eq!(world.send(&link, &fields).await.0, StatusCode::UNAUTHORIZED);
    let twice = [("token", "a"), ("token", "b")];
    assert_eq!(world.send(&link, &twice).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(world.approval(&id).await["state"], "pending");
    assert_eq!(world.click(&link, "rita", "approve").await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_says_what_is_asked_for_and_holds_no_secret_but_its_key() {
    let world = World::new().await;
    let id = world.ask().await;
    let link = world.link().await;
    let mail = world.mails();
    assert!(mail.contains("RCPT TO:<rita@example.com>"), "{mail}");
    assert!(mail.contains("Auto-Submitted: auto-generated"), "{mail}");
    assert!(mail.contains("adapter.load") && mail.contains(&id) && mail.contains("carl"), "{mail}");
    assert!(!mail.contains("eyJ") && !mail.contains("whsec_"), "{mail}");
    assert_eq!(mail.matches(&link.key).count(), 1);
    for file in ["controlplane.db", "controlplane.db-wal"] {
        let bytes = std::fs::read(world.plane.folder.path().join("state").join(file)).unwrap();
        let found = bytes.windows(link.key.len()).any(|window| window == link.key.as_bytes());
        assert!(!found, "{file} holds the key");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_shown_and_sent_again() {
    let world = World::new().await;
    world.hook.answers("410 Gone\r\n");
    world.ask().await;
    eventually("a dead letter", async || !world.notifications("dead").await.is_empty()).await;
    let row = world.notifications("dead").await.remove(0);
    assert_eq!((&row["channel"], &row["attempts"]), (&json!("webhook/bridge"), &json!(1)));
    assert!(row["problem"].as_str().unwrap().contains("410"), "{row}");
    let path = format!("/api/v1/notifications/{}/retry", row["id"].as_str().unwrap());
    let retry = async |user: &str| world.call_as(user, Method::POST, &path, &Value::Null).await.0;
    assert_eq!(retry("rita").await, StatusCode::FORBIDDEN);
    assert_eq!(retry("ada").await, StatusCode::NO_CONTENT);
    eventually("it is delivered", async || world.hook.received().len() == 2).await;
    let received = world.hook.received();
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    eventually("it says so", async || world.notifications("dead").await.is_empty()).await;
    eventually("it is kept", async || world.notifications("delivered").await.len() >= 2).await;
    assert_eq!(retry("ada").await, StatusCode::CONFLICT);
    let unknown = "/api/v1/notifications/none/retry";
    let (status, _) = world.plane.call(Method::POST, unknown, &Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (_, acts) = world.plane.call(Method::GET, "/api/v1/acts", &Value::Null).await;
    let acts = acts.as_array().unwrap();
    assert!(acts.iter().any(|act| act["action"] == "notification.retry"));
    let bad = "/api/v1/notifications?state=gone";
    assert_eq!(world.plane.call(Method::GET, bad, &Value::Null).await.0, StatusCode::BAD_REQUEST);
}

/// What follows a parameter's name in an address.
fn parameter(url: &str, name: &str) -> String {
    let url = reqwest::Url::parse(url).unwrap();
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// A control plane that people sign in to with the test's issuer, and where codes become tokens.
async fn with_sign_in() -> (World, Receiver) {
    let settings = SignInSettings {
        issuer: "dev".into(),
        client_id: "page".into(),
        scopes: vec!["openid".into()],
    };
    let (world, token) = (World::with(Some(settings)).await, Receiver::start().await);
    let issuer = &world.plane.issuer.url;
    world.plane.issuer.discovery(&json!({
        "issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
        "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": token.url
    }));
    (world, token)
}

fn id_token(world: &World, user: &str, audience: &str, nonce: &str) -> String {
    let now = jsonwebtoken::get_current_timestamp();
    let claims = json!({
        "iss": world.plane.issuer.url, "sub": user, "aud": audience, "iat": now, "exp": now + 300,
        "nonce": nonce
    });
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    header.kid = Some(world.plane.key.id.clone());
    let key = jsonwebtoken::EncodingKey::from_ed_der(&world.plane.key.document);
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reviewer_signs_in_with_their_provider_and_clicks() {
    let (world, provider) = with_sign_in().await;
    let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let api = &world.plane.api;
    let key = "0".repeat(64);
    let id = world.ask().await;
    let begin = async || {
        let url = format!("{api}/sign-in?approval={id}&key={key}");
        let reply = client.get(url).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::SEE_OTHER);
        let cookie = header(&reply, "set-cookie").split_once(';').unwrap().0.to_owned();
        (header(&reply, "location").to_owned(), cookie)
    };
    let back = async |state: &str, cookie: &str, iss: &str| {
        let url = format!("{api}/sign-in/callback?code=code-1&state={state}{iss}");
        let reply = client.get(url).header("cookie", cookie).send().await.unwrap();
        (reply.status(), reply.text().await.unwrap())
    };
    let gives = |user: &str, audience: &str, nonce: &str| {
        let body = json!({"id_token": id_token(&world, user, audience, nonce)}).to_string();
        provider.answers_with("200 OK\r\n", &body);
    };
    let (location, cookie) = begin().await;
    assert!(location.starts_with(&format!("{}/authorize?", world.plane.issuer.url)));
    let (state, nonce) = (parameter(&location, "state"), parameter(&location, "nonce"));
    assert_eq!(parameter(&location, "redirect_uri"), format!("{api}/sign-in/callback"));
    assert_eq!(parameter(&location, "code_challenge_method"), "S256");
    let (other_location, other_cookie) = begin().await;
    assert_ne!(state, parameter(&other_location, "state"));

    let refused = StatusCode::UNAUTHORIZED;
    assert_eq!(back("another", &cookie, "").await.0, refused, "another state");
    assert_eq!(back(&state, &other_cookie, "").await.0, refused, "another browser");
    assert_eq!(back(&state, &cookie, "&iss=https://evil.example.com").await.0, refused);
    let forged = cookie.replace(".", ".A");
    assert_eq!(back(&state, &forged, "").await.0, refused, "a forged cookie");
    assert!(provider.received().is_empty(), "no code was sent");
    gives("rita", "page", "another");
    assert_eq!(back(&state, &cookie, "").await.0, refused, "another nonce");
    gives("rita", "penstock", &nonce);
    assert_eq!(back(&state, &cookie, "").await.0, refused, "another audience");

    gives("rita", "page", &nonce);
    let (status, text) = back(&state, &cookie, "").await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert!(text.contains("signed in as rita") && text.contains("value=\"approve\""), "{text}");
    let asked = provider.received().pop().unwrap().body;
    let verifier = asked.split("code_verifier=").nth(1).unwrap().split('&').next().unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
    assert_eq!(challenge, parameter(&location, "code_challenge"));

    let link = world.link().await;
    let token = id_token(&world, "rita", "page", "");
    let fields = [("token", &*token), ("key", &link.key), ("answer", "approve")];
    assert_eq!(world.send(&link, &fields).await.0, StatusCode::OK);
    let path = format!("/api/v1/approvals/{id}");
    let (status, _) = world.plane.call_with(&token, Method::GET, &path, &Value::Null).await;
    assert_eq!(status, refused, "an ID token is good on the page alone");
}
