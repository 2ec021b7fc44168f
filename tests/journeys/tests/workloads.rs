//! CI without a standing key: the certified OpenID provider plays GitHub and GitLab, the policies
//! and the pipelines are those of `config/examples`, and a job's own token becomes one of the
//! gateway's that may infer, and whose push of weights waits for a person.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Output};

use penstock_harness::{
    AutonomousUpstream, Dev, RawClient, Response, Script, ScriptedUpstream, eventually,
};
use penstock_journeys::provider::Provider;
use penstock_journeys::{requests, tools};
use serde_json::{Value, json};

const SUBJECT: &str = "repo:acme/models:ref:refs/heads/main";
const AUDIENCE: &str = "penstock-exchange";
const PUSH: &str = r#"{"update_info": {"version": "2026-11-27"}}"#;

/// The product with an example's policy, in front of a model server and behind a provider.
struct Stage {
    dev: Dev,
    provider: Provider,
    upstream: AutonomousUpstream,
}

impl Stage {
    /// Addresses are this machine's, and the development provider stands for the company's.
    fn start(example: &str, issuer: &str) -> Self {
        let mut provider = Provider::start();
        let upstream = AutonomousUpstream::start();
        let text = fs::read_to_string(tools::repository_file(example)).unwrap();
        let documents = text.split("---\n").filter(|one| !one.contains("name: company"));
        let policy = documents
            .collect::<Vec<_>>()
            .join("---\n")
            .replace(issuer, provider.issuer())
            .replace("http://10.0.0.11:8000", &upstream.url())
            .replace("issuer: company", "issuer: dev")
            .replace("hold_ms_max: 30000", "hold_ms_max: 500");
        let dev = Dev::start(&policy);
        // An address may fail sixty times a minute: nothing is asked before there are keys.
        let fetched = || (provider.key_set_fetches() > 0).then_some(());
        eventually("the provider's keys are fetched", fetched);
        Self { dev, provider, upstream }
    }

    fn github() -> Self {
        Self::start("config/examples/ci-github.yaml", "https://token.actions.githubusercontent.com")
    }

    /// The token of a job of the repository's main branch, but for some of its claims.
    fn job_token(&mut self, audience: &str, changed: &Value) -> String {
        let mut claims = json!({
            "repository": "acme/models", "repository_id": "4711",
            "repository_owner": "acme", "repository_owner_id": "42",
            "ref": "refs/heads/main", "ref_type": "branch", "event_name": "schedule",
            "workflow_ref": "acme/models/.github/workflows/nightly.yaml@refs/heads/main",
            "run_id": "1", "run_attempt": "1", "runner_environment": "github-hosted",
        });
        let changed = changed.as_object().unwrap().clone();
        claims.as_object_mut().unwrap().extend(changed);
        self.provider.token_with(SUBJECT, audience, &claims)
    }

    /// Asks for an exchange with further parameters.
    fn exchange(&self, token: &str, more: &[(&str, &str)]) -> Response {
        let mut parameters = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("subject_token", token),
        ];
        parameters.extend_from_slice(more);
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        RawClient::connect(&self.dev.ready().api).exchange(format!(
            "POST /token HTTP/1.1\r\nHost: penstock.test\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len(),
        ))
    }

    /// The exchanged token, once the control plane has the provider's keys.
    fn exchanged(&self, token: &str, more: &[(&str, &str)]) -> String {
        let answer = eventually("the token is exchanged", || {
            let answer = self.exchange(token, more);
            (answer.status == 200).then(|| answer.message.json())
        });
        answer["access_token"].as_str().unwrap().to_owned()
    }

    fn refused(&self, token: &str, more: &[(&str, &str)]) -> String {
        let answer = self.exchange(token, more);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.message.json()["error"].as_str().unwrap().to_owned()
    }

    fn call(&self, request: impl AsRef<[u8]>) -> Response {
        RawClient::connect(&self.dev.ready().gateway).exchange(request)
    }

    fn chat(&self, token: &str) -> Response {
        self.call(requests::post("/vllm/v1/chat/completions", token, requests::CHAT))
    }

    fn push(&self, token: &str) -> Response {
        self.call(requests::post("/vllm/update_weights", token, PUSH))
    }

    /// Until the nodes have the exchange's key.
    fn until_served(&self, token: &str) {
        eventually("the exchanged token infers", || (self.chat(token).status == 200).then_some(()));
    }

    fn pushes_seen(&self) -> usize {
        let seen = self.upstream.seen();
        seen.iter().filter(|seen| seen.request.target() == "/update_weights").count()
    }
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

fn code(response: &Response) -> String {
    response.message.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
}

/// What the job asks for.
const REASON: &str = r#"[{"type": "penstock_access", "reason": "nightly evaluation"}]"#;

#[test]
fn the_nightly_job_infers_and_its_push_of_weights_waits_for_a_person() {
    let mut stage = Stage::github();
    let own = stage.job_token(AUDIENCE, &json!({}));
    let token = stage.exchanged(&own, &[("authorization_details", REASON)]);
    stage.until_served(&token);
    let held = stage.push(&token);
    assert_eq!((held.status, code(&held).as_str()), (403, "approval_pending"), "{}", held.text());
    let id = held.message.json()["error"]["penstock"]["approval"].as_str().unwrap().to_owned();
    assert_eq!(stage.pushes_seen(), 0);
    let listed = stage.dev.penstock(&["approvals", "list", "--output", "json"]).stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["user"], format!("github:{SUBJECT}"), "{listed}");
    // A person agrees; the job, run again with a new token, goes through, once.
    let approve = ["approve", &id, "--as-user", "lea", "--as-groups", "ml-leads"];
    let approved = stage.dev.penstock(&approve);
    assert_eq!(approved.code, 0, "{}", approved.stderr);
    let own = stage.job_token(AUDIENCE, &json!({"run_attempt": "2"}));
    let again = stage.exchanged(&own, &[("authorization_details", REASON)]);
    assert_eq!(stage.push(&again).status, 200);
    assert_eq!(stage.push(&again).status, 403);
    assert_eq!(stage.pushes_seen(), 1);
}

#[test]
fn a_job_without_a_reason_does_not_even_ask_a_person() {
    let mut stage = Stage::github();
    let own = stage.job_token(AUDIENCE, &json!({}));
    let token = stage.exchanged(&own, &[]);
    stage.until_served(&token);
    assert_eq!(code(&stage.push(&token)), "reason_required");
}

#[test]
fn who_is_not_the_nightly_job_gets_no_token() {
    let mut stage = Stage::github();
    let own = stage.job_token(AUDIENCE, &json!({}));
    let _ = stage.exchanged(&own, &[]);
    let others = [
        ("another audience", "sigstore", json!({}), "invalid_grant"),
        ("the gateway's audience", "penstock", json!({}), "invalid_grant"),
        ("the API's audience", "penstock-api", json!({}), "invalid_grant"),
        ("a fork", AUDIENCE, json!({"repository_id": "4712"}), "unauthorized_client"),
        (
            "the name taken over",
            AUDIENCE,
            json!({"repository_owner_id": "43"}),
            "unauthorized_client",
        ),
        ("another branch", AUDIENCE, json!({"ref": "refs/heads/x"}), "unauthorized_client"),
        (
            "a pull request from a fork, in the target's name",
            AUDIENCE,
            json!({"event_name": "pull_request_target"}),
            "unauthorized_client",
        ),
        (
            "a pull request",
            AUDIENCE,
            json!({"event_name": "pull_request", "ref": "refs/pull/7/merge"}),
            "unauthorized_client",
        ),
    ];
    for (who, audience, claims, expected) in others {
        let token = stage.job_token(audience, &claims);
        assert_eq!(stage.refused(&token, &[]), expected, "{who}");
    }
    let unsigned = format!("{}.", own.rsplit_once('.').unwrap().0);
    assert_eq!(stage.refused(&unsigned, &[]), "invalid_grant");
}

#[test]
fn a_token_opens_what_it_was_asked_for_and_ends_with_the_jobs_own() {
    let mut stage = Stage::github();
    let own = stage.job_token(AUDIENCE, &json!({}));
    let wide = stage.exchanged(&own, &[]);
    stage.until_served(&wide);
    let wanted =
        r#"[{"type": "penstock_access", "operations": ["list", "exec"], "models": ["*"]}]"#;
    let answer = stage.exchange(&own, &[("authorization_details", wanted)]).message.json();
    assert!(answer["expires_in"].as_u64().unwrap() <= 300, "{answer}");
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["authorization_details"][0]["operations"], json!(["list"]));
    let narrow = answer["access_token"].as_str().unwrap();
    assert_eq!(stage.call(requests::get("/vllm/v1/models", narrow)).status, 200);
    assert_eq!(stage.chat(narrow).status, 403, "narrowed");
    let beyond = r#"[{"type": "penstock_access", "operations": ["lifecycle"]}]"#;
    let refused = stage.refused(&own, &[("authorization_details", beyond)]);
    assert_eq!(refused, "invalid_authorization_details");
    // Neither token is good for the other's purpose, nor for the API.
    assert_eq!(stage.chat(&own).status, 401);
    assert_eq!(stage.refused(&wide, &[]), "invalid_grant");
    let api =
        RawClient::connect(&stage.dev.ready().api).exchange(requests::get("/api/v1/nodes", &wide));
    assert_eq!(api.status, 401);
}

#[test]
fn a_token_counts_no_more_once_no_workload_is_in_force() {
    let mut stage = Stage::github();
    let own = stage.job_token(AUDIENCE, &json!({}));
    let token = stage.exchanged(&own, &[]);
    stage.until_served(&token);
    for (kind, name) in
        [("rule", "nightly-infers"), ("rule", "new-weights-need-a-person"), ("workload", "nightly")]
    {
        let deleted = stage.dev.penstock(&["delete", kind, name]);
        assert_eq!(deleted.code, 0, "{}", deleted.stderr);
    }
    eventually("the token is refused", || (stage.chat(&token).status == 401).then_some(()));
    assert_eq!(stage.refused(&own, &[]), "unauthorized_client");
}

/// The shell scripts of a pipeline: each block behind a line that ends with `|`.
fn scripts(example: &str) -> Vec<String> {
    let text = fs::read_to_string(tools::repository_file(example)).unwrap();
    let mut scripts: Vec<String> = Vec::new();
    let mut inside: Option<usize> = None;
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        match inside {
            Some(outer) if line.is_empty() || depth > outer => {
                let script = scripts.last_mut().unwrap();
                script.push_str(line);
                script.push('\n');
            }
            Some(_) | None => {
                inside = (line.ends_with("run: |") || line.ends_with("- |")).then(|| {
                    scripts.push(String::new());
                    depth
                });
            }
        }
    }
    scripts
}

/// Runs a step as the provider's runners do.
fn run(stage: &Stage, script: &str, environment: &[(&str, String)]) -> Output {
    let mut command = Command::new("bash");
    command.args(["-e", "-c", script]).current_dir(stage.dev.folder());
    command.env("PENSTOCK_URL", &stage.dev.ready().api);
    command.env("PENSTOCK_GATEWAY", &stage.dev.ready().gateway);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.output().unwrap()
}

fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_example_of_a_github_workflow_does_what_it_says() {
    let mut stage = Stage::github();
    let own = stage.job_token(AUDIENCE, &json!({}));
    stage.until_served(&stage.exchanged(&own, &[]));
    // What gives GitHub's jobs their tokens.
    let value = json!({"value": own}).to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{value}",
        value.len()
    );
    let runner = ScriptedUpstream::start(vec![Script::new().read_request().send(answer)]);
    let file = stage.dev.folder().join("github-env");
    let steps = scripts("config/examples/pipelines/github-actions.yaml");
    let [exchange, ask, push] = steps.as_slice() else { panic!("{} steps", steps.len()) };
    let environment = [
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-the-runner".to_owned()),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/token?job=1", runner.url())),
        ("GITHUB_ENV", file.display().to_string()),
    ];
    let exchanged = run(&stage, exchange, &environment);
    assert!(exchanged.status.success(), "{}", shown(&exchanged));
    let line = fs::read_to_string(&file).unwrap();
    let token = line.trim_end().strip_prefix("PENSTOCK_TOKEN=").unwrap();
    let environment = [("PENSTOCK_TOKEN", token.to_owned())];
    let asked = run(&stage, ask, &environment);
    assert!(asked.status.success() && shown(&asked).contains("choices"), "{}", shown(&asked));
    let pushed = run(&stage, push, &environment);
    assert!(!pushed.status.success(), "{}", shown(&pushed));
    assert!(shown(&pushed).contains("approval_pending"), "{}", shown(&pushed));
    assert_eq!(stage.pushes_seen(), 0);
}

#[test]
fn the_example_of_a_gitlab_pipeline_does_what_it_says() {
    let mut stage = Stage::start("config/examples/ci-gitlab.yaml", "https://gitlab.example.com");
    let claims = json!({
        "project_id": "22", "project_path": "acme/models", "namespace_id": "72",
        "ref": "main", "ref_type": "branch", "ref_protected": "true",
        "pipeline_source": "schedule", "job_id": "9",
    });
    let subject = "project_path:acme/models:ref_type:branch:ref:main";
    let own = stage.provider.token_with(subject, AUDIENCE, &claims);
    let token = stage.exchanged(&own, &[]);
    let candidate = r#"{"model": "candidate-1", "messages": []}"#;
    eventually("the exchanged token infers", || {
        let path = "/vllm/v1/chat/completions";
        (stage.call(requests::post(path, &token, candidate)).status == 200).then_some(())
    });
    let scripts = scripts("config/examples/pipelines/gitlab-ci.yaml");
    let [script] = scripts.as_slice() else { panic!("{} scripts", scripts.len()) };
    let done = run(&stage, script, &[("OWN_TOKEN", own)]);
    assert!(done.status.success() && shown(&done).contains("choices"), "{}", shown(&done));
    let mut proposal = claims;
    proposal["pipeline_source"] = json!("merge_request_event");
    let own = stage.provider.token_with(subject, AUDIENCE, &proposal);
    assert_eq!(stage.refused(&own, &[]), "unauthorized_client");
}
