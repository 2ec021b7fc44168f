use super::*;

fn generate(text: &str, finish: &str) -> String {
    let meta = format!(r#"{{"id":"a","finish_reason":{finish},"completion_tokens":3}}"#);
    format!(r#"{{"text":"{text}","meta_info":{meta}}}"#)
}

#[test]
fn a_text_that_comes_whole_each_time_is_masked_the_same_each_time() {
    let mut run = Run::sse(Surface::Generate);
    let stop = r#"{"type":"stop","matched":2}"#;
    let texts = [
        ("my", "null", "my"),
        ("my sec-1", "null", "my "),
        ("my sec-123", "null", "my [SECRET]"),
        ("my sec-123 and sec-4", "null", "my [SECRET] and "),
        ("my sec-123 and sec-4", stop, "my [SECRET] and sec-4"),
    ];
    for (text, finish, shown) in texts {
        let written = run.data(&generate(text, finish));
        assert_eq!(written, format!("data: {}\n\n", generate(shown, finish)));
    }
    assert_eq!(run.event("data: [DONE]\n\n"), "data: [DONE]\n\n");
}

#[test]
fn the_same_field_in_pieces_is_masked_over_its_pieces() {
    let mut run = Run::sse(Surface::Generate);
    let shown = [("my ", "my "), ("sec-1", ""), ("2", ""), ("3!", "[SECRET]!"), ("sec", "")];
    for (text, shown) in shown {
        let written = run.data(&generate(text, "null"));
        assert_eq!(written, format!("data: {}\n\n", generate(shown, "null")), "{text}");
    }
    let last = generate("", r#"{"type":"length"}"#);
    let told = generate("sec", r#"{"type":"length"}"#);
    assert_eq!(run.data(&last), format!("data: {told}\n\n"));
}

#[test]
fn a_whole_text_that_nothing_ends_is_told_again_at_the_end_of_the_body() {
    let mut run = Run::sse(Surface::Tensors);
    run.data(r#"{"model_name":"m","text_output":"a sec-1"}"#);
    let written = run.data(r#"{"model_name":"m","text_output":"a sec-123 sec-4"}"#);
    assert_eq!(written, "data: {\"model_name\":\"m\",\"text_output\":\"a [SECRET] \"}\n\n");
    let told = run.end();
    assert_eq!(told, "data: {\"model_name\":\"m\",\"text_output\":\"a [SECRET] sec-4\"}\n\n");
}

#[test]
fn a_long_whole_text_is_told_again_in_short_turns() {
    let mut run = Run::sse(Surface::Tensors);
    let long = "é sec-123 ".repeat(10_000);
    run.data(&format!(r#"{{"text_output":"{long}"}}"#));
    run.data(&format!(r#"{{"text_output":"{long}sec-"}}"#));
    let told = run.end();
    assert!(told.ends_with("[SECRET] sec-\"}\n\n"));
    assert_eq!(told.matches("[SECRET]").count(), 10_000);
    assert!(run.scanned_max <= 16 << 10);
}

#[test]
fn one_piece_twice_is_two_pieces() {
    let mut run = Run::sse(Surface::Tensors);
    let event = |text: &str| format!(r#"{{"text_output":"{text}"}}"#);
    for (text, shown) in [("sec-1", ""), ("sec-1", "sec-1"), ("23", "[SECRET]"), ("3", "3")] {
        assert_eq!(run.data(&event(text)), format!("data: {}\n\n", event(shown)));
    }
}

#[test]
fn indices_of_a_list_are_texts_of_their_own() {
    let mut run = Run::sse(Surface::Generate);
    let event = |index: u32, text: &str| format!(r#"{{"index":{index},"text":"{text}"}}"#);
    run.data(&event(0, "a sec-"));
    assert_eq!(run.data(&event(1, "123")), format!("data: {}\n\n", event(1, "123")));
    assert_eq!(run.data(&event(0, "a sec-123")), format!("data: {}\n\n", event(0, "a [SECRET]")));
}
