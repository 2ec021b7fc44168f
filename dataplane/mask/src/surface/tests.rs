use penstock_config::documents::Protocol;

use super::*;

#[test]
fn a_path_tells_the_format() {
    let cases = [
        (Protocol::Vllm, "/v1/chat/completions", Surface::OpenAiChat),
        (Protocol::Vllm, "/v1/completions/", Surface::OpenAiCompletions),
        (Protocol::Llamacpp, "/v1/completions", Surface::OpenAiCompletions),
        (Protocol::Llamacpp, "/completions", Surface::LlamaCompletion),
        (Protocol::Llamacpp, "/completion", Surface::LlamaCompletion),
        (Protocol::Llamacpp, "/infill", Surface::LlamaCompletion),
        (Protocol::Openai, "/completions", Surface::OpenAiCompletions),
        (Protocol::Openai, "/v1/responses", Surface::OpenAiResponses),
        (Protocol::Openai, "/v1/responses/resp_1", Surface::OpenAiResponses),
        (Protocol::Vllm, "/v1/messages", Surface::AnthropicMessages),
        (Protocol::Ollama, "/api/chat", Surface::Ollama),
        (Protocol::Ollama, "/api/generate", Surface::Ollama),
        (Protocol::Generic, "/generate", Surface::Generate),
        (Protocol::Generic, "/generate_stream", Surface::Generate),
        (Protocol::Generic, "/v2/models/m/versions/1/generate_stream", Surface::Tensors),
        (Protocol::Generic, "/v2/models/m/infer", Surface::Tensors),
        (Protocol::Generic, "/v1/models/m:predict", Surface::Tensors),
        (Protocol::Generic, "/v1beta/models/m:streamGenerateContent", Surface::Gemini),
        (Protocol::Vllm, "/cohere/v2/chat", Surface::Cohere),
        (Protocol::Vllm, "/invocations", Surface::Other),
        (Protocol::Llamacpp, "/v1/stream", Surface::Other),
        (Protocol::Generic, "/", Surface::Other),
    ];
    for (protocol, path, expected) in cases {
        assert_eq!(surface(protocol, path), expected, "{path}");
    }
}

#[test]
fn a_longer_path_counts_more_and_what_is_not_named_is_as_what_holds_it() {
    let trie = Trie::new(
        &[&[("a.b[]", Role::Delta), ("a.b[].c", Role::Pass), ("a.b", Role::Ids)]],
        Role::Whole,
    );
    let a = trie.member(trie.root(), b"a");
    assert_eq!((a.role, a.is_known), (Role::Whole, true));
    let b = trie.member(a, b"b");
    assert_eq!(b.role, Role::Ids);
    let item = trie.item_of(b);
    assert_eq!(item.role, Role::Delta);
    assert_eq!(trie.member(item, b"c").role, Role::Pass);
    let unknown = trie.member(trie.member(item, b"d"), b"c");
    assert_eq!((unknown.role, unknown.is_known), (Role::Delta, false));
}

#[test]
fn every_table_is_read_whole() {
    for surface in [
        Surface::OpenAiChat,
        Surface::OpenAiCompletions,
        Surface::OpenAiResponses,
        Surface::AnthropicMessages,
        Surface::Ollama,
        Surface::LlamaCompletion,
        Surface::Generate,
        Surface::Tensors,
        Surface::Cohere,
        Surface::Gemini,
        Surface::Realtime,
        Surface::Other,
    ] {
        let compiled = response(surface);
        for (path, role) in compiled.table.rows[0] {
            let mut spot = compiled.plain.root();
            for part in path.split('.') {
                let name = part.trim_end_matches("[]");
                spot = compiled.plain.member(spot, name.as_bytes());
                for _ in 0..(part.len() - name.len()) / 2 {
                    spot = compiled.plain.item_of(spot);
                }
            }
            assert_eq!((spot.role, spot.is_known), (*role, true), "{path}");
        }
    }
}
