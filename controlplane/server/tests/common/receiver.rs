//! A receiver of webhooks on loopback: it keeps what comes, and answers by a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Received {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_default()
    }
}

/// It ends with the test's runtime.
pub(crate) struct Receiver {
    pub(crate) url: String,
    kept: Arc<Mutex<Vec<Received>>>,
    script: Arc<Mutex<VecDeque<(String, String)>>>,
}

impl Receiver {
    /// Answers 204 where its script says nothing else.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Self { url, kept: Arc::default(), script: Arc::default() };
        let (kept, script) = (receiver.kept.clone(), receiver.script.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, kept.clone(), script.clone()));
            }
        });
        receiver
    }

    /// What it answers next: a status with headers.
    pub(crate) fn answers(&self, answer: &str) {
        self.answers_with(answer, "");
    }

    /// The same with a body.
    pub(crate) fn answers_with(&self, answer: &str, body: &str) {
        self.script.lock().unwrap().push_back((answer.to_owned(), body.to_owned()));
    }

    /// What came so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.kept.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    kept: Arc<Mutex<Vec<Received>>>,
    script: Arc<Mutex<VecDeque<(String, String)>>>,
) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut received = Received { head, body: String::new() };
    let length: usize = received.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    received.body = String::from_utf8(body).unwrap();
    kept.lock().unwrap().push(received);
    let answer = script.lock().unwrap().pop_front();
    let (answer, body) = answer.unwrap_or_else(|| ("204 No Content\r\n".into(), String::new()));
    let length = body.len();
    let head = format!("HTTP/1.1 {answer}content-length: {length}\r\nconnection: close\r\n\r\n");
    let text = head + &body;
    let _ = stream.write_all(text.as_bytes()).await;
}
