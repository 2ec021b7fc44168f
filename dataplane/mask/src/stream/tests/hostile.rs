use super::*;

/// Most that may be scanned between two returns.
const TURN_MAX: u64 = 16 << 10;

#[test]
fn a_long_text_is_masked_in_short_turns() {
    let long = "x sec-123 \\u00e9\\n".repeat(20_000);
    let mut run = Run::sse(Surface::OpenAiChat);
    let written = run.data(&content(&long));
    assert_eq!(written.matches("[SECRET]").count(), 20_000);
    assert!(!written.contains("sec-"));
    assert!(run.scanned_max <= TURN_MAX, "{}", run.scanned_max);
    assert!(run.scratch.scanned_bytes() > 10 * TURN_MAX);
}

#[test]
fn a_long_text_in_which_nothing_changes_goes_on_as_it_came() {
    let event = format!("data: {}\n\n", content(&"x \\u00e9\\/ ".repeat(20_000)));
    let mut run = Run::sse(Surface::OpenAiChat);
    assert_eq!(run.event(&event), event);
    assert!(run.scanned_max <= TURN_MAX);
}

#[test]
fn many_choices_are_masked_in_short_turns_up_to_a_number_of_them() {
    let event = |count: usize, text: &str| {
        let each = |index| format!(r#"{{"index":{index},"delta":{{"content":"{text}"}}}}"#);
        let all: Vec<_> = (0..count).map(each).collect();
        format!("data: {{\"choices\":[{}]}}\n\n", all.join(","))
    };
    let mut run = Run::sse(Surface::OpenAiChat);
    run.event(&event(TEXTS_MAX, &format!("{}sec-", "y ".repeat(500))));
    let written = run.event(&event(TEXTS_MAX, "123"));
    assert_eq!(written, event(TEXTS_MAX, "[SECRET]"));
    run.event(&event(TEXTS_MAX, "sec-9"));
    let done = run.event("data: [DONE]\n\n");
    assert_eq!(done.matches("sec-9").count(), TEXTS_MAX);
    assert!(run.scanned_max <= TURN_MAX);
    let mut run = Run::sse(Surface::OpenAiChat);
    let refused = run.try_event(event(TEXTS_MAX + 1, "x").as_bytes());
    assert_eq!(refused, Err(Unmaskable::TooManyTexts));
}

#[test]
fn texts_that_have_ended_leave_room_for_others() {
    let mut run = Run::sse(Surface::OpenAiChat);
    for choice in 0..2_000 {
        let event = chunk(choice, r#"{"content":"sec-1"}"#, "null");
        run.data(&event);
        run.data(&chunk(choice, r#"{"content":"23"}"#, "\"stop\""));
    }
    assert_eq!(run.mask.masked(), 2_000);
}

#[test]
fn an_event_that_is_too_large_is_refused() {
    let mut run = Run::sse(Surface::OpenAiChat);
    let event = format!("data: {}\n\n", content(&"x".repeat(EVENT_BYTES_MAX)));
    assert_eq!(run.try_event(event.as_bytes()), Err(Unmaskable::EventTooLarge));
}

#[test]
fn texts_that_may_come_whole_again_are_kept_up_to_a_number_of_bytes() {
    let event = |name: usize, bytes: usize| {
        format!("data: {{\"text_{name}\":\"{}\"}}\n\n", "x ".repeat(bytes / 2))
    };
    let mut run = Run::sse(Surface::Tensors);
    for bytes in [400_000, 800_000, 900_000, 1_000_000] {
        assert_eq!(run.event(&event(0, bytes)), event(0, bytes));
    }
    assert_eq!(run.try_event(event(1, 100_000).as_bytes()), Err(Unmaskable::TooManyTexts));
    let mut run = Run::sse(Surface::Tensors);
    for name in 0..TEXTS_MAX {
        assert_eq!(run.event(&event(name, 4_000)), event(name, 4_000));
    }
    assert_eq!(run.try_event(event(0, 500_000).as_bytes()), Err(Unmaskable::TooManyTexts));
    // Texts that come piece by piece are not kept.
    let mut run = Run::sse(Surface::OpenAiChat);
    for choice in 0..4 {
        let delta = format!("{{\"content\":\"{}\"}}", "x ".repeat(400_000));
        run.data(&chunk(choice, &delta, "null"));
    }
}

#[test]
fn deep_nesting_and_bytes_that_are_no_text_are_refused() {
    let deep = format!("data: {}1{}\n\n", "[".repeat(100), "]".repeat(100));
    let mut run = Run::sse(Surface::OpenAiChat);
    assert!(run.try_event(deep.as_bytes()).is_err());
    assert!(run.try_event(b"data: {\"a\":\"\xff\"}\n\n").is_err());
    assert!(run.try_event(b"data: {\"a\":\"\\ud800\"}\n\n").is_err());
}

#[test]
fn held_text_of_a_large_event_is_told_in_a_small_one() {
    let mut run = Run::sse(Surface::OpenAiChat);
    let padding = "z".repeat(100_000);
    let event = content("sec-1").replace("\"m\"", &format!("\"m\",\"x\":\"{padding}\""));
    run.data(&event);
    let told = run.end();
    assert!(told.contains("sec-1") && told.len() < 2_200, "{}", told.len());
}

#[test]
fn no_event_makes_it_panic() {
    let mut run = Run::new(Surface::Other, StreamKind::Sse, terms(Unreadable::Strip));
    let full = concat!(
        "id: 1\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
        "\\ud83d\\ude00 sec-123\",\"tool_calls\":[{\"index\":0,\"function\":{\"argument",
        "s\":\"{\\\"a\\\": 1\"}}]}}]}\r\n\r\n"
    );
    for length in 0..full.len() {
        for with in ["", "\"", "}", "\n\n"] {
            let _ = run.try_event(format!("{}{with}", &full[..length]).as_bytes());
        }
    }
    run.end();
}

#[test]
fn many_ends_in_one_event_are_refused() {
    let each = r#"{"index":1,"finish_reason":"stop"},{"index":2,"finish_reason":"stop"},"#;
    let event = |count: usize| format!("data: {{\"choices\":[{}0]}}\n\n", each.repeat(count));
    let mut run = Run::sse(Surface::OpenAiChat);
    assert_eq!(run.event(&event(2_000)), event(2_000));
    assert_eq!(run.try_event(event(3_000).as_bytes()), Err(Unmaskable::TooManyTexts));
}

#[test]
fn a_stream_under_way_takes_no_memory() {
    let mut run = Run::sse(Surface::OpenAiChat);
    let events: Vec<String> = ["a sec-", "12", "3 b", "c", "\\u00e9 d"]
        .iter()
        .map(|text| format!("data: {}\n\n", content(text)))
        .collect();
    let mut out = Vec::with_capacity(1 << 16);
    let mut tell = |run: &mut Run| {
        for event in &events {
            run.mask.event(&mut run.scratch, event.as_bytes(), &mut out).unwrap();
        }
        out.clear();
    };
    // Its buffers and automata grow to what they need.
    (0..50).for_each(|_| tell(&mut run));
    let counted = allocation_counter::measure(|| {
        for _ in 0..100 {
            tell(&mut run);
        }
    });
    assert_eq!(counted.count_total, 0);
}
