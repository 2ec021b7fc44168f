//! Fields of a body that reviewers see: found by path while the JSON is read once, nothing else of
//! it kept, values cut.

use std::borrow::Cow;
use std::fmt;

use penstock_config::hold::{SHOWN_CHARACTERS_MAX, SHOWN_MAX};
use penstock_reactor::buffer::Buffer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A larger body is not looked into.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What is shown of a member that stands more than once.
const TWICE: &str = "(more than once)";

/// Characters of a value that are masked beyond those that are shown, so that none is shown whose
/// end was cut off before it was known for what it is.
const MASKED_AHEAD: usize = 1_024;

/// A chosen field: its path, and its value once it was found.
struct Field<'p> {
    path: &'p str,
    value: Option<String>,
}

/// The fields at these dotted paths, in their order, masked; at most [`SHOWN_MAX`]. None where the
/// body is no JSON object, or too large to look into.
pub(crate) fn shown(
    paths: &[&str],
    body: &[Buffer],
    mask: impl Fn(String) -> String,
) -> Vec<(String, String)> {
    if paths.is_empty() {
        return Vec::new();
    }
    gathered(body).map(|body| shown_of(paths, &body, mask)).unwrap_or_default()
}

/// Whether a body asks for a stream: a JSON object whose one `stream` is `true`.
pub(crate) fn asks_for_a_stream(body: &[Buffer]) -> bool {
    #[derive(serde::Deserialize)]
    struct Streams {
        stream: bool,
    }
    let asks = |body: &[u8]| serde_json::from_slice(body).is_ok_and(|asked: Streams| asked.stream);
    gathered(body).is_some_and(|body| asks(&body))
}

/// A body in one piece; none that is too large to look into.
fn gathered(body: &[Buffer]) -> Option<Cow<'_, [u8]>> {
    let length: usize = body.iter().map(|buffer| buffer.len()).sum();
    if length > BODY_BYTES_MAX {
        return None;
    }
    if let [whole] = body {
        return Some(Cow::Borrowed(whole));
    }
    let mut whole = Vec::with_capacity(length);
    body.iter().for_each(|piece| whole.extend_from_slice(piece));
    Some(Cow::Owned(whole))
}

fn shown_of(paths: &[&str], body: &[u8], mask: impl Fn(String) -> String) -> Vec<(String, String)> {
    let mut fields: Vec<Field<'_>> = Vec::new();
    for path in paths {
        if fields.len() < SHOWN_MAX && fields.iter().all(|field| field.path != *path) {
            fields.push(Field { path, value: None });
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = Below { fields: &mut fields, prefix: "" }.deserialize(&mut deserializer);
    if read.is_err() || deserializer.end().is_err() {
        return Vec::new();
    }
    let found = |field: Field<'_>| Some((field.path.to_owned(), cut(&mask(field.value?))));
    fields.into_iter().filter_map(found).collect()
}

/// An object at the path `prefix`, or anything else.
struct Below<'f, 'p> {
    fields: &'f mut [Field<'p>],
    prefix: &'f str,
}

impl<'de> DeserializeSeed<'de> for Below<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Below<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut members: usize = 0;
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            members = members.saturating_add(1);
            let path = match self.prefix {
                "" => key.into_owned(),
                prefix => format!("{prefix}.{key}"),
            };
            let is_wanted = self.fields.iter().any(|field| {
                field
                    .path
                    .strip_prefix(path.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            if is_wanted {
                map.next_value_seed(Below { fields: &mut *self.fields, prefix: &path })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        self.note(|| format!("(object with {members} members)"));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut count: usize = 0;
        while items.next_element::<IgnoredAny>()?.is_some() {
            count = count.saturating_add(1);
        }
        self.note(|| format!("(list of {count})"));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let most = SHOWN_CHARACTERS_MAX.saturating_add(MASKED_AHEAD);
        let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
        self.note(|| text.get(..end).unwrap_or_default().to_owned());
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.note(|| value.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.note(|| value.to_string());
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.note(|| value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.note(|| value.to_string());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.note(|| "null".to_owned());
        Ok(())
    }
}

impl Below<'_, '_> {
    /// The value at the path itself, where it is wanted.
    fn note(self, value: impl FnOnce() -> String) {
        let prefix = self.prefix;
        if let Some(field) = self.fields.iter_mut().find(|field| field.path == prefix) {
            let again = field.value.is_some();
            field.value = Some(if again { TWICE.to_owned() } else { value() });
        }
    }
}

/// The first [`SHOWN_CHARACTERS_MAX`] characters.
fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => {
            let kept = text.get(..end).unwrap_or_default();
            let mut kept: String =
                kept.chars().take(SHOWN_CHARACTERS_MAX.saturating_sub(1)).collect();
            kept.push('…');
            kept
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(paths: &[&str], body: &str) -> Vec<(String, String)> {
        shown_of(paths, body.as_bytes(), |value| value)
    }

    fn pair(path: &str, value: &str) -> (String, String) {
        (path.to_owned(), value.to_owned())
    }

    #[test]
    fn a_value_is_masked_before_it_is_cut() {
        let text = format!("{{\"note\": \"{}SECRET\"}}", "x".repeat(253));
        let mask = |value: String| value.replace("SECRET", "*");
        let shown = shown_of(&["note"], text.as_bytes(), mask);
        assert_eq!(shown, [pair("note", &format!("{}*", "x".repeat(253)))]);
    }

    #[test]
    fn chosen_fields_are_shown_in_the_order_of_the_paths_and_nothing_else() {
        let body = r#"{"adapter": {"path": "/a", "rank": 8, "on": true}, "messages": ["secret"],
                       "lora_name": "x"}"#;
        let paths = ["lora_name", "adapter.path", "adapter.rank", "adapter.on", "absent"];
        let expected = [
            pair("lora_name", "x"),
            pair("adapter.path", "/a"),
            pair("adapter.rank", "8"),
            pair("adapter.on", "true"),
        ];
        assert_eq!(of(&paths, body), expected);
        assert_eq!(of(&["messages"], body), [pair("messages", "(list of 1)")]);
        assert_eq!(of(&["adapter"], body), [pair("adapter", "(object with 3 members)")]);
        assert_eq!(of(&["adapter.p"], body), []);
    }

    #[test]
    fn a_field_that_stands_twice_shows_neither_value() {
        for body in [r#"{"a": "good", "a": "bad"}"#, r#"{"a": "good", "\u0061": {"b": 1}}"#] {
            assert_eq!(of(&["a"], body), [pair("a", TWICE)], "{body}");
        }
    }

    #[test]
    fn a_body_asks_for_a_stream_only_where_it_says_so_once_and_as_true() {
        let asks = |body: &'static str| asks_for_a_stream(&[Buffer::from_static(body.as_bytes())]);
        assert!(asks(r#"{"model": "m", "stream": true}"#));
        for body in [
            r#"{"stream": false}"#,
            r#"{"stream": "true"}"#,
            r#"{"stream": true, "stream": true}"#,
            r#"{"messages": [{"stream": true}]}"#,
            "[]",
            "",
        ] {
            assert!(!asks(body), "{body}");
        }
    }

    #[test]
    fn long_values_are_cut_by_characters() {
        let body = format!(r#"{{"a": "{}"}}"#, "ä".repeat(1_000));
        let shown = of(&["a"], &body);
        assert_eq!(shown[0].1.chars().count(), SHOWN_CHARACTERS_MAX);
        assert!(shown[0].1.ends_with('…'));
    }

    #[test]
    fn what_is_no_json_document_shows_nothing() {
        for body in ["", "{", r#"{"a": 1} x"#, "\u{feff}{}", r#"{"a": 1, }"#] {
            assert_eq!(of(&["a"], body), [], "{body}");
        }
        let deep = format!(r#"{{"a": {}}}"#, "[".repeat(100_000));
        assert_eq!(of(&["a"], &deep), []);
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(body in ".{0,200}", path in "[a-z.]{0,9}") {
            let _ = of(&[&path, "a", "a.b"], &body);
        }
    }
}
