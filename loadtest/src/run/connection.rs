//! One connection, one exchange at a time (RFC 9112): sends the bytes, reads the answer to its end.

use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::events::{Events, Fed};
use super::failure::Failure;
use super::framing::Framing;
use super::target::Target;

/// Largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 << 10;

/// Who is told what arrives while it arrives.
pub(super) trait Observer {
    /// A read brought events.
    fn events(&mut self, fed: &Fed, at: Instant);
    /// A read brought bytes of a body.
    fn bytes(&mut self, count: usize);
}

/// Bytes each way, with or without TLS.
trait Transport: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Transport for T {}

/// A connection that no exchange uses now.
pub(super) struct Connection {
    stream: Box<dyn Transport>,
    buffer: Vec<u8>,
}

/// The head of an answer.
struct Head {
    bytes: usize,
    framing: Framing,
    reusable: bool,
}

impl Connection {
    /// Opens a connection; with TLS also says what both sides agreed on.
    pub(super) async fn open(target: &Target) -> Result<(Self, Option<String>), Failure> {
        let failed = |error| Failure::of_connect(&error);
        let plain = TcpStream::connect(target.address).await.map_err(failed)?;
        plain.set_nodelay(true).map_err(failed)?;
        let mut agreed = None;
        let stream: Box<dyn Transport> = match &target.tls {
            None => Box::new(plain),
            Some((connector, name)) => {
                let secured = connector.connect(name.clone(), plain).await;
                let secured = secured.map_err(|_| Failure::Tls)?;
                agreed = agreement(secured.get_ref().1);
                Box::new(secured)
            }
        };
        Ok((Self { stream, buffer: Vec::new() }, agreed))
    }

    /// One exchange. Gives the connection back when it can be used again.
    pub(super) async fn exchange(
        mut self,
        request: &[u8],
        stream: bool,
        observer: &mut impl Observer,
    ) -> Result<Option<Self>, Failure> {
        self.stream.write_all(request).await.map_err(|_| Failure::Closed)?;
        // TLS may still hold the last record.
        self.stream.flush().await.map_err(|_| Failure::Closed)?;
        // Idle connections hold no buffer: ten thousand of them are not to cost memory here.
        self.buffer.resize(READ_BYTES, 0);
        let mut filled = 0;
        let Head { bytes, mut framing, reusable } = loop {
            filled += self.read(filled).await?;
            if let Some(head) = head(&self.buffer[..filled])? {
                break head;
            }
        };
        let mut events = stream.then(Events::default);
        let mut range = bytes..filled;
        loop {
            let mut fed = Fed::default();
            let taken = framing.feed(&self.buffer[range.clone()], |piece| {
                observer.bytes(piece.len());
                events.as_mut().map_or(Ok(()), |events| events.feed(piece, &mut fed))
            })?;
            if fed.events > 0 {
                observer.events(&fed, Instant::now());
            }
            if taken < range.len() {
                return Err(Failure::Malformed);
            }
            if framing.is_done() {
                break;
            }
            match self.stream.read(&mut self.buffer).await.map_err(|_| Failure::Closed)? {
                0 if framing == Framing::UntilClose => break,
                0 if stream => return Err(Failure::Truncated),
                0 => return Err(Failure::Closed),
                read => range = 0..read,
            }
        }
        if events.is_some_and(|events| !events.is_done()) {
            return Err(Failure::Truncated);
        }
        Ok((reusable && framing != Framing::UntilClose).then_some(self))
    }

    async fn read(&mut self, filled: usize) -> Result<usize, Failure> {
        match self.stream.read(&mut self.buffer[filled..]).await {
            Ok(0) | Err(_) => Err(Failure::Closed),
            Ok(read) => Ok(read),
        }
    }
}

/// Version and cipher, such as `TLSv1_3 TLS13_AES_128_GCM_SHA256`.
fn agreement(connection: &rustls::ClientConnection) -> Option<String> {
    let (version, suite) =
        (connection.protocol_version()?, connection.negotiated_cipher_suite()?.suite());
    Some(format!("{version:?} {suite:?}"))
}

/// The head, or nothing as long as it is not whole. Interim answers are not expected: nothing asks
/// for them.
fn head(bytes: &[u8]) -> Result<Option<Head>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Failure::Malformed),
    };
    let status = response.code.ok_or(Failure::Malformed)?;
    if !(200..300).contains(&status) {
        return Err(Failure::Status(status));
    }
    let mut framing = if status == 204 { Framing::Length(0) } else { Framing::UntilClose };
    let mut reusable = response.version == Some(1);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if !header.value.eq_ignore_ascii_case(b"chunked") {
                return Err(Failure::Malformed);
            }
            framing = Framing::chunked();
        } else if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).map_err(|_| Failure::Malformed)?;
            framing = Framing::Length(text.parse().map_err(|_| Failure::Malformed)?);
        } else if header.name.eq_ignore_ascii_case("connection") {
            reusable &= !header.value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok(Some(Head { bytes: length, framing, reusable }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_its_body_ends_and_whether_the_connection_goes_on() {
        let of =
            |text: &[u8]| head(text).map(|head| head.map(|head| (head.framing, head.reusable)));
        let ok = |framing, reusable| Ok(Some((framing, reusable)));
        assert_eq!(
            of(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"),
            ok(Framing::Length(3), true)
        );
        let close = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(of(close), ok(Framing::chunked(), false));
        assert_eq!(of(b"HTTP/1.0 200 OK\r\n\r\n"), ok(Framing::UntilClose, false));
        assert_eq!(of(b"HTTP/1.1 200 OK\r\ncontent-le"), Ok(None));
    }

    #[test]
    fn an_answer_other_than_success_is_a_failure_with_its_status() {
        let refused = head(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(refused.map(drop), Err(Failure::Status(503)));
    }
}
