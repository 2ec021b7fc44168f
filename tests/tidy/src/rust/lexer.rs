//! As much of Rust's grammar as the laws need: comments, literals, functions.

/// What stands at a place in the text.
enum State {
    Code,
    LineComment,
    /// Nested this deep.
    BlockComment(usize),
    Text,
    /// A raw string, which ends with a quote and this many `#`.
    RawText(usize),
}

/// The code with comments, the insides of strings and characters replaced by spaces. Lines and
/// columns stay where they were.
pub fn blanked(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut output = String::with_capacity(text.len());
    let mut state = State::Code;
    let mut at = 0;
    while at < characters.len() {
        let (next, step, keep) = advance(state, &characters, at);
        for &character in &characters[at..at + step] {
            output.push(if keep || character == '\n' { character } else { ' ' });
        }
        state = next;
        at += step;
    }
    output
}

/// The next state, how many characters were read, and whether they are code.
fn advance(state: State, text: &[char], at: usize) -> (State, usize, bool) {
    let pair = (text[at], text.get(at + 1).copied());
    match (state, pair) {
        (State::Code, ('/', Some('/'))) => (State::LineComment, 2, false),
        (State::Code, ('/', Some('*'))) => (State::BlockComment(1), 2, false),
        (State::Code, ('"', _)) => (State::Text, 1, true),
        (State::Code, ('r', _)) if raw_start(text, at).is_some() => {
            let hashes = raw_start(text, at).unwrap_or_default();
            (State::RawText(hashes), hashes + 2, true)
        }
        (State::Code, ('\'', _)) => match character_length(text, at) {
            Some(length) => (State::Code, length, false),
            None => (State::Code, 1, true),
        },
        (State::Code, _) => (State::Code, 1, true),
        (State::LineComment, ('\n', _)) => (State::Code, 1, true),
        (State::LineComment, _) => (State::LineComment, 1, false),
        (State::BlockComment(depth), ('/', Some('*'))) => {
            (State::BlockComment(depth + 1), 2, false)
        }
        (State::BlockComment(1), ('*', Some('/'))) => (State::Code, 2, false),
        (State::BlockComment(depth), ('*', Some('/'))) => {
            (State::BlockComment(depth - 1), 2, false)
        }
        (State::BlockComment(depth), _) => (State::BlockComment(depth), 1, false),
        (State::Text, ('\\', Some(_))) => (State::Text, 2, false),
        (State::Text, ('"', _)) => (State::Code, 1, true),
        (State::Text, _) => (State::Text, 1, false),
        (State::RawText(hashes), ('"', _)) if raw_end(text, at, hashes) => {
            (State::Code, hashes + 1, true)
        }
        (State::RawText(hashes), _) => (State::RawText(hashes), 1, false),
    }
}

/// How many `#` a raw string that starts here has.
fn raw_start(text: &[char], at: usize) -> Option<usize> {
    let part_of_word = |character: char| character.is_alphanumeric() || character == '_';
    let previous = at.checked_sub(1).map(|before| text[before]);
    // `br"…"` and `cr"…"` are raw strings too.
    if previous.is_some_and(|before| part_of_word(before) && before != 'b' && before != 'c') {
        return None;
    }
    let hashes = text[at + 1..].iter().take_while(|&&character| character == '#').count();
    (text.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

fn raw_end(text: &[char], at: usize, hashes: usize) -> bool {
    text[at + 1..].iter().take(hashes).filter(|&&character| character == '#').count() == hashes
}

/// The length of a character literal that starts here; `None` for a lifetime.
fn character_length(text: &[char], at: usize) -> Option<usize> {
    if text.get(at + 1) == Some(&'\\') {
        let rest = text.get(at + 3..)?;
        return rest.iter().position(|&character| character == '\'').map(|end| end + 4);
    }
    (text.get(at + 2) == Some(&'\'')).then_some(3)
}

/// First and last line, counted from 1, of each function with a body, in blanked code.
pub(crate) fn functions(code: &str) -> Vec<(usize, usize)> {
    let characters: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    let mut line = 1;
    for at in 0..characters.len() {
        if characters[at] == '\n' {
            line += 1;
        }
        if starts_function(&characters, at)
            && let Some(body) = body_start(&characters, at)
        {
            let end = body_end(&characters, body);
            let lines = characters[at..end].iter().filter(|&&character| character == '\n').count();
            found.push((line, line + lines));
        }
    }
    found
}

/// The word `fn` with a name after it: `fn(…)` is a type.
fn starts_function(code: &[char], at: usize) -> bool {
    let part_of_word = |character: char| character.is_alphanumeric() || character == '_';
    code[at..].starts_with(&['f', 'n', ' '])
        && at.checked_sub(1).is_none_or(|before| !part_of_word(code[before]))
        && code.get(at + 3).copied().is_some_and(part_of_word)
}

/// Where the body's brace stands; `None` for a declaration, which ends with a semicolon.
fn body_start(code: &[char], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, character) in code[at..].iter().enumerate() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return None,
            '{' if depth == 0 => return Some(at + offset),
            _ => {}
        }
    }
    None
}

fn body_end(code: &[char], body: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, character) in code[body..].iter().enumerate() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return body + offset,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::{blanked, functions};

    #[test]
    fn comments_and_the_insides_of_literals_are_blanked() {
        let code = r#"let a = "x{\"y"; // {
/* { /* } */ { */ let b = '{'; let c: &'static str = '\''; '\u{1F600}'"#;
        let blank = blanked(code);
        assert_eq!(blank.chars().count(), code.chars().count());
        assert!(!blank.contains('{') && !blank.contains('}'), "{blank}");
        assert!(blank.contains("let c: &'static str = "), "{blank}");
    }

    #[test]
    fn raw_strings_end_with_their_own_number_of_hashes() {
        let blank = blanked("let a = r#\"{\"{\"#; let b = br\"{\"; f(r); }");
        assert_eq!(blank.matches('{').count(), 0);
        assert_eq!(blank.matches('}').count(), 1);
    }

    #[test]
    fn functions_are_found_with_their_first_and_last_line() {
        let code =
            "fn a() {}\ntrait T {\n    fn b(x: [u8; 2]);\n    fn c() {\n        {}\n    }\n}\n";
        assert_eq!(functions(code), [(1, 1), (4, 6)]);
        assert_eq!(functions("type F = fn(u8) -> u8;\nlet often = 1;"), []);
    }
}
