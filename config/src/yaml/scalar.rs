//! Types of plain scalars: YAML 1.2.2 section 10.3.2, the core schema.

/// A scalar with its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Resolved<'n> {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; one beyond 128 bits is held at the bound, which no range reaches.
    Integer(i128),
    /// Any other number; few keys take one, and read it from the text.
    Float,
    /// Everything else.
    Text(&'n str),
}

/// The type of a plain scalar.
pub(super) fn resolve(text: &str) -> Resolved<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float,
        _ => {}
    }
    if let Some(integer) = integer(text) {
        return Resolved::Integer(integer);
    }
    if is_float(text) { Resolved::Float } else { Resolved::Text(text) }
}

/// Whether a text can be written without quotes and is read back as the same text: a cautious
/// subset of what YAML allows.
pub(crate) fn is_plain_text(text: &str) -> bool {
    text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
        && matches!(resolve(text), Resolved::Text(_))
}

fn integer(text: &str) -> Option<i128> {
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    let (negative, digits) = split_sign(text);
    let magnitude = radix(digits, 10)?;
    Some(if negative { magnitude.saturating_neg() } else { magnitude })
}

fn radix(digits: &str, radix: u32) -> Option<i128> {
    let all_digits = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    all_digits.then(|| i128::from_str_radix(digits, radix).unwrap_or(i128::MAX))
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`, or an infinity.
fn is_float(text: &str) -> bool {
    let (_, unsigned) = split_sign(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(split_sign(exponent).1)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_schema_types_plain_scalars() {
        let cases = [
            ("", Resolved::Null),
            ("~", Resolved::Null),
            ("NULL", Resolved::Null),
            ("nULL", Resolved::Text("nULL")),
            ("True", Resolved::Bool(true)),
            ("FALSE", Resolved::Bool(false)),
            ("yes", Resolved::Text("yes")),
            ("on", Resolved::Text("on")),
            ("0", Resolved::Integer(0)),
            ("-7", Resolved::Integer(-7)),
            ("+7", Resolved::Integer(7)),
            ("007", Resolved::Integer(7)),
            ("0o17", Resolved::Integer(15)),
            ("0xfF", Resolved::Integer(255)),
            ("0b1", Resolved::Text("0b1")),
            ("-0x1", Resolved::Text("-0x1")),
            ("0x", Resolved::Text("0x")),
            ("0x-1", Resolved::Text("0x-1")),
            ("1_000", Resolved::Text("1_000")),
            ("1.", Resolved::Float),
            (".5", Resolved::Float),
            ("1e3", Resolved::Float),
            ("-1.5E-3", Resolved::Float),
            ("1e", Resolved::Text("1e")),
            (".", Resolved::Text(".")),
            ("1.2.3", Resolved::Text("1.2.3")),
            ("-.INF", Resolved::Float),
            (".NaN", Resolved::Float),
            ("-", Resolved::Text("-")),
            ("2026-11-25", Resolved::Text("2026-11-25")),
            ("12:30:45", Resolved::Text("12:30:45")),
        ];
        for (text, resolved) in cases {
            assert_eq!(resolve(text), resolved, "{text:?}");
        }
    }

    #[test]
    fn an_integer_beyond_128_bits_stays_an_integer() {
        let digits = "9".repeat(60);
        assert_eq!(resolve(&digits), Resolved::Integer(i128::MAX));
        assert_eq!(resolve(&format!("-{digits}")), Resolved::Integer(-i128::MAX));
    }

    #[test]
    fn only_words_that_stay_text_are_written_plain() {
        for text in ["llama", "infer.chat", "JWT", "a-b/c_d"] {
            assert!(is_plain_text(text), "{text}");
        }
        for text in ["", "null", "True", "1", "-a", "a: b", "a #b", "*", "at+jwt", "ä", "[a"] {
            assert!(!is_plain_text(text), "{text}");
        }
    }
}
