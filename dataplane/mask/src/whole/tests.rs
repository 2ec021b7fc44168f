use penstock_config::documents::Unreadable;
use proptest::prelude::*;

use super::*;
use crate::sample::{masked, masking, scratch, terms, with_fields};

struct Masked {
    body: Vec<u8>,
    step: Step,
    turns: usize,
    scanned_max: u64,
}

fn run(mut mask: WholeMask, body: &[u8]) -> Result<Masked, Unmaskable> {
    let mut scratch = scratch(&masking());
    let (mut out, mut turns, mut scanned_max) = (Vec::new(), 0, 0);
    loop {
        let before = scratch.scanned_bytes();
        let step = mask.step(&mut scratch, body, &mut out)?;
        scanned_max = scanned_max.max(scratch.scanned_bytes() - before);
        turns += 1;
        if step != Step::More {
            let out = if step == Step::Unchanged { body.to_vec() } else { out };
            return Ok(Masked { body: out, step, turns, scanned_max });
        }
    }
}

fn mask(surface: Surface, media: Media, direction: Direction, terms: Terms) -> WholeMask {
    WholeMask::new(masking(), terms, surface, media, direction)
}

fn answer(surface: Surface, body: &str) -> String {
    let terms = terms(Unreadable::Refuse);
    let whole = mask(surface, Media::Json, Direction::Response, terms);
    String::from_utf8(run(whole, body.as_bytes()).unwrap().body).unwrap()
}

fn request(body: &str) -> Result<String, Unmaskable> {
    let terms = terms(Unreadable::Refuse);
    let whole = mask(Surface::OpenAiChat, Media::Json, Direction::Request, terms);
    Ok(String::from_utf8(run(whole, body.as_bytes())?.body).unwrap())
}

#[test]
fn a_chat_answer_is_masked_in_all_its_texts() {
    let body = concat!(
        r#"{ "id":"sec-123", "choices":[{"index":0,"message":{"role":"assistant","content"#,
        r#"":"a s\u0065c-123","reasoning_content":"sec-4567","tool_calls":[{"id":"call_se"#,
        r#"c-1","type":"function","function":{"name":"f","arguments":"{\"a\": [\"sec-123\"#,
        r#"", 12], \"sec-999\": null}"}}],"refusal":null},"finish_reason":"stop","logprob"#,
        r#"s":null}],"usage":{"total_tokens":123} }"#
    );
    let shown = body
        .replace(r"a s\u0065c-123", "a [SECRET]")
        .replace("sec-4567", "[SECRET]7")
        .replace(r#"[\"sec-123"#, r#"[\"[SECRET]"#)
        .replace("sec-999", "[SECRET]");
    assert_eq!(answer(Surface::OpenAiChat, body), shown);
}

#[test]
fn answers_of_other_formats_are_masked_by_their_tables() {
    let cases = [
        (
            Surface::AnthropicMessages,
            concat!(
                r#"{"id":"sec-123","type":"message","content":[{"type":"thinking","thinking":"§","#,
                r#""signature":"sec-123"},{"type":"tool_use","id":"t","name":"f","input":{"k":["§"#,
                r#"",1]}}]}"#
            ),
        ),
        (
            Surface::OpenAiResponses,
            concat!(
                r#"{"id":"r","output":[{"type":"function_call","arguments":"{\"a\":\"§\"}"},{"typ"#,
                r#"e":"message","content":[{"type":"output_text","text":"§"}]}],"instructions":"§"#,
                r#""}"#
            ),
        ),
        (
            Surface::Ollama,
            concat!(
                r#"{"model":"m","message":{"role":"assistant","content":"§","tool_calls":[{"funct"#,
                r#"ion":{"name":"f","arguments":{"x":"§"}}}]},"done":true}"#
            ),
        ),
        (
            Surface::LlamaCompletion,
            r#"{"content":"§","prompt":"§","generation_settings":{"grammar":"§"},"stop":true}"#,
        ),
        (
            Surface::Generate,
            concat!(
                r#"[{"text":"§","meta_info":{"id":"1","finish_reason":{"type":"stop"}}},{"generat"#,
                r#"ed_text":"§"}]"#
            ),
        ),
        (
            Surface::Tensors,
            r#"{"outputs":[{"name":"o","datatype":"BYTES","data":["§","x"]}],"predictions":["§"]}"#,
        ),
        (Surface::Other, r#"{"anything":{"at":["§"]},"§":1}"#),
    ];
    for (surface, body) in cases {
        let shown = answer(surface, &body.replace('§', "sec-777"));
        assert_eq!(shown, body.replace('§', "[SECRET]"), "{surface:?}");
    }
}

#[test]
fn fields_are_masked_whatever_they_hold() {
    let body = concat!(
        r#"{"user":{"ssn":123,"name":"x"},"rows":[{"iban":"a","n":1},{"iban":{"deep":["se"#,
        r#"c-1"]}}],"a.b":true}"#
    );
    let terms = with_fields(&["$.user.ssn", "$.rows[*].iban", "$['a.b']", "$.rows[0].n", "$.no"]);
    let whole = mask(Surface::Other, Media::Json, Direction::Response, terms);
    let shown = String::from_utf8(run(whole, body.as_bytes()).unwrap().body).unwrap();
    assert_eq!(
        shown,
        concat!(
            r#"{"user":{"ssn":"***","name":"x"},"rows":[{"iban":"***","n":"***"},{"iban":"***"#,
            r#""}],"a.b":"***"}"#
        )
    );
}

#[test]
fn a_path_that_is_none_is_not_read() {
    for path in ["", "$", "user", "$user", "$.", "$..a", "$[", "$[x]", "$['a'", "$.a[-1]", "$[?1]"]
    {
        assert_eq!(Field::parse(path), None, "{path}");
    }
}

#[test]
fn a_request_keeps_what_names_things() {
    let body = concat!(
        r#"{"model":"sec-123","messages":[{"role":"system","content":"T"},{"role":"user","#,
        r#""content":[{"type":"text","text":"T"},{"type":"image_url","image_url":{"url":""#,
        r#"https://x/T"}}]},{"role":"assistant","tool_calls":[{"id":"sec-123","type":"fun"#,
        r#"ction","function":{"name":"sec-123","arguments":"{\"a\":\"T\"}"}}]},{"role":"t"#,
        r#"ool","tool_call_id":"sec-123","content":"T"}],"tools":[{"type":"function","fun"#,
        r#"ction":{"name":"sec-123","description":"T","parameters":{"type":"object"}}}],""#,
        r#"stop":["T"],"user":"T","stream":true,"n":1}"#
    );
    let shown = request(&body.replace('T', "sec-777")).unwrap();
    assert_eq!(shown, body.replace('T', "[SECRET]"));
}

#[test]
fn bytes_and_token_ids_of_a_request_can_not_be_read() {
    let image = |url: &str| {
        format!(r#"{{"messages":[{{"content":[{{"image_url":{{"url":"{url}"}}}}]}}]}}"#)
    };
    assert_eq!(request(&image("data:image/png;base64,AAAA")), Err(Unmaskable::Opaque));
    assert_eq!(request(&image("\\u0044ata:image/png;base64,AAAA")), Err(Unmaskable::Opaque));
    assert_eq!(request(r#"{"prompt":[1,2]}"#), Err(Unmaskable::TokenIds));
    assert_eq!(request(r#"{"input_ids":[[1]]}"#), Err(Unmaskable::TokenIds));
    assert!(request(r#"{"prompt":["a","b"]}"#).is_ok());
}

#[test]
fn what_is_no_json_is_never_passed_on() {
    for unreadable in [Unreadable::Refuse, Unreadable::Strip, Unreadable::Pass] {
        for body in [&b"hello"[..], b"{\"a\":1,\"a\":2}", b"", b"{\"a\":\"\xff\"}"] {
            let whole = mask(Surface::Other, Media::Json, Direction::Response, terms(unreadable));
            assert!(matches!(run(whole, body), Err(Unmaskable::Json(_))));
        }
    }
}

#[test]
fn a_plain_text_is_one_text() {
    let text = format!("é sec-1{}", "23 sec-123 é".repeat(10_000));
    let whole =
        || mask(Surface::Other, Media::Text, Direction::Response, terms(Unreadable::Refuse));
    let done = run(whole(), text.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(done.body).unwrap(), masked(&text));
    assert!(done.turns > 5 && done.scanned_max <= 16 << 10);
    let same = run(whole(), "é sec-12".as_bytes()).unwrap();
    assert_eq!(same.step, Step::Unchanged);
    assert!(matches!(run(whole(), b"a\xff"), Err(Unmaskable::Encoding)));
    assert!(matches!(run(whole(), b"a\xc3"), Err(Unmaskable::Encoding)));
}

#[test]
fn a_long_answer_is_masked_in_short_turns() {
    let each = r#"{"text":"sec-123 \u00e9 and more","n":1.5e3},"#;
    let body = format!("[{}0]", each.repeat(40_000));
    let whole = mask(Surface::Other, Media::Json, Direction::Response, terms(Unreadable::Refuse));
    let done = run(whole, body.as_bytes()).unwrap();
    let shown = body.replace("sec-123 \\u00e9", "[SECRET] é");
    assert!(done.body == shown.as_bytes());
    assert!(done.turns > 100 && done.scanned_max <= 16 << 10);
}

#[test]
fn requests_that_ask_for_what_can_not_be_masked_are_found() {
    let cases = [
        (r#"{"logprobs":true}"#, Some("logprobs")),
        (r#"{"logprobs":0}"#, Some("logprobs")),
        (r#"{"logprobs":null,"top_logprobs":0,"echo":false}"#, None),
        (r#"{"echo":true}"#, Some("echo")),
        (r#"{"n_probs":3}"#, Some("n_probs")),
        (r#"{"n_probs":0}"#, None),
        (r#"{"return_token_ids":true}"#, Some("return_token_ids")),
        (r#"{"parameters":{"details":true}}"#, Some("details")),
        (r#"{"response_fields":["content"]}"#, Some("response_fields")),
        (r#"{"include":["message.output_text.logprobs"]}"#, Some("include")),
        (r#"{"include":["file_search_call.results"]}"#, None),
        (r#"[{"return_logprob":true}]"#, Some("return_logprob")),
        (r#"{"messages":[{"content":"logprobs"}]}"#, None),
        ("no json", None),
    ];
    for (body, name) in cases {
        assert_eq!(unmaskable_request(Surface::Other, body.as_bytes()), name, "{body}");
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let text = "[a-c\"\\\\\n é😀]{0,4}(sec-[0-9]{1,4})?[a-c]{0,2}";
    let leaf = prop_oneof![
        text.prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..5)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn masked_value(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::from(masked(text)),
        Value::Array(items) => items.iter().map(masked_value).collect(),
        Value::Object(map) => {
            map.iter().map(|(name, value)| (name.clone(), masked_value(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

proptest! {
    #[test]
    fn every_text_of_an_answer_is_masked_and_nothing_else_changes(value in json(), pretty: bool) {
        let value = serde_json::json!({ "x": value });
        let body = match pretty {
            true => serde_json::to_string_pretty(&value),
            false => serde_json::to_string(&value),
        };
        let shown = answer(Surface::Gemini, &body.unwrap());
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        prop_assert_eq!(shown, masked_value(&value));
    }
}
