//! What can become of a request other than a good answer.

/// Why a request does not count as answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Connect,
    /// No descriptor or port is left on this side.
    Local,
    /// No handshake: also a certificate that is not trusted, or for another name.
    Tls,
    Closed,
    Timeout,
    Malformed,
    Status(u16),
    /// A stream without `[DONE]`.
    Truncated,
    /// An error event in a stream that began with 200.
    StreamError,
    /// Scheduled, but never sent: too many were waiting, or the end came first.
    NotSent,
}

impl Failure {
    /// Why a connection could not be opened.
    pub(super) fn of_connect(error: &std::io::Error) -> Self {
        use rustix::io::Errno;
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL) => Self::Local,
            Some(_) | None => Self::Connect,
        }
    }

    /// Its name in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Local => "local",
            Self::Tls => "tls",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Malformed => "malformed",
            Self::Status(_) => "status",
            Self::Truncated => "truncated",
            Self::StreamError => "stream_error",
            Self::NotSent => "not_sent",
        }
    }
}
