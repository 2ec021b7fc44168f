//! YAML 1.2 in block style from JSON values: for people to read, and to be read back.

use serde_json::Value;

use crate::terminal::is_treacherous;

/// The value as a YAML document with a line end.
pub(crate) fn emit(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(value, 0, &mut out),
        Value::Array(items) if !items.is_empty() => block(value, 0, &mut out),
        scalar_value => {
            out.push_str(&scalar(scalar_value));
            out.push('\n');
        }
    }
    out
}

/// A non-empty map or list; its first line is already indented when it stands in a list.
fn block(value: &Value, indent: usize, out: &mut String) {
    let mut first = true;
    let mut begin = |out: &mut String| {
        if !first || out.is_empty() || out.ends_with('\n') {
            out.push_str(&" ".repeat(indent));
        }
        first = false;
    };
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                begin(out);
                out.push_str(&plain_or_quoted(key));
                out.push(':');
                match child {
                    Value::Object(inner) if !inner.is_empty() => nested(child, indent + 2, out),
                    Value::Array(inner) if !inner.is_empty() => nested(child, indent + 2, out),
                    scalar_value => line(scalar_value, out),
                }
            }
        }
        Value::Array(items) => {
            for child in items {
                begin(out);
                out.push('-');
                match child {
                    Value::Object(inner) if !inner.is_empty() => {
                        out.push(' ');
                        block(child, indent + 2, out);
                    }
                    Value::Array(inner) if !inner.is_empty() => {
                        out.push(' ');
                        block(child, indent + 2, out);
                    }
                    scalar_value => line(scalar_value, out),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => line(value, out),
    }
}

fn nested(child: &Value, indent: usize, out: &mut String) {
    out.push('\n');
    block(child, indent, out);
}

fn line(value: &Value, out: &mut String) {
    out.push(' ');
    out.push_str(&scalar(value));
    out.push('\n');
}

/// A scalar, or an empty map or list, on one line.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => plain_or_quoted(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// Plain where no reader could take it for anything but this text; else as JSON, which is YAML.
fn plain_or_quoted(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let goes_on_well = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    if begins_well && goes_on_well && !WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        // DEL and the C1 controls may stand in JSON as they are, but not in YAML; what could steer
        // a terminal stands in neither.
        let json = Value::from(text).to_string();
        json.chars()
            .map(|c| match u32::from(c) {
                _ if !is_treacherous(c) => c.to_string(),
                code if code <= 0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_values_stand_in_block_style() {
        let value = json!([{"a": 1, "b": {"c": ["x", {"d": null, "e": []}]}}, [true, "yes"]]);
        let expected = concat!(
            "- a: 1\n  b:\n    c:\n      - x\n      - d: null\n        e: []\n",
            "- - true\n  - \"yes\"\n"
        );
        assert_eq!(emit(&value), expected);
    }

    #[test]
    fn text_that_a_reader_could_take_for_something_else_is_quoted() {
        for text in [
            "1",
            "127.0.0.1:80",
            "a: b",
            "",
            "No",
            "# x",
            "*",
            "a\nb",
            "ü",
            "\u{85}",
            "\u{202e}",
            "\u{e0041}",
        ] {
            let quoted = plain_or_quoted(text);
            assert!(quoted.starts_with('"'), "{text:?} became {quoted}");
            assert!(!quoted.chars().any(is_treacherous), "{text:?} became {quoted}");
        }
        assert_eq!(plain_or_quoted("infer.chat"), "infer.chat");
    }
}
