//! Sign-in against a scripted identity provider: what is asked, what is believed, what is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use openidconnect::core::CoreTokenResponse;
use openidconnect::url::form_urlencoded;
use serde_json::{Value, json};

use super::device;
use super::provider::{self, Identity, Provider};
use super::refresh::{self, Asked};
use crate::failure::{Exit, Failure};
use crate::profiles::{Profile, Purpose, Wanted};
use crate::secret::Secret;
use crate::signer::{Signer, TokenRequest};
use crate::timestamp;

#[derive(Default)]
struct Script {
    description: Value,
    keys: Value,
    tokens: VecDeque<(u16, Value)>,
    forms: Vec<Vec<(String, String)>>,
}

/// An identity provider whose token endpoint gives scripted answers, in turn.
struct Scripted {
    issuer: String,
    signer: Signer,
    script: Arc<Mutex<Script>>,
}

type Shared = State<Arc<Mutex<Script>>>;

async fn description(State(script): Shared) -> Json<Value> {
    Json(script.lock().unwrap().description.clone())
}

async fn keys(State(script): Shared) -> Json<Value> {
    Json(script.lock().unwrap().keys.clone())
}

async fn device_code(State(script): Shared, body: String) -> Json<Value> {
    script.lock().unwrap().forms.push(form(&body));
    Json(json!({"device_code": "d", "user_code": "AB-CD", "expires_in": 600, "interval": 1,
        "verification_uri": "https://id.example.com/device"}))
}

async fn token(State(script): Shared, body: String) -> Response {
    let mut script = script.lock().unwrap();
    script.forms.push(form(&body));
    let (status, answer) = script.tokens.pop_front().unwrap();
    (StatusCode::from_u16(status).unwrap(), Json(answer)).into_response()
}

fn form(body: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

impl Scripted {
    async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let signer = Signer::new(&Signer::generate().unwrap(), &issuer).unwrap();
        let description_of = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/jwks"),
            "device_authorization_endpoint": format!("{issuer}/device"),
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"]});
        let script =
            Script { description: description_of, keys: signer.key_set(), ..Script::default() };
        let script = Arc::new(Mutex::new(script));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(description))
            .route("/jwks", get(keys))
            .route("/device", post(device_code))
            .route("/token", post(token))
            .with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { issuer, signer, script }
    }

    fn answers(&self, answers: impl IntoIterator<Item = (u16, Value)>) {
        self.script.lock().unwrap().tokens.extend(answers);
    }

    fn describe(&self, field: &str, value: Value) {
        self.script.lock().unwrap().description[field] = value;
    }

    fn forms(&self) -> Vec<Vec<(String, String)>> {
        self.script.lock().unwrap().forms.clone()
    }

    fn token(&self, audience: &str) -> String {
        sign(&self.signer, audience)
    }

    fn tokens(&self, audience: &str, refresh_token: &str) -> (u16, Value) {
        let identity = self.token("penstock");
        (200, answer(&self.token(audience), &identity, refresh_token))
    }

    async fn provider(&self) -> Provider {
        Provider::discover(&self.issuer, None).await.unwrap()
    }

    fn profile(&self) -> Profile {
        Profile {
            url: "https://penstock.example.com".to_owned(),
            gateway: None,
            ca: None,
            issuer: self.issuer.clone(),
            client_id: "penstock".to_owned(),
            token_endpoint: format!("{}/token", self.issuer),
            revocation_endpoint: None,
            wanted: wanted(),
            subject: "ann".to_owned(),
            name: None,
            api_token: None,
            gateway_token: None,
            refresh_token: Some(Secret::new("first".to_owned())),
        }
    }
}

fn sign(signer: &Signer, audience: &str) -> String {
    let request = TokenRequest {
        user: "ann".to_owned(),
        audience: audience.to_owned(),
        lifetime: Duration::from_secs(600),
        ..TokenRequest::default()
    };
    signer.sign(&request, timestamp::now_ms()).unwrap().to_string()
}

fn answer(access: &str, identity: &str, refresh_token: &str) -> Value {
    json!({"access_token": access, "token_type": "Bearer", "expires_in": 600,
        "id_token": identity, "refresh_token": refresh_token})
}

fn wanted() -> Wanted {
    Wanted {
        api_resource: Some("urn:penstock-api".to_owned()),
        gateway_resource: Some("urn:penstock".to_owned()),
        gateway_audience: "penstock".to_owned(),
    }
}

fn asked() -> Asked {
    Asked {
        client_id: "penstock".to_owned(),
        scopes: vec!["offline_access".to_owned()],
        wanted: wanted(),
    }
}

fn error(name: &str) -> (u16, Value) {
    (400, json!({"error": name}))
}

/// Signs in by device code without waiting, and says what would have been waited.
async fn by_device(
    scripted: &Scripted,
) -> (Result<(CoreTokenResponse, Identity), Failure>, Vec<Duration>) {
    let pauses = Mutex::new(Vec::new());
    let sleep = |pause| {
        pauses.lock().unwrap().push(pause);
        async {}
    };
    let signed_in = device::sign_in(&scripted.provider().await, &asked(), sleep).await;
    (signed_in, pauses.into_inner().unwrap())
}

#[tokio::test]
async fn a_code_is_asked_for_as_slowly_as_the_provider_wants() {
    let scripted = Scripted::start().await;
    let pending = || error("authorization_pending");
    scripted.answers([pending(), error("slow_down"), pending()]);
    scripted.answers([scripted.tokens("penstock-api", "r")]);
    let (signed_in, pauses) = by_device(&scripted).await;
    assert_eq!(signed_in.unwrap().1.subject, "ann");
    assert_eq!(pauses, [1, 6, 6].map(Duration::from_secs));
    let forms = scripted.forms();
    let values = |form: &[(String, String)], name: &str| -> Vec<String> {
        let of_name = form.iter().filter(|(field, _)| field == name);
        of_name.map(|(_, value)| value.clone()).collect()
    };
    assert_eq!(values(&forms[0], "resource"), ["urn:penstock-api", "urn:penstock"]);
    assert!(values(&forms[0], "scope")[0].contains("offline_access"));
    assert_eq!(values(&forms[1], "resource"), ["urn:penstock-api"]);
    assert_eq!(values(&forms[1], "device_code"), ["d"]);
}

#[tokio::test]
async fn an_expired_code_is_a_failure_and_a_refused_one_is_a_denial() {
    for (name, exit) in [("expired_token", Exit::Failed), ("access_denied", Exit::Denied)] {
        let scripted = Scripted::start().await;
        scripted.answers([error("authorization_pending"), error(name)]);
        assert_eq!(by_device(&scripted).await.0.unwrap_err().exit, exit, "{name}");
    }
}

#[tokio::test]
async fn an_identity_token_of_anybody_else_or_for_anybody_else_is_not_believed() {
    let scripted = Scripted::start().await;
    let stranger = Signer::new(&Signer::generate().unwrap(), &scripted.issuer).unwrap();
    let access = scripted.token("penstock-api");
    let cases = [
        sign(&stranger, "penstock"),
        scripted.token("another-client"),
        "eyJhbGciOiJub25lIn0.e30.".to_owned(),
    ];
    for identity in cases {
        scripted.answers([(200, answer(&access, &identity, "r"))]);
        let failure = by_device(&scripted).await.0.unwrap_err();
        assert!(!failure.message.contains(&access) && !failure.message.contains(&identity));
    }
    scripted.answers([(200, json!({"access_token": access, "token_type": "Bearer"}))]);
    assert!(by_device(&scripted).await.0.is_err(), "no identity token at all");
    // A browser's sign-in has a nonce, and only an identity token with it counts.
    let (_, tokens) = scripted.tokens("penstock-api", "r");
    let tokens: CoreTokenResponse = serde_json::from_value(tokens).unwrap();
    let client = scripted.provider().await.client("penstock");
    let nonce = openidconnect::Nonce::new("n".to_owned());
    assert!(provider::verified(&tokens, &client.id_token_verifier(), None).is_ok());
    assert!(provider::verified(&tokens, &client.id_token_verifier(), Some(&nonce)).is_err());
}

#[tokio::test]
async fn nothing_is_sent_in_clear_text_to_another_machine() {
    let scripted = Scripted::start().await;
    scripted.describe("token_endpoint", json!("http://192.0.2.1/token"));
    scripted.describe("device_authorization_endpoint", json!("http://192.0.2.1/device"));
    let (signed_in, _) = by_device(&scripted).await;
    let failure = signed_in.unwrap_err();
    assert!(failure.message.contains("neither https"), "{failure}");
    assert!(Provider::discover("http://id.example.com", None).await.is_err());
    scripted.describe("issuer", json!("https://id.example.com"));
    let other = Provider::discover(&scripted.issuer, None).await.err().unwrap();
    assert!(other.message.contains("unexpected issuer"), "{other}");
}

#[tokio::test]
async fn a_refresh_token_is_replaced_and_each_purpose_has_its_own_token() {
    let scripted = Scripted::start().await;
    let mut profile = scripted.profile();
    let kept = |profile: &Profile| profile.refresh_token.as_ref().map(|one| one.copy().to_string());
    scripted.answers([scripted.tokens("penstock-api", "second")]);
    refresh::refresh(&mut profile, Purpose::Api).await.unwrap();
    assert_eq!(kept(&profile).as_deref(), Some("second"));
    assert!(profile.api_token.is_some() && profile.gateway_token.is_none());
    let (status, mut tokens) = scripted.tokens("penstock", "");
    tokens.as_object_mut().unwrap().remove("refresh_token");
    scripted.answers([(status, tokens)]);
    refresh::refresh(&mut profile, Purpose::Gateway).await.unwrap();
    assert_eq!(kept(&profile).as_deref(), Some("second"), "it was lost");
    assert!(profile.gateway_token.is_some());
    let forms = scripted.forms();
    assert!(forms[0].contains(&("resource".to_owned(), "urn:penstock-api".to_owned())));
    assert!(forms[1].contains(&("resource".to_owned(), "urn:penstock".to_owned())));
    assert!(forms[1].contains(&("refresh_token".to_owned(), "second".to_owned())));
}

#[tokio::test]
async fn a_refresh_token_is_forgotten_when_it_does_not_hold_any_more_and_only_then() {
    let scripted = Scripted::start().await;
    let mut profile = scripted.profile();
    scripted.answers([(503, json!({"error": "temporarily_unavailable"})), error("invalid_grant")]);
    assert!(refresh::refresh(&mut profile, Purpose::Api).await.is_err());
    assert!(profile.refresh_token.is_some());
    let failure = refresh::refresh(&mut profile, Purpose::Api).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Denied);
    assert!(profile.refresh_token.is_none());
}

#[tokio::test]
async fn a_token_for_somebody_else_is_not_kept() {
    let scripted = Scripted::start().await;
    let mut profile = scripted.profile();
    let opaque = (200, json!({"access_token": "opaque", "token_type": "Bearer"}));
    scripted.answers([scripted.tokens("payroll", "second"), opaque]);
    let failure = refresh::refresh(&mut profile, Purpose::Api).await.unwrap_err();
    assert!(failure.message.contains("for payroll, not for penstock-api"), "{failure}");
    let failure = refresh::refresh(&mut profile, Purpose::Api).await.unwrap_err();
    assert!(failure.message.contains("no JWT") && !failure.message.contains("opaque"), "{failure}");
    assert!(profile.api_token.is_none() && profile.gateway_token.is_none());
}
