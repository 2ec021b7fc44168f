//! Classes of bytes (RFC 9110 section 5.5 and 5.6.2), and numbers as text without allocation.

/// `tchar`: what names, methods and codings are made of.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A token: at least one `tchar` and nothing else.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// What a field's value may hold: tab, space, visible ASCII and `obs-text`.
pub(crate) fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..=0xff)
}

/// Without spaces and tabs at both ends (`OWS`).
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [b' ' | b'\t', tail @ ..] | [tail @ .., b' ' | b'\t'] = rest {
        rest = tail;
    }
    rest
}

/// Elements of a comma-separated list, trimmed; empty ones are handed out too.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// A short text that is built from its end: numbers without allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backward {
    bytes: [u8; Self::ROOM],
    start: usize,
}

impl Backward {
    /// 20 decimal digits of a `u64`, and a line end.
    const ROOM: usize = 22;

    pub(crate) fn new() -> Self {
        Self { bytes: [0; Self::ROOM], start: Self::ROOM }
    }

    pub(crate) fn prepend(&mut self, byte: u8) {
        let start = self.start.saturating_sub(1);
        if let Some(slot) = self.bytes.get_mut(start) {
            *slot = byte;
            self.start = start;
        }
    }

    /// Digits of `value`, most significant first; `base` is 10 or 16.
    pub(crate) fn prepend_number(&mut self, value: u64, base: u32) {
        let mut rest = value;
        loop {
            let digit = rest.checked_rem(u64::from(base)).unwrap_or(0);
            let digit = u32::try_from(digit).ok().and_then(|digit| char::from_digit(digit, base));
            self.prepend(digit.and_then(|digit| u8::try_from(digit).ok()).unwrap_or(b'0'));
            rest = rest.checked_div(u64::from(base)).unwrap_or(0);
            if rest == 0 {
                return;
            }
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}
