//! The only place that writes heads. What it cannot express cannot be smuggled: no byte that ends a
//! line gets into one, and framing is written by its own methods, once.

use crate::fields::is_hop;
use crate::host::is_valid_host;
use crate::text::{Backward, is_token, is_value_byte};

/// The interim answer that asks for the body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Where heads are written to.
pub trait Sink {
    /// Appends all of the bytes.
    ///
    /// # Errors
    /// There is no room; what was written before is to be thrown away.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full>;
}

/// The sink has no room left.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the buffer is full")]
pub struct Full;

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// Why a head was not written. What the sink got so far has no end: it is to be thrown away.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// No room.
    #[error("the buffer is full")]
    Full,
    /// A part that cannot stand in its place: it would end a line, change the framing, or be no
    /// method, target, authority, status or field name at all.
    #[error("a part of the head cannot be written")]
    Invalid,
}

impl From<Full> for WriteError {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// Writes one request's head; HTTP/1.1.
#[must_use = "a head without its end is no head"]
pub struct RequestWriter<'s, S: Sink> {
    sink: &'s mut S,
    closes: bool,
}

impl<'s, S: Sink> RequestWriter<'s, S> {
    /// Writes the request line and `host`. The target that is sent is `base_path` (empty, or
    /// `/prefix`) followed by `target`.
    ///
    /// # Errors
    /// A part that cannot stand in its place.
    pub fn start(
        sink: &'s mut S,
        method: &str,
        base_path: &str,
        target: &str,
        host: &str,
    ) -> Result<Self, WriteError> {
        if !is_token(method.as_bytes()) {
            return Err(WriteError::Invalid);
        }
        let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_path = |text: &str| text.starts_with('/') && visible(text);
        if !is_path(target) || !(base_path.is_empty() || is_path(base_path)) {
            return Err(WriteError::Invalid);
        }
        if !is_valid_host(host.as_bytes()) {
            return Err(WriteError::Invalid);
        }
        for part in [method, " ", base_path, target, " HTTP/1.1\r\nhost: ", host, "\r\n"] {
            sink.put(part.as_bytes())?;
        }
        Ok(Self { sink, closes: false })
    }

    /// Writes one field.
    ///
    /// # Errors
    /// No room; a name that is no token or belongs to the framing; a value with controls.
    pub fn header(
        &mut self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), WriteError> {
        put_field(self.sink, name.as_ref(), value.as_ref())
    }

    /// Announces, once, that the connection ends after this exchange.
    ///
    /// # Errors
    /// No room.
    pub fn close(&mut self) -> Result<(), WriteError> {
        if !std::mem::replace(&mut self.closes, true) {
            self.sink.put(b"connection: close\r\n")?;
        }
        Ok(())
    }

    /// Ends the head; a body of that many bytes follows.
    ///
    /// # Errors
    /// No room.
    pub fn finish_length(self, length: u64) -> Result<(), WriteError> {
        put_length(self.sink, length)
    }

    /// Ends the head; a chunked body follows.
    ///
    /// # Errors
    /// No room.
    pub fn finish_chunked(self) -> Result<(), WriteError> {
        Ok(self.sink.put(CHUNKED)?)
    }

    /// Ends the head; no body follows.
    ///
    /// # Errors
    /// No room.
    pub fn finish_none(self) -> Result<(), WriteError> {
        Ok(self.sink.put(b"\r\n")?)
    }
}

/// Writes one response's head; HTTP/1.1.
#[must_use = "a head without its end is no head"]
pub struct ResponseWriter<'s, S: Sink> {
    sink: &'s mut S,
    closes: bool,
    has_no_body: bool,
}

impl<'s, S: Sink> ResponseWriter<'s, S> {
    /// Writes the status line.
    ///
    /// # Errors
    /// A status outside 100 to 599, or 101: the gateway never changes the protocol.
    pub fn start(sink: &'s mut S, status: u16) -> Result<Self, WriteError> {
        if !(100..=599).contains(&status) || status == 101 {
            return Err(WriteError::Invalid);
        }
        let mut line = Backward::new();
        line.prepend(b' ');
        line.prepend_number(u64::from(status), 10);
        for part in [b"HTTP/1.1 ", line.as_bytes(), reason_phrase(status).as_bytes(), b"\r\n"] {
            sink.put(part)?;
        }
        Ok(Self { sink, closes: false, has_no_body: matches!(status, 100..=199 | 204) })
    }

    /// Writes one field.
    ///
    /// # Errors
    /// As [`RequestWriter::header`].
    pub fn header(
        &mut self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), WriteError> {
        put_field(self.sink, name.as_ref(), value.as_ref())
    }

    /// Announces, once, that the connection ends after this answer.
    ///
    /// # Errors
    /// No room.
    pub fn close(&mut self) -> Result<(), WriteError> {
        if !std::mem::replace(&mut self.closes, true) {
            self.sink.put(b"connection: close\r\n")?;
        }
        Ok(())
    }

    /// Ends the head; a body of that many bytes follows. Also for an answer to HEAD, which says the
    /// length of the body that it does not have.
    ///
    /// # Errors
    /// No room; 1xx or 204.
    pub fn finish_length(self, length: u64) -> Result<(), WriteError> {
        self.check_body()?;
        put_length(self.sink, length)
    }

    /// Ends the head; a chunked body follows. Never for an HTTP/1.0 caller.
    ///
    /// # Errors
    /// No room; 1xx or 204.
    pub fn finish_chunked(self) -> Result<(), WriteError> {
        self.check_body()?;
        Ok(self.sink.put(CHUNKED)?)
    }

    /// Ends the head; a body follows until the connection is closed, which is announced.
    ///
    /// # Errors
    /// No room; 1xx or 204.
    pub fn finish_until_close(mut self) -> Result<(), WriteError> {
        self.check_body()?;
        self.close()?;
        Ok(self.sink.put(b"\r\n")?)
    }

    /// Ends the head; no body follows. Only for 1xx, 204, 304 and answers to HEAD: a caller takes
    /// any other answer without framing as a body that ends with the connection.
    ///
    /// # Errors
    /// No room.
    pub fn finish_none(self) -> Result<(), WriteError> {
        Ok(self.sink.put(b"\r\n")?)
    }

    fn check_body(&self) -> Result<(), WriteError> {
        if self.has_no_body { Err(WriteError::Invalid) } else { Ok(()) }
    }
}

const CHUNKED: &[u8] = b"transfer-encoding: chunked\r\n\r\n";

fn put_field(sink: &mut impl Sink, name: &[u8], value: &[u8]) -> Result<(), WriteError> {
    if !is_token(name) {
        return Err(WriteError::Invalid);
    }
    if is_hop(name) {
        return Err(WriteError::Invalid);
    }
    if !value.iter().all(|&byte| is_value_byte(byte)) {
        return Err(WriteError::Invalid);
    }
    for part in [name, b": ", value, b"\r\n"] {
        sink.put(part)?;
    }
    Ok(())
}

fn put_length(sink: &mut impl Sink, length: u64) -> Result<(), WriteError> {
    let mut digits = Backward::new();
    digits.prepend_number(length, 10);
    for part in [b"content-length: ", digits.as_bytes(), b"\r\n\r\n"] {
        sink.put(part)?;
    }
    Ok(())
}

/// RFC 9110 section 15; empty for statuses that have no phrase there.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        _ => error_phrase(status),
    }
}

fn error_phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
