//! The clients of OpenAI, Anthropic and Ollama in Python and JavaScript, unchanged but for their
//! base URL and their key: what they give to their users, and how they show what was refused; in
//! clear text, and over TLS on both sides of the gateway.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;
use std::time::Duration;

use penstock_harness::{Dev, DevOptions, Process};
use penstock_journeys::clients::{Asked, Client, Language, Shown, Vendor};
use penstock_journeys::secured::{Certificate, SecuredNode};
use penstock_journeys::simulated::{MODEL, Simulated};
use penstock_journeys::{documents, tools};
use serde_json::Value;

/// What the model server says: text that is escaped in JSON, cut in pieces, and more than ASCII.
const SAID: &str = "\"Gates\" hold water:\n\ttrès étroit, 水門は閉じています, \\ 100 % \u{1f30a}.";

/// The model server's own key, which no caller has.
const KEY: &str = "the-key-of-the-model-server";

/// How long the real model server may take to be ready.
const MODEL_PATIENCE: Duration = Duration::from_secs(120);

/// More tokens than any test waits for.
const TOKENS_ENDLESS: u64 = 1_000_000;

/// The product between a client and model servers: `m` says [`SAID`], so does `sealed`, over TLS
/// alone, and `endless` never comes to an end. A second node speaks TLS with callers.
struct Stage {
    dev: Dev,
    secured: SecuredNode,
    _servers: [Simulated; 3],
    _certificate: Certificate,
}

impl Stage {
    fn start(protocol: &str) -> Self {
        let certificate = Certificate::make();
        let [chain, key] =
            [certificate.chain(), certificate.key()].map(|file| file.display().to_string());
        let saying = ["--gap-ms", "0", "--text", SAID];
        let servers = [
            Simulated::start(KEY, &saying),
            Simulated::start(
                KEY,
                &[&saying[..], &["--certificate", &chain, "--key", &key]].concat(),
            ),
            Simulated::start(KEY, &["--gap-ms", "20", "--tokens", &TOKENS_ENDLESS.to_string()]),
        ];
        let [said, sealed, endless] = &servers;
        let documents = [
            connection("m", protocol, said.url()),
            connection("sealed", protocol, sealed.url()),
            connection("endless", protocol, endless.url()),
            documents::allow("engineers", "engineers", "infer.*, list"),
            documents::allow("readers", "readers", "list"),
        ];
        let dev = product(&documents);
        let secured = SecuredNode::join(&dev, &certificate.authority());
        Self { dev, secured, _servers: servers, _certificate: certificate }
    }
}

/// The product with these documents, and with the model servers' key.
fn product(documents: &[String]) -> Dev {
    Dev::start_with(DevOptions {
        documents: vec![documents.concat()],
        environment: vec![("PENSTOCK_SECRET_MODEL_KEY".into(), KEY.into())],
        ..DevOptions::default()
    })
}

fn connection(name: &str, protocol: &str, endpoint: &str) -> String {
    format!(
        "kind: connection\nname: {name}\nprotocol: {protocol}\nendpoints: ['{endpoint}']\n\
         credential: {{secret: model-key, scheme: bearer}}\n---\n"
    )
}

/// A client shows its own class of error, the status, and the words that the gateway said.
#[track_caller]
fn assert_shown(shown: &Shown, kind: &str, status: Option<u64>, message: &str) {
    assert_eq!((shown.kind.as_str(), shown.status), (kind, status), "{shown:?}");
    assert!(shown.message.contains(message), "{shown:?}");
    // A body in another vendor's shape is shown as it is, or not at all.
    assert!(!shown.message.starts_with(['{', '[']), "{shown:?}");
}

/// The names of the classes for a refusal, a bad token, and an error in mid-stream.
fn kinds(vendor: Vendor, language: Language) -> [&'static str; 3] {
    let cut = match (vendor, language) {
        (Vendor::OpenAi, _) | (Vendor::Anthropic, Language::JavaScript) => "APIError",
        (Vendor::Anthropic, Language::Python) => "APIStatusError",
        (Vendor::Ollama, Language::Python) => "ResponseError",
        (Vendor::Ollama, Language::JavaScript) => "Error",
    };
    match vendor {
        Vendor::OpenAi | Vendor::Anthropic => ["PermissionDeniedError", "AuthenticationError", cut],
        Vendor::Ollama => ["ResponseError", "ResponseError", cut],
    }
}

fn journey(vendor: Vendor, language: Language, protocol: &str) {
    let stage = Stage::start(protocol);
    let engineer = stage.dev.token("ada", &["engineers"], &[]);
    let reader = stage.dev.token("ben", &["readers"], &[]);
    let [denied, unauthenticated, cut] = kinds(vendor, language);
    let mut client = Client::start(language, vendor, Some(&stage.secured.authority()));
    let plain = stage.dev.ready().gateway.clone();
    for (gateway, name) in [(plain, "m"), (stage.secured.url(), "sealed")] {
        let connection = format!("{gateway}/{name}");
        let asked =
            Asked { connection: &connection, token: &engineer, model: MODEL, tokens_max: 64 };
        assert_answers(&mut client, asked);
        let reads = Asked { token: &reader, ..asked };
        let words = format!("no rule allows ben to infer.chat on {name}");
        assert_shown(&client.whole(reads).unwrap_err(), denied, Some(403), &words);
        assert_shown(&client.stream(reads).unwrap_err(), denied, Some(403), &words);
        let unknown = Asked { token: "not-a-token", ..asked };
        let words = "the token is not valid";
        assert_shown(&client.whole(unknown).unwrap_err(), unauthenticated, Some(401), words);
        let connection = format!("{gateway}/endless");
        let endless = Asked { connection: &connection, tokens_max: TOKENS_ENDLESS, ..asked };
        assert!(!client.open(endless).unwrap().is_empty());
    }
    let change = documents::allow("engineers", "engineers", "list");
    let output = stage.dev.apply(&change);
    assert_eq!(output.code, 0, "{}", output.stderr);
    for _ in 0..2 {
        let shown = client.rest().unwrap_err();
        let words = "no rule allows ada to infer.chat on endless";
        assert!(shown.kind == cut && shown.message.contains(words), "{shown:?}");
    }
}

/// What a model server lists and says comes to the client's user as it is.
#[track_caller]
fn assert_answers(client: &mut Client, asked: Asked<'_>) {
    assert_eq!(client.models(asked).unwrap(), [MODEL]);
    let (text, tokens) = client.whole(asked).unwrap();
    assert_eq!(text, SAID);
    let (text, pieces) = client.stream(asked).unwrap();
    assert_eq!((text.as_str(), pieces), (SAID, tokens), "a piece is a token");
}

#[test]
fn a_user_of_openai_in_python_notices_nothing_but_refusals_and_cuts() {
    journey(Vendor::OpenAi, Language::Python, "openai");
}

#[test]
fn a_user_of_openai_in_javascript_notices_nothing_but_refusals_and_cuts() {
    journey(Vendor::OpenAi, Language::JavaScript, "openai");
}

#[test]
fn a_user_of_anthropic_in_python_notices_nothing_but_refusals_and_cuts() {
    journey(Vendor::Anthropic, Language::Python, "vllm");
}

#[test]
fn a_user_of_anthropic_in_javascript_notices_nothing_but_refusals_and_cuts() {
    journey(Vendor::Anthropic, Language::JavaScript, "vllm");
}

#[test]
fn a_user_of_ollama_in_python_notices_nothing_but_refusals_and_cuts() {
    journey(Vendor::Ollama, Language::Python, "ollama");
}

#[test]
fn a_user_of_ollama_in_javascript_notices_nothing_but_refusals_and_cuts() {
    journey(Vendor::Ollama, Language::JavaScript, "ollama");
}

/// llama.cpp's own server with a small model speaks the APIs of OpenAI and of Anthropic.
#[test]
fn a_real_model_answers_the_clients_of_openai_and_anthropic() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(tools::python());
    command.arg(tools::repository_file("tests/python/model_server.py"));
    command.env("PENSTOCK_MODEL_KEY", KEY);
    let server = Process::spawn(command, &folder.path().join("server.log"));
    let ready = server.line(MODEL_PATIENCE).unwrap_or_else(|| panic!("{}", server.stderr()));
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let [url, model] = ["listen", "model"].map(|name| ready[name].as_str().unwrap());
    let dev = product(&[
        connection("m", "llamacpp", url),
        documents::allow("engineers", "engineers", "infer.*, list"),
    ]);
    let token = dev.token("ada", &["engineers"], &[]);
    let connection = format!("{}/m", dev.ready().gateway);
    let asked = Asked { connection: &connection, token: &token, model, tokens_max: 12 };
    for vendor in [Vendor::OpenAi, Vendor::Anthropic] {
        for language in [Language::Python, Language::JavaScript] {
            let mut client = Client::start(language, vendor, None);
            assert_eq!(client.models(asked).unwrap(), [model], "{vendor:?} in {language:?}");
            for (text, count) in [client.whole(asked).unwrap(), client.stream(asked).unwrap()] {
                assert!(!text.trim().is_empty(), "{vendor:?} in {language:?}");
                assert!((1..=12).contains(&count), "{vendor:?} in {language:?}: {count}");
            }
        }
    }
}
