//! A request's head (RFC 9112 sections 3 to 6).

use super::lines::{agree, end_of_head, record, slots};
use super::{HeadError, HeadLimits, Header, Span, SyntaxError, Version};
use super::{Named, values_of};
use crate::fields::passes_up;
use crate::framing::{Collected, Framing, Once};
use crate::host::is_valid_host;
use crate::text::is_token_byte;
use crate::trace::{is_parent, is_trace_field};

/// Methods that can be served. Names are case-sensitive (RFC 9110 section 9.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `PATCH`
    Patch,
    /// `OPTIONS`
    Options,
}

impl Method {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
        }
    }

    /// Whether the method only reads (RFC 9110 section 9.2.1).
    pub fn is_safe(self) -> bool {
        match self {
            Self::Get | Self::Head | Self::Options => true,
            Self::Post | Self::Put | Self::Delete | Self::Patch => false,
        }
    }

    fn parse(name: &str) -> Result<Self, HeadError> {
        match name {
            "GET" => Ok(Self::Get),
            "HEAD" => Ok(Self::Head),
            "POST" => Ok(Self::Post),
            "PUT" => Ok(Self::Put),
            "DELETE" => Ok(Self::Delete),
            "PATCH" => Ok(Self::Patch),
            "OPTIONS" => Ok(Self::Options),
            "CONNECT" | "TRACE" => Err(HeadError::MethodNotAllowed),
            _ => Err(HeadError::UnknownMethod),
        }
    }
}

/// The form of a target. Absolute-form whose authority equals `Host` is handed out as its
/// origin-form part, so that a target has one spelling from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Starts with `/`; its characters are not judged here.
    Origin(Span),
    /// `OPTIONS *`: about the gateway itself.
    Asterisk,
}

/// A request's head as spans into the bytes that were parsed. Made once a connection, used for all
/// its requests: parsing into it allocates only when a head has more fields than any before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The version.
    pub version: Version,
    /// The target.
    pub form: Form,
    /// The value of `Host`, valid and never empty.
    pub host: Span,
    /// All fields in order, framing fields and names with `_` included.
    pub headers: Vec<Header>,
    /// How the body ends.
    pub framing: Framing,
    /// Whether another request may follow: HTTP/1.1 without `Connection: close`.
    pub keep_alive: bool,
    /// `Expect: 100-continue` on a request with a body. HTTP/1.0 never expects.
    pub expects_continue: bool,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestHead {
    /// An empty one, to parse into.
    pub fn new() -> Self {
        Self {
            method: Method::Get,
            version: Version::Http11,
            form: Form::Asterisk,
            host: Span::default(),
            headers: Vec::new(),
            framing: Framing::None,
            keep_alive: false,
            expects_continue: false,
        }
    }

    /// Values of all fields of that name, in order; `head` is what was parsed.
    pub fn find<'h>(
        &self,
        head: &'h [u8],
        lower_case_name: &str,
    ) -> impl Iterator<Item = &'h [u8]> {
        values_of(&self.headers, head, lower_case_name)
    }

    /// Name and value of the fields that go to the upstream: those that [`passes_up`] lets through
    /// and that no `Connection` field names. A trace goes up whole or not at all.
    pub fn passing_up<'h>(&self, head: &'h [u8]) -> impl Iterator<Item = (&'h [u8], &'h [u8])> {
        let named = Named::collect(&self.headers, head);
        let is_traced = self.is_traced(head) && !named.has(b"traceparent");
        self.headers.iter().filter_map(move |header| {
            let name = header.name.of(head);
            let passes =
                passes_up(name) && !named.has(name) && (is_traced || !is_trace_field(name));
            passes.then(|| (name, header.value.of(head)))
        })
    }

    /// Whether there is one `traceparent`, and one that can be read.
    fn is_traced(&self, head: &[u8]) -> bool {
        let mut parents = self.find(head, "traceparent");
        parents.next().is_some_and(is_parent) && parents.next().is_none()
    }

    /// Everything that the fields say together.
    fn settle(
        &mut self,
        bytes: &[u8],
        target: &str,
        fields: &Collected<'_>,
    ) -> Result<(), HeadError> {
        let host = match fields.host {
            Once::Absent => return Err(HeadError::MissingHost),
            Once::Many => return Err(HeadError::RepeatedHost),
            Once::One(host) if is_valid_host(host) => host,
            Once::One(_) => return Err(HeadError::BadHost),
        };
        self.host = Span::locate(bytes, host);
        self.form = form(bytes, self.method, target, host)?;
        self.framing = fields.framing(self.version)?;
        self.keep_alive = self.version == Version::Http11 && !fields.close;
        self.expects_continue = expects_continue(fields.expect, self.version)?
            && !matches!(self.framing, Framing::None | Framing::Length(0));
        Ok(())
    }
}

/// Parses the head at the front of `bytes`.
///
/// `Ok(None)`: more bytes are needed. `Ok(Some(n))`: the first `n` bytes were the head, and all
/// spans are offsets into `bytes`. It keeps no state: call it again with the bytes grown. One empty
/// line before the request line belongs to the head (RFC 9112 section 2.2). `Upgrade` (also `h2c`)
/// is not an error: the field is never forwarded, so the request is answered as a plain one.
///
/// # Errors
/// As soon as the bytes that are there cannot become a head that is understood in one way. What
/// `into` then holds means nothing.
pub fn parse_request(
    bytes: &[u8],
    limits: &HeadLimits,
    into: &mut RequestHead,
) -> Result<Option<usize>, HeadError> {
    into.headers.clear();
    let skipped: usize = match bytes {
        [b'\r'] => return Ok(None),
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    };
    let rest = bytes.get(skipped..).unwrap_or_default();
    let left = limits.head_bytes_max.saturating_sub(skipped);
    let limits = HeadLimits { head_bytes_max: left, ..*limits };
    check_beginning(rest, &limits)?;
    let Some(length) = end_of_head(rest, &limits)? else { return Ok(None) };
    let head = rest.get(..length).unwrap_or_default();

    let mut slots = slots();
    let mut tokens = httparse::Request::new(&mut []);
    let outcome = tokens.parse_with_uninit_headers(head, &mut slots);
    if outcome == Err(httparse::Error::Version) && has_other_version(head) {
        return Err(HeadError::UnsupportedVersion);
    }
    agree(outcome, length)?;
    into.method = Method::parse(tokens.method.unwrap_or_default())?;
    into.version = if tokens.version == Some(1) { Version::Http11 } else { Version::Http10 };
    let fields = record(bytes, tokens.headers, &mut into.headers)?;
    into.settle(bytes, tokens.path.unwrap_or_default(), &fields)?;
    Ok(Some(skipped.saturating_add(length)))
}

/// What the first bytes already tell, before the head is complete: a second empty line, another
/// protocol (a TLS hello), a target without end.
fn check_beginning(bytes: &[u8], limits: &HeadLimits) -> Result<(), HeadError> {
    match bytes.first() {
        None => return Ok(()),
        Some(b'\r') => return Err(SyntaxError::EmptyLine.into()),
        Some(b'\n') => return Err(SyntaxError::BareLineFeed.into()),
        Some(&byte) if is_token_byte(byte) => {}
        Some(_) => return Err(SyntaxError::StartLine.into()),
    }
    let window = bytes.get(..limits.head_bytes_max).unwrap_or(bytes);
    let is_end = |byte: &u8| matches!(byte, b' ' | b'\r' | b'\n');
    let Some(method_end) = window.iter().position(is_end) else { return Ok(()) };
    let target = window.get(method_end.saturating_add(1)..).unwrap_or_default();
    // Only as far as the limit: the work is bounded by it, not by what came.
    let too_long = target.len() > limits.target_bytes_max
        && !target.iter().take(limits.target_bytes_max.saturating_add(1)).any(is_end);
    if window.get(method_end) == Some(&b' ') && too_long {
        return Err(HeadError::TargetTooLong);
    }
    Ok(())
}

/// `method SP target SP HTTP/d.d`: a request line that is sound but for its version.
fn has_other_version(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ').skip(2);
    let digits = match words.next() {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]) => [*major, *minor],
        Some(_) | None => return false,
    };
    words.next().is_none() && digits.iter().all(u8::is_ascii_digit)
}

/// Reduces a target to one spelling (RFC 9112 section 3.2).
fn form(bytes: &[u8], method: Method, target: &str, host: &[u8]) -> Result<Form, HeadError> {
    let whole = Span::locate(bytes, target.as_bytes());
    if target.starts_with('/') {
        return Ok(Form::Origin(whole));
    }
    if target == "*" && method == Method::Options {
        return Ok(Form::Asterisk);
    }
    let (scheme, rest) = target.split_once("://").ok_or(HeadError::TargetForm)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(HeadError::TargetForm);
    }
    let authority_length = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(authority_length).ok_or(HeadError::TargetForm)?;
    if !authority.as_bytes().eq_ignore_ascii_case(host) {
        return Err(HeadError::AuthorityMismatch);
    }
    if path.starts_with('/') {
        return Ok(Form::Origin(Span::locate(bytes, path.as_bytes())));
    }
    if !path.is_empty() {
        return Err(HeadError::TargetForm);
    }
    if method == Method::Options {
        return Ok(Form::Asterisk);
    }
    // An empty path is `/` (RFC 9110 section 4.2.3): the slash before the authority spells it.
    let authority = Span::locate(bytes, authority.as_bytes());
    Ok(Form::Origin(Span { start: authority.start.saturating_sub(1), end: authority.start }))
}

/// HTTP/1.0 has no expectations: the field is ignored there (RFC 9110 section 10.1.1).
fn expects_continue(expect: Once<'_>, version: Version) -> Result<bool, HeadError> {
    match (version, expect) {
        (Version::Http10, _) | (Version::Http11, Once::Absent) => Ok(false),
        (Version::Http11, Once::One(value)) if value.eq_ignore_ascii_case(b"100-continue") => {
            Ok(true)
        }
        (Version::Http11, Once::One(_) | Once::Many) => Err(HeadError::Expectation),
    }
}

#[cfg(test)]
mod tests;
