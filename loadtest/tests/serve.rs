//! The program itself: its first line, its key file, its end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_penstock-loadtest");
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that is ended with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = ready["listen"].as_str().unwrap().strip_prefix("http://").unwrap();
        Self { child, address: address.to_owned() }
    }

    fn connect(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn get(&self, path: &str, header: &str) -> String {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\n{header}connection: close\r\n\r\n");
        let mut answer = String::new();
        self.connect(&request).read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends SIGTERM and waits, within bounds, for the exit status.
    fn terminate(&mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "the server does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_line_names_an_address_that_answers() {
    let server = Server::start(&[]);
    assert!(server.get("/health", "").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_key_file_makes_the_key_necessary() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"letmein\n").unwrap();
    let server = Server::start(&["--api-key-file", file.path().to_str().unwrap()]);
    assert!(server.get("/v1/models", "").starts_with("HTTP/1.1 401 "));
    let allowed = server.get("/v1/models", "authorization: Bearer letmein\r\n");
    assert!(allowed.starts_with("HTTP/1.1 200 "), "{allowed}");
}

#[test]
fn a_signal_ends_the_server_also_in_the_middle_of_a_stream() {
    let mut server = Server::start(&["--first-token-ms", "0", "--gap-ms", "60000"]);
    let body = r#"{"messages": [], "stream": true}"#;
    let mut stream = server.connect(&format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut first = [0; 15];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(PROGRAM).args(["serve", "--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with(&format!("error: cannot listen on {address}: ")), "{message}");
}

#[test]
fn an_empty_key_file_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let output = Command::new(PROGRAM).args(["serve", "--api-key-file", path]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("holds no key"));
}
