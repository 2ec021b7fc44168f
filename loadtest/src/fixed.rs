//! An upstream for benchmarks: every request gets the same bytes, or the same paced events, from
//! memory, so that what stands in front of it is what is measured.

use std::io::{Error, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until};

/// Longest request head, in bytes.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// How much of a body is read at once, in bytes.
const READ_BYTES: usize = 64 << 10;

/// Flags of `penstock-loadtest fixed`.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Bytes of an answer's body, or of each event's text
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = body_bytes)]
    bytes: usize,
    /// Events of an answer; 0 for a plain answer
    #[arg(long, value_name = "N", default_value_t = 0)]
    events: u64,
    /// Milliseconds from one event to the next
    #[arg(long, value_name = "N", default_value_t = 10)]
    gap_ms: u64,
    /// What the events say in turn, ASCII, in pieces of --bytes, again and again [default: xxx…]
    #[arg(long, value_name = "TEXT", value_parser = plain_text)]
    text: Option<String>,
}

fn body_bytes(text: &str) -> Result<usize, String> {
    let bytes: usize = text.parse().map_err(|_| "not a number".to_owned())?;
    if (16..=256 << 20).contains(&bytes) { Ok(bytes) } else { Err("not 16 to 268435456".into()) }
}

fn plain_text(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
    if !text.is_empty() && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("not printable ASCII without quotation marks and backslashes".to_owned())
    }
}

/// What every connection answers.
struct Answer {
    /// A whole answer, or the head of a stream.
    first: Vec<u8>,
    /// Events as one chunk each, sent in turn.
    said: Vec<Vec<u8>>,
    events: u64,
    gap: Duration,
}

const STREAM_END: &[u8] = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

impl Answer {
    fn new(flags: &Flags) -> Self {
        let gap = Duration::from_millis(flags.gap_ms);
        if flags.events > 0 {
            let text = flags.text.clone().unwrap_or_else(|| "x".repeat(flags.bytes));
            let pieces = text.as_bytes().chunks(flags.bytes);
            let said = pieces.map(|piece| event(&String::from_utf8_lossy(piece))).collect();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                        cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
            return Self { first: head.into(), said, events: flags.events, gap };
        }
        let padding = "x".repeat(flags.bytes.saturating_sub(r#"{"text":""}"#.len()));
        let first = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n\
             {{\"text\":\"{padding}\"}}",
            flags.bytes
        );
        Self { first: first.into(), said: Vec::new(), events: 0, gap }
    }
}

/// One event that says a text, as one chunk.
fn event(text: &str) -> Vec<u8> {
    let data = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    format!("{:x}\r\n{data}\r\n", data.len()).into()
}

/// Serves until it is killed: it has nothing to finish.
pub(crate) async fn run(flags: Flags) -> Result<ExitCode, Error> {
    let answer = Rc::new(Answer::new(&flags));
    let listener = TcpListener::bind(flags.listen).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::json!({ "listen": url }))?;
    stdout.flush()?;
    let accept = async {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answer = answer.clone();
            // A connection that breaks is the other side's business, and its measurement's.
            spawn_local(async move { connection(stream, &answer).await });
        }
    };
    LocalSet::new().run_until(accept).await
}

async fn connection(mut stream: TcpStream, answer: &Answer) -> Result<(), Error> {
    let mut buffer = vec![0; HEAD_BYTES_MAX.max(READ_BYTES)];
    let mut filled = 0;
    loop {
        let (head, mut body) = loop {
            if let Some(found) = request(&buffer[..filled])? {
                break found;
            }
            match stream.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                read => filled += read,
            }
        };
        let here = body.min(filled - head);
        body -= here;
        buffer.copy_within(head + here..filled, 0);
        filled -= head + here;
        while body > 0 {
            let most = body.min(READ_BYTES);
            match stream.read(&mut buffer[..most]).await? {
                0 => return Ok(()),
                read => body -= read,
            }
        }
        stream.write_all(&answer.first).await?;
        if answer.events > 0 {
            events(&mut stream, answer).await?;
        }
    }
}

/// The lengths of the head and of the body, or nothing when the head is not whole yet.
fn request(bytes: &[u8]) -> Result<Option<(usize, usize)>, Error> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    let httparse::Status::Complete(head) = parsed else {
        return match bytes.len() < HEAD_BYTES_MAX {
            true => Ok(None),
            false => Err(ErrorKind::InvalidData.into()),
        };
    };
    let mut length = 0;
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).ok();
            length = text.and_then(|text| text.parse().ok()).ok_or(ErrorKind::InvalidData)?;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Error::new(ErrorKind::Unsupported, "a chunked request"));
        }
    }
    Ok(Some((head, length)))
}

/// Each event has its own absolute time, so that a late one does not make all later ones late.
async fn events(stream: &mut TcpStream, answer: &Answer) -> Result<(), Error> {
    let mut due = Instant::now();
    for (_, event) in (0..answer.events).zip(answer.said.iter().cycle()) {
        sleep_until(due).await;
        stream.write_all(event).await?;
        due += answer.gap;
    }
    stream.write_all(STREAM_END).await
}
