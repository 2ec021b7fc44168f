//! Which fields cross the gateway. Up: an allow-list, because every model server reads names of its
//! own that override the body or the route. Down: all but a list, because callers only read.

/// Fields of a request that reach the upstream; any other is dropped.
///
/// What a model server needs to understand the request, what its operator needs to follow it, and
/// the API versions that official clients send. Not in the list, on purpose:
/// - `authorization`, `x-api-key`, `proxy-authorization`, `cookie`: the caller's proof ends here;
/// - `openai-organization`, `openai-project`: they choose who pays under the gateway's credential;
/// - `x-override-*`, `x-smg-*`, `x-conversation-id`, `x-request-id`,
///   `inference-header-content-length`, `x-vertex-ai-triton-redirect`, `x-body-compressed`:
///   they override body, route or identifiers;
/// - `forwarded`, `x-forwarded-*`, `x-real-ip`, `x-original-url`, `x-http-method-override`: a
///   caller's word on where it comes from and what it meant;
/// - `accept-encoding`: the gateway asks for `identity`, so that it can read the answer;
/// - `content-encoding`: a body that the gateway reads has none; then nobody else may see one;
/// - `range`, `if-*`, `last-event-id`: parts of an answer escape whole-answer rules;
/// - `x-stainless-*`: what machine a client runs on is nobody's business upstream;
/// - every name with `_`, which some servers take for `-`.
const UP: [&str; 10] = [
    "accept",
    "accept-language",
    "anthropic-beta",
    "anthropic-version",
    "content-type",
    "idempotency-key",
    "openai-beta",
    "traceparent",
    "tracestate",
    "user-agent",
];

/// Fields that are about one connection, or that say where a message ends: read by the framing,
/// written anew by the writer, and never copied (RFC 9110 section 7.6.1).
const HOP: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Fields of a response that never reach the caller, besides [`HOP`] and [`DOWN_PREFIXES`].
const DOWN: [&str; 21] = [
    // State and proof between caller and upstream: there is none.
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    "authentication-info",
    "proxy-authenticate",
    "proxy-authentication-info",
    // Ways around the gateway; `location` is rewritten by it, or the answer is refused.
    "alt-svc",
    "content-location",
    "location",
    "refresh",
    "x-sendfile",
    "x-lighttpd-send-file",
    // What the gateway's origin tells browsers is the gateway's to say.
    "clear-site-data",
    "nel",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "strict-transport-security",
    // What runs behind it.
    "server",
    "via",
    "x-powered-by",
];

/// Families of fields that never reach the caller: the gateway's own, orders to a proxy in front of
/// it, and cross-origin permissions of its origin.
const DOWN_PREFIXES: [&str; 3] = ["penstock-", "x-accel-", "access-control-"];

/// Whether a request's field of this name, in any case, may go to the upstream.
pub fn passes_up(name: impl AsRef<[u8]>) -> bool {
    is_one_of(name.as_ref(), &UP)
}

/// Whether a response's field of this name, in any case, may come down to the caller.
pub fn passes_down(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    !(name.contains(&b'_')
        || is_hop(name)
        || is_one_of(name, &DOWN)
        || DOWN_PREFIXES.iter().any(|prefix| starts_with(name, prefix)))
}

/// Whether the field belongs to the framing layer alone.
pub(crate) fn is_hop(name: &[u8]) -> bool {
    is_one_of(name, &HOP)
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()))
}

fn starts_with(name: &[u8], prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{passes_down, passes_up};

    #[test]
    fn what_a_model_server_needs_goes_up_in_any_case() {
        for name in ["accept", "Content-Type", "USER-AGENT", "traceparent", "anthropic-version"] {
            assert!(passes_up(name), "{name}");
        }
    }

    #[test]
    fn proofs_overrides_and_forwarding_fields_never_go_up() {
        for name in [
            "authorization",
            "x-api-key",
            "proxy-authorization",
            "cookie",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-real-ip",
            "x-original-url",
            "x-http-method-override",
            "x-override-rid",
            "x-smg-routing-key",
            "x-conversation-id",
            "x-body-compressed",
            "inference-header-content-length",
            "accept-encoding",
            "content-encoding",
            "openai-organization",
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "upgrade",
            "http2-settings",
            "te",
            "trailer",
            "expect",
            "keep-alive",
            "proxy-connection",
            "penstock-reason",
            "x-envoy-retry-on",
            "x-portkey-custom-host",
            "mcp-session-id",
            "content_type",
            "user_agent",
            "",
        ] {
            assert!(!passes_up(name), "{name}");
        }
    }

    #[test]
    fn an_answer_keeps_what_the_caller_reads() {
        for name in ["content-type", "Date", "x-request-id", "retry-after", "openai-version"] {
            assert!(passes_down(name), "{name}");
        }
    }

    #[test]
    fn cookies_framing_and_ways_around_the_gateway_never_come_down() {
        for name in [
            "Set-Cookie",
            "connection",
            "Content-Length",
            "transfer-encoding",
            "upgrade",
            "trailer",
            "keep-alive",
            "location",
            "alt-svc",
            "x-accel-redirect",
            "Penstock-Session",
            "server",
            "www-authenticate",
            "access-control-allow-origin",
            "set_cookie",
            "refresh",
        ] {
            assert!(!passes_down(name), "{name}");
        }
    }
}
