//! Tokens of the certified OpenID provider: discovery, a new key, a removed key. No document is
//! applied after the start; what happens, happens because the provider's key set changed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use penstock_harness::{
    AutonomousUpstream, ClientError, Dev, Gate, PATIENCE, RawClient, Response, Script,
    ScriptedUpstream, Signal, eventually, signal,
};
use penstock_journeys::provider::Provider;
use penstock_journeys::{documents, requests};

/// Connections that a refusal is looked at on: more than any machine here has cores.
const CONNECTIONS: usize = 8;

/// How long nothing may happen to a stream that nothing should happen to.
const UNDISTURBED: Duration = Duration::from_secs(1);

/// A streamed answer as far as it goes by itself, and the rest of it.
const BEGUN: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                     transfer-encoding: chunked\r\n\r\n10\r\ndata: {\"n\": 1}\n\n\r\n";
const ENDED: &str = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

struct Stage {
    dev: Dev,
    provider: Provider,
    upstream: AutonomousUpstream,
    /// Behind the connection `stream`: goes on when the gate opens.
    _streaming: ScriptedUpstream,
    gate: Gate,
}

impl Stage {
    /// Two issuers are in force, `company` and the development one: each subject names its own.
    fn start() -> Self {
        let provider = Provider::start();
        let upstream = AutonomousUpstream::start();
        let issuer = format!(
            "kind: issuer\nname: company\nissuer: '{}'\naudiences: [penstock]\n---\n",
            provider.issuer()
        );
        let rule = "kind: rule\nname: engineers\neffect: allow\n\
                    subjects: [{issuer: company, groups: [engineers]},\n\
                    \x20          {issuer: dev, groups: [engineers]}]\n\
                    operations: [infer.*, list]\n";
        let gate = Gate::new();
        let script = Script::new().read_request().send(BEGUN).wait(&gate).send(ENDED);
        let streaming = ScriptedUpstream::start(vec![script]);
        let connections = documents::connection("m", "openai", &upstream.url())
            + &documents::connection("stream", "openai", &streaming.url());
        let dev = Dev::start(&(issuer + &connections + rule));
        Self { dev, provider, upstream, _streaming: streaming, gate }
    }

    fn token(&mut self) -> String {
        self.provider.token("ada", &["engineers"], "penstock")
    }

    fn client(&self) -> RawClient {
        RawClient::connect(&self.dev.ready().gateway)
    }

    fn chat(&self, token: &str) -> Response {
        self.client().exchange(requests::chat(token))
    }

    /// The control plane of a development state looks every five minutes; a test shall not wait.
    fn look_for_keys_every_half_second(&mut self) {
        let settings = self.dev.state().join("controlplane.yaml");
        let text = std::fs::read_to_string(&settings).unwrap();
        std::fs::write(&settings, format!("{text}jwks_refresh_ms: 500\n")).unwrap();
        signal(self.dev.pids().controlplane, Signal::KILL);
        let fetches = self.provider.key_set_fetches();
        // The first one comes with the start.
        eventually("a fetch by schedule", || {
            (self.provider.key_set_fetches() > fetches + 1).then_some(())
        });
    }

    fn until_accepted(&self, token: &str) {
        eventually("the new key's token is accepted", || {
            (self.chat(token).status == 200).then_some(())
        });
    }

    /// Cores see a removal one after the other; what was under way when one did is refused in
    /// another way.
    fn until_refused(&self, token: &str) {
        eventually("the removed key's token is refused", || {
            (0..CONNECTIONS).all(|_| self.chat(token).status == 401).then_some(())
        });
    }

    /// Every core that a connection can land on refuses it.
    fn assert_refused(&self, token: &str) {
        let before = self.upstream.seen().len();
        for _ in 0..CONNECTIONS {
            let response = self.chat(token);
            assert_eq!(response.status, 401, "{}", response.text());
            assert!(response.header("www-authenticate").unwrap().starts_with("Bearer"));
        }
        assert_eq!(self.upstream.seen().len(), before);
    }
}

#[test]
fn a_token_of_the_provider_opens_what_its_groups_may_and_nothing_else() {
    let mut stage = Stage::start();
    let token = stage.token();
    stage.until_accepted(&token);
    assert!(stage.provider.discoveries() >= 1 && stage.provider.key_set_fetches() >= 1);
    let outsider = stage.provider.token("eve", &["sales"], "penstock");
    assert_eq!(stage.chat(&outsider).status, 404, "no rule names her");
    let for_others = stage.provider.token("ada", &["engineers"], "payroll");
    stage.assert_refused(&for_others);
    // The same user of another issuer is somebody else, to whom the rules say the same here.
    let of_dev = stage.dev.token("ada", &["engineers"], &[]);
    assert_eq!(stage.chat(&of_dev).status, 200);
}

#[test]
fn a_new_key_works_within_seconds_and_the_old_one_goes_on() {
    let mut stage = Stage::start();
    let old = stage.token();
    stage.until_accepted(&old);
    let fetches = stage.provider.key_set_fetches();
    let versions = stage.dev.penstock(&["versions", "list", "--output", "json"]).stdout;
    stage.provider.rotate();
    let new = stage.token();
    // The first one is refused: the node does not know the key, and says so to the control plane.
    stage.until_accepted(&new);
    assert_eq!(stage.provider.key_set_fetches(), fetches + 1, "one report, one fetch");
    assert_eq!(stage.chat(&old).status, 200);
    let after = stage.dev.penstock(&["versions", "list", "--output", "json"]).stdout;
    assert_eq!(versions, after, "no version of the documents was made");
}

#[test]
fn an_open_stream_survives_a_new_key_and_ends_with_the_removal_of_its_own() {
    let mut stage = Stage::start();
    let (old, old_key) = (stage.token(), stage.provider.key_id().to_owned());
    stage.until_accepted(&old);
    let path = "/stream/v1/chat/completions";
    let mut reader = stage.client();
    reader.send(requests::post(path, &old, requests::CHAT_STREAMED));
    reader.read_until(b"data: {\"n\": 1}").unwrap();

    stage.provider.rotate();
    let new = stage.token();
    stage.until_accepted(&new);
    reader.set_patience(UNDISTURBED);
    assert!(matches!(reader.read_until(b"error"), Err(ClientError::Timeout(_))));
    reader.set_patience(PATIENCE);
    let mut reader_with_new = stage.client();
    reader_with_new.send(requests::post(path, &new, requests::CHAT_STREAMED));
    reader_with_new.read_until(b"data: {\"n\": 1}").unwrap();

    stage.look_for_keys_every_half_second();
    stage.provider.remove(&old_key);
    let rest = String::from_utf8(reader.read_to_end().unwrap()).unwrap();
    assert!(rest.contains("\"error\"") && rest.ends_with("0\r\n\r\n"), "{rest}");
    assert!(!rest.contains("[DONE]"), "{rest}");
    stage.until_refused(&old);
    stage.assert_refused(&old);
    // The other one goes on: it was opened with a key that is still there.
    stage.gate.open();
    reader_with_new.read_until(b"data: [DONE]").unwrap();
}

#[test]
fn a_removed_key_is_seen_as_soon_as_its_successor_is() {
    let mut stage = Stage::start();
    let (old, old_key) = (stage.token(), stage.provider.key_id().to_owned());
    stage.until_accepted(&old);
    stage.provider.rotate();
    stage.provider.remove(&old_key);
    // The new key's first token is what makes the control plane look, and see that the old is gone.
    let new = stage.token();
    stage.until_accepted(&new);
    stage.until_refused(&old);
    stage.assert_refused(&old);
    assert_eq!(stage.chat(&new).status, 200);
}

#[test]
fn a_removed_key_is_also_seen_without_anybody_who_asks() {
    let mut stage = Stage::start();
    let (old, old_key) = (stage.token(), stage.provider.key_id().to_owned());
    stage.until_accepted(&old);
    stage.look_for_keys_every_half_second();
    assert_eq!(stage.chat(&old).status, 200);
    stage.provider.rotate();
    stage.provider.remove(&old_key);
    stage.until_refused(&old);
    stage.assert_refused(&old);
}
