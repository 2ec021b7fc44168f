mod detectors;
mod endless;
mod formats;
mod hostile;
mod properties;
mod repeats;

use super::*;
use crate::sample::{Run, real_masking, terms};

fn chunk(choice: u32, delta: &str, finish: &str) -> String {
    format!(
        concat!(
            r#"{{"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m","#,
            r#""choices":[{{"index":{choice},"delta":{delta},"logprobs":null,"#,
            r#""finish_reason":{finish}}}]}}"#
        ),
        choice = choice,
        delta = delta,
        finish = finish
    )
}

fn content(text: &str) -> String {
    chunk(0, &format!(r#"{{"content":"{text}"}}"#), "null")
}

#[test]
fn an_event_in_which_nothing_changes_goes_on_as_it_came() {
    let mut run = Run::sse(Surface::OpenAiChat);
    for event in [
        concat!(
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\"",
            ":\"\"}}]}\n\n"
        ),
        concat!(
            "data:  {\"choices\" : [{\"index\":0, \"delta\":{\"content\":\"\\u0068i \\/ ",
            "\u{e9}\"}}] } \r\n\r\n"
        ),
        ": ping\n\n",
        ":\n\n",
        "\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\r\r",
        "data: [DONE]\n\n",
    ] {
        assert_eq!(run.event(event), event);
    }
    assert_eq!(run.end(), "");
    assert_eq!(run.mask.masked(), 0);
}

#[test]
fn a_value_split_over_two_events_is_masked() {
    let mut run = Run::sse(Surface::OpenAiChat);
    assert_eq!(run.data(&content("say se")), format!("data: {}\n\n", content("say ")));
    assert!(run.mask.holds_text());
    assert_eq!(run.data(&content("c-12")), format!("data: {}\n\n", content("")));
    assert_eq!(run.data(&content("3 now")), format!("data: {}\n\n", content("[SECRET] now")));
    assert!(!run.mask.holds_text());
    assert_eq!(run.mask.masked(), 1);
}

#[test]
fn held_text_that_is_no_value_goes_before_the_next_text() {
    let mut run = Run::sse(Surface::OpenAiChat);
    run.data(&content("sec-1"));
    let written = run.data(&content("x \\\"\\u00e9\\n"));
    assert_eq!(written, format!("data: {}\n\n", content("sec-1x \\\"é\\n")));
}

#[test]
fn held_text_is_told_in_the_event_that_ends_its_choice() {
    let mut run = Run::sse(Surface::OpenAiChat);
    run.data(&content("sec-1"));
    let last = chunk(0, r#"{"content":"2"}"#, r#""stop""#);
    let told = chunk(0, r#"{"content":"sec-12"}"#, r#""stop""#);
    assert_eq!(run.data(&last), format!("data: {told}\n\n"));
}

#[test]
fn held_text_is_told_before_an_event_that_ends_its_choice_without_text() {
    let mut run = Run::sse(Surface::OpenAiChat);
    run.data(&chunk(1, r#"{"content":"sec-9"}"#, "null"));
    run.data(&chunk(0, r#"{"role":"assistant","content":"sec-1"}"#, "null"));
    let last = chunk(0, "{}", r#""length""#);
    let told = concat!(
        r#"data: {"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m","ch"#,
        r#"oices":[{"index":0,"finish_reason":null,"delta":{"content":"sec-1"}}]}"#
    );
    assert_eq!(run.data(&last), format!("{told}\n\ndata: {last}\n\n"));
    assert!(run.mask.holds_text(), "that of the other choice");
    let done = run.event("data: [DONE]\n\n");
    let told = told.replace("\"index\":0", "\"index\":1").replace("sec-1", "sec-9");
    assert_eq!(done, format!("{told}\n\ndata: [DONE]\n\n"));
    assert_eq!(run.end(), "");
}

#[test]
fn held_text_is_told_at_the_end_of_the_body() {
    let mut run = Run::sse(Surface::OpenAiChat);
    run.data(&content("sec-1"));
    let told = run.end();
    assert!(told.ends_with("\"delta\":{\"content\":\"sec-1\"}}]}\n\n"), "{told}");
    assert_eq!(run.end(), "");
}

#[test]
fn an_event_without_its_end_is_ended_before_held_text_is_told() {
    let mut run = Run::sse(Surface::OpenAiChat);
    run.event(&format!("data: {}", content("sec-1")));
    assert!(run.end().starts_with("\n\ndata: {"));
}

#[test]
fn texts_of_choices_and_channels_are_never_joined() {
    let mut run = Run::sse(Surface::OpenAiChat);
    run.data(&content("sec-"));
    let other = chunk(1, r#"{"content":"123"}"#, "null");
    assert_eq!(run.data(&other), format!("data: {other}\n\n"));
    let other = chunk(0, r#"{"reasoning_content":"123"}"#, "null");
    assert_eq!(run.data(&other), format!("data: {other}\n\n"));
    assert_eq!(run.data(&content("123")), format!("data: {}\n\n", content("[SECRET]")));
}

#[test]
fn choices_are_told_apart_by_what_they_say_not_by_where_they_stand() {
    let mut run = Run::sse(Surface::OpenAiChat);
    let two = |first: &str, second: &str| {
        format!(
            concat!(
                r#"{{"choices":[{{"index":1,"delta":{{"content":"{first}"}}}},"#,
                r#"{{"index":0,"delta":{{"content":"{second}"}}}}]}}"#
            ),
            first = first,
            second = second
        )
    };
    assert_eq!(run.data(&two("sec-", "x")), format!("data: {}\n\n", two("", "x")));
    let one = r#"{"choices":[{"index":1,"delta":{"content":"123"}}]}"#;
    assert_eq!(run.data(one), format!("data: {}\n\n", one.replace("123", "[SECRET]")));
}

#[test]
fn silence_decides_what_is_held() {
    let mut run = Run::sse(Surface::OpenAiChat);
    run.data(&content("sec-1"));
    assert!(run.stalled().contains(r#""delta":{"content":"***"}"#));
    assert!(!run.mask.holds_text());
    let released = Terms { stalled_release: true, ..terms(Unreadable::Refuse) };
    let mut run = Run::new(Surface::OpenAiChat, StreamKind::Sse, released);
    run.data(&content("sec-1"));
    assert!(run.stalled().contains(r#""delta":{"content":"sec-1"}"#));
}

#[test]
fn an_unknown_text_of_a_message_is_a_text_of_its_own() {
    let mut run = Run::sse(Surface::OpenAiChat);
    let event = |text: &str| chunk(0, &format!(r#"{{"new":{{"part":"{text}"}}}}"#), "null");
    run.data(&event("sec-"));
    assert_eq!(run.data(&event("123")), format!("data: {}\n\n", event("[SECRET]")));
}

#[test]
fn names_and_texts_that_no_table_has_are_masked() {
    let mut run = Run::sse(Surface::OpenAiChat);
    let written =
        run.data(r#"{"choices":[],"sec-123":"sec-4\u00356","error":{"message":"sec-789"}}"#);
    assert_eq!(
        written,
        "data: {\"choices\":[],\"[SECRET]\":\"[SECRET]\",\"error\":{\"message\":\"[SECRET]\"}}\n\n"
    );
    assert_eq!(run.mask.masked(), 3);
}

#[test]
fn a_stream_of_bare_strings_is_one_text() {
    let mut run = Run::sse(Surface::OpenAiChat);
    assert_eq!(run.data(r#""a sec-""#), "data: \"a \"\n\n");
    assert_eq!(run.data(r#""123 sec""#), "data: \"[SECRET] \"\n\n");
    assert_eq!(run.end(), "data: \"sec\"\n\n");
}

#[test]
fn all_forms_of_lines_are_read() {
    let mut run = Run::sse(Surface::OpenAiChat);
    for end in ["\n", "\r\n", "\r"] {
        let event = format!(
            "\u{feff}id: 7{end}event: x.y{end}retry: 10{end}data:{}{end}{end}",
            content("sec-123")
        );
        assert_eq!(run.event(&event), event.replace("sec-123", "[SECRET]"), "{end:?}");
    }
    let lines =
        "event: message\ndata: {\"choices\":[{\"delta\":\ndata: {\"content\":\"sec-123\"}}]}\n\n";
    let joined =
        "event: message\ndata: {\"choices\":[{\"delta\": {\"content\":\"[SECRET]\"}}]}\n\n";
    assert_eq!(run.event(lines), joined);
    let unchanged = lines.replace("sec-123", "x");
    assert_eq!(run.event(&unchanged), unchanged);
    assert!(run.try_event(b"data: {\"id\":\"a\ndata: b\"}\n\n").is_err(), "a line in a string");
}

#[test]
fn comments_and_lines_that_may_carry_text_do_not_go_on() {
    let mut run = Run::sse(Surface::OpenAiChat);
    assert_eq!(run.event(": sec-123\n\n"), ":\n\n");
    let event = format!(": sec-123\nid: 1\ndata: {}\n\n", content("x"));
    assert_eq!(run.event(&event), format!(":\nid: 1\ndata: {}\n\n", content("x")));
    for line in ["event: a b", "id: a@b", "retry: x", "sec-123", "other: x"] {
        let event = format!("{line}\ndata: {{}}\n\n");
        let mut run = Run::sse(Surface::OpenAiChat);
        assert_eq!(run.try_event(event.as_bytes()), Err(Unmaskable::Lines), "{line}");
        let mut run = Run::new(Surface::OpenAiChat, StreamKind::Sse, terms(Unreadable::Strip));
        assert_eq!(run.event(&event), "data: {}\n\n");
    }
}

#[test]
fn what_can_not_be_read_is_refused_left_out_or_passed_on_as_the_document_says() {
    let token = r#"{"content":[{"token":"sec-123","logprob":-0.1,"bytes":[115]}]}"#;
    let cases = [
        (
            format!(r#"{{"choices":[{{"logprobs":{token}}}]}}"#),
            "null",
            Unmaskable::LogProbabilities,
        ),
        (r#"{"choices":[{"token_ids":[1,2]}]}"#.to_owned(), "[]", Unmaskable::TokenIds),
        (r#"{"prompt_token_ids":[1,2]}"#.to_owned(), "[]", Unmaskable::TokenIds),
        (
            r#"{"choices":[{"delta":{"audio":{"data":"c2Vj"}}}]}"#.to_owned(),
            "null",
            Unmaskable::Opaque,
        ),
    ];
    for (json, stripped, error) in cases {
        let event = format!("data: {json}\n\n");
        let run = |unreadable| Run::new(Surface::OpenAiChat, StreamKind::Sse, terms(unreadable));
        assert_eq!(run(Unreadable::Refuse).try_event(event.as_bytes()), Err(error), "{json}");
        assert_eq!(run(Unreadable::Pass).event(&event), event);
        let written = run(Unreadable::Strip).event(&event);
        assert!(written.contains(stripped) && written.len() < event.len(), "{written}");
        serde_json::from_str::<serde_json::Value>(&written["data: ".len()..]).unwrap();
    }
    let mut run = Run::sse(Surface::OpenAiChat);
    for empty in ["null", "[]", "{}", "{\"content\":null}"] {
        let event =
            format!("data: {{\"choices\":[{{\"logprobs\":{empty},\"token_ids\":null}}]}}\n\n");
        let written = run.try_event(event.as_bytes());
        assert_eq!(written.is_ok(), !empty.contains("content"), "{empty}");
    }
}

#[test]
fn data_that_is_no_json_is_as_unreadable() {
    for data in ["hello", "{\"a\":1", "{\"a\":1,\"a\":2}", "\u{7f}", "[DONE] "] {
        let event = format!("data: {data}\n\n");
        let run = |unreadable| Run::new(Surface::OpenAiChat, StreamKind::Sse, terms(unreadable));
        let is_end = data.starts_with("[DONE]");
        assert_eq!(run(Unreadable::Refuse).try_event(event.as_bytes()).is_err(), !is_end, "{data}");
        assert_eq!(run(Unreadable::Pass).event(&event), event);
        let kept = if is_end { event.as_str() } else { "" };
        assert_eq!(run(Unreadable::Strip).event(&event), kept);
    }
}

#[test]
fn an_index_is_the_same_number_in_whatever_form_it_comes() {
    for form in ["0.0", "-0", "0e0", "\"0\"", "0.00e3"] {
        let event = |index: &str, text: &str| {
            format!(
                concat!(
                    r#"{{"choices":[{{"index":1,"delta":{{}}}},"#,
                    r#"{{"index":{index},"delta":{{"content":"{text}"}}}}]}}"#
                ),
                index = index,
                text = text
            )
        };
        let mut run = Run::sse(Surface::OpenAiChat);
        run.data(&event("0", "sec-1"));
        let shown = run.data(&event(form, "23 "));
        assert_eq!(shown, format!("data: {}\n\n", event(form, "[SECRET] ")), "{form}");
    }
}

#[test]
fn a_silence_within_an_escape_leaves_json_that_can_be_read() {
    for (first, second) in [
        (r#"{"c":"password: ab\"#, r#""c"}"#),
        (r#"{"c":"password: ab\"#, r#"\"}"#),
        (r#"{"c":"password: ab\u00"#, r#"41b"}"#),
        (r#"{"c":"password: ab\ud83d"#, r#"\ude00 b"}"#),
        (r#"{"c":"password: ab\ud83d\ud"#, r#"e00 b"}"#),
    ] {
        let (arguments, _) = arguments_with_silence(first, second);
        let read: Result<serde_json::Value, _> = serde_json::from_str(&arguments);
        assert!(read.is_ok() && !arguments.contains("ab"), "{arguments}");
    }
    let (arguments, before) = arguments_with_silence(r#"{"c":"password: hunter"#, r#"22"}"#);
    assert_eq!((arguments.as_str(), before.as_str()), (r#"{"c":"***"}"#, r#"{"c":"***"#));
}

/// A tool's arguments in two pieces with a silence between, masked; and what of them was there
/// before the second.
fn arguments_with_silence(first: &str, second: &str) -> (String, String) {
    let part = |text: &str| {
        let text = serde_json::to_string(text).unwrap();
        let call = format!(r#"{{"index":0,"function":{{"arguments":{text}}}}}"#);
        chunk(0, &format!(r#"{{"tool_calls":[{call}]}}"#), "null")
    };
    let arguments = |out: &[u8]| -> String {
        let out = String::from_utf8_lossy(out);
        let events = out.lines().filter_map(|line| line.strip_prefix("data: "));
        let each = events.map(|json| {
            let event: serde_json::Value = serde_json::from_str(json).unwrap();
            let call = &event["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"];
            call.as_str().unwrap_or_default().to_owned()
        });
        each.collect()
    };
    let refuse = terms(Unreadable::Refuse);
    let mut run = Run::with(real_masking(), Surface::OpenAiChat, StreamKind::Sse, refuse);
    run.data(&part(first));
    run.stalled();
    let before = arguments(&run.out);
    run.data(&part(second));
    run.end();
    (arguments(&run.out), before)
}
