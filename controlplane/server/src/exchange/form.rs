//! A form (`application/x-www-form-urlencoded`), read strictly: what two readers could take for two
//! things is refused.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

/// Most parameters of one form.
const PARAMETERS_MAX: usize = 32;

/// Parameters by name, each once. Values are zeroised: one of them is a token.
#[derive(Debug)]
pub(super) struct Form(BTreeMap<String, Zeroizing<String>>);

/// Why bytes are no form. Says nothing of what they were.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum FormError {
    #[error("the body is not a form whose values are percent-encoded")]
    Malformed,
    #[error("a parameter stands twice")]
    Duplicate,
    #[error("more than 32 parameters")]
    TooMany,
}

impl Form {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        let mut parameters = BTreeMap::new();
        let pairs = bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        for pair in pairs {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            if parameters.insert(name.to_string(), value).is_some() {
                return Err(FormError::Duplicate);
            }
            if parameters.len() > PARAMETERS_MAX {
                return Err(FormError::TooMany);
            }
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter. One without a value counts as absent (RFC 6749 section 3.2).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// `+` is a space, `%XX` is a byte, and the whole is UTF-8 (RFC 6749 appendix B).
fn decode(text: &[u8]) -> Result<Zeroizing<String>, FormError> {
    // As long as the text at most: growing would leave copies behind.
    let mut decoded = Zeroizing::new(String::with_capacity(text.len()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                high << 4 | low
            }
            // What a form never has unescaped, so two readers may differ (WHATWG URL section 5.2).
            0..=b' ' | 0x7f.. | b'"' | b'<' | b'>' | b'#' => return Err(FormError::Malformed),
            plain => plain,
        });
    }
    decoded.push_str(std::str::from_utf8(&bytes).map_err(|_| FormError::Malformed)?);
    Ok(decoded)
}

fn digit(byte: Option<u8>) -> Result<u8, FormError> {
    let value = byte.and_then(|byte| char::from(byte).to_digit(16));
    value.and_then(|value| u8::try_from(value).ok()).ok_or(FormError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(form: &str, name: &str) -> Option<String> {
        Form::parse(form.as_bytes()).unwrap().get(name).map(str::to_owned)
    }

    #[test]
    fn a_form_is_read_as_it_was_written() {
        let form = "a=1&b=x%20y+z&c=%C3%A9&d=%26%3D%25&e=urn:a-b_c.d*~/?&=nothing&";
        assert_eq!(value(form, "a").as_deref(), Some("1"));
        assert_eq!(value(form, "b").as_deref(), Some("x y z"));
        assert_eq!(value(form, "c").as_deref(), Some("\u{e9}"));
        assert_eq!(value(form, "d").as_deref(), Some("&=%"));
        assert_eq!(value(form, "e").as_deref(), Some("urn:a-b_c.d*~/?"));
        assert_eq!(value("a=b=c", "a").as_deref(), Some("b=c"));
    }

    #[test]
    fn a_parameter_without_a_value_counts_as_absent() {
        for form in ["a=", "a", "", "b=1"] {
            assert_eq!(value(form, "a"), None, "{form}");
        }
    }

    #[test]
    fn a_parameter_that_stands_twice_is_refused_however_it_is_written() {
        for form in ["a=1&a=1", "a=1&a=2", "a=&a=1", "a&a", "a=1&%61=2", "a+b=1&a%20b=2"] {
            assert_eq!(Form::parse(form.as_bytes()).err(), Some(FormError::Duplicate), "{form}");
        }
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let forms: [&[u8]; 9] = [
            b"a=%",
            b"a=%4",
            b"a=%zz",
            b"a=%+1",
            b"a=\xff",
            b"a=%ff",
            b"a=1\n",
            b"{\"a\":1}",
            b"a=1 2",
        ];
        for form in forms {
            assert_eq!(Form::parse(form).err(), Some(FormError::Malformed), "{form:?}");
        }
        let many: Vec<String> = (0..33).map(|index| format!("p{index}=1")).collect();
        let many = Form::parse(many.join("&").as_bytes());
        assert_eq!(many.err(), Some(FormError::TooMany));
    }
}
