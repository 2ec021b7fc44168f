//! Any text, in any pieces, in any order of its events: the caller reads what the mask makes of the
//! whole text, and all else as it came.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::sample::masked;

/// A format with a number of texts.
pub(super) struct Format {
    surface: Surface,
    kind: StreamKind,
    texts: usize,
    /// Which of them are JSON texts.
    is_json: fn(usize) -> bool,
    /// An event that carries a piece.
    event: fn(usize, &str) -> Value,
    /// An event that ends a text.
    finish: fn(usize) -> Option<Value>,
    /// What a reader takes from an event.
    read: fn(&Value) -> Option<(usize, String)>,
    end: &'static str,
}

fn text_at(value: &Value, path: &str) -> Option<String> {
    value.pointer(path)?.as_str().map(str::to_owned)
}

fn nothing(_: usize) -> Option<Value> {
    None
}

fn number(value: &Value, path: &str) -> usize {
    usize::try_from(value.pointer(path).and_then(Value::as_u64).unwrap_or(0)).unwrap()
}

/// Texts 0 to 2 of choice 0, 3 to 5 of choice 1: content, reasoning, the arguments of a tool.
fn chat() -> Format {
    Format {
        surface: Surface::OpenAiChat,
        kind: StreamKind::Sse,
        texts: 6,
        is_json: |text| text % 3 == 2,
        event: |text, piece| {
            let delta = match text % 3 {
                0 => json!({ "content": piece }),
                1 => json!({ "reasoning_content": piece }),
                _ => json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}),
            };
            let choice = json!({"index": text / 3, "delta": delta, "finish_reason": null});
            json!({"id": "C#", "choices": [choice], "usage": {"n": 1}})
        },
        finish: |text| {
            (text % 3 == 0).then(|| {
                let choice = json!({"index": text / 3, "delta": {}, "finish_reason": "stop"});
                json!({"id": "C#", "choices": [choice]})
            })
        },
        read: |value| {
            let choice = number(value, "/choices/0/index") * 3;
            let delta = value.pointer("/choices/0/delta")?;
            text_at(delta, "/content")
                .map(|text| (choice, text))
                .or_else(|| text_at(delta, "/reasoning_content").map(|text| (choice + 1, text)))
                .or_else(|| {
                    let text = text_at(delta, "/tool_calls/0/function/arguments");
                    text.map(|text| (choice + 2, text))
                })
        },
        end: "data: [DONE]\n\n",
    }
}

fn completions() -> Format {
    Format {
        surface: Surface::OpenAiCompletions,
        texts: 3,
        is_json: |_| false,
        event: |text, piece| json!({"choices": [{"index": text, "text": piece, "logprobs": null}]}),
        finish: |text| {
            Some(json!({"choices": [{"index": text, "text": "", "finish_reason": "length"}]}))
        },
        read: |value| Some((number(value, "/choices/0/index"), text_at(value, "/choices/0/text")?)),
        ..chat()
    }
}

fn responses() -> Format {
    Format {
        surface: Surface::OpenAiResponses,
        texts: 4,
        is_json: |text| text == 3,
        event: |text, piece| {
            let kind = match text {
                3 => "response.function_call_arguments.delta",
                2 => "response.reasoning_text.delta",
                _ => "response.output_text.delta",
            };
            json!({
                "type": kind, "item_id": "I#", "output_index": text, "content_index": 0,
                "delta": piece,
            })
        },
        finish: |text| {
            let kind = if text == 3 { "response.function_call_arguments.done" } else { "x.done" };
            Some(json!({"type": kind, "output_index": text, "content_index": 0}))
        },
        read: |value| Some((number(value, "/output_index"), text_at(value, "/delta")?)),
        end: "data: {\"type\":\"response.completed\",\"response\":{}}\n\n",
        ..chat()
    }
}

fn messages() -> Format {
    Format {
        surface: Surface::AnthropicMessages,
        texts: 3,
        is_json: |text| text == 2,
        event: |text, piece| {
            let delta = match text {
                0 => json!({"type": "thinking_delta", "thinking": piece}),
                1 => json!({"type": "text_delta", "text": piece}),
                _ => json!({"type": "input_json_delta", "partial_json": piece}),
            };
            json!({"type": "content_block_delta", "index": text, "delta": delta})
        },
        finish: |text| Some(json!({"type": "content_block_stop", "index": text})),
        read: |value| {
            let delta = value.pointer("/delta")?;
            let text = ["/thinking", "/text", "/partial_json"]
                .iter()
                .find_map(|path| text_at(delta, path))?;
            Some((number(value, "/index"), text))
        },
        end: "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ..chat()
    }
}

fn ollama() -> Format {
    Format {
        surface: Surface::Ollama,
        kind: StreamKind::Ndjson,
        texts: 2,
        is_json: |_| false,
        event: |text, piece| {
            let name = if text == 0 { "content" } else { "thinking" };
            json!({"model": "M#", "message": {"role": "assistant", name: piece}, "done": false})
        },
        finish: nothing,
        read: |value| {
            text_at(value, "/message/content")
                .map(|text| (0, text))
                .or_else(|| text_at(value, "/message/thinking").map(|text| (1, text)))
        },
        end: "{\"model\":\"M#\",\"message\":{},\"done\":true,\"eval_count\":1}\n",
    }
}

fn generate() -> Format {
    Format {
        surface: Surface::Ollama,
        event: |text, piece| {
            let name = if text == 0 { "response" } else { "thinking" };
            json!({"model": "M#", name: piece, "done": false})
        },
        read: |value| {
            text_at(value, "/response")
                .map(|text| (0, text))
                .or_else(|| text_at(value, "/thinking").map(|text| (1, text)))
        },
        ..ollama()
    }
}

fn llama() -> Format {
    Format {
        surface: Surface::LlamaCompletion,
        texts: 2,
        is_json: |_| false,
        event: |text, piece| json!({"index": text, "content": piece, "tokens": [], "stop": false}),
        finish: |text| Some(json!({"index": text, "stop": true, "prompt": "P#"})),
        read: |value| Some((number(value, "/index"), text_at(value, "/content")?)),
        end: ":\n\n",
        ..chat()
    }
}

fn tgi() -> Format {
    Format {
        surface: Surface::Generate,
        texts: 1,
        event: |_, piece| {
            let token = json!({"text": piece, "special": false});
            json!({"index": 1, "token": token, "generated_text": null})
        },
        finish: |_| Some(json!({"index": 2, "token": null, "generated_text": "ALL"})),
        read: |value| Some((0, text_at(value, "/token/text")?)),
        ..llama()
    }
}

fn cohere() -> Format {
    Format {
        surface: Surface::Cohere,
        texts: 3,
        is_json: |text| text == 2,
        event: |text, piece| match text {
            2 => {
                let message = json!({"tool_calls": {"function": {"arguments": piece}}});
                json!({"type": "tool-call-delta", "index": 2, "delta": {"message": message}})
            }
            _ => {
                let message = json!({"content": {"text": piece}});
                json!({"type": "content-delta", "index": text, "delta": {"message": message}})
            }
        },
        finish: |text| Some(json!({"type": "content-end", "index": text})),
        read: |value| {
            let message = value.pointer("/delta/message")?;
            let text = text_at(message, "/content/text")
                .or_else(|| text_at(message, "/tool_calls/function/arguments"))?;
            Some((number(value, "/index"), text))
        },
        end: "data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\"}}\n\n",
        ..chat()
    }
}

fn gemini() -> Format {
    Format {
        surface: Surface::Gemini,
        texts: 2,
        is_json: |_| false,
        event: |text, piece| {
            let content = json!({"parts": [{"text": piece}], "role": "model"});
            json!({"candidates": [{"index": text, "content": content}]})
        },
        finish: |text| Some(json!({"candidates": [{"index": text, "finishReason": "STOP"}]})),
        read: |value| {
            let text = text_at(value, "/candidates/0/content/parts/0/text")?;
            Some((number(value, "/candidates/0/index"), text))
        },
        ..llama()
    }
}

fn realtime() -> Format {
    Format {
        surface: Surface::Realtime,
        kind: StreamKind::Ndjson,
        end: "{\"type\":\"transcription.done\"}\n",
        ..responses()
    }
}

/// A format that no table knows.
fn other() -> Format {
    Format {
        surface: Surface::Other,
        texts: 2,
        event: |text, piece| json!({"index": text, "mine": {"deep": [{"words": piece}]}}),
        finish: nothing,
        read: |value| Some((number(value, "/index"), text_at(value, "/mine/deep/0/words")?)),
        ..llama()
    }
}

pub(super) fn formats() -> Vec<Format> {
    vec![
        chat(),
        completions(),
        responses(),
        messages(),
        ollama(),
        generate(),
        llama(),
        tgi(),
        cohere(),
        gemini(),
        realtime(),
        Format {
            event: |_, piece| json!({"model_name": "M#", "text_output": format!("{piece}#")}),
            read: |value| Some((0, text_at(value, "/text_output")?)),
            surface: Surface::Tensors,
            finish: nothing,
            ..tgi()
        },
        other(),
    ]
}

/// A piece of text as JSON writes it, one way or the other.
fn written(value: &Value, escapes: bool) -> String {
    let text = value.to_string();
    if !escapes {
        return text;
    }
    let mut out = String::new();
    for character in text.chars() {
        // Names are written so as well; `true`, `false` and `null` have no c.
        if character.is_ascii() && !matches!(character, 'c' | '-' | '@') {
            out.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        3 => "sec-[0-9]{3}",
        2 => "sec-[0-9]{0,2}",
        2 => "[sec]{1,3}",
        2 => "[a-z ]{1,6}",
        1 => "[\"\\\\/\n\té😀\u{2028}]",
    ];
    prop::collection::vec(word, 0..8).prop_map(|words| words.concat())
}

fn data(words: BoxedStrategy<String>) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        words.prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    let values = leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..3)
                .prop_map(|map| map.into_iter().collect()),
        ]
    });
    prop::collection::btree_map("[a-z]{1,3}", values, 0..4)
        .prop_map(|map| map.into_iter().collect())
}

fn masked_data(value: &Value) -> Value {
    match value {
        // The mask of a JSON text sees it as it stands: what is escaped there stays so.
        Value::String(text) => {
            let inner = Value::from(text.as_str()).to_string();
            serde_json::from_str(&masked(&inner)).unwrap()
        }
        Value::Array(items) => items.iter().map(masked_data).collect(),
        Value::Object(map) => {
            map.iter().map(|(name, value)| (name.clone(), masked_data(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Cuts a text at some of its characters.
fn pieces(text: &str, cuts: &[bool]) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for (at, character) in text.chars().enumerate() {
        pieces.last_mut().unwrap().push(character);
        if cuts[at % cuts.len()] {
            pieces.push(String::new());
        }
    }
    pieces
}

fn values(kind: StreamKind, bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    let data = lines.filter_map(|line| match kind {
        StreamKind::Sse => line.strip_prefix("data:").map(str::trim),
        StreamKind::Ndjson => Some(line),
    });
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// An event without its texts.
fn skeleton(value: &Value) -> String {
    value.to_string().replace("sec-", "").replace("[SECRET]", "")
}

pub(super) struct Story {
    texts: Vec<String>,
    data: Vec<Value>,
    cuts: Vec<bool>,
    order: Vec<usize>,
    escapes: bool,
}

pub(super) fn stories(words: BoxedStrategy<String>) -> impl Strategy<Value = Story> {
    (
        prop::collection::vec(words.clone(), 6),
        prop::collection::vec(data(words), 6),
        prop::collection::vec(any::<bool>(), 1..9),
        prop::collection::vec(0..1000_usize, 1..30),
        any::<bool>(),
    )
        .prop_map(|(texts, data, cuts, order, escapes)| Story {
            texts,
            data,
            cuts,
            order,
            escapes,
        })
}

impl std::fmt::Debug for Story {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { texts, data, cuts, order, escapes } = self;
        write!(formatter, "{texts:?} {data:?} {cuts:?} {order:?} {escapes}")
    }
}

/// A mask, and what it makes of a text and of a JSON text.
pub(super) struct Mask {
    pub(super) masking: fn() -> Masking,
    pub(super) text: fn(&str) -> String,
    pub(super) data: fn(&Value) -> Value,
    /// Whether its values can't come to be where two texts stand side by side.
    pub(super) is_plain: bool,
}

const SAMPLE: Mask =
    Mask { masking: crate::sample::masking, text: masked, data: masked_data, is_plain: true };

pub(super) fn tell(mask: &Mask, format: &Format, story: &Story) {
    let terms = terms(Unreadable::Refuse);
    let mut run = Run::with((mask.masking)(), format.surface, format.kind, terms);
    let whole: Vec<String> = (0..format.texts)
        .map(|text| {
            let is_json = (format.is_json)(text);
            if is_json { story.data[text].to_string() } else { story.texts[text].clone() }
        })
        .collect();
    let mut left: Vec<_> = whole.iter().map(|text| pieces(text, &story.cuts).into_iter()).collect();
    let mut told: Vec<Value> = Vec::new();
    let mut tell = |value: Value| {
        let data = written(&value, story.escapes);
        match format.kind {
            StreamKind::Sse => run.data(&data),
            StreamKind::Ndjson => run.event(&format!("{data}\n")),
        };
        told.push(value);
    };
    for at in 0.. {
        let open: Vec<usize> = (0..left.len()).filter(|text| left[*text].len() > 0).collect();
        if open.is_empty() {
            break;
        }
        let text = open[story.order[at % story.order.len()] % open.len()];
        tell((format.event)(text, &left[text].next().unwrap()));
    }
    for text in 0..format.texts {
        if let Some(value) = (format.finish)(text) {
            tell(value);
        }
    }
    run.event(format.end);
    run.end();
    let bytes = std::str::from_utf8(&run.out).unwrap();
    assert!(!mask.is_plain || (mask.text)(bytes) == bytes, "a value is in sight");
    let shown = values(format.kind, &run.out);
    let mut read = vec![String::new(); format.texts];
    for value in &shown {
        if let Some((text, piece)) = (format.read)(value) {
            read[text].push_str(&piece);
        }
    }
    for (text, read) in read.iter().enumerate() {
        if (format.is_json)(text) {
            let read: Value = serde_json::from_str(read).unwrap();
            assert_eq!(read, (mask.data)(&story.data[text]), "{:?}", format.surface);
        } else if format.surface == Surface::Tensors {
            let marked: String = pieces(&whole[text], &story.cuts).join("#") + "#";
            assert_eq!(*read, (mask.text)(&marked));
        } else {
            assert_eq!(*read, (mask.text)(&whole[text]), "{:?}", format.surface);
        }
    }
    let empty = |value: &Value| {
        let mut value = value.clone();
        empty_texts(&mut value, format);
        skeleton(&value)
    };
    let mut shown = shown.iter().map(empty);
    for value in &told {
        let wanted = empty(value);
        assert!(shown.any(|shown| shown == wanted), "{wanted} is lost");
    }
}

/// Empties the text that a reader takes.
fn empty_texts(value: &mut Value, format: &Format) {
    let Some((_, text)) = (format.read)(value) else { return };
    replace(value, &text);
}

fn replace(value: &mut Value, text: &str) {
    match value {
        Value::String(own) if own == text => own.clear(),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, text)),
        Value::Object(map) => map.values_mut().for_each(|item| replace(item, text)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_reader_gets_the_masked_whole_of_every_text_in_every_format(
        story in stories(words().boxed()),
    ) {
        for format in formats() {
            tell(&SAMPLE, &format, &story);
        }
    }

    #[test]
    fn a_text_that_comes_whole_each_time_ends_as_the_masked_whole(
        text in words(),
        cuts in prop::collection::vec(any::<bool>(), 1..9),
        is_finished: bool,
    ) {
        let mut run = Run::sse(Surface::Generate);
        let (mut so_far, mut shown) = (String::new(), String::new());
        let mut events: Vec<String> = pieces(&text, &cuts)
            .iter()
            .filter(|piece| !piece.is_empty())
            .map(|piece| {
                so_far.push_str(piece);
                so_far.clone()
            })
            .collect();
        prop_assume!(!events.is_empty());
        let first = events[0].clone();
        // A reader can't tell a first event's text from a piece: the second one must show it.
        events.insert(0, first[..first.chars().next().unwrap().len_utf8()].to_owned());
        events.dedup();
        prop_assume!(events.len() > 1);
        let last = events.len() - 1;
        for (at, text) in events.iter().enumerate() {
            let is_told = at == last && is_finished;
            let reason = if is_told { json!({"type": "stop"}) } else { Value::Null };
            run.data(&json!({"text": text, "meta_info": {"finish_reason": reason}}).to_string());
        }
        run.event("data: [DONE]\n\n");
        for value in values(StreamKind::Sse, &run.out) {
            shown = text_at(&value, "/text").unwrap();
            prop_assert!(masked(&text).starts_with(&shown));
        }
        prop_assert_eq!(shown, masked(&text));
    }
}
