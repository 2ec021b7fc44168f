//! A request target, parsed once: decision and forwarding read this value and nothing else.
//! Origin-form only (RFC 9112 section 3.2.1): `/{connection}/path?query`.
//!
//! What is read as it stands, so that two readers cannot differ:
//!
//! - A trailing slash is kept and makes another path: `/m/v1/models/` is not `/m/v1/models`.
//! - Upper and lower case differ everywhere, except in the two hex digits of an escape.
//! - In the path `+` is a plus and `%20` a space; in the query both are a space.
//! - What is forwarded are the caller's own bytes, escapes included; only the catalogue reads the
//!   decoded form.

use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// A parsed target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    connection: String,
    /// Path and query below the connection, by the caller's bytes.
    forwarded: String,
    path_bytes: usize,
    /// The path without escapes, where it had some.
    decoded: Option<String>,
}

/// Why a target is refused; always answered with 400.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// Not origin-form: it does not begin with `/`.
    #[error("the target is not a path")]
    Form,
    /// A `#`: fragments are never sent (RFC 9112 section 3.2).
    #[error("the target has a fragment")]
    Fragment,
    /// A byte that may not stand there unescaped (RFC 3986 section 3.3).
    #[error("the target has a character that must be escaped")]
    Character,
    /// A `\`, which some servers read as `/`.
    #[error("the path has a backslash")]
    Backslash,
    /// A `;`, behind which some servers drop the rest of a segment.
    #[error("the path has a matrix parameter")]
    MatrixParameter,
    /// A `%` without two hex digits behind it.
    #[error("the target has a bad escape")]
    Escape,
    /// An escape of `/ \ . % ; ? #`, which a second decoding would read as syntax.
    #[error("the path has an escaped delimiter")]
    EscapedDelimiter,
    /// An escape of a control character.
    #[error("the path has an escaped control character")]
    EscapedControl,
    /// Escapes that are not UTF-8 together.
    #[error("the target's escapes are not UTF-8")]
    Encoding,
    /// A segment `.` or `..`.
    #[error("the path has a dot segment")]
    DotSegment,
    /// An empty segment that is not the last one: `//`.
    #[error("the path has an empty segment")]
    EmptySegment,
}

impl Target {
    /// Parses the target's bytes as they stood in the request line.
    ///
    /// # Errors
    /// Dot segments, empty segments, `;`, `\`, `#`, bad escapes, escapes of `/ \ . % ; ? #` or of
    /// control characters, bytes that RFC 3986 does not allow in a path, bytes of the query that
    /// are not visible ASCII, escapes that are not UTF-8.
    pub fn parse(bytes: &[u8]) -> Result<Self, TargetError> {
        let raw = std::str::from_utf8(bytes).map_err(|_| TargetError::Character)?;
        let Some(rest) = raw.strip_prefix('/') else { return Err(TargetError::Form) };
        if raw.contains('#') {
            return Err(TargetError::Fragment);
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        check_path(path)?;
        if let Some(query) = query {
            check_query(query)?;
        }
        check_segments(path)?;
        let (connection, below) = path.split_once('/').unwrap_or((path, ""));
        let mut forwarded = format!("/{below}");
        let path_bytes = forwarded.len();
        let decoded = match decode(&forwarded, false)? {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text),
        };
        if let Some(query) = query {
            forwarded.push('?');
            forwarded.push_str(query);
        }
        Ok(Self { connection: connection.to_owned(), forwarded, path_bytes, decoded })
    }

    /// The first segment, by exact bytes: a connection's name. Empty for the target `/`.
    pub fn connection(&self) -> &str {
        &self.connection
    }

    /// The path below the connection, as it is forwarded: `/v1/chat/completions`; `/` for none.
    pub fn path(&self) -> &str {
        self.forwarded.get(..self.path_bytes).unwrap_or_default()
    }

    /// [`Self::path`] with its escapes decoded: what the catalogue matches.
    pub fn decoded_path(&self) -> &str {
        self.decoded.as_deref().unwrap_or_else(|| self.path())
    }

    /// The query without `?`, as it is forwarded.
    pub fn query(&self) -> Option<&str> {
        self.forwarded.get(self.path_bytes..)?.strip_prefix('?')
    }

    /// [`Self::path`] and query as they are forwarded below an endpoint's base path.
    pub fn forwarded(&self) -> &str {
        &self.forwarded
    }

    /// The query's parameters, decoded, in order. A parameter without `=` has an empty value; `+`
    /// is a space; `;` separates nothing.
    pub fn parameters(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let pairs = self.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        pairs.filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Both were decoded once by `parse`, so neither can fail here.
            Some((decode(name, true).ok()?, decode(value, true).ok()?))
        })
    }
}

/// Every byte of a path, without its leading slash.
fn check_path(path: &str) -> Result<(), TargetError> {
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'\\' => return Err(TargetError::Backslash),
            b';' => return Err(TargetError::MatrixParameter),
            b'%' => {
                let (escaped, tail) = escape(tail).ok_or(TargetError::Escape)?;
                rest = tail;
                match escaped {
                    b'/' | b'\\' | b'.' | b'%' | b';' | b'?' | b'#' => {
                        return Err(TargetError::EscapedDelimiter);
                    }
                    0..=0x1f | 0x7f => return Err(TargetError::EscapedControl),
                    _ => {}
                }
            }
            _ if is_path_byte(byte) => {}
            _ => return Err(TargetError::Character),
        }
    }
    Ok(())
}

/// `pchar` of RFC 3986 section 3.3 without `;` and `%`, and the slash.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/".contains(&byte)
}

/// A query may hold any visible character: clients leave brackets and quotes unescaped.
fn check_query(query: &str) -> Result<(), TargetError> {
    if !query.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TargetError::Character);
    }
    for part in query.split('&').flat_map(|pair| pair.splitn(2, '=')) {
        decode(part, true)?;
    }
    Ok(())
}

fn check_segments(path: &str) -> Result<(), TargetError> {
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => return Err(TargetError::DotSegment),
            "" if segments.peek().is_some() => return Err(TargetError::EmptySegment),
            _ => {}
        }
    }
    Ok(())
}

/// The byte that two hex digits stand for, and what follows them.
fn escape(digits: &[u8]) -> Option<(u8, &[u8])> {
    let (&high, rest) = digits.split_first()?;
    let (&low, rest) = rest.split_first()?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some((digit(high)?.checked_mul(16)?.checked_add(digit(low)?)?, rest))
}

/// Text without its escapes; `form` says whether `+` is a space.
fn decode(text: &str, form: bool) -> Result<Cow<'_, str>, TargetError> {
    if !text.bytes().any(|byte| byte == b'%' || (form && byte == b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        decoded.push(match byte {
            b'%' => {
                let (escaped, tail) = escape(tail).ok_or(TargetError::Escape)?;
                rest = tail;
                escaped
            }
            b'+' if form => b' ',
            _ => byte,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| TargetError::Encoding)
}
