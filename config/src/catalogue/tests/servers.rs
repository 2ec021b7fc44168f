//! What particular requests of particular servers do.

use super::{classify, names, table};
use crate::catalogue::{Classified, Risk};
use crate::documents::Protocol;

fn post(protocol: Protocol, path: &str, body: &str) -> Classified {
    classify(&table(protocol), "POST", path, body)
        .unwrap_or_else(|error| panic!("{path} {body}: {error}"))
}

fn check(protocol: Protocol, path: &str, rows: &[(&str, &[&str])]) {
    for (body, expected) in rows {
        assert_eq!(names(&post(protocol, path, body)), *expected, "{path} {body}");
    }
}

#[test]
fn ollamas_generate_loads_and_unloads_by_its_body() {
    check(
        Protocol::Ollama,
        "/api/generate",
        &[
            (r#"{"model":"a","prompt":"hi"}"#, &["infer.complete"]),
            (r#"{"model":"a"}"#, &["model.load"]),
            (r#"{"model":"a","prompt":""}"#, &["model.load"]),
            (r#"{"model":"a","prompt":null,"keep_alive":"5m"}"#, &["model.load"]),
            (r#"{"model":"a","keep_alive":0}"#, &["model.unload"]),
            (r#"{"model":"a","prompt":"","keep_alive":"0s"}"#, &["model.unload"]),
            (r#"{"model":"a","prompt":"hi","keep_alive":0}"#, &["infer.complete", "model.unload"]),
            (r#"{"model":"a","prompt":"hi","keep_alive":-1}"#, &["infer.complete", "model.load"]),
            (r#"{"model":"a","prompt":"hi","keep_alive":"10m"}"#, &["infer.complete"]),
            (
                r#"{"model":"a","prompt":"x","_debug_render_only":true}"#,
                &["infer.complete", "render"],
            ),
        ],
    );
}

#[test]
fn ollamas_chat_loads_and_unloads_by_its_body() {
    check(
        Protocol::Ollama,
        "/api/chat",
        &[
            (r#"{"model":"a","messages":[{"role":"user","content":"hi"}]}"#, &["infer.chat"]),
            (r#"{"model":"a","messages":[]}"#, &["model.load"]),
            (r#"{"model":"a","messages":[],"keep_alive":0}"#, &["model.unload"]),
            (r#"{"model":"a","messages":[{}],"keep_alive":0}"#, &["infer.chat", "model.unload"]),
        ],
    );
    check(
        Protocol::Ollama,
        "/v1/completions",
        &[
            (r#"{"model":"a","prompt":""}"#, &["model.load"]),
            (r#"{"model":"a","prompt":"x"}"#, &["infer.complete"]),
        ],
    );
}

#[test]
fn a_cloud_model_is_remote() {
    for model in ["gpt-oss:120b-cloud", "x:cloud", "x:CLOUD", "x: cloud", "glm-cloud"] {
        let body = format!(r#"{{"model":"{model}","messages":[{{}}]}}"#);
        for path in ["/api/chat", "/v1/chat/completions", "/v1/messages"] {
            let request = post(Protocol::Ollama, path, &body);
            assert_eq!(names(&request), ["infer.chat", "remote.infer"], "{path} {model}");
            assert_eq!(request.risk, Risk::High);
        }
    }
    let request = post(Protocol::Ollama, "/api/chat", r#"{"model":"clouds","messages":[{}]}"#);
    assert_eq!(names(&request), ["infer.chat"]);
}

#[test]
fn an_old_name_for_the_model_counts_and_two_that_differ_are_refused() {
    let table = table(Protocol::Ollama);
    for body in [r#"{"name":"x"}"#, r#"{"model":"x","name":"x"}"#, r#"{"model":"","name":"x"}"#] {
        let request = classify(&table, "DELETE", "/api/delete", body).unwrap();
        assert_eq!(names(&request), ["model.delete"]);
        assert_eq!(request.model.as_deref(), Some("x"), "{body}");
    }
    let body = r#"{"model":"x","name":"y"}"#;
    assert!(classify(&table, "DELETE", "/api/delete", body).is_err());
}

#[test]
fn a_copy_concerns_both_of_its_models() {
    let body = r#"{"source":"secret","destination":"mine"}"#;
    let request = post(Protocol::Ollama, "/api/copy", body);
    assert_eq!(request.model.as_deref(), Some("secret"));
    assert_eq!(request.other_models, ["mine"]);
    assert!(!request.unnamed_model);
    assert!(post(Protocol::Ollama, "/api/copy", r#"{"source":"a"}"#).unnamed_model);
}

#[test]
fn ollama_takes_other_spellings_for_the_same_model() {
    let body = r#"{"source":"Secret","destination":"mine:7b"}"#;
    let request = post(Protocol::Ollama, "/api/copy", body);
    for spelling in ["secret", "library/secret:latest", "mine:7b", "library/mine:7b"] {
        assert!(request.spellings.contains(&spelling.to_owned()), "{spelling}");
    }
    let request = post(Protocol::Vllm, "/v1/chat/completions", r#"{"model":"Secret"}"#);
    assert!(request.spellings.is_empty());
}

#[test]
fn a_request_that_leaves_its_model_to_the_server_says_so() {
    let request = post(Protocol::Vllm, "/v1/chat/completions", r#"{"messages":[]}"#);
    assert_eq!((request.model, request.unnamed_model), (None, true));
    let request = post(Protocol::Vllm, "/v1/chat/completions", r#"{"model":"a"}"#);
    assert_eq!((request.model.as_deref(), request.unnamed_model), (Some("a"), false));
    assert!(post(Protocol::Vllm, "/v1/audio/transcriptions", "").unnamed_model);
    let list = classify(&table(Protocol::Vllm), "GET", "/v1/models", "").unwrap();
    assert_eq!((list.model, list.unnamed_model), (None, false));
}

#[test]
fn a_responses_request_is_what_its_tools_and_switches_make_it() {
    check(
        Protocol::Vllm,
        "/v1/responses",
        &[
            (r#"{"model":"a","input":"x"}"#, &["infer.chat"]),
            (r#"{"model":"a","tools":[{"type":"function","name":"f"}]}"#, &["infer.chat"]),
            (
                r#"{"model":"a","tools":[{"type":"function"},{"type":"mcp"}]}"#,
                &["infer.chat", "exec"],
            ),
            (r#"{"model":"a","tools":[{"type":"code_interpreter"}]}"#, &["infer.chat", "exec"]),
            (r#"{"model":"a","previous_response_id":"r"}"#, &["infer.chat", "read.predictions"]),
            (r#"{"model":"a","store":true,"background":true}"#, &["infer.chat"]),
        ],
    );
    let risk = |body| post(Protocol::Vllm, "/v1/responses", body).operation_risks;
    assert_eq!(risk(r#"{"model":"a"}"#), [Risk::Medium]);
    assert_eq!(risk(r#"{"model":"a","store":true}"#), [Risk::High]);
    assert_eq!(risk(r#"{"model":"a","background":true}"#), [Risk::High]);
    assert_eq!(risk(r#"{"tools":[{"type":"mcp"}]}"#), [Risk::Medium, Risk::Critical]);
}

#[test]
fn a_chat_that_brings_code_is_an_execution() {
    check(
        Protocol::Vllm,
        "/v1/chat/completions",
        &[
            (r#"{"model":"a","messages":[]}"#, &["infer.chat"]),
            (r#"{"model":"a","chat_template_kwargs":{"enable_thinking":false}}"#, &["infer.chat"]),
            (r#"{"model":"a","chat_template":"{{x}}"}"#, &["infer.chat", "exec"]),
            (
                r#"{"model":"a","chat_template_kwargs":{"chat_template":"x"}}"#,
                &["infer.chat", "exec"],
            ),
            (r#"{"model":"a","kv_transfer_params":{}}"#, &["infer.chat", "exec"]),
        ],
    );
}

/// Every row of vLLM that gives a model something to read, with its own operation.
const WORK: [(&str, &str); 26] = [
    ("/v1/chat/completions", "infer.chat"),
    ("/v1/chat/completions/batch", "infer.batch"),
    ("/v1/completions", "infer.complete"),
    ("/v1/responses", "infer.chat"),
    ("/v1/messages", "infer.chat"),
    ("/cohere/v2/chat", "infer.chat"),
    ("/inference/v1/generate", "infer.complete"),
    ("/v1/systemone", "classify"),
    ("/v1/decisions", "classify"),
    ("/generative_scoring", "classify"),
    ("/classify", "classify"),
    ("/v1/embeddings", "embed"),
    ("/v2/embed", "embed"),
    ("/pooling", "embed"),
    ("/score", "rank"),
    ("/v1/score", "rank"),
    ("/rerank", "rank"),
    ("/v1/rerank", "rank"),
    ("/v2/rerank", "rank"),
    ("/v1/messages/count_tokens", "tokenize"),
    ("/tokenize", "tokenize"),
    ("/v1/chat/completions/render", "render"),
    ("/v1/completions/render", "render"),
    ("/v1/messages/render", "render"),
    ("/v1/responses/render", "render"),
    ("/cohere/v2/chat/render", "render"),
];

#[test]
fn code_in_a_body_is_an_execution_on_every_route_of_vllm() {
    for (path, operation) in WORK {
        for field in [
            r#""chat_template":"{{x}}""#,
            r#""chat_template_kwargs":{"chat_template":"x"}"#,
            r#""kv_transfer_params":{}"#,
            r#""ec_transfer_params":{}"#,
            r#""prompt_embeds":"x""#,
            r#""messages":[{"content":[{"type":"prompt_embeds","data":"x"}]}]"#,
            r#""input":[[{"role":"user","content":[{"image_embeds":{"a":"x"}}]}]]"#,
        ] {
            let body = format!(r#"{{"model":"a",{field}}}"#);
            let request = post(Protocol::Vllm, path, &body);
            assert_eq!(names(&request), [operation, "exec"], "{path} {body}");
            assert_eq!(request.risk, Risk::Critical, "{path} {body}");
        }
    }
    for field in [r#""sampling_params":{"extra_args":{"a":1}}"#, r#""features":{}"#] {
        let request = post(Protocol::Vllm, "/inference/v1/generate", &format!("{{{field}}}"));
        assert_eq!(request.risk, Risk::Critical, "{field}");
    }
}

#[test]
fn addresses_of_media_and_places_in_the_queue_raise_the_risk_on_every_route_of_vllm() {
    for (path, operation) in WORK {
        for (field, risk) in [
            (
                r#""messages":[{"content":[{"type":"image_url","image_url":{"url":"x"}}]}]"#,
                "medium",
            ),
            (r#""queries":{"content":[{"video_url":"x"}]}"#, "medium"),
            (r#""input":[{"content":[{"audio_url":"x"}]}]"#, "medium"),
            (r#""messages":[{"content":[{"type":"image","source":{"type":"url"}}]}]"#, "medium"),
            (r#""mm_processor_kwargs":{}"#, "medium"),
            (r#""media_io_kwargs":{}"#, "medium"),
            (r#""priority":-1"#, "medium"),
            (r#""cache_salt":"x""#, "medium"),
            (r#""vllm_xargs":{"a":1}"#, "high"),
        ] {
            let body = format!(r#"{{"model":"a",{field}}}"#);
            let request = post(Protocol::Vllm, path, &body);
            assert_eq!(names(&request), [operation], "{path} {body}");
            let found = format!("{:?}", request.risk).to_lowercase();
            assert_eq!(found, risk, "{path} {body}");
        }
    }
    let bare = [("/v1/systemone", r#"{"videos":["x"]}"#), ("/v2/embed", r#"{"images":["x"]}"#)];
    for (path, body) in bare {
        assert_eq!(post(Protocol::Vllm, path, body).risk, Risk::Medium, "{path}");
    }
}

#[test]
fn an_ordinary_chat_stays_of_low_risk() {
    for body in [
        r#"{"model":"a","messages":[{"role":"user","content":"an image_url: source"}]}"#,
        r#"{"model":"a","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],
            "temperature":0.5,"max_tokens":64,"stream":true,"stop":["x"],"user":"u","seed":1,
            "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]}"#,
        r#"{"model":"a","chat_template_kwargs":{"enable_thinking":false},"priority":null}"#,
    ] {
        for path in ["/v1/chat/completions", "/v1/messages", "/cohere/v2/chat"] {
            let request = post(Protocol::Vllm, path, body);
            assert_eq!((names(&request), request.risk), (vec!["infer.chat"], Risk::Low), "{body}");
        }
    }
    for input in [r#""text""#, r#"["a","b"]"#, "[1,2]", "[[1],[2]]"] {
        let body = format!(r#"{{"model":"a","input":{input}}}"#);
        assert_eq!(post(Protocol::Vllm, "/v1/embeddings", &body).risk, Risk::Low, "{input}");
    }
}

#[test]
fn a_weight_check_that_is_no_mere_look_replaces_weights() {
    check(
        Protocol::Vllm,
        "/weight_checker",
        &[
            (r#"{"action":"checksum"}"#, &["metrics"]),
            (r#"{"action":"compare"}"#, &["metrics"]),
            (r#"{"action":"reset"}"#, &["weights.import"]),
            (r#"{"action":"Reset"}"#, &["weights.import"]),
            ("{}", &["weights.import"]),
        ],
    );
}

#[test]
fn a_slot_is_what_its_action_says() {
    let table = table(Protocol::Llamacpp);
    for (query, expected) in [
        ("?action=save", vec!["read.predictions", "config.write"]),
        ("?action=restore", vec!["read.predictions", "config.write"]),
        ("?action=erase", vec!["cache.flush"]),
        ("?action=%65rase", vec!["cache.flush"]),
        ("?action=ERASE", vec!["unknown"]),
        ("?action=", vec!["unknown"]),
        ("", vec!["unknown"]),
    ] {
        let request = classify(&table, "POST", &format!("/slots/0{query}"), "").unwrap();
        assert_eq!(names(&request), expected, "{query}");
    }
}

#[test]
fn the_method_alone_does_not_tell_a_read() {
    let llamacpp = table(Protocol::Llamacpp);
    let vllm = table(Protocol::Vllm);
    for (table, method, path, expected) in [
        (&vllm, "POST", "/is_scaling_elastic_ep", "metrics"),
        (&vllm, "POST", "/ping", "health"),
        (&llamacpp, "GET", "/slots", "read.predictions"),
        (&llamacpp, "GET", "/v1/stream?conv_id=x", "read.predictions"),
        (&llamacpp, "GET", "/cors-proxy?url=x", "exec"),
        (&llamacpp, "POST", "/v1/streams/lookup", "read.predictions"),
    ] {
        assert_eq!(names(&classify(table, method, path, "{}").unwrap()), [expected], "{path}");
    }
}

#[test]
fn a_multiplexer_is_unknown_or_an_execution() {
    let vllm = table(Protocol::Vllm);
    assert_eq!(names(&classify(&vllm, "POST", "/invocations", "{}").unwrap()), ["unknown"]);
    let rpc = classify(&vllm, "POST", "/collective_rpc", "{}").unwrap();
    assert_eq!((names(&rpc), rpc.risk), (vec!["exec"], Risk::Critical));
    let llamacpp = table(Protocol::Llamacpp);
    assert_eq!(names(&classify(&llamacpp, "POST", "/predict", "{}").unwrap()), ["unknown"]);
    for method in ["GET", "POST"] {
        let proxy = classify(&llamacpp, method, "/cors-proxy", "{}").unwrap();
        assert_eq!((names(&proxy), proxy.risk), (vec!["exec"], Risk::Critical));
    }
}

#[test]
fn loading_an_adapter_is_critical_and_names_it() {
    let body = r#"{"lora_name":"sql","lora_path":"/x"}"#;
    let request = post(Protocol::Vllm, "/v1/load_lora_adapter", body);
    assert_eq!((names(&request), request.risk), (vec!["adapter.load"], Risk::Critical));
    assert_eq!(request.model.as_deref(), Some("sql"));
    let vllm = table(Protocol::Vllm);
    let request = classify(&vllm, "DELETE", "/adapters/sql", "").unwrap();
    assert_eq!((names(&request), request.risk), (vec!["adapter.unload"], Risk::High));
    assert_eq!(request.model.as_deref(), Some("sql"));
}

#[test]
fn what_moves_or_destroys_weights_is_critical() {
    let ollama = table(Protocol::Ollama);
    let llamacpp = table(Protocol::Llamacpp);
    let vllm = table(Protocol::Vllm);
    for (table, method, path) in [
        (&ollama, "POST", "/api/pull"),
        (&ollama, "POST", "/api/push"),
        (&ollama, "POST", "/api/create"),
        (&ollama, "POST", "/api/blobs/sha256:0"),
        (&ollama, "DELETE", "/api/delete"),
        (&llamacpp, "POST", "/models"),
        (&llamacpp, "DELETE", "/models?model=x"),
        (&llamacpp, "POST", "/tools"),
        (&vllm, "POST", "/update_weights"),
        (&vllm, "POST", "/sleep?level=2"),
    ] {
        assert_eq!(classify(table, method, path, "{}").unwrap().risk, Risk::Critical, "{path}");
    }
}

#[test]
fn handlers_with_and_without_a_version_are_the_same() {
    let table = table(Protocol::Llamacpp);
    for path in ["/chat/completions", "/responses", "/audio/transcriptions", "/embeddings"] {
        let plain = classify(&table, "POST", path, r#"{"model":"a"}"#).unwrap();
        let versioned = classify(&table, "POST", &format!("/v1{path}"), r#"{"model":"a"}"#);
        assert_eq!(plain, versioned.unwrap(), "{path}");
    }
}

#[test]
fn a_server_is_probed_by_a_path_that_only_says_how_it_does() {
    for (protocol, path) in [
        (Protocol::Llamacpp, Some("/health")),
        (Protocol::Ollama, Some("/")),
        (Protocol::Openai, Some("/health")),
        (Protocol::Vllm, Some("/ping")),
        (Protocol::Generic, None),
    ] {
        let table = table(protocol);
        assert_eq!(table.health_path(), path, "{protocol:?}");
        if let Some(path) = path {
            assert_eq!(names(&classify(&table, "GET", path, "").unwrap()), ["health"]);
        }
    }
}
