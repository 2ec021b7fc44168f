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

/// A random secret that nothing but its context names: letters and digits, 3.5 bits a byte, 3 of
/// hexadecimal digits, neither a path nor a name of code nor words with numbers.
pub fn secret(value: &[u8]) -> bool {
    let is_hex = value.len() >= 16 && value.iter().all(u8::is_ascii_hexdigit);
    value.iter().any(u8::is_ascii_digit)
        && value.iter().any(u8::is_ascii_alphabetic)
        && entropy(value) >= if is_hex { 3.0 } else { 3.5 }
        && !is_slug(value)
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

/// A password without quotes in a sentence or behind `name: `: no word has a digit or a sign in it,
/// or changes its case so often.
pub fn password_in_prose(value: &[u8]) -> bool {
    let signs = value.iter().filter(|byte| b"!#$%&*+=?@^_~|\\{}[]()".contains(byte)).count();
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let others = value.iter().any(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80);
    (signs > 0 || (digits > 0 && others) || digits >= 6 || is_mixed(value))
        && !value.ends_with(b"()")
        && !(value.starts_with(b"(") && value.ends_with(b")"))
        && password_assigned(value)
}

/// A password in quotes behind a longer name, which may as well be the name of a text or a page.
pub fn password_named(value: &[u8]) -> bool {
    let is_sign = |byte: &u8| b"!#$%&*+=?@^~|\\".contains(byte);
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let is_field = digits < 2 && is_name(value) && has(value, b"pass");
    let is_random = digits > 0 && (letters > 0 || digits >= 6) || is_mixed(value);
    let has_sign = value.iter().any(is_sign) && (letters > 0 || digits > 0);
    value.len() >= 4
        && (is_random || has_sign && !value.ends_with(b"!") && !value.ends_with(b"?"))
        && value.first() != Some(&b'/')
        && !(value.contains(&b'/') && is_slug(value))
        && !is_field
        && !has(value, b"://")
        && password_quoted(value)
}

/// A password that nothing but a word before it names: a digit and a sign, or many changes.
pub fn password_strong(value: &[u8]) -> bool {
    let is_there = |test: fn(&u8) -> bool| value.iter().any(test);
    let has_sign = is_there(|byte| b"!#$@^*%".contains(byte));
    let host = value.iter().position(|byte| *byte == b'@');
    let is_mail = host.is_some_and(|at| value.iter().skip(at).any(|byte| *byte == b'.'));
    value.len() >= 8
        && is_there(u8::is_ascii_alphabetic)
        && (is_mixed(value) || is_there(u8::is_ascii_digit) && (has_sign || turns(value) >= 6))
        && !is_mail
        && !value.contains(&b'/')
        && password_in_prose(value)
}

/// A password behind an option of a command: neither a port nor a path.
pub fn password_of_option(value: &[u8]) -> bool {
    let is_port =
        value.contains(&b':') && value.iter().all(|byte| byte.is_ascii_digit() || *byte == b':');
    let is_path = matches!(value.first(), Some(b'/' | b'.' | b'~' | b'-'))
        || value.contains(&b'/') && is_slug(value);
    !is_port && !is_path && password_in_prose(value)
}

/// How often the kind of letter or digit changes.
fn turns(value: &[u8]) -> usize {
    let kind = |byte: &u8| match byte {
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        b'0'..=b'9' => 3,
        _ => 0,
    };
    let is_turn = |pair: &&[u8]| match pair {
        [a, b] => kind(a) != kind(b) && kind(a) > 0 && kind(b) > 0,
        _ => false,
    };
    value.windows(2).filter(is_turn).count()
}

/// Letters alone that are no words written together: those have fewer capitals.
fn is_mixed(value: &[u8]) -> bool {
    let capitals = value.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    value.len() >= 12
        && value.iter().all(u8::is_ascii_alphabetic)
        && capitals * 4 >= value.len()
        && (value.len() - capitals) * 4 >= value.len()
        && turns(value) >= 5
}

/// A small word with at most two digits behind it: `node12`.
fn is_numbered(part: &[u8]) -> bool {
    let letters = part.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    let digits = part.iter().skip(letters).take(3).filter(|byte| byte.is_ascii_digit()).count();
    letters + digits == part.len() && digits < 3
}

/// `/run/secrets/db`, `./x/y`.
fn is_file(value: &[u8]) -> bool {
    let is_rooted = matches!(value, [b'/', ..] | [b'.', b'/', ..] | [b'~', b'/', ..]);
    is_rooted && value.iter().filter(|byte| **byte == b'/').count() > 1 && is_slug(value)
}

/// Words and numbers with signs between them: `my-secret-v2`, `projects/12/keys`.
fn is_slug(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| matches!(byte, b'-' | b'_' | b'.' | b'/'));
    let is_one = |part: &[u8]| {
        part.len() <= 3
            || part.iter().all(u8::is_ascii_digit)
            || part.iter().all(u8::is_ascii_uppercase)
            || is_numbered(part)
            || part.first().is_some_and(u8::is_ascii_uppercase)
                && part.iter().skip(1).all(u8::is_ascii_lowercase)
    };
    value.iter().any(|byte| matches!(byte, b'-' | b'_' | b'.' | b'/')) && parts.all(is_one)
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
    let is_cut = match rest.split_first() {
        // Where a quote or a sign ends what is looked at.
        Some((_, inner)) => {
            name.len() >= 4 && is_name(inner) && !inner.iter().any(u8::is_ascii_digit)
                || name.iter().any(|byte| matches!(byte, b'.' | b':'))
        }
        None => false,
    };
    let closes = is_cut || rest.ends_with(b")") || rest.ends_with(b"]") || rest.len() <= 2;
    !name.is_empty()
        && closes
        && name
            .split(|byte| matches!(byte, b'.' | b':'))
            .all(|part| part.is_empty() || is_name(part))
}

/// A word of a program: `self.password`, `getpass()`, `!user.password1`, `new_password`.
fn is_code(value: &[u8]) -> bool {
    let value = match value {
        [b'!' | b'&' | b'*', rest @ ..] if rest.contains(&b'.') => rest,
        _ => value,
    };
    let is_own = has(value, b"passw");
    let is_path = value.contains(&b'.')
        && value
            .split(|byte| *byte == b'.')
            .all(|part| is_name(part) && (is_own || !part.iter().any(u8::is_ascii_digit)));
    let has_hump = value.contains(&b'_')
        || value.windows(2).any(|two| matches!(two, [b'a'..=b'z', b'A'..=b'Z']));
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_variable = is_own && has_hump && digits < 2 && is_name(value);
    is_path || is_variable || is_call(value)
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
const FRONTS: [&str; 13] = [
    "your", "change", "example", "placeholder", "redacted", "replace", "insert", "todo", "<",
    "xxxx", "my_password", "enter", "required|",
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
    let inner = match value {
        [b'[' | b'(' | b'{' | b'*' | b'_', inner @ ..] => inner,
        _ => value,
    };
    let starts = |front: &&str| {
        let is_it = |head: &[u8]| head.eq_ignore_ascii_case(front.as_bytes());
        [value, inner].iter().any(|value| value.get(..front.len()).is_some_and(is_it))
    };
    let rest = trimmed.get(1..).unwrap_or_default();
    let is_word = is_name(rest) && !rest.iter().any(u8::is_ascii_digit);
    let is_variable = match first {
        b'$' => {
            matches!(rest.first(), Some(b'{' | b'('))
                || is_word
                || is_name(rest.strip_suffix(b"-").unwrap_or_default())
        }
        b'{' => last == b'}' || rest.first() == Some(&b'{') || is_word,
        b'[' => last == b']' || is_word,
        b'(' => is_word,
        b'%' => last == b'%' || rest.first() == Some(&b'(') || rest.len() < 3 || is_word,
        b'@' | b':' => is_word,
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
        || is_file(value)
        || has(value, b"[redacted]")
}
