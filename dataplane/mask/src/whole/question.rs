//! What a request asks for that can't be masked in the answer.

use crate::json::{Kind, Node, Read, Tree};
use crate::surface::Surface;

/// Members by which a caller asks for tokens, token ids, its own prompt, internals, or other names.
/// A member that is null, false, 0 or empty asks for nothing, but for those of [`ASK_AT_ZERO`].
const MEMBERS: &[&str] = &[
    "logprobs",
    "top_logprobs",
    "prompt_logprobs",
    "echo",
    "n_probs",
    "return_logprob",
    "return_text_in_logprobs",
    "top_logprobs_num",
    "token_ids_logprob",
    "return_token_ids",
    "return_tokens_as_token_ids",
    "return_tokens",
    "return_prompt_text",
    "return_hidden_states",
    "return_mm_kwargs",
    "return_routed_experts",
    "return_input_ids",
    "response_fields",
    "_debug_render_only",
    "output_hidden_states",
    "details",
    "decoder_input_details",
    "top_n_tokens",
    "return_full_text",
];

/// 0 asks for the token that was chosen.
const ASK_AT_ZERO: &[&str] = &["logprobs", "prompt_logprobs"];

/// Objects in whose members the same may be asked.
const INSIDE: &[&str] = &["parameters", "options", "sampling_params", "generation_config"];

/// Name of a member of a request's body that asks for what can't be masked in the answer; none if
/// there is none, or if the body is not JSON, so that the answer must tell.
pub fn unmaskable_request(surface: Surface, body: &[u8]) -> Option<&'static str> {
    let mut tree = Tree::default();
    while tree.read(body, body.len()).ok()? == Read::More {}
    if let Some(name) = asked(&tree, body, 0) {
        return Some(name);
    }
    let items = tree.children(0).filter(|(_, node)| node.kind == Kind::Object);
    for (index, node) in items {
        let is_item = tree.node(0).is_some_and(|root| root.kind == Kind::Array);
        let is_inside = INSIDE.iter().any(|name| node.is_named(body, name));
        if let Some(name) = (is_item || is_inside).then(|| asked(&tree, body, index)).flatten() {
            return Some(name);
        }
    }
    if matches!(surface, Surface::OpenAiResponses | Surface::Other) {
        let (include, _) = tree.member(body, 0, "include")?;
        let is_asked = |node: &Node| node.inside(body).ends_with(b"logprobs");
        return tree.children(include).any(|(_, node)| is_asked(node)).then_some("include");
    }
    None
}

fn asked(tree: &Tree, body: &[u8], object: u32) -> Option<&'static str> {
    MEMBERS.iter().copied().find(|name| {
        tree.member(body, object, name).is_some_and(|(index, node)| match node.kind {
            Kind::Null | Kind::False => false,
            Kind::True => true,
            Kind::Number => {
                let is_zero = node.raw(body).iter().all(|byte| b"0.-".contains(byte));
                !is_zero || ASK_AT_ZERO.contains(name)
            }
            Kind::String => !node.inside(body).is_empty(),
            Kind::Object | Kind::Array => node.next > index.saturating_add(1),
        })
    })
}
