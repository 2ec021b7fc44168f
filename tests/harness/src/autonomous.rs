//! A model server that answers by itself: a chat completion as JSON or as a stream of events, on
//! connections that stay open. It keeps what it was asked, above all which credential came.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::message::{Message, Unframed};
use crate::scripted::lock;

/// An answer of a test's own.
#[derive(Clone, Debug)]
pub struct Answer {
    head: Vec<u8>,
    /// Left out for HEAD.
    body: Vec<u8>,
    closes: bool,
}

impl Answer {
    /// 200 with JSON and its length.
    #[must_use]
    pub fn json(body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len(),
        );
        Self { head: head.into_bytes(), body, closes: false }
    }

    /// Exactly these bytes, whatever the request was.
    #[must_use]
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self { head: bytes.as_ref().to_vec(), body: Vec::new(), closes: false }
    }

    /// The same, and then the connection is closed.
    #[must_use]
    pub fn closing(self) -> Self {
        Self { closes: true, ..self }
    }
}

/// A request that the server answered.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The request.
    pub request: Message,
    /// Index of the connection that it came on.
    pub connection: usize,
}

impl Seen {
    /// The `authorization` that came with it.
    #[must_use]
    pub fn authorization(&self) -> Option<&str> {
        self.request.header("authorization")
    }
}

type Handler = dyn Fn(&Message) -> Option<Answer> + Send + Sync;

struct Shared {
    handler: Box<Handler>,
    seen: Mutex<Vec<Seen>>,
    received: Mutex<Vec<u8>>,
    streams: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
    events: AtomicUsize,
    event_gap_ms: AtomicUsize,
    stop: AtomicBool,
}

/// The server. A body with `"stream": true` gets events; `/v1/models` a list; anything else a chat
/// completion. Dropping it ends all its connections.
pub struct AutonomousUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl AutonomousUpstream {
    /// Starts on a port of 127.0.0.1 that the system chooses.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(|_| None)
    }

    /// Starts with answers of the test's own; where there is none, the server answers by itself.
    #[must_use]
    #[track_caller]
    pub fn start_with(
        handler: impl Fn(&Message) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener =
            TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no listener: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            seen: Mutex::default(),
            received: Mutex::default(),
            streams: Mutex::default(),
            connections: AtomicUsize::new(0),
            events: AtomicUsize::new(4),
            event_gap_ms: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    /// Streams have so many content events (4 unless said otherwise), so far apart.
    pub fn set_events(&self, count: usize, gap: Duration) {
        self.shared.events.store(count, Ordering::SeqCst);
        let gap_ms = usize::try_from(gap.as_millis()).unwrap_or(usize::MAX);
        self.shared.event_gap_ms.store(gap_ms, Ordering::SeqCst);
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, in the order in which they were complete.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// Takes every request so far: the next call begins behind them.
    #[must_use]
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.shared.seen))
    }

    /// Takes every byte so far as it came, requests of all connections behind each other.
    #[must_use]
    pub fn take_received(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.shared.received))
    }

    /// Number of connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for AutonomousUpstream {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        for stream in lock(&self.shared.streams).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let connection = shared.connections.fetch_add(1, Ordering::SeqCst);
        let Ok(kept) = stream.try_clone() else {
            return;
        };
        lock(&shared.streams).push(kept);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // The peer may leave at any time; the test sees what it needs in what was recorded.
            let _ = serve(&stream, &shared, connection);
            let _ = stream.shutdown(Shutdown::Both);
        });
    }
}

fn serve(stream: &TcpStream, shared: &Shared, connection: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut received = Vec::new();
    loop {
        let request = read_request(stream, shared, &mut received)?;
        lock(&shared.seen).push(Seen { request: request.clone(), connection });
        let closes = answer(stream, shared, &request)?;
        if closes {
            return Ok(());
        }
        if request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            return Ok(());
        }
    }
}

fn read_request(
    mut stream: &TcpStream,
    shared: &Shared,
    received: &mut Vec<u8>,
) -> io::Result<Message> {
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some((request, taken)) = Message::read(received, Unframed::Empty)
            && request.complete
        {
            received.drain(..taken);
            return Ok(request);
        }
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        lock(&shared.received).extend(buffer.iter().take(count));
        received.extend(buffer.iter().take(count));
    }
}

/// Answers; says whether the connection is to be closed then.
fn answer(mut stream: &TcpStream, shared: &Shared, request: &Message) -> io::Result<bool> {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let model = asked.get("model").and_then(Value::as_str).unwrap_or("none");
    let answer = match (shared.handler)(request) {
        Some(answer) => answer,
        None if asked.get("stream") == Some(&Value::Bool(true)) => {
            stream_events(stream, shared, model)?;
            return Ok(false);
        }
        None if request.target().ends_with("/v1/models") => {
            Answer::json(&json!({"object": "list", "data": [{"id": "tiny", "object": "model"}]}))
        }
        None => Answer::json(&json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": model,
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": "Hello there."}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        })),
    };
    let mut bytes = answer.head;
    if request.method() != "HEAD" {
        bytes.extend(answer.body);
    }
    stream.write_all(&bytes)?;
    Ok(answer.closes)
}

fn stream_events(mut stream: &TcpStream, shared: &Shared, model: &str) -> io::Result<()> {
    let gap_ms = shared.event_gap_ms.load(Ordering::SeqCst) as u64;
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    for index in 0..shared.events.load(Ordering::SeqCst) {
        let event = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": model,
            "choices": [{"index": 0, "delta": {"content": format!("word{index} ")}}],
        });
        chunk(stream, &format!("data: {event}\n\n"))?;
        if gap_ms > 0 {
            // tidy: the pace of a stream is part of the scripted upstream
            std::thread::sleep(Duration::from_millis(gap_ms));
        }
    }
    chunk(stream, "data: [DONE]\n\n")?;
    stream.write_all(b"0\r\n\r\n")
}

fn chunk(mut stream: &TcpStream, text: &str) -> io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
}
