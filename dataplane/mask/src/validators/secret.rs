//! Passwords, keys and tokens.

/// Bits a byte by Shannon.
pub fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let total = value.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / total;
            -share * share.log2()
        })
        .sum()
}

fn has(value: &[u8], word: &[u8]) -> bool {
    value.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

/// A random key of a vendor: 3 bits a byte; no example and no row of `x`.
pub fn key(value: &[u8]) -> bool {
    entropy(value) >= 3.0
        && !value.ends_with(b"EXAMPLE")
        && !has(value, b"xxxxxx")
        && !has(value, b"your-")
        && !has(value, b"your_")
}

/// A secret key of AWS: more than hexadecimal digits, and no example.
pub fn aws_secret(value: &[u8]) -> bool {
    entropy(value) > 4.0
        && value.iter().any(u8::is_ascii_lowercase)
        && value.iter().any(u8::is_ascii_uppercase)
        && !value.ends_with(b"EXAMPLEKEY")
}

/// A random secret that nothing but its context names: letters and digits, 3.5 bits a byte, neither
/// a path nor a name of code.
pub fn secret(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit)
        && value.iter().any(u8::is_ascii_alphabetic)
        && entropy(value) >= 3.5
        && !matches!(value.first(), Some(b'/' | b'.'))
        && !is_stand_in(value)
        && !is_code(value)
}

/// A token of a header that is not a JSON web token, which is looked for by itself.
pub fn bearer(value: &[u8]) -> bool {
    secret(value) && !(value.starts_with(b"eyJ") && value.contains(&b'.'))
}

/// Base64 (RFC 7617) of a name and a password.
pub fn basic(value: &[u8]) -> bool {
    let mut decoded = [0; 256];
    let text = decode(value, &mut decoded);
    !text.is_empty()
        && text.iter().all(|byte| !byte.is_ascii_control())
        && text.contains(&b':')
        && str::from_utf8(text).is_ok()
}

/// A JSON web token: its first part decodes to an object with a member `alg`.
pub fn jwt(value: &[u8]) -> bool {
    let header = value.split(|byte| *byte == b'.').next().unwrap_or_default();
    let mut decoded = [0; 512];
    let text = decode(header, &mut decoded);
    text.first() == Some(&b'{') && has(text, b"\"alg\"")
}

/// Decodes base64 or base64url without its padding, up to the room there is.
fn decode<'a>(value: &[u8], into: &'a mut [u8]) -> &'a [u8] {
    let (mut bits, mut held, mut length) = (0_u32, 0_u32, 0);
    for byte in value.iter().filter(|byte| **byte != b'=') {
        let worth = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return &[],
        };
        bits = (bits << 6 | u32::from(worth)) & 0xfff;
        held += 6;
        if held >= 8 {
            held -= 8;
            let Some(place) = into.get_mut(length) else { break };
            *place = (bits >> held & 0xff) as u8;
            length += 1;
        }
    }
    into.get(..length).unwrap_or_default()
}

/// Long and random: 4.5 bits a byte, 3 of hexadecimal digits; not one word.
pub fn high_entropy(value: &[u8]) -> bool {
    let is_hex = value.iter().all(u8::is_ascii_hexdigit);
    value.iter().any(u8::is_ascii_digit) && entropy(value) > if is_hex { 3.0 } else { 4.5 }
}

/// A password in quotes behind its name.
pub fn password_quoted(value: &[u8]) -> bool {
    value.len() >= 3 && !is_stand_in(value) && !is_call(value)
}

/// A password without quotes directly behind `NAME=`.
pub fn password_assigned(value: &[u8]) -> bool {
    !is_stand_in(value) && !is_code(value) && !has_next_member(value) && !has(value, b"://")
}

/// A password without quotes in a sentence or behind `name: `: no word has a digit or a sign in it.
pub fn password_in_prose(value: &[u8]) -> bool {
    let signs = value.iter().filter(|byte| b"!#$%&*+=?@^_~|\\{}[]()".contains(byte)).count();
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let others = value.iter().any(|byte| !byte.is_ascii_digit());
    (signs > 0 || (digits > 0 && others) || digits >= 6)
        && !value.ends_with(b"()")
        && password_assigned(value)
}

/// The password of an address: no port and path, no second address.
pub fn password_of_url(value: &[u8]) -> bool {
    let port = value.split(|byte| *byte == b'/').next().unwrap_or_default();
    let is_port = port.len() < value.len() && port.iter().all(u8::is_ascii_digit);
    let host = value.iter().position(|byte| *byte == b'@');
    let has_path = host.is_some_and(|at| value.iter().skip(at).any(|byte| *byte == b'/'));
    !is_port && !has_path && !has(value, b"://") && !is_stand_in(value)
}

/// `;Database=x`, `&user=x`: the next member of a list.
fn has_next_member(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| matches!(byte, b';' | b'&' | b','));
    parts.next();
    parts.any(|part| {
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.len() < part.len() && name.len() > 1 && name.iter().all(u8::is_ascii_alphanumeric)
    })
}

fn is_name(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        && value.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
}

/// `getpass(…)`, `env['X'`: a name with a bracket behind it.
fn is_call(value: &[u8]) -> bool {
    let at = value.iter().position(|byte| matches!(byte, b'(' | b'['));
    let Some((name, rest)) = at.and_then(|at| value.split_at_checked(at)) else { return false };
    let closes = rest.ends_with(b")") || rest.ends_with(b"]") || rest.len() <= 2;
    !name.is_empty()
        && closes
        && name
            .split(|byte| matches!(byte, b'.' | b':'))
            .all(|part| part.is_empty() || is_name(part))
}

/// A word of a program: `self.password`, `getpass()`, `String,`.
fn is_code(value: &[u8]) -> bool {
    let is_path = value.contains(&b'.')
        && value
            .split(|byte| *byte == b'.')
            .all(|part| is_name(part) && !part.iter().any(u8::is_ascii_digit));
    is_path || is_call(value)
}

/// Words that stand where a password would, in any case.
#[rustfmt::skip]
const WORDS: [&str; 47] = [
    "password", "passwd", "passphrase", "passwort", "pass", "pwd", "secret", "none", "null",
    "nil", "true", "false", "undefined", "empty", "string", "str", "required", "optional",
    "bytes", "bool", "char", "text", "hidden", "unknown", "self", "this", "env", "config",
    "value", "input", "default", "option", "prompt", "wrong", "missing", "invalid", "expired",
    "reset", "protected", "here", "incorrect", "token", "varchar", "masked", "authentication",
    "field", "args",
];

/// How such words begin.
#[rustfmt::skip]
const FRONTS: [&str; 12] = [
    "your", "change", "example", "placeholder", "redacted", "replace", "insert", "todo", "<",
    "xxxx", "my_password", "enter",
];

/// What stands where a value would: a variable, a mask, a word that says so.
fn is_stand_in(value: &[u8]) -> bool {
    let trimmed = value.trim_ascii_end();
    let trimmed = match trimmed.split_last() {
        Some((b')' | b']' | b'}' | b',' | b';' | b'.' | b'!' | b'?', front)) => front,
        _ => trimmed,
    };
    let first = value.first().copied().unwrap_or(b' ');
    let last = value.last().copied().unwrap_or(b' ');
    let starts = |front: &&str| {
        value.get(..front.len()).is_some_and(|head| head.eq_ignore_ascii_case(front.as_bytes()))
    };
    let rest = trimmed.get(1..).unwrap_or_default();
    let is_variable = match first {
        b'$' => {
            matches!(rest.first(), Some(b'{' | b'('))
                || is_name(rest) && !rest.iter().any(u8::is_ascii_digit)
        }
        b'{' => last == b'}' || rest.first() == Some(&b'{'),
        b'[' => last == b']',
        b'%' => last == b'%' || rest.first() == Some(&b'(') || rest.len() < 3,
        b'<' => true,
        b'&' => is_name(rest) && rest.len() < 4,
        _ => false,
    };
    is_variable
        || value.iter().all(|byte| Some(byte) == value.first())
        || value.iter().all(|byte| matches!(byte, b'x' | b'X' | b'*' | b'-' | b'.' | b'_' | b'#'))
        || value.iter().all(|byte| *byte >= 0x80)
        || WORDS.iter().any(|word| trimmed.eq_ignore_ascii_case(word.as_bytes()))
        || FRONTS.iter().any(starts)
        || has(value, b"[redacted]")
}
