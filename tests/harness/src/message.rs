//! Just enough of HTTP/1.1 to take apart what a test received (RFC 9112). It is lenient on purpose:
//! tests look at raw bytes where strictness is the question.

/// A request or a response: start line, fields in order, body without its framing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// First line without its end.
    pub start_line: String,
    /// Fields in order, names as they came.
    pub headers: Vec<(String, String)>,
    /// The body, chunks put together.
    pub body: Vec<u8>,
    /// Whether the body came to the end that its framing promised.
    pub complete: bool,
}

/// A response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Status codes of the interim responses (1xx) before it.
    pub interim: Vec<u16>,
    /// Everything else.
    pub message: Message,
}

/// What has no length and no chunks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unframed {
    /// A request: it has no body.
    Empty,
    /// A response: its body goes on to the end of the connection.
    ToTheEnd,
}

impl Message {
    /// Value of the first field of that name, without regard to case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers_named(name).into_iter().next()
    }

    /// Values of all fields of that name.
    #[must_use]
    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("no JSON: {error}: {}", self.text()),
        }
    }

    /// The first word of the start line: a request's method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.start_line.split(' ').next().unwrap_or_default()
    }

    /// The second word of the start line: a request's target.
    #[must_use]
    pub fn target(&self) -> &str {
        self.start_line.split(' ').nth(1).unwrap_or_default()
    }

    /// Reads the request at the beginning of `bytes`, once all of it has come; the second value is
    /// the number of bytes that it takes.
    #[must_use]
    pub fn read_request(bytes: &[u8]) -> Option<(Self, usize)> {
        Self::read(bytes, Unframed::Empty).filter(|(request, _)| request.complete)
    }

    /// Reads the message at the beginning of `bytes`, whole or as far as it came; the second value
    /// is the number of bytes that it takes. `None` until the head is there.
    pub(crate) fn read(bytes: &[u8], unframed: Unframed) -> Option<(Self, usize)> {
        let head_end = position(bytes, b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(bytes.get(..head_end)?).into_owned();
        let mut lines = head.split("\r\n");
        let start_line = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut message = Self { start_line, headers, body: Vec::new(), complete: false };
        let taken = message.read_body(bytes.get(head_end..).unwrap_or_default(), unframed);
        Some((message, head_end + taken))
    }

    fn read_body(&mut self, bytes: &[u8], unframed: Unframed) -> usize {
        let chunked = self
            .headers_named("transfer-encoding")
            .iter()
            .any(|value| value.to_ascii_lowercase().ends_with("chunked"));
        if chunked {
            return self.read_chunks(bytes);
        }
        let length = match self.header("content-length").map(str::parse::<usize>) {
            Some(Ok(length)) => length,
            Some(Err(_)) | None if unframed == Unframed::Empty => 0,
            Some(Err(_)) | None => usize::MAX,
        };
        self.body = bytes.iter().take(length).copied().collect();
        self.complete = self.body.len() == length;
        self.body.len()
    }

    fn read_chunks(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(line_end) = position(rest, b"\r\n") else {
                return at;
            };
            let line = String::from_utf8_lossy(rest.get(..line_end).unwrap_or_default());
            let size = line.split(';').next().unwrap_or_default().trim();
            let Ok(size) = usize::from_str_radix(size, 16) else {
                return at;
            };
            at += line_end + 2;
            if size == 0 {
                return at + self.read_trailers(bytes.get(at..).unwrap_or_default());
            }
            let data = bytes.get(at..).unwrap_or_default();
            self.body.extend(data.iter().take(size));
            if data.len() < size + 2 {
                return at + data.len();
            }
            at += size + 2;
        }
    }

    /// Trailer fields up to the empty line; they are dropped.
    fn read_trailers(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(end) = position(bytes.get(at..).unwrap_or_default(), b"\r\n") {
            at += end + 2;
            if end == 0 {
                self.complete = true;
                break;
            }
        }
        at
    }
}

impl Response {
    /// Reads a response with the interim ones before it, whole or as far as it came, and the number
    /// of bytes that it takes. `ended`: the connection ended, so that a body without a length is
    /// complete. `None` until the final head is there.
    pub(crate) fn read(bytes: &[u8], request_method: &str, ended: bool) -> Option<(Self, usize)> {
        let mut interim = Vec::new();
        let mut at = 0;
        loop {
            let rest = bytes.get(at..)?;
            let (mut message, mut taken) = Message::read(rest, Unframed::ToTheEnd)?;
            let status = message.target().parse().unwrap_or(0);
            let bodiless = matches!(status, 100..=199 | 204 | 304) || request_method == "HEAD";
            if bodiless {
                taken = position(rest, b"\r\n\r\n")? + 4;
                message.body.clear();
                message.complete = true;
            }
            if matches!(status, 100..=199) && status != 101 {
                interim.push(status);
                at += taken;
                continue;
            }
            let framed = message.header("content-length").or(message.header("transfer-encoding"));
            message.complete |= framed.is_none() && ended;
            return Some((Self { status, interim, message }, at + taken));
        }
    }

    /// Value of the first field of that name, without regard to case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.message.header(name)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        self.message.text()
    }

    /// The body as JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        self.message.json()
    }
}

pub(crate) fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_put_together_and_its_size_on_the_wire_is_told() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\nnext";
        let (response, taken) = Response::read(bytes, "GET", false).unwrap();
        assert_eq!(response.text(), "abcde");
        assert!(response.message.complete);
        assert_eq!(&bytes[taken..], b"next");
        for cut in 47..taken {
            let (response, _) = Response::read(&bytes[..cut], "GET", true).unwrap();
            assert!(!response.message.complete, "cut at {cut}");
        }
    }

    #[test]
    fn a_body_of_a_given_length_is_complete_with_its_last_byte() {
        let bytes = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET";
        let (message, taken) = Message::read(bytes, Unframed::Empty).unwrap();
        assert_eq!((message.method(), message.target()), ("POST", "/a"));
        assert_eq!((message.text().as_str(), taken), ("abc", bytes.len() - 3));
        let (message, _) = Message::read(&bytes[..taken - 1], Unframed::Empty).unwrap();
        assert!(!message.complete);
        assert_eq!(Message::read(b"GET / HTTP/1.1\r\nA: b\r\n", Unframed::Empty), None);
    }

    #[test]
    fn interim_responses_come_before_the_final_one() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n\
            HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let (response, taken) = Response::read(bytes, "GET", false).unwrap();
        assert_eq!((response.status, response.interim), (200, vec![100, 103]));
        assert_eq!(taken, bytes.len());
    }

    #[test]
    fn a_body_without_framing_goes_on_to_the_end_and_head_has_none() {
        let bytes = b"HTTP/1.1 200 OK\r\n\r\nabc";
        let complete = |ended| Response::read(bytes, "GET", ended).unwrap().0.message.complete;
        assert!(complete(true) && !complete(false));
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        assert!(Response::read(head, "HEAD", false).unwrap().0.message.complete);
        assert!(!Response::read(head, "GET", true).unwrap().0.message.complete);
    }
}
