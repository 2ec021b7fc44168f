//! A stream that ends when the other side takes nothing for too long.

use std::future::Future as _;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Reads as the stream does; a write that makes no progress for a time is an error.
pub(crate) struct Stalling<S> {
    stream: S,
    stalled_max: Duration,
    /// Ends where the write that waits now is given up; none while nothing waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Stalling<S> {
    pub(crate) fn new(stream: S, stalled_max: Duration) -> Self {
        Self { stream, stalled_max, deadline: None }
    }

    /// Passes on what came of a write, and gives up one that waits for too long.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let stalled_max = self.stalled_max;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(stalled_max)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalling<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, ended)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_peer_that_reads_nothing_ends_the_write() {
        let (stream, _peer) = duplex(16);
        let mut stream = Stalling::new(stream, Duration::from_millis(20));
        let written = stream.write_all(&[0; 64]);
        let written = tokio::time::timeout(Duration::from_secs(20), written).await;
        assert_eq!(written.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_reads_gets_everything() {
        let (stream, mut peer) = duplex(16);
        let mut stream = Stalling::new(stream, Duration::from_secs(20));
        let mut read = vec![0; 4_096];
        let (written, taken) =
            tokio::join!(stream.write_all(&[7; 4_096]), peer.read_exact(&mut read));
        assert!(written.is_ok() && taken.is_ok());
        assert_eq!(read, [7; 4_096]);
    }
}
