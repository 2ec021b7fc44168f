//! Server-sent events of OpenAI's streams: how many, which one has the first text, and how it ends.

use serde_json::Value;

use super::failure::Failure;

/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Reads a stream in pieces of any size.
#[derive(Default)]
pub(super) struct Events {
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
    /// Data was seen since the last blank line, and it was not `[DONE]`.
    pending: bool,
    text_seen: bool,
    done: bool,
}

/// What one piece brought.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fed {
    /// Events with data, `[DONE]` not among them.
    pub(super) events: u64,
    /// The first event with text was in this piece. An event that only names the role has none.
    pub(super) first_text: bool,
}

impl Events {
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    pub(super) fn feed(&mut self, mut piece: &[u8], fed: &mut Fed) -> Result<(), Failure> {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            if self.line.is_empty() {
                self.line_ended(&piece[..end], fed)?;
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&piece[..end]);
                self.line_ended(&line, fed)?;
                line.clear();
                self.line = line;
            }
            piece = &piece[end + 1..];
        }
        if self.line.len() + piece.len() > LINE_BYTES_MAX {
            return Err(Failure::Malformed);
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    fn line_ended(&mut self, line: &[u8], fed: &mut Fed) -> Result<(), Failure> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            fed.events += u64::from(std::mem::take(&mut self.pending));
            return Ok(());
        }
        if line.starts_with(b"event: error") {
            return Err(Failure::StreamError);
        }
        let Some(data) = line.strip_prefix(b"data:") else { return Ok(()) };
        let data = data.trim_ascii_start();
        if data == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        if data.starts_with(b"{\"error\"") {
            return Err(Failure::StreamError);
        }
        self.pending = true;
        // Events are looked into only until the first text: after it their time is all that counts.
        if !self.text_seen && has_text(data) {
            self.text_seen = true;
            fed.first_text = true;
        }
        Ok(())
    }
}

/// Whether an event brings something to a reader: text, reasoning, or a tool's arguments.
fn has_text(data: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<Value>(data) else { return false };
    let filled = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let choices = event["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
    choices.iter().any(|choice| {
        let delta = &choice["delta"];
        let texts = [&choice["text"], &delta["content"], &delta["reasoning"]];
        let calls = delta["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        texts.into_iter().any(filled)
            || filled(&delta["reasoning_content"])
            || calls.iter().any(|call| filled(&call["function"]["arguments"]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"x\",\"content\":\"\"}}]}\n\
        \n: a comment\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\ndata: [DONE]\n\n";

    #[test]
    fn events_are_counted_the_same_however_the_stream_is_cut() {
        for cut in 0..STREAM.len() {
            let (head, tail) = STREAM.as_bytes().split_at(cut);
            let (mut events, mut fed) = (Events::default(), Fed::default());
            events.feed(head, &mut fed).unwrap();
            events.feed(tail, &mut fed).unwrap();
            assert_eq!(fed, Fed { events: 3, first_text: true }, "{cut}");
            assert!(events.is_done());
        }
    }

    #[test]
    fn a_role_alone_is_an_event_but_not_the_first_token() {
        let (mut events, mut fed) = (Events::default(), Fed::default());
        let role = STREAM.find("\n\n").unwrap() + 2;
        events.feed(&STREAM.as_bytes()[..role], &mut fed).unwrap();
        assert_eq!(fed, Fed { events: 1, first_text: false });
    }

    #[test]
    fn reasoning_and_a_tools_arguments_are_tokens_too() {
        for delta in
            [r#"{"reasoning_content":"hm"}"#, r#"{"tool_calls":[{"function":{"arguments":"{"}}]}"#]
        {
            assert!(has_text(format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#).as_bytes()));
        }
    }

    #[test]
    fn an_error_in_the_middle_of_a_stream_is_a_failure() {
        let (mut events, mut fed) = (Events::default(), Fed::default());
        let error = b"data: {\"error\":{\"message\":\"away\"}}\n\n";
        assert_eq!(events.feed(error, &mut fed), Err(Failure::StreamError));
    }
}
