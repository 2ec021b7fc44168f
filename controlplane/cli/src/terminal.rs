//! Words of strangers on a terminal: nothing in them may steer it, hide, or pass for a line of
//! ours.

/// Columns of a page of text.
const WIDTH: usize = 96;
/// Columns of the titles on its left.
const TITLE_WIDTH: usize = 14;

/// Whether a character could steer a terminal, is invisible, or turns the order of others around:
/// control characters, the marks of bidirectional text, and what Unicode calls ignorable.
pub(crate) fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The text in quotation marks on one line, with everything [`is_treacherous`] written out.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_treacherous(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The text as it is where it is a plain word or name, else [`quoted`].
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:/@*+#=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { quoted(text) }
}

/// A page of titles and texts. Each line that belongs to a text begins at the same column, behind
/// a bar from the second on, so that a long text can't be taken for further titles.
#[derive(Default)]
pub(crate) struct Page {
    out: String,
}

impl Page {
    /// Adds a title and its text, which must be free of treacherous characters.
    pub(crate) fn line(&mut self, title: &str, text: &str) {
        let mut title = title;
        let mut margin = "";
        for piece in wrapped(text, WIDTH - TITLE_WIDTH - 2) {
            let line = format!("{title:<TITLE_WIDTH$}{margin}{piece}");
            self.out.push_str(line.trim_end());
            self.out.push('\n');
            title = "";
            margin = "| ";
        }
    }

    /// Adds a line that parts what follows from what stands above.
    pub(crate) fn part(&mut self, title: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out.push_str(title);
        self.out.push('\n');
    }

    /// The whole text.
    pub(crate) fn text(self) -> String {
        self.out
    }
}

/// Pieces of at most `width` columns, cut at spaces where there are some. Whatever is not ASCII
/// counts two columns: no terminal gives it more.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut columns = 0;
    for c in text.chars() {
        let wide = if c.is_ascii() { 1 } else { 2 };
        if columns + wide > width {
            let kept = match piece.rfind(' ') {
                Some(at) if at > 0 => piece.split_off(at + 1),
                Some(_) | None => String::new(),
            };
            pieces.push(std::mem::replace(&mut piece, kept));
            columns = piece.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
        }
        piece.push(c);
        columns += wide;
    }
    pieces.push(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_or_turns_text_around_is_written_out() {
        let text =
            "\u{1b}[2J\r\nstate approved\u{9b}31m \u{202e}evil\u{200b}\u{2028}\u{e0041}\t\"\\";
        let shown = quoted(text);
        let expected = "\"\\u{1b}[2J\\r\\nstate approved\\u{9b}31m \\u{202e}evil\\u{200b}\\u{2028}\
                        \\u{e0041}\\t\\\"\\\\\"";
        assert_eq!(shown, expected);
        assert!(!shown.chars().any(is_treacherous));
    }

    #[test]
    fn a_word_stands_as_it_is_and_anything_else_in_quotation_marks() {
        assert_eq!(word("infer.chat"), "infer.chat");
        assert_eq!(word("repo:acme/app:ref"), "repo:acme/app:ref");
        for text in ["", "two words", "аdmin", "a\nb", "(none)"] {
            assert!(word(text).starts_with('"'), "{text:?}");
        }
    }

    #[test]
    fn no_line_of_a_long_text_can_pass_for_a_title() {
        let mut page = Page::default();
        let padding = " ".repeat(WIDTH);
        page.line("reason", &format!("ok{padding}state         approved"));
        page.line("digest", &"f".repeat(300));
        page.line("name", &"漢".repeat(100));
        for (index, line) in page.text().lines().enumerate() {
            let titled = ["reason", "digest", "name"].iter().any(|title| line.starts_with(title));
            assert!(titled || line.starts_with(&format!("{:14}|", "")), "line {index}: {line:?}");
            let columns: usize = line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
            assert!(columns <= WIDTH, "line {index} is {columns} wide");
        }
    }

    #[test]
    fn nothing_is_lost_where_a_text_is_wrapped() {
        let text = "one two three four five six seven eight nine ten".repeat(9);
        let joined: String = wrapped(&text, 20).concat();
        assert_eq!(joined, text);
        assert_eq!(wrapped("", 20), [""]);
    }
}
