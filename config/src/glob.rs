//! Globs as rules write them: `*` stands for any run of characters, also none and also across `.`
//! and `/`; nothing else is special. Upper and lower case differ.

/// A pattern that is matched often.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Glob {
    text: String,
    is_any: bool,
}

impl Glob {
    /// Every text is a pattern.
    pub fn new(text: &str) -> Self {
        let is_any = !text.is_empty() && text.bytes().all(|byte| byte == b'*');
        Self { text: text.to_owned(), is_any }
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it has no `*` and so matches itself alone.
    pub fn is_exact(&self) -> bool {
        is_exact(&self.text)
    }

    /// Whether it matches everything.
    pub fn is_any(&self) -> bool {
        self.is_any
    }

    /// Whether it matches a text; see [`matches`].
    pub fn matches(&self, text: &str) -> bool {
        self.is_any || matches(&self.text, text)
    }
}

/// Whether a pattern has no `*` and so matches itself alone.
pub fn is_exact(pattern: &str) -> bool {
    !pattern.contains('*')
}

/// Whether a pattern matches a text. Takes time linear in the text for each `*` of the pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        // The leftmost place leaves the most for the parts that follow.
        let Some((_, behind)) = text.split_once(part) else { return false };
        text = behind;
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Glob;

    #[test]
    fn a_star_stands_for_any_run_also_across_dots_and_slashes() {
        assert!(Glob::new("infer.*").matches("infer.chat"));
        assert!(Glob::new("*").matches(""));
        assert!(Glob::new("repo:acme/*:main").matches("repo:acme/app/x.y:main"));
        assert!(!Glob::new("infer.*").matches("infer"));
        assert!(!Glob::new("a*a").matches("a"), "the two ends must not overlap");
        assert!(!Glob::new("*ab*ab").matches("xab"));
    }

    #[test]
    fn nothing_else_is_special() {
        for pattern in ["a?c", "[abc]", "{a,b}", "a\\*", ".+"] {
            assert!(!Glob::new(pattern).matches("abc"), "{pattern}");
        }
        assert!(Glob::new("a?c").matches("a?c"));
        assert!(!Glob::new("ABC").matches("abc"));
    }

    /// Straight from the definition, exponential and obvious.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|start| naive(rest, &text[start..])),
            Some((byte, rest)) => text.first() == Some(byte) && naive(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_matches_as_its_definition_says(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            let expected = naive(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(Glob::new(&pattern).matches(&text), expected);
        }
    }
}
