//! Every limit that ends or refuses something, by the key that sets it: the label of its counter.
//! What each one answers stands in the table of `LIFECYCLE.md`, which a test holds to this list.

/// A limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Limit {
    /// Bytes of a request's head, of its trailers too.
    HeadBytes,
    /// Fields of a head.
    HeaderCount,
    /// Bytes of a target.
    TargetBytes,
    /// A TLS handshake, with a caller or a model server.
    TlsHandshake,
    /// From the first byte of a head to its end.
    Head,
    /// Idle between two requests.
    KeepAlive,
    /// Between two reads of a body, and its least rate.
    BodyGap,
    /// A caller that does not read.
    SendStall,
    /// A connect to a model server.
    Connect,
    /// The first byte of an answer.
    FirstByte,
    /// Between two reads of an answer.
    StreamGap,
    /// Open connections of a core.
    Connections,
    /// Open connections of an address.
    ConnectionsPerAddress,
    /// Requests on one connection.
    Requests,
    /// Bytes in buffers.
    Buffers,
    /// Kept connections to an endpoint.
    UpstreamIdle,
    /// Requests that run on an endpoint.
    UpstreamRequests,
    /// Requests that wait for an endpoint.
    UpstreamQueue,
    /// How long a request waits for an endpoint.
    UpstreamQueueTime,
    /// Requests that wait for an approval.
    Holds,
    /// How long a drain takes.
    Drain,
    /// Bytes of a body that a decision reads; of the connection's document.
    DecisionBytes,
    /// Bytes of a body; of the connection's document.
    BodyBytes,
    /// A whole exchange; of the connection's document.
    Stream,
    /// Bytes of a whole answer that is masked; of the mask's document.
    MaskedBytes,
    /// How long a stream may be silent while text of it is held; of the mask's document.
    Stalled,
}

impl Limit {
    /// All of them.
    pub(crate) const ALL: [Self; 26] = [
        Self::HeadBytes,
        Self::HeaderCount,
        Self::TargetBytes,
        Self::TlsHandshake,
        Self::Head,
        Self::KeepAlive,
        Self::BodyGap,
        Self::SendStall,
        Self::Connect,
        Self::FirstByte,
        Self::StreamGap,
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::Requests,
        Self::Buffers,
        Self::UpstreamIdle,
        Self::UpstreamRequests,
        Self::UpstreamQueue,
        Self::UpstreamQueueTime,
        Self::Holds,
        Self::Drain,
        Self::DecisionBytes,
        Self::BodyBytes,
        Self::Stream,
        Self::MaskedBytes,
        Self::Stalled,
    ];

    /// The key that sets it.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::HeadBytes => "head_bytes_max",
            Self::HeaderCount => "header_count_max",
            Self::TargetBytes => "target_bytes_max",
            Self::TlsHandshake => "tls_handshake_ms_max",
            Self::Head => "head_ms_max",
            Self::KeepAlive => "keep_alive_ms_max",
            Self::BodyGap => "body_gap_ms_max",
            Self::SendStall => "send_stall_ms_max",
            Self::Connect => "connect_ms_max",
            Self::FirstByte => "first_byte_ms_max",
            Self::StreamGap => "stream_gap_ms_max",
            Self::Connections => "connections_per_core_max",
            Self::ConnectionsPerAddress => "connections_per_address_max",
            Self::Requests => "requests_per_connection_max",
            Self::Buffers => "buffer_bytes_per_core_max",
            Self::UpstreamIdle => "upstream_idle_per_endpoint_max",
            Self::UpstreamRequests => "upstream_requests_per_endpoint_max",
            Self::UpstreamQueue => "upstream_queue_max",
            Self::UpstreamQueueTime => "upstream_queue_ms_max",
            Self::Holds => "holds_per_core_max",
            Self::Drain => "drain_ms_max",
            Self::DecisionBytes => "decision_bytes_max",
            Self::BodyBytes => "body_bytes_max",
            Self::Stream => "stream_ms_max",
            Self::MaskedBytes => "masked_bytes_max",
            Self::Stalled => "stalled_ms_max",
        }
    }
}
