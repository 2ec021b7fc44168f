//! HTTP/1.1 as bytes: in come slices of a connection, out go spans, steps and written heads. Never:
//! I/O, a clock, an allocation per message beyond vectors that are used again, or a guess: what has
//! two readings is refused, in both directions (RFC 9110, RFC 9112; always the strict branch).
//!
//! | module | question it answers |
//! |---|---|
//! | [`head`] | where does a head end, and what does it say? |
//! | [`body`] | which of these bytes are body, which are framing, where does the message end? |
//! | [`chunk`] | one chunk's size line, extensions and trailers; the encoder |
//! | [`writer`] | how is a head written, so that nothing can be split? |
//! | [`fields`] | which fields may go to the model server, which may come back? |
//! | [`media_type`] | is this `Content-Type` what it must be? |
//! | [`stream`] | where may a stream of events be cut? |
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)
)]

pub mod body;
pub mod chunk;
pub mod fields;
mod framing;
pub mod head;
mod host;
pub mod media_type;
pub mod stream;
mod text;
mod trace;
pub mod writer;

pub use body::{BodyDecoder, BodyError, Step};
pub use framing::{Framing, FramingError};
pub use head::{
    Form, HeadError, HeadLimits, Header, Method, RequestHead, ResponseError, ResponseFraming,
    ResponseHead, Span, SyntaxError, Version, parse_request, parse_response,
};
pub use host::is_valid_host;
