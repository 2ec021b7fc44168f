//! Events as servers of each kind write them: of each file in `streams`, lines behind `<` come from
//! the server, and lines behind `>` go on in their place; none: they go on as they came.

use super::*;

/// Lines behind a mark, as one event; none if there are none.
fn event(block: &str, mark: char) -> Option<String> {
    let lines: Vec<&str> = block
        .lines()
        .filter_map(|line| line.strip_prefix(mark))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn check(mut run: Run, story: &str) {
    let end = if run.is_sse { "\n\n" } else { "\n" };
    for block in story.trim_end().split("\n\n") {
        let came = event(block, '<').unwrap();
        let goes_on = event(block, '>').unwrap_or_else(|| came.clone());
        assert_eq!(run.event(&format!("{came}{end}")), format!("{goes_on}{end}"));
    }
    assert_eq!(run.end(), "");
}

macro_rules! story {
    ($file:literal) => {
        include_str!(concat!("streams/", $file, ".txt"))
    };
}

#[test]
fn chat_completions_are_masked() {
    for story in [story!("vllm-chat"), story!("sglang-chat"), story!("openai-chat-tools")] {
        check(Run::sse(Surface::OpenAiChat), story);
    }
}

#[test]
fn text_completions_are_masked() {
    check(Run::sse(Surface::OpenAiCompletions), story!("openai-completions"));
    check(Run::sse(Surface::LlamaCompletion), story!("llamacpp-completion"));
}

#[test]
fn responses_are_masked_with_their_repeats() {
    check(Run::sse(Surface::OpenAiResponses), story!("openai-responses"));
}

#[test]
fn responses_without_indices_are_told_apart_by_their_items() {
    check(Run::sse(Surface::OpenAiResponses), story!("llamacpp-responses"));
}

#[test]
fn messages_are_masked_block_by_block() {
    check(Run::sse(Surface::AnthropicMessages), story!("anthropic-messages"));
}

#[test]
fn lines_of_ollama_are_masked() {
    check(Run::ndjson(Surface::Ollama), story!("ollama-chat"));
    let strip = terms(Unreadable::Strip);
    check(Run::new(Surface::Ollama, StreamKind::Ndjson, strip), story!("ollama-generate"));
}

#[test]
fn tokens_of_tgi_are_masked_and_the_text_that_repeats_them() {
    let strip = terms(Unreadable::Strip);
    check(Run::new(Surface::Generate, StreamKind::Sse, strip), story!("tgi"));
}

#[test]
fn tensors_are_masked_under_any_name() {
    check(Run::sse(Surface::Tensors), story!("tensors"));
}

#[test]
fn chats_of_cohere_and_gemini_are_masked() {
    check(Run::sse(Surface::Cohere), story!("cohere-chat"));
    check(Run::sse(Surface::Gemini), story!("gemini"));
}

#[test]
fn realtime_messages_are_masked() {
    check(Run::ndjson(Surface::Realtime), story!("realtime"));
}

#[test]
fn an_address_that_tells_no_format_knows_all_of_them() {
    check(Run::sse(Surface::Other), story!("other"));
}
