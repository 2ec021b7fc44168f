//! Which format an address speaks.

use penstock_config::documents::Protocol;

/// A format of answers. Formats that differ in names alone share a table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Surface {
    /// Chat completions of OpenAI's interface.
    OpenAiChat,
    /// Text completions of OpenAI's interface, and vLLM's generation by tokens.
    OpenAiCompletions,
    /// Responses of OpenAI's interface.
    OpenAiResponses,
    /// Messages of Anthropic's interface.
    AnthropicMessages,
    /// Ollama's own interface.
    Ollama,
    /// llama.cpp's own completions.
    LlamaCompletion,
    /// `/generate` of SGLang, LMDeploy and TGI, and `/generate_stream` of TGI.
    Generate,
    /// Triton and KServe: inference by tensors.
    Tensors,
    /// Cohere's chat.
    Cohere,
    /// Gemini's generation.
    Gemini,
    /// Realtime messages: transcription and speech.
    Realtime,
    /// Any other: all formats' names count, and every other text is taken for a stream's.
    Other,
}

/// The format of what a path answers: the path below the connection, without its query.
pub fn surface(protocol: Protocol, path: &str) -> Surface {
    let path = path.trim_end_matches('/');
    let is_llama = protocol == Protocol::Llamacpp;
    let known = match path {
        "/completion" | "/completions" | "/infill" if is_llama => Surface::LlamaCompletion,
        "/completion" | "/infill" => Surface::LlamaCompletion,
        "/cohere/v2/chat" | "/v2/chat" => Surface::Cohere,
        "/inference/v1/generate" => Surface::OpenAiCompletions,
        "/generate" | "/generate_stream" | "" => Surface::Generate,
        "/api/generate" | "/api/chat" | "/api/pull" | "/api/push" | "/api/create" => {
            Surface::Ollama
        }
        _ => by_ending(path),
    };
    // A server of a stated kind answers no other kind's addresses in another kind's form, but what
    // stands behind a generic address is not known.
    if protocol == Protocol::Generic && path.is_empty() { Surface::Other } else { known }
}

fn by_ending(path: &str) -> Surface {
    let endings = [
        ("/chat/completions", Surface::OpenAiChat),
        ("/chat/completions/batch", Surface::OpenAiChat),
        ("/completions", Surface::OpenAiCompletions),
        ("/responses", Surface::OpenAiResponses),
        ("/v1/messages", Surface::AnthropicMessages),
        ("/v1/realtime", Surface::Realtime),
        (":streamGenerateContent", Surface::Gemini),
        (":generateContent", Surface::Gemini),
        (":predict", Surface::Tensors),
        (":explain", Surface::Tensors),
    ];
    if let Some((_, surface)) = endings.iter().find(|(ending, _)| path.ends_with(ending)) {
        return *surface;
    }
    let is_model = path.starts_with("/v2/models/");
    let tensor_endings = ["/infer", "/infer_stream", "/generate", "/generate_stream"];
    if is_model && tensor_endings.iter().any(|ending| path.ends_with(ending)) {
        return Surface::Tensors;
    }
    let is_stored_response = path.starts_with("/v1/responses/");
    if is_stored_response { Surface::OpenAiResponses } else { Surface::Other }
}
