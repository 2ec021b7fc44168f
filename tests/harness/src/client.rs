//! A caller that sends bytes exactly as a test wrote them and reads what comes back.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::message::{Response, position};

/// Why a client did not get what it waited for, with the bytes that came, for the test's report.
#[derive(Debug)]
pub enum ClientError {
    /// Nothing more came in time.
    Timeout(Vec<u8>),
    /// The peer closed before what was waited for was there.
    Closed(Vec<u8>),
    /// The peer reset the connection.
    Reset(Vec<u8>),
}

/// One connection.
pub struct RawClient {
    stream: TcpStream,
    received: Vec<u8>,
    patience: Duration,
}

enum More {
    Some,
    Closed,
}

impl RawClient {
    /// Connects to `127.0.0.1:8080` or `http://127.0.0.1:8080`.
    #[must_use]
    #[track_caller]
    pub fn connect(address: &str) -> Self {
        let plain = address.trim_start_matches("http://");
        let plain = plain.split('/').next().unwrap_or(plain);
        let address: SocketAddr =
            plain.parse().unwrap_or_else(|error| panic!("no address: {address}: {error}"));
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("no connection to {address}: {error}"));
        // So that each piece of a split request is a segment of its own.
        stream.set_nodelay(true).unwrap_or_else(|error| panic!("no nodelay: {error}"));
        Self { stream, received: Vec::new(), patience: PATIENCE }
    }

    /// Waits at most so long in each read from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The socket, for options that a test needs.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends all bytes. A peer that has closed is no failure here: its answer is still to read.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let timeout = self.stream.set_write_timeout(Some(self.patience));
        let _ = timeout.and_then(|()| self.stream.write_all(bytes.as_ref()));
    }

    /// Sends the bytes in pieces that begin at the given offsets, with a pause after each, so that
    /// the peer reads each on its own.
    pub fn send_split(&mut self, bytes: &[u8], offsets: &[usize]) {
        self.send_split_with_pause(bytes, offsets, PIECE_PAUSE);
    }

    /// The same with a pause of the test's own.
    pub fn send_split_with_pause(&mut self, bytes: &[u8], offsets: &[usize], pause: Duration) {
        for piece in pieces(bytes, offsets) {
            self.send(piece);
            // tidy: pieces must arrive apart, as the probes demand
            std::thread::sleep(pause);
        }
    }

    /// Reads one response and keeps what comes behind it for the next call. A response that the
    /// peer cut is returned with `complete` false.
    ///
    /// # Errors
    /// Not even a head came, or the response stopped without an end of the connection.
    pub fn read_response(&mut self) -> Result<Response, ClientError> {
        self.read_response_to("GET")
    }

    /// The same for a request of that method: `HEAD` has no body.
    ///
    /// # Errors
    /// As [`Self::read_response`].
    pub fn read_response_to(&mut self, method: &str) -> Result<Response, ClientError> {
        let deadline = Instant::now() + self.patience;
        loop {
            let read = Response::read(&self.received, method, false);
            if let Some((response, taken)) = read
                && response.message.complete
            {
                self.received.drain(..taken);
                return Ok(response);
            }
            match self.more(deadline) {
                Ok(More::Some) => {}
                Ok(More::Closed) => {
                    return match Response::read(&self.received, method, true) {
                        Some((response, taken)) => {
                            self.received.drain(..taken);
                            Ok(response)
                        }
                        None => Err(ClientError::Closed(self.taken())),
                    };
                }
                Err(error) => return Err(self.failure(&error)),
            }
        }
    }

    /// Sends and reads one response.
    #[track_caller]
    pub fn exchange(&mut self, request: impl AsRef<[u8]>) -> Response {
        let request = request.as_ref();
        let method = if request.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
        self.send(request);
        match self.read_response_to(method) {
            Ok(response) => response,
            Err(error) => panic!("no response: {error}"),
        }
    }

    /// Reads raw bytes up to and with the first `needle`.
    ///
    /// # Errors
    /// The needle did not come.
    pub fn read_until(&mut self, needle: &[u8]) -> Result<Vec<u8>, ClientError> {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(at) = position(&self.received, needle) {
                return Ok(self.received.drain(..at + needle.len()).collect());
            }
            match self.more(deadline) {
                Ok(More::Some) => {}
                Ok(More::Closed) => return Err(ClientError::Closed(self.taken())),
                Err(error) => return Err(self.failure(&error)),
            }
        }
    }

    /// Reads raw bytes to the end of the connection.
    ///
    /// # Errors
    /// The connection was reset, or did not end in time.
    pub fn read_to_end(&mut self) -> Result<Vec<u8>, ClientError> {
        let deadline = Instant::now() + self.patience;
        loop {
            match self.more(deadline) {
                Ok(More::Some) => {}
                Ok(More::Closed) => return Ok(self.taken()),
                Err(error) => return Err(self.failure(&error)),
            }
        }
    }

    /// Says that nothing more will be sent, and can still read.
    pub fn shutdown_write(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    fn more(&mut self, deadline: Instant) -> io::Result<More> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer)?;
        self.received.extend(buffer.iter().take(count));
        Ok(if count == 0 { More::Closed } else { More::Some })
    }

    fn taken(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    fn failure(&mut self, error: &io::Error) -> ClientError {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => ClientError::Timeout(self.taken()),
            _ => ClientError::Reset(self.taken()),
        }
    }
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, received) = match self {
            Self::Timeout(received) => ("nothing more came in time", received),
            Self::Closed(received) => ("the peer closed", received),
            Self::Reset(received) => ("the peer reset the connection", received),
        };
        write!(formatter, "{what}, after {:?}", String::from_utf8_lossy(received))
    }
}

impl std::error::Error for ClientError {}

/// Long enough on loopback that two pieces are not read as one.
pub(crate) const PIECE_PAUSE: Duration = Duration::from_millis(2);

/// Cuts bytes at offsets in ascending order; offsets beyond the end are left out.
pub(crate) fn pieces<'a>(bytes: &'a [u8], offsets: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let (mut rest, mut begun) = (bytes, 0);
    for offset in offsets {
        if let Some((piece, behind)) =
            offset.checked_sub(begun).and_then(|at| rest.split_at_checked(at))
        {
            pieces.push(piece);
            (rest, begun) = (behind, *offset);
        }
    }
    pieces.push(rest);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn bytes_are_cut_at_offsets() {
        assert_eq!(pieces(b"abcdef", &[1, 3]), [b"a".as_slice(), b"bc", b"def"]);
        assert_eq!(pieces(b"abc", &[0, 3, 9]), [b"abc".as_slice()]);
        assert_eq!(pieces(b"abc", &[]), [b"abc".as_slice()]);
    }
}
